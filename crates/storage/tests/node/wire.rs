//! A client that sends text and reads lines, with a deadline on everything.

use std::net::SocketAddr;
use std::time::Duration;

use chasqui_base::net::{Endpoint, Stream};
use tokio::io::AsyncWriteExt;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Wire {
    stream: Stream,
    input: Vec<u8>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let endpoint: Endpoint = address.to_string().parse().unwrap();
        Self::over(endpoint.connect(PATIENCE).await.unwrap())
    }

    pub fn over(stream: Stream) -> Self {
        Self { stream, input: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.send_octets(text.as_bytes()).await;
    }

    pub async fn send_octets(&mut self, octets: &[u8]) {
        let sent = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(PATIENCE, sent)
            .await
            .expect("the peer takes nothing")
            .expect("the peer is gone");
    }

    /// The next line without its end; empty when the peer closed.
    pub async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8(self.input[..end].to_vec()).unwrap();
                self.input.drain(..end + 2);
                return line;
            }
            let read = self.stream.read_more(&mut self.input, 1 << 16);
            if tokio::time::timeout(PATIENCE, read).await.expect("no line came").unwrap_or(0) == 0 {
                assert!(
                    self.input.is_empty(),
                    "half a line came: {:?}",
                    String::from_utf8_lossy(&self.input)
                );
                return String::new();
            }
        }
    }

    /// The next line, which begins with `start`.
    pub async fn expect(&mut self, start: &str) -> String {
        let line = self.line().await;
        assert!(line.starts_with(start), "expected {start:?}, got {line:?}");
        line
    }

    /// A multi-line reply after its first line, dots undone.
    pub async fn multi_line(&mut self) -> String {
        let mut text = String::new();
        loop {
            let line = self.line().await;
            if line == "." {
                return text;
            }
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push_str("\r\n");
        }
    }

    /// Whether the peer closed the connection and sent nothing before.
    pub async fn is_closed(&mut self) -> bool {
        self.line().await.is_empty()
    }
}
