//! Look-ups at Chasqui's directory, through the client that every role uses.

use crate::measure::{Measured, Work};
use anyhow::{Context, Result, bail};
use chasqui_base::address::EmailAddress;
use chasqui_directory::{ClientConfig, DirectoryClient, LookUp, Target};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A look-up that was not answered (a datagram lost under load) is asked again this often.
const TRIES: u32 = 3;

#[derive(clap::Args)]
pub struct LookUps {
    /// Where the directory listens, `host:port`; several are primary and secondary.
    #[arg(long, required = true)]
    to: Vec<String>,
    /// The cluster's key file.
    #[arg(long)]
    keys: PathBuf,
    /// Clients, each with a socket of its own.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Look-ups in flight for each client.
    #[arg(long, default_value_t = 1)]
    in_flight: u64,
    /// Look-ups in all.
    #[arg(long, default_value_t = 10_000)]
    lookups: u64,
    /// Accounts `u0@…`, `u1@…`, … to look for.
    #[arg(long, default_value_t = 100_000)]
    users: u64,
    /// What the accounts' names begin with.
    #[arg(long, default_value = "u")]
    prefix: String,
    /// Domain of the accounts.
    #[arg(long, default_value = "bench.test")]
    domain: String,
    /// After this long without an answer the next server is asked, in milliseconds.
    #[arg(long, default_value_t = 20)]
    hedge: u64,
}

impl LookUps {
    /// Does all look-ups and prints the measurement.
    pub async fn run(self) -> Result<()> {
        let mut config = ClientConfig { keys: self.keys, ..ClientConfig::default() };
        config.hedge = chasqui_base::Span(Duration::from_millis(self.hedge));
        for server in &self.to {
            config.servers.push(server.parse().with_context(|| server.clone())?);
        }
        let work = Work::new(self.lookups);
        let names = Arc::new((self.prefix, self.domain));
        let mut clients = Vec::new();
        for _ in 0..self.clients {
            clients.push(DirectoryClient::connect(&config, None).await?);
        }
        let start = Instant::now();
        let mut tasks = Vec::new();
        for client in &clients {
            for _ in 0..self.in_flight {
                let (client, work, names, users) = (client.clone(), work.clone(), names.clone(), self.users);
                tasks.push(tokio::spawn(async move {
                    let mut times = Vec::new();
                    while let Some(number) = work.take() {
                        let user = number.wrapping_mul(7919) % users;
                        let address = EmailAddress::parse(&format!("{}{user}@{}", names.0, names.1))?;
                        let begun = Instant::now();
                        find(&client, &address).await?;
                        times.push(begun.elapsed());
                    }
                    anyhow::Ok(times)
                }));
            }
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        Measured::new(times, start.elapsed()).print()
    }
}

async fn find(client: &DirectoryClient, address: &EmailAddress) -> Result<()> {
    for _ in 0..TRIES {
        match client.look_up(address).await {
            Ok(LookUp::Found(found)) => match &found[..] {
                [Target::Account(record)] if record.account == *address => return Ok(()),
                other => bail!("{address} was answered with {other:?}"),
            },
            Ok(_) => bail!("{address} was not found"),
            Err(_) => {}
        }
    }
    bail!("no answer for {address} after {TRIES} tries")
}
