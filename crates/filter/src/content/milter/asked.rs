//! The conversation with one milter, from CONNECT to its verdicts.

use super::{
    AWAY, Greeting, Milter, Peer,
    changes::Changes,
    codec::{self, Answer, put, put_texts, steps},
    link::{Link, MilterError},
    macros::{Stage, put_macros},
};
use crate::content::{config::WhenAway, draft::Draft};
use chasqui_base::DeliveryId;
use chasqui_courier::Content;
use chasqui_smtp::{Body, Mail, Recipient, Reply, ReplyLimits, ReversePath};
use std::{sync::Arc, time::Duration};

/// Octets of packets that are written at once.
const BATCH: usize = 64 * 1024;

const REJECTED: Reply = Reply::fixed(550, (5, 7, 1), "Refused by a filter");
const DEFERRED: Reply = Reply::fixed(451, (4, 7, 1), "A filter asks to try again later");

/// Goes on, or ends with an answer that settles the message.
macro_rules! step {
    ($answer:expr) => {
        match $answer {
            Answer::Continue => {}
            Answer::Change(_) | Answer::Negotiated(_) | Answer::Skip => {
                return Err(MilterError::Unexpected(Answer::Continue));
            }
            answer => return Ok(answer),
        }
    };
}
/// One milter of a chain.
pub(super) struct Asked {
    pub(super) milter: Arc<Milter>,
    /// The message that it is asked about, for the log.
    pub(super) id: Option<DeliveryId>,
    pub(super) link: Option<Link>,
    /// What it was told of the greeting.
    pub(super) greeted: Option<Greeting>,
    pub(super) connection: Standing,
    pub(super) message: Standing,
    /// It has a message open.
    pub(super) open: bool,
}

/// What a milter has said of the connection, or of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It goes on being asked.
    #[default]
    Asked,
    /// It has accepted and is not asked any more.
    Accepted,
    /// It wants it dropped.
    Discarded,
    /// It refuses it.
    Refused(Reply),
    /// It failed.
    Away,
}

/// How far an answer reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Message,
    Recipient,
}

