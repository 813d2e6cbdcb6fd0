//! Before log-in: the peer is a proxy that names the account it has verified.

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chasqui_base::Lifecycle;
use chasqui_base::net::Stream;
use chasqui_base::tls::PeerRoles;
use chasqui_imap::{
    Code, Command, CommandBody, CommandReader, Event, Limits, LineEvent, Reply, Sensitive, Tag,
};
use tokio::time::Instant;

use super::refusal::log_in_refused;
use super::session::{capabilities, message_limits};
use crate::connection::{close, send};
use crate::node::{LogIn, Node, Protocol};

/// What is offered before log-in.
const BEFORE: &str = "IMAP4rev1 LITERAL+ SASL-IR ID LOGINDISABLED AUTH=EXTERNAL";

/// Commands that may fail before the connection is closed.
const ATTEMPTS: u32 = 10;

/// Greets and waits for a log-in. `None`: the connection is over.
pub(super) async fn log_in(
    stream: Stream,
    roles: PeerRoles,
    node: &Arc<Node>,
    run: &Lifecycle,
) -> Option<(Stream, CommandReader, LogIn)> {
    let settings = node.settings();
    let mut door = Door {
        stream,
        reader: CommandReader::new(Limits::before_log_in()),
        out: Vec::new(),
        until: Instant::now() + settings.timeouts.log_in.get(),
        write: settings.timeouts.write.get(),
    };
    Reply::ok("Chasqui storage node ready").with(Code::Capability(BEFORE.into())).untagged(&mut door.out);
    let mut failures = 0;
    while failures < ATTEMPTS {
        let (tag, body) = match door.command(run).await? {
            Ok(Command { tag, body }) => (tag, body),
            Err(()) => {
                failures += 1;
                continue;
            }
        };
        match body {
            CommandBody::Capability => {
                door.out.extend_from_slice(format!("* CAPABILITY {BEFORE}\r\n").as_bytes());
                Reply::ok("CAPABILITY completed").tagged(&tag, &mut door.out);
            }
            CommandBody::Noop => Reply::ok("NOOP completed").tagged(&tag, &mut door.out),
            CommandBody::Id(_) => {
                super::verb::id::respond(&mut door.out);
                Reply::ok("ID completed").tagged(&tag, &mut door.out);
            }
            CommandBody::Logout => {
                Reply::bye("Goodbye").untagged(&mut door.out);
                Reply::ok("LOGOUT completed").tagged(&tag, &mut door.out);
                door.end().await;
                return None;
            }
            CommandBody::Authenticate { mechanism, initial } if mechanism == "EXTERNAL" => {
                let identity = match initial {
                    Some(initial) => initial,
                    None => match door.response(&tag, run).await? {
                        Some(identity) => identity,
                        None => {
                            failures += 1;
                            continue;
                        }
                    },
                };
                let identity = String::from_utf8_lossy(identity.expose()).into_owned();
                match node.log_in(roles, &identity, Protocol::Imap).await {
                    Ok(log_in) => {
                        let capabilities = capabilities(&settings);
                        let reply = Reply::ok("Logged in").with(Code::Capability(capabilities.into()));
                        reply.tagged(&tag, &mut door.out);
                        door.flush().await?;
                        let Door { stream, mut reader, .. } = door;
                        reader.set_limits(message_limits(&settings));
                        return Some((stream, reader, log_in));
                    }
                    Err(error) => {
                        failures += 1;
                        log_in_refused(&error).tagged(&tag, &mut door.out);
                    }
                }
            }
            CommandBody::Authenticate { .. } | CommandBody::Login { .. } => {
                failures += 1;
                let reply =
                    Reply::no("Only AUTHENTICATE EXTERNAL, after the proxy has verified the password");
                reply.with(Code::Cannot).tagged(&tag, &mut door.out);
            }
            _ => {
                failures += 1;
                Reply::bad("Log in first").tagged(&tag, &mut door.out);
            }
        }
    }
    Reply::bye("Too many failures").untagged(&mut door.out);
    door.end().await;
    None
}

/// The connection before log-in.
struct Door {
    stream: Stream,
    reader: CommandReader,
    out: Vec<u8>,
    until: Instant,
    write: Duration,
}

impl Door {
    /// The next command; `Err`: one was refused with a reply. `None`: the connection is over.
    async fn command(&mut self, run: &Lifecycle) -> Option<Result<Command, ()>> {
        loop {
            match self.reader.next_event() {
                Event::NeedInput => self.read(run).await?,
                Event::Continue => self.out.extend_from_slice(b"+ OK\r\n"),
                Event::Command(command) => return Some(Ok(command)),
                Event::Refused { tag, reply } => {
                    reply.answer(tag.as_ref(), &mut self.out);
                    return Some(Err(()));
                }
                Event::Fatal { tag, reply } => {
                    reply.answer(tag.as_ref(), &mut self.out);
                    Reply::bye("Goodbye").untagged(&mut self.out);
                    self.end().await;
                    return None;
                }
                Event::Append { tag, .. } => {
                    self.reader.refuse();
                    Reply::bad("Log in first").tagged(&tag, &mut self.out);
                    return Some(Err(()));
                }
                // Only after a message was accepted, which is never done here.
                Event::AppendNext(_) | Event::Chunk(_) | Event::AppendEnd => return None,
            }
        }
    }

    /// Asks for the SASL response. `Some(None)`: cancelled or not base64, with a reply.
    async fn response(&mut self, tag: &Tag, run: &Lifecycle) -> Option<Option<Sensitive>> {
        self.out.extend_from_slice(b"+ \r\n");
        let line = loop {
            match self.reader.next_line() {
                LineEvent::Line(line) => break line,
                LineEvent::NeedInput => self.read(run).await?,
                LineEvent::TooLong => {
                    Reply::bad("Line is too long").tagged(tag, &mut self.out);
                    self.end().await;
                    return None;
                }
            }
        };
        let decoded = STANDARD.decode(&line).ok();
        if decoded.is_none() {
            // RFC 3501 §6.2.2: `*` cancels, and what is not base64 is BAD as well.
            Reply::bad("AUTHENTICATE cancelled").tagged(tag, &mut self.out);
        }
        Some(decoded.map(Sensitive::new))
    }

    async fn read(&mut self, run: &Lifecycle) -> Option<()> {
        self.flush().await?;
        let room = self.reader.room();
        let goodbye = tokio::select! {
            read = self.stream.read_more(self.reader.input(), room) => match read {
                Ok(0) | Err(_) => return None,
                Ok(_) => return Some(()),
            },
            () = tokio::time::sleep_until(self.until) => Reply::bye("Nobody logged in"),
            () = run.stopped() => Reply::bye("Server is closing").with(Code::Unavailable),
        };
        goodbye.untagged(&mut self.out);
        self.end().await;
        None
    }

    async fn flush(&mut self) -> Option<()> {
        send(&mut self.stream, &mut self.out, self.write).await.ok()
    }

    async fn end(&mut self) {
        if self.flush().await.is_some() {
            close(&mut self.stream).await;
        }
    }
}
