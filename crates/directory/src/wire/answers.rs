//! Answers: written by the server from what borrows the snapshot, read by the client into what it hands out.

use std::sync::Arc;

use chasqui_base::address::EmailAddress;
use chasqui_base::net::Endpoint;
use chasqui_sasl::scram::Signature;

use super::Malformed;
use crate::bytes::{Reader, put_counted, put_number};
use crate::record::{AccountRecord, AccountState, LookUp, Node, ScramSalt, Services, Target, Verdict};
use crate::resolve::{Destination, Hit};

const DONE: u8 = 0;
const NOT_OURS: u8 = 1;
const UNKNOWN: u8 = 2;
const FOUND: u8 = 3;
const TRUNCATED: u8 = 4;
const UNAVAILABLE: u8 = 5;
const YES: u8 = 6;
const NO: u8 = 7;
const DISABLED: u8 = 8;
const NOT_UNDERSTOOD: u8 = 9;
const SCRAM_SALT: u8 = 10;
const PROVED: u8 = 11;
const PERMITTED: u8 = 12;

const FLAG_AS_ASKED: u8 = 1;
const FLAG_TAG: u8 = 2;
const FLAG_QUOTA: u8 = 4;
const FLAG_OVER_QUOTA: u8 = 8;
const FLAG_UID: u8 = 16;
const FLAG_GID: u8 = 32;

/// What the server says to one question.
pub(crate) enum Answer<'v> {
    Done,
    NotOurs,
    Unknown,
    Account(&'v Hit<'v>),
    Targets(&'v [Destination<'v>]),
    Unavailable,
    Yes(&'v Hit<'v>),
    No,
    Disabled,
    NotUnderstood,
    ScramSalt { salt: &'v [u8], iterations: u32 },
    Proved(&'v Hit<'v>, Signature),
    Permitted(bool),
}

/// Writes a message of answers, never longer than its limit: what does not fit becomes `truncated`.
pub(crate) struct AnswerWriter {
    content: Vec<u8>,
    limit: usize,
    /// Answers still to come, one octet each kept free for them.
    left: usize,
    /// Nodes described so far, by the address of their record in memory: each is described once.
    nodes: Vec<usize>,
}

impl AnswerWriter {
    pub(crate) fn new() -> Self {
        Self { content: Vec::with_capacity(super::MAX_DATAGRAM), limit: 0, left: 0, nodes: Vec::new() }
    }

    /// Begins a message of `count` answers with at most `limit` octets.
    pub(crate) fn begin(&mut self, time: u64, count: u8, limit: usize) {
        self.content.clear();
        self.nodes.clear();
        self.limit = limit;
        self.left = usize::from(count);
        self.content.extend_from_slice(&time.to_be_bytes());
        self.content.extend_from_slice(&[0, count]);
    }

    /// The whole message of a server whose clock is too far from the client's.
    pub(crate) fn stale(&mut self, time: u64) -> &[u8] {
        self.content.clear();
        self.content.extend_from_slice(&time.to_be_bytes());
        self.content.extend_from_slice(&[1, 0]);
        &self.content
    }

