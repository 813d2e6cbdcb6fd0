//! Messages by SMTP or LMTP, one recipient each, until they are in the mailboxes.
//!
//! A 250 does not mean the same everywhere: Postfix answers it when the message is in its queue, we when it is in
//! the mailbox. So the clock stops when the mailboxes hold as many more files as messages were sent: the generator
//! counts the files below every `new` and `cur` of the tree, which is the same for every Maildir.

use crate::measure::{Measured, Work};
use crate::wire::{Connection, Target};
use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Mail that was accepted must appear within this time.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub struct Load {
    /// Where the server listens.
    #[arg(long)]
    to: SocketAddr,
    /// Speak LMTP.
    #[arg(long)]
    lmtp: bool,
    /// Connections at the same time.
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Messages in all.
    #[arg(long, default_value_t = 1000)]
    messages: u64,
    /// Size of a message in octets.
    #[arg(long, default_value_t = 10_240)]
    size: usize,
    /// What the recipients' names begin with.
    #[arg(long, default_value = "u")]
    prefix: String,
    /// Recipients `u0`, `u1`, … to spread the messages over.
    #[arg(long, default_value_t = 1000)]
    users: u64,
    /// Domain of the recipients.
    #[arg(long, default_value = "bench.test")]
    domain: String,
    /// Spread the recipients over so many domains: `d0.` and the domain, `d1.` and the domain, …
    #[arg(long)]
    domains: Option<u64>,
    /// The sender.
    #[arg(long, default_value = "sender@example.org")]
    sender: String,
    /// A file of header fields that every message begins with.
    #[arg(long)]
    header: Option<PathBuf>,
    /// Mailbox trees in which the messages must appear before the clock stops.
    #[arg(long)]
    watch: Vec<PathBuf>,
}

impl Load {
    /// Sends everything and prints the measurement.
    pub async fn run(self) -> Result<()> {
        let target = Target::new(self.to, None)?;
        let before = count_messages(&self.watch);
        let work = Work::new(self.messages);
        let header = self.header.as_ref().map(std::fs::read).transpose()?.unwrap_or_default();
        let body = body(self.size);
        let start = Instant::now();
        let mut connections = Vec::new();
        for number in 0..self.connections {
            let (work, target, body) = (work.clone(), target.clone(), body.clone());
            let (lmtp, users, prefix, domain) =
                (self.lmtp, self.users, self.prefix.clone(), self.domain.clone());
            let (domains, sender, header) = (self.domains, self.sender.clone(), header.clone());
            connections.push(tokio::spawn(async move {
                let mut client = open(&target, number, lmtp).await?;
                let mut times = Vec::new();
                while let Some(message) = work.take() {
                    let begun = Instant::now();
                    // Neighbouring messages go to different accounts, as mail from the world does.
                    let user = message.wrapping_mul(7919) % users;
                    let recipient = match domains {
                        Some(domains) => format!("{prefix}{user}@d{}.{domain}", message % domains.max(1)),
                        None => format!("{prefix}{user}@{domain}"),
                    };
                    send(&mut client, message, [&sender, &recipient], &header, &body).await?;
                    times.push(begun.elapsed());
                }
                client.send(b"QUIT\r\n").await?;
                anyhow::Ok(times)
            }));
        }
        let mut times = Vec::new();
        for connection in connections {
            times.extend(connection.await??);
        }
        let wanted = before + times.len();
        while !self.watch.is_empty() && count_messages(&self.watch) < wanted {
            if start.elapsed() > DELIVERY_PATIENCE {
                bail!("{} of {wanted} messages are in the mailboxes", count_messages(&self.watch));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Measured::new(times, start.elapsed()).print()
    }
}

async fn open(target: &Target, number: u64, lmtp: bool) -> Result<Connection> {
    let mut client = target.connect(number).await?;
    reply(&mut client, b'2').await?;
    client.send(if lmtp { b"LHLO bench.test\r\n" } else { b"EHLO bench.test\r\n" }).await?;
    reply(&mut client, b'2').await?;
    Ok(client)
}

async fn send(
    client: &mut Connection,
    number: u64,
    [sender, recipient]: [&str; 2],
    header: &[u8],
    body: &[u8],
) -> Result<()> {
    // RFC 2920: everything up to DATA in one write.
    let envelope = format!("MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
    client.send(envelope.as_bytes()).await?;
    reply(client, b'2').await?;
    reply(client, b'2').await?;
    reply(client, b'3').await?;
    let unique = Instant::now();
    let mut message = header.to_vec();
    message.extend_from_slice(
        format!("Message-ID: <{number}.{unique:?}@example.org>\r\nTo: {recipient}\r\n").as_bytes(),
    );
    message.extend_from_slice(body);
    client.send(&message).await?;
    reply(client, b'2').await
}

/// Reads one reply, all its lines, whose code must begin with `class`.
async fn reply(client: &mut Connection, class: u8) -> Result<()> {
    loop {
        let line = client.line().await?;
        if line.as_bytes().first() != Some(&class) {
            bail!("unexpected reply: {line}");
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}

/// The rest of the header, a text of lines as people write them, and the dot.
fn body(size: usize) -> Vec<u8> {
    let mut text = b"From: Sender <sender@example.org>\r\nSubject: A message of the benchmark\r\n\
        Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
        .to_vec();
    while text.len() < size {
        text.extend_from_slice(
            b"The relay runner carried the message to the next post, and so on to Cusco.\r\n",
        );
    }
    text.extend_from_slice(b".\r\n");
    text
}

/// Counts the files below every folder named `new` or `cur`.
fn count_messages(trees: &[PathBuf]) -> usize {
    trees.iter().map(|tree| count_below(tree, false)).sum()
}

fn count_below(folder: &Path, messages: bool) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut count = 0;
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && entry.file_name() != "tmp" => {
                let name = entry.file_name();
                count += count_below(&entry.path(), name == "new" || name == "cur");
            }
            Ok(kind) if kind.is_file() && messages => count += 1,
            _ => {}
        }
    }
    count
}
