//! What is decided of a client before the text of its message comes.
//!
//! [`Checks`] is shared; a [`Client`] is one connection. Look-ups begin as soon as their question is known (the address when the
//! client connects, the name at EHLO, the sender at MAIL) and run beside the dialogue; only RCPT waits for them, for no longer than
//! their deadline. A refusal is given at RCPT, so that the log shows whom it was for and `postmaster` stays reachable.
//!
//! What the DNS or the store cannot say is never held against a client.

pub mod config;
mod greylist;
mod hello;
mod lists;
mod network;
mod rates;
mod reverse;

use crate::{metrics::Metrics, task::Pending};
use chasqui_base::{DomainName, StartError};
use chasqui_dns::Resolver;
use chasqui_smtp::{Recipient, Reply, ReversePath};
use config::{ConnectionConfig, ListedName, Measure};
use greylist::{Greylist, Standing};
use lists::{Listing, Lists};
use rates::{Rates, Unit};
pub use reverse::Reverse;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How long the names of an address may take beyond what the resolver allows each look-up.
const REVERSE_DEADLINE: Duration = Duration::from_secs(15);

/// How long MAIL waits for the name, where only milters want it.
const NAME_DEADLINE: Duration = Duration::from_secs(2);

/// What every connection shares.
pub struct Checks {
    config: ConnectionConfig,
    hostname: DomainName,
    resolver: Resolver,
    lists: Option<Lists>,
    greylist: Option<Greylist>,
    rates: Option<Rates>,
    /// Somebody wants to know the names of addresses, whatever the configuration asks of them.
    names_wanted: bool,
    metrics: Metrics,
}

/// What was looked up of a client's address.
struct Origin {
    reverse: Reverse,
    listing: Listing,
}

/// What was looked up of the name in EHLO.
#[derive(Default)]
struct Greeting {
    unresolved: bool,
    listing: Listing,
}

/// One connection's standing.
pub struct Client {
    checks: Arc<Checks>,
    ip: IpAddr,
    trusted: bool,
    hello: Option<hello::Flaw>,
    origin: Option<Pending<Origin>>,
    greeting: Option<Pending<Greeting>>,
    sender: Option<Pending<Listing>>,
    /// What the checks amount to for the open transaction.
    judgement: Option<Judgement>,
}

/// What the checks amount to.
#[derive(Clone, Debug, Default)]
struct Judgement {
    marks: Vec<String>,
    refusal: Option<Reply>,
    /// An allow list has the client.
    allowed: bool,
}

impl Checks {
    /// Opens what the configuration switches on. With `names_wanted` the names of addresses are looked up in any case.
    ///
    /// # Errors
    /// When the greylist's store cannot be opened.
    pub fn open(
        config: &ConnectionConfig,
        hostname: &DomainName,
        resolver: &Resolver,
        names_wanted: bool,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, StartError> {
        let greylist = config.greylist.enabled.then(|| Greylist::open(&config.greylist)).transpose()?;
        let rates = Rates::new(&config.rates);
        Ok(Arc::new(Self {
            lists: Lists::new(&config.lists, resolver),
            greylist,
            rates: rates.is_on().then_some(rates),
            config: config.clone(),
            hostname: hostname.clone(),
            resolver: resolver.clone(),
            names_wanted,
            metrics: metrics.clone(),
        }))
    }

    /// A client has connected.
    ///
    /// # Errors
    /// The reply with which the connection is to be closed.
    pub fn connect(self: &Arc<Self>, ip: IpAddr) -> Result<Client, Reply> {
        let trusted = self.config.trusted_networks.iter().any(|network| network.contains(ip));
        if !trusted {
            self.spend(ip, Unit::Connections, 1)?;
        }
        let origin = (!trusted && self.asks_about_addresses()).then(|| {
            let checks = Arc::clone(self);
            Pending::start(async move { checks.origin(ip).await })
        });
        Ok(Client {
            checks: Arc::clone(self),
            ip,
            trusted,
            hello: None,
            origin,
            greeting: None,
            sender: None,
            judgement: None,
        })
    }

    fn asks_about_addresses(&self) -> bool {
        self.wants_reverse() || self.lists.is_some()
    }

    fn wants_reverse(&self) -> bool {
        let reverse = &self.config.reverse_dns;
        self.names_wanted
            || reverse.missing != Measure::Off
            || reverse.unconfirmed != Measure::Off
            || self.lists.as_ref().is_some_and(|lists| lists.wants(ListedName::Reverse))
    }

    async fn origin(&self, ip: IpAddr) -> Origin {
        let reverse = async {
            if !self.wants_reverse() {
                return (Reverse::Unknown, Listing::default());
            }
            let looked_up =
                tokio::time::timeout(REVERSE_DEADLINE, reverse::look_up(&self.resolver, ip)).await;
            let reverse = looked_up.unwrap_or(Reverse::Unknown);
            let listing = match (&self.lists, reverse.name()) {
                (Some(lists), Some(name)) => lists.domain(ListedName::Reverse, name).await,
                _ => Listing::default(),
            };
            (reverse, listing)
        };
        let address = async {
            match &self.lists {
                Some(lists) => lists.address(ip).await,
                None => Listing::default(),
            }
        };
        let ((reverse, by_name), mut listing) = tokio::join!(reverse, address);
        listing.add(&by_name);
        Origin { reverse, listing }
    }

    async fn greeting(&self, name: &str) -> Greeting {
        let unresolved = async {
            self.config.hello.unresolved != Measure::Off
                && hello::is_fully_qualified(name)
                && self.resolver.addresses(name).await.is_err_and(|error| !error.is_temporary())
        };
        let listing = async {
            match &self.lists {
                Some(lists) => lists.domain(ListedName::Hello, name).await,
                None => Listing::default(),
            }
        };
        let (unresolved, listing) = tokio::join!(unresolved, listing);
        Greeting { unresolved, listing }
    }

    fn spend(&self, ip: IpAddr, unit: Unit, amount: u64) -> Result<(), Reply> {
        match &self.rates {
            Some(rates) if !rates.take(ip, unit, amount) => {
                self.metrics.check("rate", "deferred");
                tracing::info!(peer = %ip, ?unit, "over the rate of its network");
                Err(unit.refusal())
            }
            _ => Ok(()),
        }
    }
}

impl Client {
    /// Whether the client is in a trusted network, for which nothing is checked.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The client has greeted, for the first time or again.
    pub fn hello(&mut self, name: &str) {
        if self.trusted {
            return;
        }
        let checks = &self.checks;
        let config = &checks.config.hello;
        self.hello = hello::judge(name, self.ip, checks.hostname.as_str(), &config.own_names)
            .filter(|flaw| flaw.measure(config) != Measure::Off);
        self.judgement = None;
        let listed = checks.lists.as_ref().is_some_and(|lists| lists.wants(ListedName::Hello));
        self.greeting = (self.hello.is_none() && (listed || config.unresolved != Measure::Off)).then(|| {
            let (checks, name) = (Arc::clone(checks), name.trim_end_matches('.').to_owned());
            Pending::start(async move { checks.greeting(&name).await })
        });
    }

