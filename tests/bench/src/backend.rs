//! A trivial IMAP store and nginx's `auth_http`, in one process.
//!
//! nginx's mail proxy asks an HTTP server whether a user may log in and where to; Chasqui's proxy asks the directory.
//! What stands behind both is the same trivial store, so that the difference is the proxy's. The store accepts every
//! log-in (LOGIN from nginx, AUTHENTICATE EXTERNAL from us) and answers LOGOUT.

use anyhow::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(clap::Args)]
pub struct Trivial {
    /// Where the trivial store listens.
    #[arg(long)]
    imap: Option<SocketAddr>,
    /// Where `auth_http` listens.
    #[arg(long)]
    auth_http: SocketAddr,
    /// The store that `auth_http` names.
    #[arg(long)]
    store: SocketAddr,
}

impl Trivial {
    /// Serves until killed.
    pub async fn run(self) -> Result<()> {
        if let Some(address) = self.imap {
            let listener = TcpListener::bind(address).await?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(imap(stream));
                }
            });
        }
        let listener = TcpListener::bind(self.auth_http).await?;
        println!("{{\"ready\":true}}");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(authenticate(stream, self.store));
        }
    }
}

async fn imap(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=EXTERNAL LITERAL+] ready\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split_ascii_whitespace();
        let tag = words.next().unwrap_or("*").to_owned();
        let command = words.next().unwrap_or_default().to_ascii_uppercase();
        // nginx sends the user name and password of LOGIN as literals: a line that ends in {n} continues.
        while line.trim_end().ends_with('}') {
            stream.write_all(b"+ go on\r\n").await?;
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
        }
        let bye = if command == "LOGOUT" { "* BYE\r\n" } else { "" };
        stream.write_all(format!("{bye}{tag} OK done\r\n").as_bytes()).await?;
        if command == "LOGOUT" {
            return stream.shutdown().await;
        }
    }
}

/// Answers one request of nginx's mail auth protocol.
async fn authenticate(stream: TcpStream, store: SocketAddr) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            let answer = format!(
                "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n",
                store.ip(),
                store.port()
            );
            stream.write_all(answer.as_bytes()).await?;
            return stream.shutdown().await;
        }
    }
}