impl Asked {
    pub(super) fn new(milter: &Arc<Milter>) -> Self {
        Self {
            milter: Arc::clone(milter),
            id: None,
            link: None,
            greeted: None,
            connection: Standing::Asked,
            message: Standing::Asked,
            open: false,
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.connection == Standing::Asked && self.message == Standing::Asked
    }

    /// Turns the answer to the last command into a standing, and into the reply to the SMTP command where it refuses.
    pub(super) fn judge(&mut self, result: Result<Answer, MilterError>, scope: Scope) -> Result<(), Reply> {
        let standing = match result {
            Ok(answer) => match answer {
                Answer::Accept => Standing::Accepted,
                Answer::Discard => Standing::Discarded,
                Answer::Reject => Standing::Refused(REJECTED),
                Answer::TempFail => Standing::Refused(DEFERRED),
                Answer::Custom(text) => Standing::Refused(custom(&text)),
                _ => Standing::Asked,
            },
            Err(error) => {
                let delivery = self.id.map(tracing::field::display);
                tracing::warn!(delivery, milter = self.milter.config.name, %error, "a milter failed");
                self.link = None;
                self.greeted = None;
                self.open = false;
                // Whoever holds all its places must not be able to send past it.
                if matches!(error, MilterError::Busy) { Standing::Refused(AWAY) } else { Standing::Away }
            }
        };
        let refused = match &standing {
            Standing::Refused(reply) => Some(reply.clone()),
            Standing::Away if self.milter.config.when_away == WhenAway::Defer => Some(AWAY),
            _ => None,
        };
        match (&refused, scope) {
            (Some(_), Scope::Recipient) if standing != Standing::Away => {}
            _ if standing != Standing::Asked => self.message = standing,
            _ => {}
        }
        refused.map_or(Ok(()), Err)
    }

    pub(super) async fn abort(&mut self) {
        if std::mem::take(&mut self.open)
            && let Some(link) = &mut self.link
        {
            let mut packet = Vec::new();
            put(&mut packet, b'A', b"");
            if link.tell(&packet, self.milter.config.command_deadline.get()).await.is_err() {
                self.link = None;
                self.greeted = None;
            }
        }
    }

    pub(super) async fn mail(
        &mut self,
        peer: &Peer,
        greeting: &Greeting,
        id: DeliveryId,
        mail: &Mail,
    ) -> Result<Answer, MilterError> {
        let deadline = self.milter.config.command_deadline.get();
        if self.connection == Standing::Asked && self.link.is_none() {
            let mut link = self.milter.connect().await?;
            let answer = connected(&mut link, peer, deadline).await;
            self.link = Some(link);
            if let Some(answer) = self.of_connection(answer?) {
                return Ok(answer);
            }
        }
        match &self.connection {
            Standing::Asked => {}
            Standing::Refused(reply) => return Ok(Answer::Custom(reply_text(reply))),
            Standing::Discarded => return Ok(Answer::Discard),
            Standing::Accepted | Standing::Away => return Ok(Answer::Accept),
        }
        let Some(link) = &mut self.link else { return Err(MilterError::Closed) };
        if self.greeted.as_ref() != Some(greeting) {
            let answer = hello(link, greeting, deadline).await?;
            self.greeted = Some(greeting.clone());
            if let Some(answer) = self.of_connection(answer) {
                return Ok(answer);
            }
        }
        let Some(link) = &mut self.link else { return Err(MilterError::Closed) };
        self.open = true;
        if link.without(steps::NO_MAIL) {
            return Ok(Answer::Continue);
        }
        let mut out = Vec::new();
        let (address, host) = match &mail.reverse_path {
            ReversePath::Null => ("", ""),
            ReversePath::Address(mailbox) => (mailbox.as_str(), mailbox.domain()),
        };
        let id = id.to_string();
        let macros =
            [("i", id.as_str()), ("{mail_addr}", address), ("{mail_host}", host), ("{mail_mailer}", "smtp")];
        put_macros(&mut out, &link.agreed, Stage::Mail, &macros);
        let path = format!("<{address}>");
        let mut texts = vec![path];
        texts.extend(mail.size.map(|size| format!("SIZE={size}")));
        match mail.body {
            Body::SevenBit => {}
            Body::EightBitMime => texts.push("BODY=8BITMIME".into()),
            Body::BinaryMime => texts.push("BODY=BINARYMIME".into()),
        }
        texts.extend(mail.smtputf8.then(|| "SMTPUTF8".to_owned()));
        put_texts(&mut out, b'M', texts.iter().map(String::as_bytes));
        exchange(link, &out, steps::MUTE_MAIL, deadline).await
    }

    /// An answer to CONNECT or HELO, which is for the whole connection; `None` to go on.
    fn of_connection(&mut self, answer: Answer) -> Option<Answer> {
        self.connection = match &answer {
            Answer::Accept => Standing::Accepted,
            Answer::Discard => Standing::Discarded,
            Answer::Reject => Standing::Refused(REJECTED),
            Answer::TempFail => Standing::Refused(DEFERRED),
            Answer::Custom(text) => Standing::Refused(custom(text)),
            _ => return None,
        };
        Some(answer)
    }

    pub(super) async fn recipient(&mut self, recipient: &Recipient) -> Result<Answer, MilterError> {
        let deadline = self.milter.config.command_deadline.get();
        let Some(link) = &mut self.link else { return Err(MilterError::Closed) };
        if link.without(steps::NO_RCPT) {
            return Ok(Answer::Continue);
        }
        let (address, host) = match recipient {
            Recipient::Postmaster => ("postmaster", ""),
            Recipient::Mailbox(mailbox) => (mailbox.as_str(), mailbox.domain()),
        };
        let mut out = Vec::new();
        let macros = [("{rcpt_addr}", address), ("{rcpt_host}", host), ("{rcpt_mailer}", "lmtp")];
        put_macros(&mut out, &link.agreed, Stage::Recipient, &macros);
        put_texts(&mut out, b'R', [format!("<{address}>").as_bytes()]);
        exchange(link, &out, steps::MUTE_RCPT, deadline).await
    }

    /// From DATA to the verdict.
    pub(super) async fn content(
        &mut self,
        id: DeliveryId,
        draft: &Draft,
        content: &Content,
        changes: &mut Changes,
    ) -> Result<Answer, MilterError> {
        let deadline = self.milter.config.command_deadline.get();
        let Some(link) = &mut self.link else { return Err(MilterError::Closed) };
        let id = id.to_string();
        let macros = [("i", id.as_str())];
        let mut out = Vec::new();
        if !link.without(steps::NO_DATA) {
            put_macros(&mut out, &link.agreed, Stage::Data, &macros);
            put(&mut out, b'T', b"");
            step!(exchange(link, &std::mem::take(&mut out), steps::MUTE_DATA, deadline).await?);
        }
        if !link.without(steps::NO_HEADERS) {
            for field in &draft.head.fields {
                let value = header_value(field.value(), link.without(steps::LEADING_SPACE));
                put_texts(&mut out, b'L', [field.name(), &value]);
                if !link.without(steps::MUTE_HEADER) {
                    step!(link.ask(&std::mem::take(&mut out), deadline).await?);
                } else if out.len() >= BATCH {
                    link.tell(&std::mem::take(&mut out), deadline).await?;
                }
            }
        }
        if !link.without(steps::NO_END_OF_HEADERS) {
            put_macros(&mut out, &link.agreed, Stage::EndOfHeaders, &macros);
            put(&mut out, b'N', b"");
            step!(exchange(link, &std::mem::take(&mut out), steps::MUTE_END_OF_HEADERS, deadline).await?);
        }
        if !link.without(steps::NO_BODY) {
            let mut body = draft.body(content);
            'body: while let Some(block) = body.next().await? {
                for part in block.chunks(codec::CHUNK) {
                    put(&mut out, b'B', part);
                    let answer =
                        exchange(link, &std::mem::take(&mut out), steps::MUTE_BODY, deadline).await?;
                    if answer == Answer::Skip {
                        break 'body;
                    }
                    step!(answer);
                }
            }
        }
        put_macros(&mut out, &link.agreed, Stage::EndOfMessage, &macros);
        put(&mut out, b'E', b"");
        let mut answer = link.ask(&out, deadline).await?;
        while let Answer::Change(change) = answer {
            changes.take(change).map_err(MilterError::Body)?;
            answer = link.answer(deadline).await?;
        }
        Ok(answer)
    }
}

