//! SEARCH (RFC 3501 §6.4.4).
//!
//! A key is first asked with what the mailbox state knows. Only if that does not decide is the message's header read, and
//! only if that does not either, its text.

mod text;

use chasqui_imap::{Code, Date, Flag, Numbering, Reply, SearchKey, SearchRequest, write};
use chasqui_mailstore::{Flags, MailError, Mailbox, Message};

use super::super::content::{HEADER_PIECE, Octets, PIECE};
use super::super::refusal::Outcome;
use super::super::session::Session;
use super::{done, fetch};
use text::Header;

/// Messages looked at before other tasks get their turn.
const TURN: usize = 1000;

/// Keys of one SEARCH that look for a text: each goes through every message.
const TEXT_KEYS: usize = 32;

pub(super) async fn run(session: &mut Session, request: &SearchRequest) -> Outcome {
    if text_keys(&request.key) > TEXT_KEYS {
        return Err(Reply::no("Too many texts in one SEARCH").with(Code::Limit).into());
    }
    session.refresh(request.by)?;
    let mailbox = session.mailbox()?;
    let test = Test::new(&request.key, mailbox);
    let mut found = Vec::new();
    for (i, &uid) in mailbox.uids().iter().enumerate() {
        if i % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let Some(message) = mailbox.message(uid) else { continue };
        let seq = i as u32 + 1;
        if holds(&test, mailbox, seq, &message).await? {
            found.push(if request.by == Numbering::Uid { uid.get() } else { seq });
        }
    }
    session.out.extend_from_slice(b"* SEARCH");
    for number in found {
        session.out.push(b' ');
        write::number(&mut session.out, u64::from(number));
        session.flush_if_large().await?;
    }
    session.out.extend_from_slice(b"\r\n");
    done("SEARCH")
}

fn text_keys(key: &SearchKey) -> usize {
    match key {
        SearchKey::And(keys) => keys.iter().map(text_keys).sum(),
        SearchKey::Or(first, second) => text_keys(first) + text_keys(second),
        SearchKey::Not(key) => text_keys(key),
        SearchKey::Header { .. } | SearchKey::Body(_) | SearchKey::Text(_) => 1,
        _ => 0,
    }
}

async fn holds(test: &Test<'_>, mailbox: &Mailbox, seq: u32, message: &Message) -> Result<bool, MailError> {
    let mut facts = Facts { seq, message, header: None, body: None };
    if let Some(decided) = test.ask(&facts) {
        return Ok(decided);
    }
    // What follows is long for a large message, and may never wait if it is in memory.
    tokio::task::yield_now().await;
    let header = match Octets::open(mailbox, message.uid, HEADER_PIECE).await {
        Ok(mut octets) => Header::new(&octets.header().await?),
        Err(MailError::Gone) => return Ok(false),
        Err(error) => return Err(error),
    };
    facts.header = Some(&header);
    if let Some(decided) = test.ask(&facts) {
        return Ok(decided);
    }
    let body = match Octets::open(mailbox, message.uid, PIECE).await {
        Ok(mut octets) => match mailbox.summaries(&[message.uid]).await?.first() {
            Some(summary) => text::of(&mut octets, &summary.body).await?,
            None => return Ok(false),
        },
        Err(MailError::Gone) => return Ok(false),
        Err(error) => return Err(error),
    };
    facts.body = Some(&body);
    Ok(test.ask(&facts).unwrap_or(false))
}

/// What is known of a message so far.
struct Facts<'a> {
    seq: u32,
    message: &'a Message,
    header: Option<&'a Header>,
    /// Decoded, in lower case.
    body: Option<&'a str>,
}