    /// Appends an answer. `asked` is the address of the question; `over_quota` tells of an account whether its quota is used up.
    pub(crate) fn put(&mut self, answer: &Answer<'_>, asked: &str, over_quota: &dyn Fn(&Hit<'_>) -> bool) {
        let (length, nodes) = (self.content.len(), self.nodes.len());
        self.left = self.left.saturating_sub(1);
        match answer {
            Answer::Done => self.content.push(DONE),
            Answer::NotOurs => self.content.push(NOT_OURS),
            Answer::Unknown => self.content.push(UNKNOWN),
            Answer::Unavailable => self.content.push(UNAVAILABLE),
            Answer::No => self.content.push(NO),
            Answer::Disabled => self.content.push(DISABLED),
            Answer::NotUnderstood => self.content.push(NOT_UNDERSTOOD),
            Answer::Permitted(yes) => self.content.extend_from_slice(&[PERMITTED, u8::from(*yes)]),
            Answer::ScramSalt { salt, iterations } => {
                self.content.push(SCRAM_SALT);
                put_counted(&mut self.content, salt);
                put_number(&mut self.content, (*iterations).into());
            }
            Answer::Proved(hit, signature) => {
                self.content.push(PROVED);
                self.content.extend_from_slice(signature);
                self.record(hit, asked, over_quota(hit));
            }
            Answer::Yes(hit) => {
                self.content.push(YES);
                self.record(hit, asked, over_quota(hit));
            }
            Answer::Account(hit) => {
                self.content.extend_from_slice(&[FOUND, 1, 0]);
                self.record(hit, asked, over_quota(hit));
            }
            Answer::Targets(targets) => {
                self.content.push(FOUND);
                put_number(&mut self.content, targets.len() as u64);
                for target in *targets {
                    match target {
                        Destination::Account(hit) => {
                            self.content.push(0);
                            self.record(hit, asked, over_quota(hit));
                        }
                        Destination::Remote(address) => {
                            self.content.push(1);
                            put_counted(&mut self.content, address.as_bytes());
                        }
                    }
                    if self.content.len() > self.limit {
                        break;
                    }
                }
            }
        }
        if self.content.len() + self.left > self.limit {
            self.content.truncate(length);
            self.nodes.truncate(nodes);
            self.content.push(TRUNCATED);
        }
    }

    /// The message.
    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    fn record(&mut self, hit: &Hit<'_>, asked: &str, over_quota: bool) {
        let account = &hit.account;
        let as_asked = asked.len() == account.local.len() + 1 + hit.domain.len()
            && asked.starts_with(account.local)
            && asked.ends_with(hit.domain);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let into = &mut self.content;
        into.push(
            flag(as_asked, FLAG_AS_ASKED)
                | flag(hit.tag.is_some(), FLAG_TAG)
                | flag(account.quota.is_some(), FLAG_QUOTA)
                | flag(over_quota, FLAG_OVER_QUOTA)
                | flag(account.uid.is_some(), FLAG_UID)
                | flag(account.gid.is_some(), FLAG_GID),
        );
        if !as_asked {
            put_number(into, (account.local.len() + 1 + hit.domain.len()) as u64);
            into.extend_from_slice(account.local.as_bytes());
            into.push(b'@');
            into.extend_from_slice(hit.domain.as_bytes());
        }
        if let Some(tag) = hit.tag {
            put_counted(into, tag.as_bytes());
        }
        let this = Arc::as_ptr(hit.node).addr();
        match self.nodes.iter().position(|node| *node == this) {
            Some(number) => put_number(into, number as u64),
            None => {
                put_number(into, self.nodes.len() as u64);
                self.nodes.push(this);
                let Node { name, lmtp, imap, pop3 } = &**hit.node;
                for text in [name.as_str(), lmtp.as_str(), imap.as_str(), pop3.as_str()] {
                    put_counted(into, text.as_bytes());
                }
            }
        }
        into.extend_from_slice(&[account.state.code(), account.services.bits()]);
        for number in
            [account.quota, account.uid.map(u64::from), account.gid.map(u64::from)].into_iter().flatten()
        {
            put_number(into, number);
        }
    }
}

/// What the client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    LookUp(LookUp),
    Verdict(Verdict),
    Truncated,
    Unavailable,
    NotUnderstood,
    ScramSalt(ScramSalt),
    Proved(AccountRecord, Signature),
    Permitted(bool),
}

/// A message of answers as it is read.
pub(crate) enum Answers<'a> {
    /// The server's clock, milliseconds since 1970: this client's is too far off.
    Stale(u64),
    /// One answer for each question.
    Answers(AnswerReader<'a>),
}

/// Reads the answers of one message.
pub(crate) struct AnswerReader<'a> {
    /// How many answers there are.
    pub(crate) count: u8,
    reader: Reader<'a>,
    nodes: Vec<Arc<Node>>,
}

impl<'a> Answers<'a> {
    pub(crate) fn read(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(content);
        let time = reader.u64()?;
        match reader.u8()? {
            0 => Ok(Self::Answers(AnswerReader { count: reader.u8()?, reader, nodes: Vec::new() })),
            1 => Ok(Self::Stale(time)),
            _ => Err(Malformed),
        }
    }
}

