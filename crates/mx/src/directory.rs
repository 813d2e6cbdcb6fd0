//! Recipients at the directory: what RCPT is answered (S5), and who owns an account now.

use crate::metrics::Metrics;
use chasqui_base::{EmailAddress, StartError};
use chasqui_directory::{AccountState, DirectoryClient, DirectoryUnavailable, LookUp, Node, Target};
use chasqui_smtp::{Recipient, Reply};
use std::{sync::Arc, time::Instant};

const UNKNOWN: Reply = Reply::fixed(550, (5, 1, 1), "No such user here");
const NOT_OURS: Reply = Reply::fixed(550, (5, 7, 1), "Relaying refused: not a domain of ours");
const FORWARDED: Reply =
    Reply::fixed(550, (5, 7, 1), "Relaying refused: the address forwards to another site");
const CLOSED: Reply = Reply::fixed(550, (5, 2, 1), "The mailbox is closed");
const OVER_QUOTA: Reply = Reply::fixed(452, (4, 2, 2), "The mailbox is full");
const NO_DIRECTORY: Reply = Reply::fixed(451, (4, 4, 3), "No directory server answers, try again soon");

/// Who answers look-ups.
#[derive(Clone)]
pub(crate) enum Directory {
    /// The directory servers.
    Servers(DirectoryClient),
    /// A table, for tests.
    #[cfg(test)]
    Table(Arc<std::sync::Mutex<crate::tests::Table>>),
}

/// An account and the node that owns it.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub account: EmailAddress,
    pub node: Arc<Node>,
}

/// Why a recipient is not accepted: the reply, and its name in the metrics.
#[derive(Debug)]
pub(crate) struct NotAccepted {
    pub reply: Reply,
    pub outcome: &'static str,
}

const fn refused<T>(reply: Reply, outcome: &'static str) -> Result<T, NotAccepted> {
    Err(NotAccepted { reply, outcome })
}

impl Directory {
    /// Takes over rotated keys (S5c).
    pub(crate) async fn reload(&self) -> Result<(), StartError> {
        match self {
            Self::Servers(client) => client.reload().await,
            #[cfg(test)]
            Self::Table(_) => Ok(()),
        }
    }

    /// The accounts that a RCPT stands for. An address that expands to several is accepted when one of them can take mail now;
    /// those over quota among them are kept, since they may have room when the message is retried.
    pub(crate) async fn accounts(
        &self,
        recipient: &Recipient,
        postmaster: &EmailAddress,
        metrics: &Metrics,
    ) -> Result<Vec<Owned>, NotAccepted> {
        let address = match recipient {
            Recipient::Postmaster => postmaster.clone(),
            // An address literal, or what no directory could hold, is not ours.
            Recipient::Mailbox(mailbox) => match EmailAddress::parse(mailbox.as_str()) {
                Ok(address) => address,
                Err(_) => return refused(NOT_OURS, "not_ours"),
            },
        };
        let found = match self.timed(&address, metrics).await {
            // RFC 5321 §4.5.1: postmaster is accepted for every domain that we serve.
            Ok(LookUp::Unknown) if address.local() == "postmaster" && address != *postmaster => {
                self.timed(postmaster, metrics).await
            }
            found => found,
        };
        judge(found)
    }

    /// The accounts that an accepted recipient stands for now; quota is left to the node.
    pub(crate) async fn owners(
        &self,
        address: &EmailAddress,
        metrics: &Metrics,
    ) -> Result<Vec<Owned>, NotAccepted> {
        match self.timed(address, metrics).await {
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

    async fn timed(&self, address: &EmailAddress, metrics: &Metrics) -> Result<LookUp, DirectoryUnavailable> {
        let started = Instant::now();
        let found = self.look_up(address).await;
        metrics.look_up.observe(started.elapsed().as_secs_f64());
        found
    }

    async fn look_up(&self, address: &EmailAddress) -> Result<LookUp, DirectoryUnavailable> {
        match self {
            Self::Servers(client) => client.look_up(address).await,
            #[cfg(test)]
            Self::Table(table) => {
                table.lock().ok().and_then(|table| table.get(address)).ok_or(DirectoryUnavailable)
            }
        }
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
