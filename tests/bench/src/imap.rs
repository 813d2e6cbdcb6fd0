//! IMAP log-ins through a proxy: sessions per second, and many that stay idle.

use crate::measure::{Measured, Work};
use crate::wire::{Connection, Target};
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

/// Log-ins under way at the same time while the idle connections are opened.
const OPENING: usize = 16;

/// Where and as whom to log in.
#[derive(clap::Args, Clone)]
struct Account {
    /// Where the server listens.
    #[arg(long)]
    to: SocketAddr,
    /// Authority to trust; TLS from the first byte if given.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// What the users' names begin with.
    #[arg(long, default_value = "u")]
    prefix: String,
    /// Users `u0`, `u1`, … to log in as.
    #[arg(long, default_value_t = 100)]
    users: u64,
    /// Domain of the users.
    #[arg(long, default_value = "bench.test")]
    domain: String,
    /// Password of every user.
    #[arg(long, default_value = "bench")]
    password: String,
}

impl Account {
    async fn log_in(&self, target: &Target, number: u64) -> Result<Connection> {
        let mut client = target.connect(number).await?;
        let greeting = client.line().await?;
        if !greeting.starts_with("* OK") {
            bail!("unexpected greeting: {greeting}");
        }
        let user = number % self.users;
        let command = format!("a LOGIN {}{user}@{} {}\r\n", self.prefix, self.domain, self.password);
        client.send(command.as_bytes()).await?;
        tagged(&mut client, "a").await?;
        Ok(client)
    }
}

#[derive(clap::Args)]
pub struct Sessions {
    #[command(flatten)]
    account: Account,
    /// Connections at the same time.
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Sessions in all.
    #[arg(long, default_value_t = 1000)]
    sessions: u64,
}

impl Sessions {
    /// Opens and closes all sessions and prints the measurement.
    pub async fn run(self) -> Result<()> {
        let target = Target::new(self.account.to, self.account.ca.as_deref())?;
        let work = Work::new(self.sessions);
        let start = Instant::now();
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            let (work, target, account) = (work.clone(), target.clone(), self.account.clone());
            connections.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while let Some(session) = work.take() {
                    let begun = Instant::now();
                    let mut client = account.log_in(&target, session).await?;
                    client.send(b"b LOGOUT\r\n").await?;
                    client.until_closed().await?;
                    times.push(begun.elapsed());
                }
                anyhow::Ok(times)
            }));
        }
        let mut times = Vec::new();
        for connection in connections {
            times.extend(connection.await??);
        }
        Measured::new(times, start.elapsed()).print()
    }
}

#[derive(clap::Args)]
pub struct Fetches {
    #[command(flatten)]
    account: Account,
    /// Connections at the same time.
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Messages to fetch in all.
    #[arg(long, default_value_t = 1000)]
    fetches: u64,
}

impl Fetches {
    /// Logs in and selects INBOX on each connection, tells so, and when a line comes on standard input fetches each INBOX's last
    /// message again and again; prints the measurement. What stands before the fetches can so be left out of a measurement.
    pub async fn run(self) -> Result<()> {
        let target = Target::new(self.account.to, self.account.ca.as_deref())?;
        let work = Work::new(self.fetches);
        let mut clients = Vec::new();
        for number in 0..self.connections {
            let mut client = self.account.log_in(&target, number).await?;
            client.send(b"b SELECT INBOX\r\n").await?;
            tagged(&mut client, "b").await?;
            clients.push(client);
        }
        println!("{{\"open\":{}}}", clients.len());
        tokio::io::stdin().read_u8().await?;
        let start = Instant::now();
        let mut tasks = Vec::new();
        for mut client in clients {
            let work = work.clone();
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while work.take().is_some() {
                    let begun = Instant::now();
                    client.send(b"c FETCH * BODY.PEEK[]\r\n").await?;
                    tagged(&mut client, "c").await?;
                    times.push(begun.elapsed());
                }
                anyhow::Ok(times)
            }));
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        Measured::new(times, start.elapsed()).print()
    }
}

#[derive(clap::Args)]
pub struct Idle {
    #[command(flatten)]
    account: Account,
    /// Connections to hold.
    #[arg(long, default_value_t = 2000)]
    connections: u64,
    /// Also select INBOX and send IDLE.
    #[arg(long)]
    select: bool,
}

impl Idle {
    /// Logs in on every connection, prints `{"open":N}` and holds them until standard input ends.
    pub async fn run(self) -> Result<()> {
        let target = Target::new(self.account.to, self.account.ca.as_deref())?;
        let opening = Arc::new(Semaphore::new(OPENING));
        let mut tasks = Vec::new();
        for number in 0..self.connections {
            let permit = opening.clone().acquire_owned().await?;
            let (target, account, select) = (target.clone(), self.account.clone(), self.select);
            tasks.push(tokio::spawn(async move {
                let mut client =
                    account.log_in(&target, number).await.with_context(|| format!("connection {number}"))?;
                if select {
                    client.send(b"b SELECT INBOX\r\n").await?;
                    tagged(&mut client, "b").await?;
                    client.send(b"c IDLE\r\n").await?;
                    client.line().await?;
                }
                client.forget_input();
                drop(permit);
                anyhow::Ok(client)
            }));
        }
        let mut held = Vec::new();
        for task in tasks {
            held.push(task.await??);
        }
        println!("{{\"open\":{}}}", held.len());
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        Ok(())
    }
}

/// Reads up to the tagged response, which must be OK.
async fn tagged(client: &mut Connection, tag: &str) -> Result<()> {
    loop {
        let line = client.line().await?;
        if let Some(outcome) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
            if outcome.starts_with("OK") {
                return Ok(());
            }
            bail!("refused: {line}");
        }
    }
}