    /// A transaction begins.
    ///
    /// # Errors
    /// The reply to MAIL, when the network has sent enough.
    pub fn mail(&mut self, reverse_path: &ReversePath) -> Result<(), Reply> {
        self.judgement = None;
        self.sender = None;
        if self.trusted {
            return Ok(());
        }
        self.checks.spend(self.ip, Unit::Messages, 1)?;
        if let ReversePath::Address(mailbox) = reverse_path
            && self.checks.lists.as_ref().is_some_and(|lists| lists.wants(ListedName::Sender))
        {
            let (checks, domain) = (Arc::clone(&self.checks), mailbox.domain().to_owned());
            self.sender = Some(Pending::start(async move {
                match &checks.lists {
                    Some(lists) => lists.domain(ListedName::Sender, &domain).await,
                    None => Listing::default(),
                }
            }));
        }
        Ok(())
    }

    /// One more recipient is asked for, whoever it is: to be called before the directory is.
    ///
    /// # Errors
    /// The reply to RCPT, when the network has asked enough.
    pub fn count_recipient(&self) -> Result<(), Reply> {
        if self.trusted { Ok(()) } else { self.checks.spend(self.ip, Unit::Recipients, 1) }
    }

    /// A recipient of ours.
    ///
    /// # Errors
    /// The reply to RCPT.
    pub async fn recipient(
        &mut self,
        reverse_path: &ReversePath,
        recipient: &Recipient,
    ) -> Result<(), Reply> {
        if self.trusted || is_for_complaints(recipient) {
            return Ok(());
        }
        let judgement = self.judge().await;
        if let Some(refusal) = &judgement.refusal {
            return Err(refusal.clone());
        }
        if judgement.allowed {
            return Ok(());
        }
        let Some(greylist) = &self.checks.greylist else { return Ok(()) };
        match greylist.ask(self.ip, reverse_path.as_str(), recipient).await {
            Some(Standing::Wait(seconds)) => {
                self.checks.metrics.check("greylist", "deferred");
                Err(Reply::new(451, (4, 7, 1), format!("Greylisted, try again in {seconds} seconds")))
            }
            Some(Standing::Passed) => {
                self.checks.metrics.check("greylist", "passed");
                Ok(())
            }
            Some(Standing::Known) => Ok(()),
            None => {
                self.checks.metrics.check("greylist", "unavailable");
                Ok(())
            }
        }
    }

    /// The message has this many octets.
    ///
    /// # Errors
    /// The reply to the message, when the network has sent enough.
    pub fn octets(&self, octets: u64) -> Result<(), Reply> {
        if self.trusted { Ok(()) } else { self.checks.spend(self.ip, Unit::Octets, octets) }
    }

    /// What was found wrong, in words of letters, digits and hyphens, some followed by `=` and a zone: for the line `X-Chasqui-Marks`.
    #[must_use]
    pub fn marks(&self) -> &[String] {
        self.judgement.as_ref().map_or(&[], |judgement| &judgement.marks)
    }

