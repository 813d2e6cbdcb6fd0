//! Milters: the MTA's side of version 6 of their protocol, as Sendmail and Postfix speak it.
//!
//! A [`Chain`] belongs to one SMTP connection and asks all milters in their order: with each MAIL and RCPT while the client waits, so that a
//! milter can refuse one recipient, and with the text when that is complete. A milter is connected to at the first MAIL and serves the
//! messages of the connection one after the other. Each sees what those before it have changed.
//!
//! A milter that fails is not asked again for the message; [`WhenAway`] says what becomes of it. One that cannot be connected to is left
//! alone for a few seconds.

mod asked;
mod changes;
pub mod codec;
mod link;
mod macros;

use super::{
    config::{Discarded, MilterConfig, WhenAway},
    draft::Draft,
};
use crate::metrics::Metrics;
use asked::{Asked, Scope, Standing};
use changes::Changes;
pub use changes::EnvelopeChanges;
use chasqui_base::DeliveryId;
use chasqui_courier::Content;
use chasqui_smtp::{Mail, Recipient, Reply};
use codec::Change;
use link::{Link, MilterError};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long a milter that cannot be connected to is left alone.
const REST: Duration = Duration::from_secs(5);

const AWAY: Reply = Reply::fixed(451, (4, 7, 1), "A filter is not available, try again later");

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
        Self { stages: milters.iter().map(Asked::new).collect(), peer }
    }

    /// MAIL, and before it what has not been told of the connection yet.
    pub(crate) async fn mail(
        &mut self,
        name: Option<&str>,
        greeting: &Greeting,
        id: DeliveryId,
        mail: &Mail,
    ) -> Result<(), Reply> {
        self.peer.name = name.map(str::to_owned);
        for stage in &mut self.stages {
            stage.abort().await;
            stage.message = Standing::Asked;
            stage.id = Some(id);
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
                    verdict.envelope.keeps |= changes.deletes && milter.config.discarded == Discarded::Junk;
                    let changed = changes.apply(id, draft, &mut verdict);
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

#[cfg(test)]
mod tests;
