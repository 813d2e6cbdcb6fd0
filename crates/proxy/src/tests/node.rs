//! A storage node that opens any mailbox and then echoes lines.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chasqui_base::net::{Endpoint, Listener, Stream};
use chasqui_base::tls::{Role, RoleTls};
use chasqui_directory::Node;
use chasqui_imap::{CommandBody, CommandReader, Event, Limits};
use tokio::io::AsyncWriteExt;

/// How a fake node behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Opens every mailbox.
    Willing,
    /// Greets and refuses with this text.
    Refusing(&'static str),
    /// Says this instead of a greeting and closes.
    Closing(&'static str),
    /// Accepts and says nothing.
    Silent,
}

/// What a fake node has seen.
#[derive(Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    pub accounts: Mutex<Vec<String>>,
}

/// Starts a node; both protocols, plain or under TLS.
pub fn start(mood: Mood, tls: Option<RoleTls>) -> (Arc<Node>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let imap = listen(mood, tls.clone(), Arc::clone(&seen), true);
    let pop3 = listen(mood, tls, Arc::clone(&seen), false);
    let lmtp: Endpoint = "127.0.0.1:24".parse().unwrap();
    (Arc::new(Node { name: "storage1".into(), lmtp, imap, pop3 }), seen)
}

/// A node on which nobody listens.
pub fn down() -> Arc<Node> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint: Endpoint = free.to_string().parse().unwrap();
    Arc::new(Node { name: "storage2".into(), lmtp: endpoint.clone(), imap: endpoint.clone(), pop3: endpoint })
}

fn listen(mood: Mood, tls: Option<RoleTls>, seen: Arc<Seen>, imap: bool) -> Endpoint {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = listener.local_address().to_string().parse().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.connections.fetch_add(1, Ordering::Relaxed);
            let (tls, seen) = (tls.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let stream = match tls {
                    Some(tls) => {
                        let Ok((stream, roles)) = tls.accept(stream).await else { return };
                        assert!(roles.has(Role::Proxy));
                        stream
                    }
                    None => stream,
                };
                let _ = session(stream, mood, &seen, imap).await;
            });
        }
    });
    endpoint
}

async fn session(mut stream: Stream, mood: Mood, seen: &Seen, imap: bool) -> std::io::Result<()> {
    let greeting: &[u8] =
        if imap { b"* OK [CAPABILITY IMAP4rev1] node ready\r\n" } else { b"+OK node ready\r\n" };
    match mood {
        Mood::Silent => return std::future::pending().await,
        Mood::Closing(text) => {
            stream.write_all(text.as_bytes()).await?;
            return stream.shutdown().await;
        }
        _ => stream.write_all(greeting).await?,
    }
    stream.flush().await?;
    let mut reader = CommandReader::new(Limits::default());
    let mut lines = Vec::new();
    let (tag, identity) = if imap {
        loop {
            if let Event::Command(command) = reader.next_event() {
                let CommandBody::Authenticate { mechanism, initial: Some(identity) } = command.body else {
                    panic!()
                };
                assert_eq!(mechanism, "EXTERNAL");
                lines = reader.take_input();
                break (command.tag.to_string(), String::from_utf8(identity.expose().to_vec()).unwrap());
            }
            if stream.read_more(reader.input(), 4096).await? == 0 {
                return Ok(());
            }
        }
    } else {
        let line = next_line(&mut stream, &mut lines).await?;
        let identity = line.strip_prefix("AUTH EXTERNAL ").unwrap().to_owned();
        use base64::Engine;
        let identity = base64::engine::general_purpose::STANDARD.decode(identity).unwrap();
        (String::new(), String::from_utf8(identity).unwrap())
    };
    seen.accounts.lock().unwrap().push(identity.clone());
    let reply = match (mood, imap) {
        (Mood::Refusing(text), true) => format!("{tag} NO {text}\r\n"),
        (Mood::Refusing(text), false) => format!("-ERR {text}\r\n"),
        (_, true) => format!("{tag} OK [CAPABILITY IMAP4rev1 IDLE] {identity} open\r\n"),
        (_, false) => format!("+OK {identity} open\r\n"),
    };
    stream.write_all(reply.as_bytes()).await?;
    stream.flush().await?;
    loop {
        let line = next_line(&mut stream, &mut lines).await?;
        if line.is_empty() {
            return stream.shutdown().await;
        }
        stream.write_all(format!("echo {line}\r\n").as_bytes()).await?;
        stream.flush().await?;
    }
}

async fn next_line(stream: &mut Stream, buffer: &mut Vec<u8>) -> std::io::Result<String> {
    loop {
        if let Some(at) = buffer.iter().position(|&octet| octet == b'\n') {
            let line: Vec<u8> = buffer.drain(..=at).collect();
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if stream.read_more(buffer, 4096).await? == 0 {
            return Ok(String::new());
        }
    }
}
