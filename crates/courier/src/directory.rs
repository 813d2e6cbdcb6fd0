//! Recipients at the directory: what RCPT is answered (S5), and who owns an account now.

use chasqui_base::{EmailAddress, StartError};
use chasqui_directory::{AccountState, DirectoryClient, DirectoryUnavailable, LookUp, Node, Target};
use chasqui_smtp::{Recipient, Reply};
use prometheus_client::metrics::histogram::Histogram;
use std::{pin::Pin, sync::Arc, time::Instant};

const UNKNOWN: Reply = Reply::fixed(550, (5, 1, 1), "No such user here");
const NOT_OURS: Reply = Reply::fixed(550, (5, 7, 1), "Relaying refused: not a domain of ours");
const FORWARDED: Reply =
    Reply::fixed(550, (5, 7, 1), "Relaying refused: the address forwards to another site");
const CLOSED: Reply = Reply::fixed(550, (5, 2, 1), "The mailbox is closed");
const OVER_QUOTA: Reply = Reply::fixed(452, (4, 2, 2), "The mailbox is full");
const NO_DIRECTORY: Reply = Reply::fixed(451, (4, 4, 3), "No directory server answers, try again soon");

/// What look-ups are asked of: the directory servers, or a table in tests.
pub trait Source: Send + Sync + 'static {
    /// Who receives mail for this address?
    fn look_up<'a>(
        &'a self,
        address: &'a EmailAddress,
    ) -> Pin<Box<dyn Future<Output = Result<LookUp, DirectoryUnavailable>> + Send + 'a>>;

    /// Takes over rotated keys (S5c).
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + '_>>;
}

impl Source for DirectoryClient {
    fn look_up<'a>(
        &'a self,
        address: &'a EmailAddress,
    ) -> Pin<Box<dyn Future<Output = Result<LookUp, DirectoryUnavailable>> + Send + 'a>> {
        Box::pin(Self::look_up(self, address))
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + '_>> {
        Box::pin(Self::reload(self))
    }
}

/// Look-ups of recipients, timed.
#[derive(Clone)]
pub struct Directory {
    source: Arc<dyn Source>,
    look_up: Histogram,
}

/// An account and the node that owns it.
#[derive(Clone, Debug)]
pub struct Owned {
    /// The account.
    pub account: EmailAddress,
    /// Its node.
    pub node: Arc<Node>,
}

/// Why a recipient is not accepted: the reply, and its name in the metrics.
#[derive(Debug)]
pub struct NotAccepted {
    /// What the client is told.
    pub reply: Reply,
    /// The name.
    pub outcome: &'static str,
}

const fn refused<T>(reply: Reply, outcome: &'static str) -> Result<T, NotAccepted> {
    Err(NotAccepted { reply, outcome })
}

impl Directory {
    /// Asks `source`, and notes in `look_up` how many seconds each answer took.
    pub fn new(source: Arc<dyn Source>, look_up: Histogram) -> Self {
        Self { source, look_up }
    }

    /// Takes over rotated keys (S5c).
    pub async fn reload(&self) -> Result<(), StartError> {
        self.source.reload().await
    }

    /// The accounts that a RCPT stands for. An address that expands to several is accepted when one of them can take mail now;
    /// those over quota among them are kept, since they may have room when the message is retried.
    pub async fn accounts(
        &self,
        recipient: &Recipient,
        postmaster: &EmailAddress,
    ) -> Result<Vec<Owned>, NotAccepted> {
        let address = match recipient {
            Recipient::Postmaster => postmaster.clone(),
            // An address literal, or what no directory could hold, is not ours.
            Recipient::Mailbox(mailbox) => match EmailAddress::parse(mailbox.as_str()) {
                Ok(address) => address,
                Err(_) => return refused(NOT_OURS, "not_ours"),
            },
        };
        let found = match self.look_up(&address).await {
            // RFC 5321 §4.5.1: postmaster is accepted for every domain that we serve.
            Ok(LookUp::Unknown) if address.local() == "postmaster" && address != *postmaster => {
                self.look_up(postmaster).await
            }
            found => found,
        };
        judge(found)
    }

    /// The accounts that an accepted recipient stands for now; quota is left to the node.
    pub async fn owners(&self, address: &EmailAddress) -> Result<Vec<Owned>, NotAccepted> {
        match self.look_up(address).await {
            Ok(LookUp::Found(mut targets)) => {
                for target in &mut targets {
                    if let Target::Account(record) = target {
                        record.over_quota = false;
                    }
                }
                judge(Ok(LookUp::Found(targets)))
            }
            found => judge(found),
        }
    }

    /// Who receives mail for this address, as the directory says it?
    pub async fn look_up(&self, address: &EmailAddress) -> Result<LookUp, DirectoryUnavailable> {
        let started = Instant::now();
        let found = self.source.look_up(address).await;
        self.look_up.observe(started.elapsed().as_secs_f64());
        found
    }
}

fn judge(found: Result<LookUp, DirectoryUnavailable>) -> Result<Vec<Owned>, NotAccepted> {
    let targets = match found {
        Err(DirectoryUnavailable) => return refused(NO_DIRECTORY, "no_directory"),
        Ok(LookUp::NotOurs) => return refused(NOT_OURS, "not_ours"),
        Ok(LookUp::Unknown) => return refused(UNKNOWN, "unknown"),
        Ok(LookUp::Found(targets)) => targets,
    };
    let mut owned = Vec::with_capacity(targets.len());
    let mut full = 0;
    for target in targets {
        match target {
            // Nothing may be lost of an alias that has a foreign address among its own: it is refused whole.
            Target::Remote(_) => return refused(FORWARDED, "forwarded"),
            Target::Account(record) if record.state == AccountState::Closed => {}
            Target::Account(record) => {
                full += usize::from(record.over_quota);
                owned.push(Owned { account: record.account, node: record.node });
            }
        }
    }
    match owned.len() {
        0 => refused(CLOSED, "closed"),
        all if all == full => refused(OVER_QUOTA, "over_quota"),
        _ => Ok(owned),
    }
}
