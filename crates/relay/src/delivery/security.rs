//! What protects a connection: the route's or the domain's demand, and how it is met.
//!
//! Where TLS fails and clear text is allowed, a second connection is made without it (RFC 7435): what a host says in clear text after
//! a failed handshake cannot be believed to belong to it.

use super::{
    connection::{Broken, Connection, Patience, Remote},
    kept::Key,
    login::{self, NotLoggedIn},
    race::Race,
    remote::{Attempt, Candidate, Origin},
    trouble::{self, of_destination},
};
use crate::{
    config::RouteTls,
    fate::Trouble,
    message::Source,
    tls::{DomainPolicy, Event, Requirement, Session, TlsFacts, TlsFailure, Verified},
};
use chasqui_base::net::Stream;
use chasqui_smtp::ReversePath;
use std::{net::IpAddr, sync::Arc};

/// What the connection to a host must be.
pub(super) struct Demand {
    /// None: clear text, whatever is offered.
    requirement: Option<Requirement>,
    /// The domain's policy, whose results are reported.
    policy: Option<DomainPolicy>,
}

/// Why a connection did not come about.
enum Hitch {
    /// The host cannot be used.
    Trouble(Trouble),
    /// TLS failed; clear text might do.
    Tls(TlsFailure, Remote),
}

