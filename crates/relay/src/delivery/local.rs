//! Recipients of our own domains: asked of the directory first, and handed to their storage node by LMTP (E14, S7).
//!
//! An address that stands for one account is delivered to it. One that stands for several, or for an address of somebody else, is
//! expanded: each of them then has a fate of its own, and what fails for one is not repeated for the others.

use super::{
    Delivery, Settings,
    trouble::{self, of_destination, of_message},
};
use crate::{
    fate::{DeliveredKind, Fate},
    message::{BodyKind, Job},
};
use chasqui_base::EmailAddress;
use chasqui_courier::{Cause, Envelope, Outcome, Owned};
use chasqui_directory::{AccountState, LookUp, Target};
use chasqui_smtp::{Body, Reply};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const UNKNOWN: Reply = Reply::fixed(550, (5, 1, 1), "No such user here");
const CLOSED: Reply = Reply::fixed(550, (5, 2, 1), "The mailbox is closed");

/// How long it holds that a domain is not ours.
const FRESH: Duration = Duration::from_secs(5);
/// How long it still holds while no directory server answers: mail to the internet goes on.
const STALE: Duration = Duration::from_secs(3600);
/// Domains that are remembered.
const DOMAINS: usize = 65_536;

/// Domains that the directory said are not ours, and when.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    domains: Mutex<HashMap<Box<str>, Instant>>,
}

impl Foreign {
    fn holds(&self, domain: &str, within: Duration) -> bool {
        self.domains().get(domain).is_some_and(|said| said.elapsed() < within)
    }

    fn note(&self, domain: &str, foreign: bool) {
        let mut domains = self.domains();
        if !foreign {
            domains.remove(domain);
        } else if let Some(said) = domains.get_mut(domain) {
            *said = Instant::now();
        } else if domains.len() < DOMAINS {
            domains.insert(domain.into(), Instant::now());
        }
    }

    /// Forgets what is too old to be of use.
    pub(super) fn tidy(&self) {
        self.domains().retain(|_, said| said.elapsed() < STALE);
    }

    /// As if everything had been said some minutes ago.
    #[cfg(test)]
    pub(super) fn age(&self) {
        for said in self.domains().values_mut() {
            *said = said.checked_sub(FRESH * 2).unwrap_or(*said);
        }
    }

    fn domains(&self) -> MutexGuard<'_, HashMap<Box<str>, Instant>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a recipient is.
enum Place {
    /// Not with us.
    Elsewhere,
    /// In this mailbox.
    Here(Owned),
    /// It is settled already.
    Settled(Fate),
}

impl Delivery {
    /// Settles the recipients that are ours; gives back the others.
    pub(super) async fn carry_here(
        &self,
        settings: &Settings,
        job: &Job,
        fates: &mut Vec<(u32, Fate)>,
    ) -> Vec<u32> {
        let mut elsewhere = Vec::new();
        let mut here: HashMap<EmailAddress, (Owned, Vec<u32>)> = HashMap::new();
        for &index in &job.recipients {
            let Some(recipient) = job.envelope.recipients.get(index as usize) else { continue };
            match self.place(settings, &recipient.address).await {
                Place::Elsewhere => elsewhere.push(index),
                Place::Settled(fate) => fates.push((index, fate)),
                Place::Here(owned) => {
                    here.entry(owned.account.clone()).or_insert_with(|| (owned, Vec::new())).1.push(index);
                }
            }
        }
        if !here.is_empty() {
            self.to_mailboxes(job, here, fates).await;
        }
        elsewhere
    }

    async fn place(&self, settings: &Settings, address: &str) -> Place {
        // What no directory could hold is not ours.
        let Ok(address) = EmailAddress::parse(address) else { return Place::Elsewhere };
        let domain = address.domain();
        if domain.starts_with('[') || self.foreign.holds(domain, FRESH) {
            return Place::Elsewhere;
        }
        let directory = &self.courier.directory;
        let mut found = directory.look_up(&address).await;
        // RFC 5321 §4.5.1: every domain that we serve has a postmaster.
        if found == Ok(LookUp::Unknown) && address.local() == "postmaster" && address != settings.postmaster {
            found = directory.look_up(&settings.postmaster).await;
        }
        let targets = match found {
            Err(_) if self.foreign.holds(domain, STALE) => return Place::Elsewhere,
            Err(_) => {
                return Place::Settled(Fate::Deferred(of_destination(None, trouble::NO_DIRECTORY)));
            }
            Ok(LookUp::NotOurs) => {
                self.foreign.note(domain, true);
                return Place::Elsewhere;
            }
            Ok(LookUp::Unknown) => {
                self.foreign.note(domain, false);
                return Place::Settled(Fate::Failed(of_message(None, UNKNOWN)));
            }
            Ok(LookUp::Found(targets)) => targets,
        };
        self.foreign.note(domain, false);
        of_targets(targets, &address)
    }

    async fn to_mailboxes(
        &self,
        job: &Job,
        mut here: HashMap<EmailAddress, (Owned, Vec<u32>)>,
        fates: &mut Vec<(u32, Fate)>,
    ) {
        let envelope = Arc::new(Envelope {
            id: job.envelope.id,
            reverse_path: job.envelope.reverse_path.clone(),
            smtputf8: job.envelope.smtputf8,
            body: match job.envelope.body {
                BodyKind::SevenBit => Body::SevenBit,
                BodyKind::EightBitMime => Body::EightBitMime,
                BodyKind::Binary => Body::BinaryMime,
            },
            junk: false,
        });
        let accounts = here.values().map(|(owned, _)| owned.clone()).collect();
        for done in self.courier.deliver(&envelope, &job.content, accounts).await {
            let Some((_, indices)) = here.remove(&done.account) else { continue };
            let fate = of_outcome(done.node, done.outcome);
            fates.extend(indices.into_iter().map(|index| (index, fate.clone())));
        }
    }
}

fn of_targets(targets: Vec<Target>, address: &EmailAddress) -> Place {
    let mut open = Vec::with_capacity(targets.len());
    for target in targets {
        match target {
            Target::Account(record) if record.state == AccountState::Closed => {}
            target => open.push(target),
        }
    }
    match open.pop() {
        None => Place::Settled(Fate::Failed(of_message(None, CLOSED))),
        Some(Target::Account(record)) if open.is_empty() => {
            Place::Here(Owned { account: record.account, node: record.node })
        }
        // The directory knows the address only as an alias of itself: nothing would be gained by asking again.
        Some(Target::Remote(remote)) if open.is_empty() && remote == *address => Place::Elsewhere,
        Some(last) => {
            open.push(last);
            let to = open.into_iter().map(|target| match target {
                Target::Account(record) => record.account.as_str().to_owned(),
                Target::Remote(remote) => remote.as_str().to_owned(),
            });
            Place::Settled(Fate::Expanded { to: to.collect() })
        }
    }
}

fn of_outcome(node: String, outcome: Outcome) -> Fate {
    match outcome {
        Outcome::Stored(reply) => Fate::Delivered { remote: node, reply, kind: DeliveredKind::Final },
        Outcome::Refused(reply) => Fate::Failed(of_message(Some(node), reply)),
        // Other accounts of the domain may well be on other nodes.
        Outcome::Deferred(Cause::Mailbox | Cause::Node, reply) => {
            Fate::Deferred(of_message(Some(node), reply))
        }
        Outcome::Deferred(_, reply) => Fate::Deferred(of_message(None, reply)),
    }
}
