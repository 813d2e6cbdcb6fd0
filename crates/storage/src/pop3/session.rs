use std::io;
use std::sync::Arc;

use chasqui_base::Lifecycle;
use chasqui_pop3::{Capabilities, Command, MessageNumber, ResponseCode, reply};

use super::maildrop::{Entry, Maildrop};
use super::{Connection, retrieve};
use crate::connection::in_time;
use crate::node::Node;

/// The TRANSACTION state, and UPDATE at its end.
pub(super) async fn run(
    connection: &mut Connection,
    mut maildrop: Maildrop,
    node: &Arc<Node>,
    run: &Lifecycle,
) -> io::Result<()> {
    // Boxed: the work of a command is short, waiting for one is long, and only the latter should size the session.
    while let Next::Commands = Box::pin(commands(connection, &mut maildrop, node)).await? {
        match idle(connection, run).await {
            Ok(Idle::More) => {}
            Ok(Idle::Gone) => {
                maildrop.abandon().await;
                return Ok(());
            }
            Ok(Idle::Stopping) => {
                reply::err_code(
                    &mut connection.out,
                    ResponseCode::SysTemp,
                    "shutting down, nothing was removed",
                );
                maildrop.abandon().await;
                return connection.flush().await;
            }
            Err(error) => {
                // RFC 1939 §3: a session that ends by time-out or loss removes nothing.
                maildrop.abandon().await;
                return Err(error);
            }
        }
    }
    Box::pin(quit(connection, maildrop)).await
}

enum Next {
    /// Everything received is answered; wait for more.
    Commands,
    /// QUIT came.
    Quit,
}

enum Idle {
    More,
    Gone,
    Stopping,
}

async fn idle(connection: &mut Connection, run: &Lifecycle) -> io::Result<Idle> {
    let deadline = connection.settings.timeouts.pop3_idle.get();
    tokio::select! {
        read = in_time(deadline, connection.read()) => Ok(if read? == 0 { Idle::Gone } else { Idle::More }),
        () = run.stopped() => Ok(Idle::Stopping),
    }
}

/// Answers every complete command that was received.
async fn commands(
    connection: &mut Connection,
    maildrop: &mut Maildrop,
    node: &Arc<Node>,
) -> io::Result<Next> {
    while let Some(command) = connection.reader.next_command() {
        match command {
            Ok(Command::Quit) => return Ok(Next::Quit),
            Ok(command) => answer(command, connection, maildrop, node).await?,
            Err(error) => {
                connection.errors = connection.errors.saturating_add(1);
                reply::err(&mut connection.out, &error.to_string());
                if connection.errors > connection.settings.limits.errors {
                    connection.flush().await?;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "too many malformed commands"));
                }
            }
        }
        connection.flush_if_much().await?;
    }
    connection.flush().await?;
    Ok(Next::Commands)
}

async fn answer(
    command: Command,
    connection: &mut Connection,
    maildrop: &mut Maildrop,
    node: &Arc<Node>,
) -> io::Result<()> {
    let out = &mut connection.out;
    match command {
        Command::Capa => Capabilities::transaction().write(out),
        Command::Noop => reply::ok(out, ""),
        Command::Stat => {
            let (count, octets) = maildrop.totals();
            reply::ok(out, &format!("{count} {octets}"));
        }
        Command::List(Some(number)) => one(out, maildrop, number, |entry| entry.size.to_string()),
        Command::List(None) => {
            let (count, octets) = maildrop.totals();
            reply::ok(out, &format!("{count} messages ({octets} octets)"));
            every(connection, maildrop, |entry| entry.size.to_string()).await?;
        }
        Command::Uidl(Some(number)) => {
            one(out, maildrop, number, |entry| maildrop.unique_id(entry).to_string())
        }
        Command::Uidl(None) => {
            reply::ok(out, "");
            every(connection, maildrop, |entry| maildrop.unique_id(entry).to_string()).await?;
        }
        Command::Retr(number) => match maildrop.get(number) {
            Some(entry) => retrieve::whole(connection, maildrop, entry, node).await?,
            None => missing(out),
        },
        Command::Top(number, lines) => match maildrop.get(number) {
            Some(entry) => retrieve::top(connection, maildrop, entry, lines, node).await?,
            None => missing(out),
        },
        Command::Dele(number) => match maildrop.get(number) {
            Some(_) => {
                maildrop.mark(number);
                reply::ok(out, &format!("message {number} deleted"));
            }
            None => missing(out),
        },
        Command::Rset => {
            maildrop.unmark_all();
            let (count, octets) = maildrop.totals();
            reply::ok(out, &format!("maildrop has {count} messages ({octets} octets)"));
        }
        Command::Stls
        | Command::Auth(_)
        | Command::AuthList
        | Command::User(_)
        | Command::Pass(_)
        | Command::Apop
        | Command::Utf8 => reply::err(out, "already logged in"),
        // Taken by the caller.
        Command::Quit => {}
    }
    Ok(())
}

/// A reply about one message.
fn one(out: &mut Vec<u8>, maildrop: &Maildrop, number: MessageNumber, about: impl Fn(Entry) -> String) {
    match maildrop.get(number) {
        Some(entry) => reply::ok(out, &format!("{number} {}", about(entry))),
        None => missing(out),
    }
}

/// The lines about all messages, sent in parts: a large maildrop's list never lies in memory whole.
async fn every(
    connection: &mut Connection,
    maildrop: &Maildrop,
    about: impl Fn(Entry) -> String,
) -> io::Result<()> {
    for (number, entry) in maildrop.listed() {
        reply::line(&mut connection.out, format_args!("{number} {}", about(entry)));
        connection.flush_if_much().await?;
    }
    reply::end(&mut connection.out);
    Ok(())
}

fn missing(out: &mut Vec<u8>) {
    reply::err(out, "no such message");
}

async fn quit(connection: &mut Connection, maildrop: Maildrop) -> io::Result<()> {
    let address = maildrop.address.clone();
    match maildrop.update().await {
        Ok(0) => reply::ok(&mut connection.out, "good-bye"),
        Ok(removed) => {
            tracing::info!(account = %address, removed, "removed by POP3");
            reply::ok(&mut connection.out, &format!("good-bye, {removed} messages removed"));
        }
        Err(error) => {
            tracing::warn!(account = %address, %error, "POP3 could not remove messages");
            reply::err_code(&mut connection.out, ResponseCode::SysTemp, "some deleted messages not removed");
        }
    }
    connection.flush().await
}
