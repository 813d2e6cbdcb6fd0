//! `chasqui-bench`: the load generators of `tests/bench/run`.
//!
//! One generator drives Chasqui and its peer alike: the same bytes, the same number of connections, the same
//! way of counting. Each subcommand prints one line of JSON with what it measured; `tests/bench/run` starts
//! the servers, interleaves the rounds and writes `docs/benchmarks.md`.
//!
//! The clients here are small on purpose. They know just enough of each protocol to keep a server busy, so that
//! on a machine with few cores most of the time goes to the server that is measured.

mod backend;
mod directory;
mod imap;
mod ldap;
mod measure;
mod sink;
mod smtp;
mod submit;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Load generators for Chasqui and its peers", version)]
struct CommandLine {
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// Send messages by SMTP or LMTP and wait until they are in the mailboxes.
    Smtp(smtp::Load),
    /// Submit messages as users do, with SCRAM, a session for each.
    Submit(submit::Submissions),
    /// Take all mail for as many destinations as wanted, and count it.
    Sink(sink::Sink),
    /// Open IMAP sessions: connect, log in, log out.
    ImapSessions(imap::Sessions),
    /// Fetch messages over open IMAP sessions.
    ImapFetch(imap::Fetches),
    /// Log in on many IMAP connections and hold them idle until standard input ends.
    ImapIdle(imap::Idle),
    /// Search for addresses on a slapd over persistent connections.
    Ldap(ldap::Searches),
    /// Look up addresses at Chasqui's directory.
    Directory(directory::LookUps),
    /// Serve a trivial IMAP store and nginx's `auth_http`, to measure proxies without the store behind them.
    Backend(backend::Trivial),
}

fn main() -> Result<()> {
    let work = CommandLine::parse().work;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match work {
            Work::Smtp(load) => load.run().await,
            Work::Submit(load) => load.run().await,
            Work::Sink(server) => server.run().await,
            Work::ImapSessions(load) => load.run().await,
            Work::ImapFetch(load) => load.run().await,
            Work::ImapIdle(load) => load.run().await,
            Work::Ldap(load) => load.run().await,
            Work::Directory(load) => load.run().await,
            Work::Backend(server) => server.run().await,
        }
    })
}
