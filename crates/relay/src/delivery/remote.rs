//! An attempt at the hosts of other sites: one after the other, until every recipient has its fate or no host is left.
//!
//! **When the next host is tried.** When this one cannot be reached, greets with a refusal, fails at TLS, says 421, or hangs up before
//! the message was sent. What it says of a sender, a recipient or the text is said for the domain: 4xx waits for the next attempt, 5xx is
//! for ever.
//!
//! **When a host hangs up behind the message**, before it has answered: it may have the message. No other host is asked then, and the
//! recipients that have no answer wait for the next attempt; the host may so get the message twice, never not at all (RFC 1047). Both copies
//! have the same Message-ID and the same text.
//!
//! **A connection that was kept** and turns out dead before it was told the text, or says 421, leaves no doubt: a new one is made.

use super::{
    Delivery, Settings,
    connection::{Broken, Connection, Patience, Remote, Sent},
    hosts,
    routes::{Smarthosts, Way},
    sources::Source,
    transaction::{Batch, Unfit},
    trouble::{self, of_destination, of_message},
};
use crate::{
    fate::{DeliveredKind, Fate, Trouble},
    message::Job,
};
use chasqui_base::net::Endpoint;
use chasqui_smtp::Reply;
use std::{net::IpAddr, sync::Arc, time::Instant};

const CLOSED: Reply = Reply::fixed(451, (4, 4, 2), "The host closed the connection");

/// An attempt at the recipients of one way.
pub(super) struct Attempt<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) settings: &'a Settings,
    pub(super) job: &'a Job,
    /// What the connections leave from.
    pub(super) source: Source,
    /// Recipients without a fate.
    open: Vec<u32>,
    fates: &'a mut Vec<(u32, Fate)>,
    until: Instant,
    /// What stood in the way so far.
    trouble: Option<Trouble>,
}

/// A host to try.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Its name, lower case; an address in brackets for a literal.
    pub(super) name: Arc<str>,
    /// Its port.
    pub(super) port: u16,
    /// How we came to it.
    pub(super) origin: Origin,
}

/// How we came to a host.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// DNS names it for the domain; `secure` when DNSSEC proved it.
    Domain {
        /// The domain.
        domain: Arc<str>,
        /// DNSSEC proved the MX records.
        secure: bool,
    },
    /// The recipient's address names it.
    Literal(IpAddr),
    /// The configuration names it.
    Route(Arc<Smarthosts>),
}