impl AnswerReader<'_> {
    /// The next answer. `asked` is the question's address; `known` holds the nodes met so far, so that each is made once.
    pub(crate) fn next(&mut self, asked: &EmailAddress, known: &mut KnownNodes) -> Result<Reply, Malformed> {
        Ok(match self.reader.u8()? {
            DONE => Reply::Done,
            NOT_OURS => Reply::LookUp(LookUp::NotOurs),
            UNKNOWN => Reply::LookUp(LookUp::Unknown),
            FOUND => {
                let count = usize::try_from(self.reader.number()?).map_err(|_| Malformed)?;
                // Each target takes two octets at least: a count that lies does not make us reserve memory.
                if count == 0 || count > self.reader.0.len() / 2 {
                    return Err(Malformed);
                }
                let mut targets = Vec::with_capacity(count);
                for _ in 0..count {
                    targets.push(match self.reader.u8()? {
                        0 => Target::Account(self.record(asked, known)?),
                        1 => Target::Remote(self.address()?),
                        _ => return Err(Malformed),
                    });
                }
                Reply::LookUp(LookUp::Found(targets))
            }
            TRUNCATED => Reply::Truncated,
            UNAVAILABLE => Reply::Unavailable,
            YES => Reply::Verdict(Verdict::Yes(self.record(asked, known)?)),
            NO => Reply::Verdict(Verdict::No),
            DISABLED => Reply::Verdict(Verdict::Disabled),
            NOT_UNDERSTOOD => Reply::NotUnderstood,
            SCRAM_SALT => {
                let salt = self.reader.counted()?.to_vec();
                Reply::ScramSalt(ScramSalt { salt, iterations: self.reader.number32()? })
            }
            PROVED => {
                let signature = self.reader.bytes(32)?.try_into().map_err(|_| Malformed)?;
                Reply::Proved(self.record(asked, known)?, signature)
            }
            PERMITTED => Reply::Permitted(self.reader.u8()? == 1),
            _ => return Err(Malformed),
        })
    }

    fn record(&mut self, asked: &EmailAddress, known: &mut KnownNodes) -> Result<AccountRecord, Malformed> {
        let flags = self.reader.u8()?;
        let account = if flags & FLAG_AS_ASKED != 0 { asked.clone() } else { self.address()? };
        let tag = if flags & FLAG_TAG != 0 { Some(self.reader.text()?.to_owned()) } else { None };
        let node = self.node(known)?;
        let state = AccountState::from_code(self.reader.u8()?).ok_or(Malformed)?;
        let services = Services::from_bits(self.reader.u8()?);
        let quota = if flags & FLAG_QUOTA != 0 { Some(self.reader.number()?) } else { None };
        let uid = if flags & FLAG_UID != 0 { Some(self.reader.number32()?) } else { None };
        let gid = if flags & FLAG_GID != 0 { Some(self.reader.number32()?) } else { None };
        let over_quota = flags & FLAG_OVER_QUOTA != 0;
        Ok(AccountRecord { account, tag, node, quota, over_quota, state, services, uid, gid })
    }

    fn address(&mut self) -> Result<EmailAddress, Malformed> {
        EmailAddress::parse(self.reader.text()?).map_err(|_| Malformed)
    }

    fn node(&mut self, known: &mut KnownNodes) -> Result<Arc<Node>, Malformed> {
        let number = usize::try_from(self.reader.number()?).map_err(|_| Malformed)?;
        if number == self.nodes.len() {
            let before = self.reader.0;
            let (name, lmtp, imap, pop3) =
                (self.reader.text()?, self.reader.text()?, self.reader.text()?, self.reader.text()?);
            let described = &before[..before.len() - self.reader.0.len()];
            self.nodes.push(known.node(described, name, lmtp, imap, pop3)?);
        }
        self.nodes.get(number).cloned().ok_or(Malformed)
    }
}

/// The nodes that a client has heard of, by their description, so that an answer costs a reference and not four texts.
#[derive(Default)]
pub(crate) struct KnownNodes(Vec<(Box<[u8]>, Arc<Node>)>);

impl KnownNodes {
    /// Past it the table starts afresh: nodes are few, and change seldom.
    const MAX: usize = 256;

    fn node(
        &mut self,
        described: &[u8],
        name: &str,
        lmtp: &str,
        imap: &str,
        pop3: &str,
    ) -> Result<Arc<Node>, Malformed> {
        if let Some((_, node)) = self.0.iter().find(|(key, _)| **key == *described) {
            return Ok(node.clone());
        }
        let endpoint = |text: &str| text.parse::<Endpoint>().map_err(|_| Malformed);
        let node = Node {
            name: name.to_owned(),
            lmtp: endpoint(lmtp)?,
            imap: endpoint(imap)?,
            pop3: endpoint(pop3)?,
        };
        let node = Arc::new(node);
        if self.0.len() >= Self::MAX {
            self.0.clear();
        }
        self.0.push((described.into(), node.clone()));
        Ok(node)
    }
}