impl Attempt<'_> {
    /// What the connection to a host must be for this message.
    ///
    /// # Errors
    /// When the domain's policy or the message forbids the host.
    pub(super) async fn demand(&self, candidate: &Candidate) -> Result<Demand, Trouble> {
        let require_tls = self.job.envelope.require_tls;
        let verified = || Requirement::WebPki { names: vec![candidate.name.to_string()] };
        let requirement = match &candidate.origin {
            Origin::Domain { domain, secure } => return self.of_policy(candidate, domain, *secure).await,
            Origin::Literal(_) => return self.of_policy(candidate, &candidate.name, false).await,
            // RFC 8689 §4.2.1: the host's identity is to be verified; the configuration vouches for its name.
            Origin::Route(_) if require_tls => Some(verified()),
            Origin::Route(route) => match route.tls {
                RouteTls::Opportunistic => Some(Requirement::Opportunistic { cleartext_allowed: true }),
                RouteTls::Required => Some(Requirement::Encrypted),
                RouteTls::Verified => Some(verified()),
                RouteTls::Never => None,
            },
        };
        Ok(Demand { requirement, policy: None })
    }

    async fn of_policy(&self, candidate: &Candidate, domain: &str, secure: bool) -> Result<Demand, Trouble> {
        let policies = &self.delivery.policies;
        let envelope = &self.job.envelope;
        // RFC 8460 §3: what a domain is told of its TLS must reach it even where its TLS fails. Notices have no sender; what is our own
        // and has one is such a report.
        if envelope.source == Source::Own && envelope.reverse_path != ReversePath::Null {
            let requirement = Some(Requirement::Opportunistic { cleartext_allowed: true });
            return Ok(Demand { requirement, policy: None });
        }
        let policy = policies.domain(domain).await;
        match policies.host(&policy, &candidate.name, secure, self.job.envelope.require_tls).await {
            Ok(requirement) => Ok(Demand { requirement: Some(requirement), policy: Some(policy) }),
            Err(failure) => {
                let session = Session { host: &candidate.name, remote: None, local: None, requirement: None };
                policies.note(&policy, &session, Event::Refused(&failure));
                self.delivery.metrics.failed("policy");
                Err(of_destination(Some(candidate.name.to_string()), failure.reply))
            }
        }
    }

    /// What connections must have in common with this one to stand in for it.
    pub(super) fn key(&self, candidate: &Candidate, demand: &Demand) -> Key {
        let user = match &candidate.origin {
            Origin::Route(route) => route.login.as_ref().map_or("", |login| &login.user),
            _ => "",
        };
        Key {
            host: Arc::clone(&candidate.name),
            port: candidate.port,
            security: format!("{:?}", demand.requirement).into(),
            pool: self.source.name(),
            user: user.into(),
        }
    }

    /// A new connection, protected as demanded, ready for a transaction.
    pub(super) async fn connect(
        &self,
        candidate: &Candidate,
        ips: &[IpAddr],
        demand: &Demand,
    ) -> Result<Connection, Trouble> {
        let requirement = demand.requirement.as_ref();
        let made = match self.connect_once(candidate, ips, demand, requirement).await {
            Err(Hitch::Tls(failure, remote)) => {
                tracing::info!(
                    delivery = %self.job.envelope.id, remote = %remote.text(), error = %failure,
                    "TLS failed"
                );
                self.delivery.metrics.failed("tls");
                if requirement.is_some_and(|requirement| !requirement.cleartext_allowed()) {
                    return Err(of_destination(Some(remote.text()), failure.reply()));
                }
                self.connect_once(candidate, ips, demand, None).await
            }
            made => made,
        };
        let mut connection = made.map_err(|hitch| match hitch {
            Hitch::Trouble(trouble) => trouble,
            Hitch::Tls(failure, remote) => of_destination(Some(remote.text()), failure.reply()),
        })?;
        self.log_in(candidate, &mut connection).await?;
        Ok(connection)
    }

    async fn connect_once(
        &self,
        candidate: &Candidate,
        ips: &[IpAddr],
        demand: &Demand,
        requirement: Option<&Requirement>,
    ) -> Result<Connection, Hitch> {
        let patience = self.patience();
        let config = &self.settings.config;
        let race = Race { delay: config.race_delay.get(), each: patience.of(config.timeouts.connect) };
        let (stream, ip) = race.run(ips, candidate.port, &self.source).await.map_err(|error| {
            self.delivery.metrics.failed("unreachable");
            Hitch::Trouble(self.of_host(candidate, trouble::unreachable(&error)))
        })?;
        let remote = Remote {
            name: Arc::clone(&candidate.name),
            ip,
            local: stream.local_addr().ok().map(|address| address.ip()),
            tls: Arc::from(""),
        };
        let mut connection = Connection::new(Stream::tcp(stream), &self.settings.hostname, remote.clone());
        let broken = |broken: Broken| Hitch::Trouble(self.of_broken(Some(remote.text()), broken));
        connection.greet(&patience).await.map_err(broken)?;
        let Some(requirement) = requirement else { return Ok(self.connected(connection)) };
        if !connection.offers().starttls {
            return self.without_tls(connection, demand, requirement);
        }
        if !connection.ask_for_tls(&patience).await.map_err(broken)? {
            return self.without_tls(connection, demand, requirement);
        }
        let secured = self.secure(connection, demand, requirement, &patience).await?;
        secured.map(|connection| self.connected(connection)).map_err(broken)
    }

    /// The host offers no TLS, or takes the offer back.
    fn without_tls(
        &self,
        connection: Connection,
        demand: &Demand,
        requirement: &Requirement,
    ) -> Result<Connection, Hitch> {
        let failure = TlsFailure::not_offered();
        self.report(demand, &connection.remote, Event::Failed(&failure));
        if requirement.cleartext_allowed() {
            return Ok(self.connected(connection));
        }
        let remote = connection.remote.clone();
        tokio::spawn(connection.quit());
        Err(Hitch::Tls(failure, remote))
    }

    async fn secure(
        &self,
        connection: Connection,
        demand: &Demand,
        requirement: &Requirement,
        patience: &Patience<'_>,
    ) -> Result<Result<Connection, Broken>, Hitch> {
        let (stream, handshake) = connection.into_parts();
        let remote = handshake.remote().clone();
        match self.delivery.policies.secure(stream, &remote.name, requirement).await {
            Ok((stream, facts)) => {
                self.report(demand, &remote, Event::Secured(&facts));
                Ok(handshake.done(stream, how(&facts), patience).await)
            }
            Err(failure) => {
                self.report(demand, &remote, Event::Failed(&failure));
                Err(Hitch::Tls(failure, remote))
            }
        }
    }

    /// Counts a session for the domain's TLS report (RFC 8460).
    fn report(&self, demand: &Demand, remote: &Remote, event: Event<'_>) {
        let Some(policy) = &demand.policy else { return };
        let session = Session {
            host: &remote.name,
            remote: Some(remote.ip),
            local: remote.local,
            requirement: demand.requirement.as_ref(),
        };
        self.delivery.policies.note(policy, &session, event);
    }

    fn connected(&self, connection: Connection) -> Connection {
        let remote = &connection.remote;
        self.delivery.metrics.connected(remote.ip.is_ipv6(), !remote.tls.is_empty());
        tracing::debug!(
            delivery = %self.job.envelope.id, remote = %remote.text(), tls = &*remote.tls, pool = &*self.source.name(),
            "connected"
        );
        connection
    }

    async fn log_in(&self, candidate: &Candidate, connection: &mut Connection) -> Result<(), Trouble> {
        let Origin::Route(route) = &candidate.origin else { return Ok(()) };
        let Some(login) = &route.login else { return Ok(()) };
        let remote = Some(connection.remote.text());
        match login::log_in(connection, login, &self.patience()).await {
            Ok(()) => Ok(()),
            Err(NotLoggedIn::Broken(broken)) => Err(self.of_broken(remote, broken)),
            Err(NotLoggedIn::Refused(reply)) => {
                tracing::error!(remote = %connection.remote.text(), user = login.user, %reply, "cannot log in");
                self.delivery.metrics.failed("login");
                Err(of_destination(remote, reply))
            }
        }
    }
}

/// What vouched for the host, for logs.
const fn how(facts: &TlsFacts) -> &'static str {
    match facts.verified {
        Verified::No => "unverified",
        Verified::Dane => "dane",
        Verified::WebPki => "verified",
    }
}
