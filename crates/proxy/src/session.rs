//! One client's session.
//!
//! It has two lives. Until the log-in it is [`front`]: a large future with buffers and the protocol's state. After the
//! log-in it only passes bytes (S9) and lasts for hours, in thousands; so `front` runs in a box that is freed before the
//! relay begins, and what is left is two connections, the relay's state and a few words for the log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chasqui_base::Lifecycle;
use chasqui_base::net::{Peer, Stream, relay};
use chasqui_directory::AccountRecord;
use tokio::io::AsyncWriteExt;
use tracing::{debug, info};

use crate::config::PlaintextLogin;
use crate::dialogue::{Dialogue, Farewell, Next, Offer, Refusal};
use crate::log_in::log_in;
use crate::metrics::Protocol;
use crate::shared::{Settings, Shared};

/// Time for a client to take a short reply, after which it is not worth waiting.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Serves one connection to its end.
pub async fn serve<D: Dialogue>(
    shared: Arc<Shared>,
    run: Lifecycle,
    stream: Stream,
    peer: Peer,
    implicit_tls: bool,
) {
    let logged_in = Box::pin(front::<D>(Arc::clone(&shared), run, stream, peer, implicit_tls)).await;
    if let Some(session) = logged_in {
        session.relay(&shared, D::PROTOCOL).await;
    }
}

/// Who a session belongs to, for the log.
#[derive(Clone, Copy)]
pub struct Session {
    /// Unique as long as the process runs, and most likely beyond.
    pub id: u64,
    /// The client.
    pub ip: IpAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// Under TLS at the log-in.
    pub tls: bool,
}

/// A session after its log-in.
struct LoggedIn {
    client: Stream,
    storage: Stream,
    id: u64,
    idle: Duration,
}

impl LoggedIn {
    async fn relay(mut self, shared: &Shared, protocol: Protocol) {
        let _open = shared.metrics.relaying(protocol);
        let begun = Instant::now();
        let result = relay(&mut self.client, &mut self.storage, self.idle).await;
        let (id, seconds) = (self.id, begun.elapsed().as_secs());
        match result {
            Ok((from_client, to_client)) => {
                shared.metrics.relayed(protocol, from_client, to_client);
                info!(session = format_args!("{id:x}"), from_client, to_client, seconds, "session ended");
            }
            Err(error) => info!(session = format_args!("{id:x}"), %error, seconds, "session broke"),
        }
    }
}

/// Everything up to the log-in. `None`: the session is over.
async fn front<D: Dialogue>(
    shared: Arc<Shared>,
    run: Lifecycle,
    mut stream: Stream,
    peer: Peer,
    implicit_tls: bool,
) -> Option<LoggedIn> {
    let settings = shared.settings();
    let _accepted = shared.metrics.accepted(D::PROTOCOL);
    let mut session =
        Session { id: shared.next_session(), ip: peer.ip(), protocol: D::PROTOCOL, tls: implicit_tls };
    let deadline = Instant::now() + settings.timeouts.pre_auth.get();
    if implicit_tls {
        stream = start_tls(&shared, session, stream, deadline).await?;
    }
    let offer = Offer {
        tls_active: implicit_tls,
        start_tls: shared.public_tls.is_some(),
        plaintext: settings.takes_plaintext(peer),
    };
    let mut dialogue = D::new(&settings.limits, offer);
    let mut out = Vec::new();
    let mut failed_log_ins = 0;
    dialogue.greet(&mut out);
    loop {
        match dialogue.next(&mut out) {
            Next::Replied if out.len() < FLUSH_AT => {}
            Next::Replied => send(&mut stream, &mut out).await?,
            Next::NeedInput => {
                send(&mut stream, &mut out).await?;
                let farewell = match read(&mut dialogue, &mut stream, deadline, &run).await {
                    Input::Some => continue,
                    Input::End => return None,
                    Input::Slow => {
                        shared.guessing.nuisance(Instant::now(), session.ip);
                        Farewell::Slow
                    }
                    Input::Stopping => Farewell::Stopping,
                };
                debug!(session = format_args!("{:x}", session.id), peer = %session.ip, ?farewell, "no log-in");
                dialogue.farewell(farewell, &mut out);
                return close(stream, out).await;
            }
            Next::StartTls => {
                send(&mut stream, &mut out).await?;
                stream = start_tls(&shared, session, stream, deadline).await?;
                dialogue.tls_started();
                session.tls = true;
            }
            Next::LogIn(credentials) => {
                // A client that pipelines gets what was said before without waiting for the directory.
                send(&mut stream, &mut out).await?;
                let decided = match credentials {
                    Ok(credentials) => {
                        log_in(&shared, &settings, &run, session, &mut dialogue, credentials).await
                    }
                    Err(bad) => Err(Refusal::Bad(bad)),
                };
                match decided {
                    Ok(opened) => return hand_over(dialogue, session, &settings, stream, opened).await,
                    Err(refusal) => dialogue.refuse(&refusal, &mut out),
                }
                failed_log_ins += 1;
                if failed_log_ins >= settings.limits.log_ins {
                    dialogue.farewell(Farewell::LogIns, &mut out);
                    return close(stream, out).await;
                }
            }
            Next::Quit => return close(stream, out).await,
            Next::GiveUp => {
                info!(session = format_args!("{:x}", session.id), peer = %session.ip, "too many errors before log-in");
                shared.guessing.nuisance(Instant::now(), session.ip);
                return close(stream, out).await;
            }
        }
    }
}

