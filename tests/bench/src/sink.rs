//! The internet that outbound mail is sent to: mail hosts on as many addresses as there are destinations, which take everything and keep
//! nothing.
//!
//! They offer what Postfix's `smtp-sink` does, so that neither side sends differently to them than to it: PIPELINING, SIZE, 8BITMIME.

use anyhow::{Result, bail};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

const HELLO: &[u8] = b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250 8BITMIME\r\n";

/// A command line is not longer.
const LINE: u64 = 4096;

#[derive(clap::Args)]
pub struct Sink {
    /// The port, on 127.0.1.1, 127.0.1.2, … as many as there are destinations.
    #[arg(long)]
    port: u16,
    /// Destinations.
    #[arg(long, default_value_t = 32)]
    destinations: u8,
}

impl Sink {
    /// Serves until standard input ends. For each line on it, one line with the number of messages and of connections until then.
    pub async fn run(self) -> Result<()> {
        let messages = Arc::new(AtomicU64::new(0));
        let connections = Arc::new(AtomicU64::new(0));
        for number in 1..=self.destinations {
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, number)), self.port);
            let listener = TcpListener::bind(address).await?;
            let (messages, connections) = (Arc::clone(&messages), Arc::clone(&connections));
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(serve(stream, Arc::clone(&messages)));
                }
            });
        }
        println!("ready");
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while lines.next_line().await?.is_some() {
            println!("{} {}", messages.load(Ordering::Relaxed), connections.load(Ordering::Relaxed));
        }
        Ok(())
    }
}

async fn serve(stream: TcpStream, messages: Arc<AtomicU64>) -> Result<()> {
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::with_capacity(64 * 1024, reading);
    let mut line = Vec::new();
    // Replies are written together when there is nothing more to read.
    let mut replies = b"220 sink.test ESMTP\r\n".to_vec();
    loop {
        if reading.buffer().is_empty() {
            writing.write_all(&replies).await?;
            replies.clear();
        }
        read_line(&mut reading, &mut line).await?;
        let verb: Vec<u8> = line.iter().take(4).map(u8::to_ascii_uppercase).collect();
        match verb.as_slice() {
            b"EHLO" => replies.extend_from_slice(HELLO),
            b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP" => replies.extend_from_slice(b"250 2.0.0 Ok\r\n"),
            b"DATA" => {
                replies.extend_from_slice(b"354 Go on\r\n");
                writing.write_all(&replies).await?;
                replies.clear();
                while line != b".\r\n" {
                    read_line(&mut reading, &mut line).await?;
                }
                messages.fetch_add(1, Ordering::Relaxed);
                replies.extend_from_slice(b"250 2.0.0 Taken\r\n");
            }
            b"QUIT" => {
                replies.extend_from_slice(b"221 2.0.0 Bye\r\n");
                return Ok(writing.write_all(&replies).await?);
            }
            _ => replies.extend_from_slice(b"500 5.5.1 What?\r\n"),
        }
    }
}

async fn read_line(reading: &mut BufReader<OwnedReadHalf>, line: &mut Vec<u8>) -> Result<()> {
    line.clear();
    if reading.take(LINE).read_until(b'\n', line).await? == 0 {
        bail!("the sender has gone");
    }
    Ok(())
}
