//! A server session driven by bytes, with a caller that accepts everything.

#![allow(dead_code, reason = "each test file uses its part")]

use chasqui_base::Span;
use chasqui_smtp::{
    Event, Mail, Profile, Protocol, Recipient, RecipientParameters, Reply, ServerSession, replies,
};
use std::sync::Arc;

pub fn smtp() -> Profile {
    Profile { starttls: true, ..Profile::new(Protocol::Smtp, "mx.test") }
}

/// Everything is offered, and AUTH is needed.
pub fn submission() -> Profile {
    Profile {
        auth: vec!["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"],
        auth_required: true,
        dsn: true,
        binary_mime: true,
        require_tls: true,
        future_release: Some(Span::secs(3600)),
        priority: true,
        junk: true,
        queued: true,
        ..smtp()
    }
}

pub fn lmtp() -> Profile {
    Profile { delivery_id: true, ..Profile::new(Protocol::Lmtp, "mx.test") }
}

/// What an accepting caller saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub replies: String,
    /// Complete messages.
    pub messages: Vec<Vec<u8>>,
    pub mails: Vec<Mail>,
    pub recipients: Vec<(Recipient, RecipientParameters)>,
    /// What AUTH said.
    pub exchange: Vec<String>,
    pub dropped: Vec<Option<u16>>,
    pub dropped_plaintext: Vec<usize>,
    pub closed: bool,
}

impl Seen {
    pub fn codes(&self) -> Vec<u16> {
        let last = |line: &&str| line.as_bytes().get(3) == Some(&b' ');
        self.replies.lines().filter(last).map(|line| line[..3].parse().unwrap()).collect()
    }
}

pub struct Driver {
    pub session: ServerSession,
    pub seen: Seen,
    buffer: Vec<u8>,
    text: Vec<u8>,
    /// Answers to recipients that are not accepted.
    pub refuse_recipients_with: Option<(String, Reply)>,
    pub refuse_start_with: Option<Reply>,
}

impl Driver {
    pub fn new(profile: Profile) -> Self {
        Self {
            session: ServerSession::new(Arc::new(profile)),
            seen: Seen::default(),
            buffer: Vec::new(),
            text: Vec::new(),
            refuse_recipients_with: None,
            refuse_start_with: None,
        }
    }

    /// Octets that the session left in the caller's buffer.
    pub fn feed(&mut self, input: &[u8]) -> usize {
        self.buffer.extend_from_slice(input);
        let mut at = 0;
        loop {
            let step = self.session.next(&self.buffer[at..]);
            at += step.consumed;
            let Some(event) = step.event else { break };
            match event {
                Event::Mail(mail) => self.seen.mails.push(mail),
                Event::Recipient(recipient, parameters) => {
                    self.seen.recipients.push((recipient.clone(), parameters));
                    if let (Recipient::Mailbox(mailbox), Some((part, reply))) =
                        (recipient, &self.refuse_recipients_with)
                        && mailbox.as_str().contains(part)
                    {
                        self.session.reply(reply);
                        continue;
                    }
                }
                Event::MessageStart => {
                    if let Some(reply) = &self.refuse_start_with {
                        self.session.reply(reply);
                        continue;
                    }
                }
                Event::Text(text) => self.text.extend_from_slice(text),
                Event::MessageEnd => self.seen.messages.push(std::mem::take(&mut self.text)),
                Event::Dropped(reply) => {
                    self.text.clear();
                    self.seen.dropped.push(reply.map(|reply| reply.code()));
                }
                Event::StartTls { dropped } => self.seen.dropped_plaintext.push(dropped),
                Event::Hello(_) => self.text.clear(),
                Event::Authenticate { mechanism, initial } => {
                    let initial = initial.map(|initial| initial.expose().to_owned());
                    self.seen.exchange.push(format!("{mechanism} {initial:?}"));
                    self.answer(initial.as_deref());
                    continue;
                }
                Event::AuthResponse(response) => {
                    self.seen.exchange.push(response.expose().to_owned());
                    self.answer(Some(response.expose()));
                    continue;
                }
                Event::Close => {
                    self.seen.closed = true;
                    break;
                }
            }
            self.session.accept();
        }
        self.buffer.drain(..at);
        let output = self.session.take_output();
        self.seen.replies.push_str(std::str::from_utf8(&output).expect("replies are text"));
        self.buffer.len()
    }

    /// A mechanism that asks until it hears "right" or "wrong".
    fn answer(&mut self, response: Option<&str>) {
        match response {
            Some("right") => self.session.authenticated(),
            Some("wrong") => self.session.reply(&replies::NOT_AUTHENTICATED),
            _ => self.session.challenge("more"),
        }
    }
}

/// Feeds `input` in parts of `chunk` octets.
pub fn run(profile: Profile, input: &[u8], chunk: usize) -> Seen {
    let mut driver = Driver::new(profile);
    for part in input.chunks(chunk.max(1)) {
        driver.feed(part);
    }
    driver.seen
}