/// Replies of a pipelining client are collected up to this many octets.
const FLUSH_AT: usize = 4096;

/// An open mailbox: the connection to its node, and what the node has said to the client.
pub struct Opened {
    /// Whose it is, and at which node.
    pub record: AccountRecord,
    /// The node, from now on in the client's hands.
    pub storage: Stream,
    /// The reply to the log-in.
    pub to_client: Vec<u8>,
}

async fn hand_over<D: Dialogue>(
    mut dialogue: D,
    session: Session,
    settings: &Settings,
    mut client: Stream,
    Opened { mut storage, mut to_client, .. }: Opened,
) -> Option<LoggedIn> {
    let mut pipelined = dialogue.take_input();
    if !pipelined.is_empty() {
        send(&mut storage, &mut pipelined).await?;
    }
    send(&mut client, &mut to_client).await?;
    Some(LoggedIn { client, storage, id: session.id, idle: settings.timeouts.idle.get() })
}

enum Input {
    Some,
    End,
    Slow,
    Stopping,
}

/// Waits for the client, without a buffer while nothing comes.
async fn read<D: Dialogue>(
    dialogue: &mut D,
    stream: &mut Stream,
    deadline: Instant,
    run: &Lifecycle,
) -> Input {
    let (buffer, room) = dialogue.input();
    tokio::select! {
        read = stream.read_more(buffer, room) => match read {
            Ok(1..) => Input::Some,
            Ok(0) | Err(_) => Input::End,
        },
        () = run.stopped() => Input::Stopping,
        () = tokio::time::sleep_until(deadline.into()) => Input::Slow,
    }
}

async fn start_tls(shared: &Shared, session: Session, stream: Stream, deadline: Instant) -> Option<Stream> {
    // A listener inside TLS and the offer of STARTTLS both need it, so it is there.
    let tls = shared.public_tls.as_ref()?;
    let why = match tokio::time::timeout_at(deadline.into(), tls.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no TLS handshake in time".to_owned(),
    };
    info!(session = format_args!("{:x}", session.id), peer = %session.ip, why, "TLS failed");
    None
}

/// Sends and empties `out`, giving its memory back. `None`: the other end is gone or does not read.
async fn send(stream: &mut Stream, out: &mut Vec<u8>) -> Option<()> {
    if out.is_empty() {
        return Some(());
    }
    let out = std::mem::take(out);
    let sent = tokio::time::timeout(WRITE_DEADLINE, async {
        stream.write_all(&out).await?;
        stream.flush().await
    });
    sent.await.ok()?.ok()
}

async fn close(mut stream: Stream, mut out: Vec<u8>) -> Option<LoggedIn> {
    send(&mut stream, &mut out).await?;
    let _ = tokio::time::timeout(WRITE_DEADLINE, stream.shutdown()).await;
    None
}

impl Settings {
    fn takes_plaintext(&self, peer: Peer) -> bool {
        match self.plaintext_login {
            PlaintextLogin::Loopback => peer.local && peer.ip().is_loopback(),
            PlaintextLogin::Never => false,
            PlaintextLogin::Always => true,
        }
    }
}