/// A key made ready: sets resolved, texts in lower case.
enum Test<'a> {
    Always(bool),
    And(Vec<Test<'a>>),
    Or(Box<Test<'a>>, Box<Test<'a>>),
    Not(Box<Test<'a>>),
    Sequence(Vec<(u32, u32)>),
    Uid(Vec<(u32, u32)>),
    Flags(Flags),
    Recent,
    Received(Relation, Date),
    Sent(Relation, Date),
    Larger(u64),
    Smaller(u64),
    Field(&'a str, String),
    Body(String),
    Text(String),
}

#[derive(Clone, Copy)]
enum Relation {
    Before,
    On,
    Since,
}

impl Relation {
    fn holds(self, left: Date, right: Date) -> bool {
        match self {
            Self::Before => left < right,
            Self::On => left == right,
            Self::Since => left >= right,
        }
    }
}

impl<'a> Test<'a> {
    fn new(key: &'a SearchKey, mailbox: &Mailbox) -> Self {
        let boxed = |key| Box::new(Self::new(key, mailbox));
        match key {
            SearchKey::All => Self::Always(true),
            SearchKey::And(keys) => Self::And(keys.iter().map(|key| Self::new(key, mailbox)).collect()),
            SearchKey::Or(first, second) => Self::Or(boxed(first), boxed(second)),
            SearchKey::Not(key) => Self::Not(boxed(key)),
            SearchKey::Sequence(set) => Self::Sequence(set.resolve(mailbox.exists() as u32)),
            SearchKey::Uid(set) => Self::Uid(set.resolve(mailbox.uids().last().map_or(0, |uid| uid.get()))),
            SearchKey::Flag(flag) => match super::store::flags(std::slice::from_ref::<Flag>(flag)) {
                Ok(flags) => Self::Flags(flags),
                Err(_) => Self::Always(false),
            },
            SearchKey::Recent => Self::Recent,
            SearchKey::New => Self::And(vec![Self::Recent, Self::Not(Box::new(Self::Flags(Flags::SEEN)))]),
            SearchKey::Before(date) => Self::Received(Relation::Before, *date),
            SearchKey::On(date) => Self::Received(Relation::On, *date),
            SearchKey::Since(date) => Self::Received(Relation::Since, *date),
            SearchKey::SentBefore(date) => Self::Sent(Relation::Before, *date),
            SearchKey::SentOn(date) => Self::Sent(Relation::On, *date),
            SearchKey::SentSince(date) => Self::Sent(Relation::Since, *date),
            SearchKey::Larger(size) => Self::Larger(*size),
            SearchKey::Smaller(size) => Self::Smaller(*size),
            SearchKey::Header { field, text } => Self::Field(field, text.to_lowercase()),
            SearchKey::Body(text) => Self::Body(text.to_lowercase()),
            SearchKey::Text(text) => Self::Text(text.to_lowercase()),
        }
    }

    /// Whether it holds; `None`: more must be known.
    fn ask(&self, facts: &Facts<'_>) -> Option<bool> {
        let message = facts.message;
        Some(match self {
            Self::Always(answer) => *answer,
            Self::And(tests) => {
                let mut all = Some(true);
                for test in tests {
                    match test.ask(facts) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => all = None,
                    }
                }
                return all;
            }
            Self::Or(first, second) => match (first.ask(facts), second.ask(facts)) {
                (Some(true), _) | (_, Some(true)) => true,
                (Some(false), Some(false)) => false,
                _ => return None,
            },
            Self::Not(test) => !test.ask(facts)?,
            Self::Sequence(ranges) => within(ranges, facts.seq),
            Self::Uid(ranges) => within(ranges, message.uid.get()),
            Self::Flags(flags) => message.flags.contains(flags),
            Self::Recent => message.recent,
            Self::Received(relation, date) => {
                relation.holds(Date::of_unix(fetch::unix(message.internal_date)), *date)
            }
            Self::Larger(size) => message.size > *size,
            Self::Smaller(size) => message.size < *size,
            Self::Sent(relation, date) => {
                facts.header?.date().is_some_and(|sent| relation.holds(sent, *date))
            }
            Self::Field(name, text) => facts.header?.field_contains(name, text),
            Self::Text(text) if facts.header?.contains(text) => true,
            Self::Body(text) | Self::Text(text) => facts.body?.contains(text.as_str()),
        })
    }
}

fn within(ranges: &[(u32, u32)], number: u32) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= number);
    after > 0 && ranges[after - 1].1 >= number
}