/// Writes packets and, unless the milter does not answer this step, waits for the answer.
async fn exchange(
    link: &mut Link,
    packets: &[u8],
    mute: u32,
    deadline: Duration,
) -> Result<Answer, MilterError> {
    if link.without(mute) {
        link.tell(packets, deadline).await?;
        return Ok(Answer::Continue);
    }
    match link.ask(packets, deadline).await? {
        answer @ (Answer::Change(_) | Answer::Negotiated(_)) => Err(MilterError::Unexpected(answer)),
        answer => Ok(answer),
    }
}

async fn connected(link: &mut Link, peer: &Peer, deadline: Duration) -> Result<Answer, MilterError> {
    if link.without(steps::NO_CONNECT) {
        return Ok(Answer::Continue);
    }
    let ip = peer.ip.to_canonical();
    let (address, port) = (ip.to_string(), peer.port.to_string());
    let name = peer.name.clone().unwrap_or_else(|| format!("[{address}]"));
    let whole = format!("{name} [{address}]");
    let mut out = Vec::new();
    let macros = [
        ("j", &*peer.hostname),
        ("_", whole.as_str()),
        ("v", "Chasqui"),
        ("{daemon_name}", "mx"),
        ("{client_name}", name.as_str()),
        ("{client_ptr}", name.as_str()),
        ("{client_addr}", address.as_str()),
        ("{client_port}", port.as_str()),
    ];
    put_macros(&mut out, &link.agreed, Stage::Connect, &macros);
    let mut data = [name.as_bytes(), b"\0", if ip.is_ipv4() { b"4" } else { b"6" }].concat();
    data.extend_from_slice(&peer.port.to_be_bytes());
    data.extend_from_slice(address.as_bytes());
    data.push(0);
    put(&mut out, b'C', &data);
    exchange(link, &out, steps::MUTE_CONNECT, deadline).await
}

async fn hello(link: &mut Link, greeting: &Greeting, deadline: Duration) -> Result<Answer, MilterError> {
    if link.without(steps::NO_HELO) {
        return Ok(Answer::Continue);
    }
    let mut out = Vec::new();
    let (version, cipher) = greeting.tls.as_ref().map_or(("", ""), |(version, cipher)| (version, cipher));
    put_macros(&mut out, &link.agreed, Stage::Hello, &[("{tls_version}", version), ("{cipher}", cipher)]);
    put_texts(&mut out, b'H', [greeting.hello.as_bytes()]);
    exchange(link, &out, steps::MUTE_HELO, deadline).await
}

/// A value as milters want it: lines ended by LF, and without the space behind the colon unless they asked for it.
fn header_value(value: &[u8], with_space: bool) -> Vec<u8> {
    let value = if with_space { value } else { value.strip_prefix(b" ").unwrap_or(value) };
    let mut out = Vec::with_capacity(value.len());
    let mut octets = value.iter().peekable();
    while let Some(&octet) = octets.next() {
        if octet != b'\r' || octets.peek() != Some(&&b'\n') {
            out.push(octet);
        }
    }
    out
}

/// A reply that a milter wrote: `550 5.7.1 text`, maybe of several lines, `%%` for `%`.
fn custom(text: &str) -> Reply {
    let text = text.replace("%%", "%");
    let line = [text.trim_end().as_bytes(), b"\r\n"].concat();
    match Reply::parse(&line, ReplyLimits::default()) {
        Ok(Some((reply, _))) if !reply.is_positive() => reply,
        _ => REJECTED,
    }
}

/// The inverse of [`custom`].
fn reply_text(reply: &Reply) -> String {
    let mut out = Vec::new();
    reply.write_to(&mut out);
    String::from_utf8_lossy(&out).replace('%', "%%")
}
