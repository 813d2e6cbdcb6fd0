//! Milters: the MTA's side of version 6 of their protocol, as Sendmail and Postfix speak it.
//!
//! A [`Chain`] belongs to one SMTP connection and asks all milters in their order: with each MAIL and RCPT while the client waits, so that a
//! milter can refuse one recipient, and with the text when that is complete. A milter is connected to at the first MAIL and serves the
//! messages of the connection one after the other. Each sees what those before it have changed.
//!
//! A milter that fails is not asked again for the message; [`WhenAway`] says what becomes of it. One that cannot be connected to is left
//! alone for a few seconds.

mod changes;
mod codec;
mod link;
mod macros;

use super::{
    config::{Discarded, MilterConfig, WhenAway},
    draft::Draft,
};
use crate::metrics::Metrics;
use changes::Changes;
pub use changes::EnvelopeChanges;
use chasqui_base::DeliveryId;
use chasqui_courier::Content;
use chasqui_smtp::{Body, Mail, Recipient, Reply, ReplyLimits, ReversePath};
use codec::{Answer, Change, put, put_texts, steps};
use link::{Link, MilterError};
use macros::{Stage, put_macros};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long a milter that cannot be connected to is left alone.
const REST: Duration = Duration::from_secs(5);

/// Octets of packets that are written at once.
const BATCH: usize = 64 * 1024;

const REJECTED: Reply = Reply::fixed(550, (5, 7, 1), "Refused by a filter");
const DEFERRED: Reply = Reply::fixed(451, (4, 7, 1), "A filter asks to try again later");
const AWAY: Reply = Reply::fixed(451, (4, 7, 1), "A filter is not available, try again later");

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
/// One configured milter, shared by all sessions.
pub(crate) struct Milter {
    config: MilterConfig,
    places: Arc<Semaphore>,
    rests_until: Mutex<Option<Instant>>,
    metrics: Metrics,
}

impl Milter {
    pub(crate) fn new(config: &MilterConfig, metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(config.connections)),
            config: config.clone(),
            rests_until: Mutex::new(None),
            metrics: metrics.clone(),
        })
    }

    async fn connect(&self) -> Result<Link, MilterError> {
        let rest = || self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        if rest().is_some_and(|until| until > Instant::now()) {
            return Err(MilterError::Resting);
        }
        let deadline = self.config.connect_deadline.get();
        let place = match tokio::time::timeout(deadline, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) | Err(_) => return Err(MilterError::Busy),
        };
        let link = Link::connect(&self.config.address, place, deadline).await;
        *rest() = link.is_err().then(|| Instant::now() + REST);
        link
    }
}

/// Who the client is, as milters are told.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// Its port, or 0.
    pub port: u16,
    /// The confirmed name of its address.
    pub name: Option<String>,
    /// Our own name.
    pub hostname: Box<str>,
}

/// What a client has said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Its name in EHLO.
    pub hello: Box<str>,
    /// Version and cipher suite.
    pub tls: Option<(String, String)>,
}

/// The milters of one SMTP connection.
pub struct Chain {
    stages: Vec<Asked>,
    peer: Peer,
}

/// One of them.
struct Asked {
    milter: Arc<Milter>,
    link: Option<Link>,
    /// What it was told of the greeting.
    greeted: Option<Greeting>,
    connection: Standing,
    message: Standing,
    /// It has a message open.
    open: bool,
}

/// What a milter has said of the connection, or of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Standing {
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

/// What all milters together say of a message.
#[derive(Debug, Default)]
pub(crate) struct ChainVerdict {
    /// The reply of the first that refuses it, for now or for good.
    pub refusal: Option<Reply>,
    /// Why it goes to Junk.
    pub quarantine: Option<String>,
    /// It is to be dropped without a word.
    pub drop: bool,
    /// Those that failed.
    pub away: Vec<String>,
    pub envelope: EnvelopeChanges,
}

impl Chain {
    pub(crate) fn new(milters: &[Arc<Milter>], peer: Peer) -> Self {
        let asked = |milter: &Arc<Milter>| Asked {
            milter: Arc::clone(milter),
            link: None,
            greeted: None,
            connection: Standing::Asked,
            message: Standing::Asked,
            open: false,
        };
        Self { stages: milters.iter().map(asked).collect(), peer }
    }