/// Why a host was left without an answer for every recipient.
pub(super) enum Left {
    /// The next host may be tried.
    Next(Trouble),
    /// The connection was a kept one and dead.
    Stale,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        delivery: &'a Delivery,
        settings: &'a Settings,
        job: &'a Job,
        recipients: Vec<u32>,
        fates: &'a mut Vec<(u32, Fate)>,
    ) -> Self {
        let sender = job.envelope.reverse_path.as_str();
        let domain = sender.rsplit_once('@').map_or("", |(_, domain)| domain).to_ascii_lowercase();
        Self {
            delivery,
            settings,
            job,
            source: settings.sources.of_sender(&domain),
            open: recipients,
            fates,
            until: Instant::now() + settings.config.timeouts.attempt.get(),
            trouble: None,
        }
    }

    /// Settles every recipient.
    pub(super) async fn run(mut self, way: &Way) {
        match self.candidates(way).await {
            Ok(candidates) => self.try_all(candidates).await,
            Err(trouble) => self.trouble = Some(trouble),
        }
        let trouble = self.trouble.take().unwrap_or_else(|| of_destination(None, trouble::NO_ADDRESSES));
        for index in std::mem::take(&mut self.open) {
            self.fates.push((index, trouble::fate(trouble.clone())));
        }
    }

    async fn candidates(&self, way: &Way) -> Result<Vec<Candidate>, Trouble> {
        let port = self.settings.config.port;
        match way {
            Way::Nowhere(_) => Err(trouble::nowhere(&way.destination())),
            Way::Literal(ip) => {
                let name = way.destination().0;
                Ok(vec![Candidate { name, port, origin: Origin::Literal(*ip) }])
            }
            Way::Route(route) => Ok(route.hosts.iter().map(|host| of_route(host, route)).collect()),
            Way::Domain(domain) => {
                let own = &self.settings.own_names;
                let found = hosts::of_domain(&self.delivery.resolver, domain.as_str(), own).await?;
                let domain: Arc<str> = domain.as_str().into();
                let origin = Origin::Domain { domain, secure: found.secure };
                let candidate = |name| Candidate { name, port, origin: origin.clone() };
                Ok(found.names.into_iter().map(candidate).collect())
            }
        }
    }

    async fn try_all(&mut self, candidates: Vec<Candidate>) {
        for candidate in candidates.into_iter().take(self.settings.config.hosts) {
            let trouble = match Box::pin(self.try_host(&candidate)).await {
                Ok(()) => return,
                Err(trouble) => trouble,
            };
            tracing::debug!(
                delivery = %self.job.envelope.id, remote = %candidate.name, reply = %trouble.reply, "host not used"
            );
            // What may pass later says more than what will not: some other host would have taken the message.
            if self
                .trouble
                .as_ref()
                .is_none_or(|known| known.reply.is_permanent() || trouble.reply.is_temporary())
            {
                self.trouble = Some(trouble);
            }
            if self.open.is_empty() {
                return;
            }
            if self.patience().is_over() {
                self.trouble = Some(of_destination(None, trouble::TOO_SLOW));
                return;
            }
        }
    }

    pub(super) fn patience(&self) -> Patience<'a> {
        Patience { timeouts: &self.settings.config.timeouts, until: self.until }
    }

    /// Settles what can be settled with one host.
    async fn try_host(&mut self, candidate: &Candidate) -> Result<(), Trouble> {
        let ips = self.addresses(candidate).await.map_err(|reply| self.of_host(candidate, reply))?;
        let demand = self.demand(candidate).await?;
        let key = self.key(candidate, &demand);
        let limits = &self.settings.config.connections;
        while let Some(mut kept) = self.delivery.kept.take(&key, limits) {
            if !kept.is_alive().await {
                continue;
            }
            self.delivery.metrics.reused();
            match self.over(&mut kept).await {
                Ok(()) => {
                    self.keep(key, kept).await;
                    return Ok(());
                }
                Err(Left::Stale) => {}
                Err(Left::Next(trouble)) => return Err(trouble),
            }
        }
        loop {
            let open = self.open.len();
            let mut fresh = self.connect(candidate, &ips, &demand).await?;
            match self.over(&mut fresh).await {
                Ok(()) => {
                    self.keep(key, fresh).await;
                    return Ok(());
                }
                Err(Left::Next(trouble)) => return Err(trouble),
                // It took one transaction, and hung up before the next one of the same message.
                Err(Left::Stale) if self.open.len() < open => {}
                Err(Left::Stale) => return Err(self.of_host(candidate, CLOSED)),
            }
        }
    }

    async fn addresses(&self, candidate: &Candidate) -> Result<Vec<IpAddr>, Reply> {
        let config = &self.settings.config;
        let ips = match (&candidate.origin, candidate.name.parse()) {
            (Origin::Literal(ip), _) => vec![*ip],
            // A route names an address.
            (Origin::Route(_), Ok(ip)) => vec![ip],
            (Origin::Domain { domain, .. }, _) if *domain == candidate.name => self
                .look_up(&candidate.name)
                .await
                // Without MX records the domain is its own mail host.
                .map_err(|reply| if reply == trouble::NO_ADDRESSES { trouble::NO_HOSTS } else { reply })?,
            _ => self.look_up(&candidate.name).await?,
        };
        // The operator may send mail wherever they like.
        let any = matches!(candidate.origin, Origin::Route(_));
        let public = |ip: &IpAddr| any || hosts::is_public(*ip, &config.allowed_networks);
        let ips: Vec<IpAddr> = ips.into_iter().filter(public).take(config.addresses).collect();
        if ips.is_empty() {
            return Err(trouble::PRIVATE);
        }
        let ips: Vec<IpAddr> = ips.into_iter().filter(|ip| self.source.reaches(*ip)).collect();
        if ips.is_empty() { Err(trouble::NO_FAMILY) } else { Ok(ips) }
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Reply> {
        hosts::addresses(&self.delivery.resolver, host).await
    }

    /// Sends to the open recipients over one connection, in as many transactions as it takes.
    async fn over(&mut self, connection: &mut Connection) -> Result<(), Left> {
        while !self.open.is_empty() {
            let first = connection.messages == 0;
            let batch =
                match Batch::of(self.job, &self.open, connection.offers(), &self.settings.config).await {
                    Ok(batch) => batch,
                    Err(Unfit { recipients, reply }) => {
                        let remote = Some(connection.remote.text());
                        self.settle(&recipients, trouble::fate(of_message(remote, reply)));
                        continue;
                    }
                };
            let sent = batch.send(connection, &self.job.content, &self.patience()).await;
            self.take(batch.recipients, sent, connection, first)?;
        }
        Ok(())
    }

    /// Notes what became of a transaction.
    fn take(
        &mut self,
        recipients: Vec<u32>,
        sent: Sent,
        connection: &Connection,
        first: bool,
    ) -> Result<(), Left> {
        let remote = &connection.remote;
        // What became of each recipient is logged where it is written down; how it went over the wire, here.
        tracing::info!(
            delivery = %self.job.envelope.id, destination = %self.job.destination, remote = %remote.text(), tls = &*remote.tls,
            pool = &*self.source.name(), recipients = recipients.len(), reused = !first, "transaction"
        );
        let told = connection.offers().dsn;
        let mut silent = Vec::new();
        for (index, reply) in recipients.into_iter().zip(sent.replies) {
            match reply {
                Some(reply) => self.settle(&[index], of_reply(reply, remote, told)),
                None => silent.push(index),
            }
        }
        let Err(broken) = sent.ended else { return Ok(()) };
        if sent.uncertain {
            tracing::warn!(
                delivery = %self.job.envelope.id, remote = %remote.text(), error = %broken,
                "the host ended without an answer to the message"
            );
            self.delivery.metrics.failed("unanswered");
            let fate = trouble::fate(of_message(Some(remote.text()), trouble::UNCERTAIN));
            self.settle(&silent, fate);
            return Err(Left::Next(of_destination(Some(remote.text()), trouble::UNCERTAIN)));
        }
        // 421 on a connection that was used before mostly says that it idled, or took what it may, for too long.
        if !first
            && matches!(broken, Broken::Closed | Broken::Lost(_) | Broken::Refused(_))
            && !silent.is_empty()
        {
            return Err(Left::Stale);
        }
        if self.patience().is_over() {
            return Err(Left::Next(of_destination(Some(remote.text()), trouble::TOO_SLOW)));
        }
        // A host that was ready, and then stumbled without a word, may have stumbled over this very message: one message does not
        // close a destination that others take in turn. The host's own 421 does.
        let own_word = matches!(broken, Broken::Refused(_));
        let trouble = self.of_broken(Some(remote.text()), broken);
        Err(Left::Next(if own_word { trouble } else { of_message(trouble.remote, trouble.reply) }))
    }

    fn settle(&mut self, recipients: &[u32], fate: Fate) {
        self.open.retain(|index| !recipients.contains(index));
        self.fates.extend(recipients.iter().map(|index| (*index, fate.clone())));
    }

    async fn keep(&self, key: super::kept::Key, connection: Connection) {
        let limits = &self.settings.config.connections;
        if let Some(done) = self.delivery.kept.keep(key, connection, limits) {
            // In a task of its own: the recipients' fates need not wait for it.
            tokio::spawn(done.quit());
        }
    }

    /// What a broken connection means for the destination, if no other host helps.
    pub(super) fn of_broken(&self, remote: Option<String>, broken: Broken) -> Trouble {
        let (why, reply) = match broken {
            Broken::Refused(reply) => ("refused", reply),
            Broken::Lost(error) => {
                ("lost", Reply::new(451, (4, 4, 2), format!("The connection broke: {error}")))
            }
            Broken::Closed => ("closed", CLOSED),
            Broken::Slow => ("slow", Reply::fixed(451, (4, 4, 2), "The host does not answer in time")),
            Broken::Protocol(error) => ("protocol", Reply::new(451, (4, 5, 0), format!("Not SMTP: {error}"))),
            Broken::Unreadable(error) => {
                tracing::error!(delivery = %self.job.envelope.id, %error, "the message cannot be read");
                self.delivery.metrics.failed("unreadable");
                return of_message(None, Reply::fixed(451, (4, 3, 0), "The message cannot be read here now"));
            }
        };
        self.delivery.metrics.failed(why);
        of_destination(remote, reply)
    }

    pub(super) fn of_host(&self, candidate: &Candidate, reply: Reply) -> Trouble {
        of_destination(Some(candidate.name.to_string()), reply)
    }
}

fn of_route(host: &Endpoint, route: &Arc<Smarthosts>) -> Candidate {
    let port = host.as_str().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(25);
    Candidate {
        name: host.host().to_ascii_lowercase().into(),
        port,
        origin: Origin::Route(Arc::clone(route)),
    }
}

/// `told`: the host offers DSN, and so was told what the sender wants to hear.
fn of_reply(reply: Reply, remote: &Remote, told: bool) -> Fate {
    if reply.is_positive() {
        let kind = if told { DeliveredKind::PassedOn } else { DeliveredKind::Relayed };
        return Fate::Delivered { remote: remote.text(), reply, kind };
    }
    trouble::fate(of_message(Some(remote.text()), reply))
}