    /// The confirmed name of the client's address, waited for a moment if it is being looked up.
    pub async fn reverse_name(&mut self) -> Option<&str> {
        let origin = tokio::time::timeout(NAME_DEADLINE, self.origin.as_mut()?.wait()).await.ok()??;
        origin.reverse.name()
    }

    async fn judge(&mut self) -> &Judgement {
        if self.judgement.is_none() {
            let judgement = self.judgement_now().await;
            return self.judgement.insert(judgement);
        }
        self.judgement.get_or_insert_default()
    }

    async fn judgement_now(&mut self) -> Judgement {
        let mut judgement = Judgement::default();
        let mut listing = Listing::default();
        let checks = &self.checks;
        let (hello, reverse_dns) = (&checks.config.hello, &checks.config.reverse_dns);
        let mut worst =
            Worst { ip: self.ip, metrics: &checks.metrics, judgement: &mut judgement, measure: Measure::Off };
        if let Some(flaw) = self.hello {
            worst.found(flaw.name(), flaw.measure(hello), (7, 1), "Your greeting (EHLO) does not name you");
        }
        if let Some(greeting) = &mut self.greeting
            && let Some(greeting) = greeting.wait().await
        {
            listing.add(&greeting.listing);
            if greeting.unresolved {
                worst.found(
                    "hello-unresolved",
                    hello.unresolved,
                    (7, 1),
                    "Your greeting (EHLO) has no address in the DNS",
                );
            }
        }
        if let Some(sender) = &mut self.sender
            && let Some(found) = sender.wait().await
        {
            listing.add(found);
        }
        if let Some(origin) = &mut self.origin
            && let Some(origin) = origin.wait().await
        {
            listing.add(&origin.listing);
            if listing.allowed {
                return Judgement { allowed: true, ..judgement };
            }
            // RFC 7372 §3.3: X.7.25, reverse DNS validation failed.
            match origin.reverse {
                Reverse::Missing => {
                    worst.found(
                        "reverse-missing",
                        reverse_dns.missing,
                        (7, 25),
                        "Your address has no name in the DNS",
                    );
                }
                Reverse::Unconfirmed => worst.found(
                    "reverse-unconfirmed",
                    reverse_dns.unconfirmed,
                    (7, 25),
                    "No name of your address leads back to it",
                ),
                Reverse::Confirmed(_) | Reverse::Unknown => {}
            }
        }
        self.weigh(&listing, &mut judgement).await;
        judgement
    }

    async fn weigh(&self, listing: &Listing, judgement: &mut Judgement) {
        let checks = &self.checks;
        let config = &checks.config.lists;
        let reached = |score: Option<i32>| score.is_some_and(|score| listing.score() >= score);
        if reached(config.mark_score) {
            checks.metrics.check("lists", "marked");
            judgement.marks.extend(listing.zones().into_iter().map(|zone| format!("listed={zone}")));
        }
        if reached(config.reject_score) && judgement.refusal.as_ref().is_none_or(Reply::is_temporary) {
            checks.metrics.check("lists", "rejected");
            let zone = listing.heaviest();
            let text = match &checks.lists {
                Some(lists) => lists.text(listing).await,
                None => None,
            };
            let text = text.map(|text| format!(": {text}")).unwrap_or_default();
            let reply =
                format!("Refused: [{}] or its names are listed by {zone}{text}", self.ip.to_canonical());
            judgement.refusal = Some(Reply::new(550, (5, 7, 1), reply));
        }
    }
}

/// Gathers what was found; the worst measure gives the reply.
struct Worst<'a> {
    ip: IpAddr,
    metrics: &'a Metrics,
    judgement: &'a mut Judgement,
    measure: Measure,
}

impl Worst<'_> {
    fn found(&mut self, name: &'static str, measure: Measure, status: (u16, u16), text: &'static str) {
        let outcome = match measure {
            Measure::Off => return,
            Measure::Mark => "marked",
            Measure::Defer => "deferred",
            Measure::Reject => "rejected",
        };
        self.metrics.check(name, outcome);
        tracing::debug!(peer = %self.ip, check = name, outcome, "connection check");
        self.judgement.marks.push(name.to_owned());
        if measure <= self.measure {
            return;
        }
        self.measure = measure;
        let (subject, detail) = status;
        self.judgement.refusal = match measure {
            Measure::Off | Measure::Mark => None,
            Measure::Defer => Some(Reply::fixed(450, (4, subject, detail), text)),
            Measure::Reject => Some(Reply::fixed(550, (5, subject, detail), text)),
        };
    }
}

/// `postmaster` and `abuse` must hear from those whom the checks refuse (RFC 5321 §4.5.1, RFC 2142 §4).
fn is_for_complaints(recipient: &Recipient) -> bool {
    match recipient {
        Recipient::Postmaster => true,
        Recipient::Mailbox(mailbox) => {
            ["postmaster", "abuse"].iter().any(|name| mailbox.local().eq_ignore_ascii_case(name))
        }
    }
}