    /// MAIL, and before it what has not been told of the connection yet.
    pub(crate) async fn mail(
        &mut self,
        greeting: &Greeting,
        id: DeliveryId,
        mail: &Mail,
    ) -> Result<(), Reply> {
        for stage in &mut self.stages {
            stage.abort().await;
            stage.message = Standing::Asked;
            let result = stage.mail(&self.peer, greeting, id, mail).await;
            stage.judge(result, Scope::Message)?;
        }
        Ok(())
    }

    /// RCPT. What a milter refuses here is refused of this recipient only.
    pub(crate) async fn recipient(&mut self, recipient: &Recipient) -> Result<(), Reply> {
        for stage in &mut self.stages {
            if stage.is_asked() {
                let result = stage.recipient(recipient).await;
                stage.judge(result, Scope::Recipient)?;
            }
        }
        Ok(())
    }

    /// The text is complete: header, body and verdict of each.
    pub(crate) async fn content(
        &mut self,
        id: DeliveryId,
        draft: &mut Draft,
        content: &Content,
    ) -> ChainVerdict {
        let mut verdict = ChainVerdict::default();
        for stage in &mut self.stages {
            let started = Instant::now();
            let mut changes = Changes::new(stage.milter.config.body_size.as_u64());
            if stage.is_asked() {
                let deadline = stage.milter.config.message_deadline.get();
                let asking = stage.content(id, draft, content, &mut changes);
                let result = tokio::time::timeout(deadline, asking).await.unwrap_or(Err(MilterError::Late));
                stage.open = false;
                // The refusal is read from the standing below.
                let _ = stage.judge(result, Scope::Message);
            }
            let milter = &stage.milter;
            let name = &milter.config.name;
            let outcome = match &stage.message {
                Standing::Asked | Standing::Accepted => {
                    let changed = changes.apply(draft, &mut verdict);
                    if changed { "changed" } else { "accepted" }
                }
                Standing::Discarded => {
                    match milter.config.discarded {
                        Discarded::Drop => verdict.drop = true,
                        Discarded::Junk => {
                            verdict.quarantine = Some(format!("discarded by {name}"));
                        }
                    }
                    "discarded"
                }
                Standing::Refused(reply) => {
                    verdict.refusal.get_or_insert_with(|| reply.clone());
                    if reply.is_temporary() { "deferred" } else { "rejected" }
                }
                Standing::Away => {
                    verdict.away.push(name.clone());
                    if milter.config.when_away == WhenAway::Defer {
                        verdict.refusal.get_or_insert(AWAY);
                    }
                    "away"
                }
            };
            milter.metrics.content(name, outcome, started.elapsed());
            if verdict.refusal.is_some() || verdict.drop {
                break;
            }
        }
        verdict
    }

    /// The transaction ends without a message.
    pub(crate) async fn reset(&mut self) {
        for stage in &mut self.stages {
            stage.abort().await;
        }
    }

    /// The SMTP connection has ended.
    pub(crate) async fn close(self) {
        for stage in self.stages {
            if let Some(link) = stage.link {
                link.quit().await;
            }
        }
    }
}

/// How far an answer reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Message,
    Recipient,
}

impl Asked {
    fn is_asked(&self) -> bool {
        self.connection == Standing::Asked && self.message == Standing::Asked
    }

    /// Turns the answer to the last command into a standing, and into the reply to the SMTP command where it refuses.
    fn judge(&mut self, result: Result<Answer, MilterError>, scope: Scope) -> Result<(), Reply> {
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
                tracing::warn!(milter = self.milter.config.name, %error, "a milter failed");
                self.link = None;
                self.greeted = None;
                self.open = false;
                Standing::Away
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

    async fn abort(&mut self) {
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

    async fn mail(
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

    async fn recipient(&mut self, recipient: &Recipient) -> Result<Answer, MilterError> {
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
    async fn content(
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

#[cfg(test)]
mod tests;
