//! Everything that a connection has to pass, in one place: [`Filter`] for all connections, [`Screen`] for one.

use crate::{
    Config, Metrics,
    authentication::{Action as Authenticity, Authenticator, Sender, SpfVerdict, unknown_spf},
    connection::{Checks, Client},
    content::{self, Action, Draft, EnvelopeChanges, Greeting, Peer, Scanners, is_ours},
    report::Reports,
    task::Pending,
};
use chasqui_base::{DeliveryId, DomainName, StartError};
use chasqui_courier::Content;
use chasqui_dns::Resolver;
use chasqui_smtp::{Mail, Recipient, Reply};
use prometheus_client::registry::Registry;
use std::{fmt::Write as _, io, path::Path, sync::Arc};

const HEADER_TOO_LONG: Reply = Reply::fixed(552, (5, 3, 4), "The message's header is too long");

/// What all connections of an exchanger share. Cheap to clone.
#[derive(Clone)]
pub struct Filter(Arc<Inner>);

struct Inner {
    checks: Arc<Checks>,
    authenticator: Option<Authenticator>,
    scanners: Option<Arc<Scanners>>,
    reports: Option<Reports>,
    header_size: usize,
    metrics: Metrics,
}

impl Filter {
    /// Opens what the configuration switches on. The daemons need not run yet.
    ///
    /// # Errors
    /// When a value cannot be used, or the greylist's store not be opened.
    pub fn open(
        config: &Config,
        resolver: &Resolver,
        hostname: &str,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        config.check()?;
        let name =
            DomainName::parse(hostname).map_err(|error| StartError::value("hostname", error.to_string()))?;
        let metrics = Metrics::register(registry);
        let authentication = &config.authentication;
        let authenticator = authentication
            .enabled
            .then(|| Authenticator::new(authentication, resolver.clone(), hostname))
            .transpose()?;
        Ok(Self(Arc::new(Inner {
            checks: Checks::open(
                &config.connection,
                &name,
                resolver,
                !config.content.milter.is_empty(),
                &metrics,
            )?,
            authenticator,
            scanners: Scanners::new(&config.content, hostname, &metrics),
            reports: Reports::open(&config.reports, hostname)?,
            header_size: authentication.limits.header_size.as_usize(),
            metrics,
        })))
    }

    /// The DMARC reports, if they are collected: whoever runs the exchanger sends them.
    #[must_use]
    pub fn reports(&self) -> Option<Reports> {
        self.0.reports.clone()
    }

    /// A client has connected. `None` when nothing at all is to be asked of it.
    ///
    /// # Errors
    /// The reply with which the connection is to be closed.
    pub fn connect(&self, peer: Peer) -> Result<Option<Box<Screen>>, Reply> {
        let inner = &self.0;
        let client = inner.checks.connect(peer.ip)?;
        if client.is_trusted() && inner.scanners.is_none() {
            return Ok(None);
        }
        Ok(Some(Box::new(Screen {
            filter: Arc::clone(inner),
            session: inner.scanners.as_ref().map(|scanners| scanners.session(peer.clone())),
            greeting: Greeting::default(),
            client,
            spf: None,
            peer,
        })))
    }
}

/// One connection.
pub struct Screen {
    filter: Arc<Inner>,
    client: Client,
    session: Option<content::Session>,
    greeting: Greeting,
    spf: Option<Pending<SpfVerdict>>,
    peer: Peer,
}

/// What is known of a message when its text is complete.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its id.
    pub id: DeliveryId,
    /// What MAIL said.
    pub mail: &'a Mail,
    /// The account, where there is only one.
    pub user: Option<&'a str>,
    /// The domains of its recipients.
    pub domains: &'a [&'a str],
    /// Octets of it that may be in memory.
    pub memory: usize,
    /// Where a file for more can be written.
    pub folder: &'a Path,
}

/// What is to become of a message.
#[derive(Debug)]
pub struct Judged {
    /// What is to become of it.
    pub action: Action,
    /// The message as it is to be delivered.
    pub content: Content,
    /// What milters change of the envelope.
    pub envelope: EnvelopeChanges,
    /// In a word, for logs and metrics.
    pub outcome: &'static str,
}

impl Screen {
    /// The client has greeted. `tls` is the version and the cipher suite.
    pub fn hello(&mut self, name: &str, tls: Option<(String, String)>) {
        self.client.hello(name);
        self.greeting = Greeting { hello: name.into(), tls };
        self.spf = None;
    }

    /// MAIL.
    ///
    /// # Errors
    /// The reply to it.
    pub async fn mail(&mut self, id: DeliveryId, mail: &Mail) -> Result<(), Reply> {
        self.client.mail(&mail.reverse_path)?;
        self.spf = None;
        if let Some(authenticator) = self.filter.authenticator.clone().filter(|_| !self.client.is_trusted()) {
            let (ip, hello, path) = (self.peer.ip, self.greeting.hello.clone(), mail.reverse_path.clone());
            self.spf = Some(Pending::start(async move {
                authenticator.spf(&Sender { ip, hello: &hello, reverse_path: &path }).await
            }));
        }
        match &mut self.session {
            Some(session) => {
                let name = if session.wants_name() { self.client.reverse_name().await } else { None };
                session.mail(name, &self.greeting, id, mail).await
            }
            None => Ok(()),
        }
    }

    /// RCPT, before the directory is asked.
    ///
    /// # Errors
    /// The reply to it.
    pub fn count_recipient(&self) -> Result<(), Reply> {
        self.client.count_recipient()
    }

    /// RCPT of a recipient of ours.
    ///
    /// # Errors
    /// The reply to it.
    pub async fn recipient(&mut self, mail: &Mail, recipient: &Recipient) -> Result<(), Reply> {
        self.client.recipient(&mail.reverse_path, recipient).await?;
        match &mut self.session {
            Some(session) => session.recipient(recipient).await,
            None => Ok(()),
        }
    }

    /// The text is complete: judges it, and gives it back with the header lines that it gets and without those it may not have.
    ///
    /// # Errors
    /// When the message's file cannot be read, or a new one not be written.
    pub async fn content(&mut self, message: &Message<'_>, content: Content) -> io::Result<Judged> {
        let refused = |content, reply, outcome| {
            Ok(Judged {
                action: Action::Refuse(reply),
                content,
                envelope: EnvelopeChanges::default(),
                outcome,
            })
        };
        if let Err(reply) = self.client.octets(content.len()) {
            return refused(content, reply, "rate");
        }
        let Some(mut draft) = Draft::read(&content, self.filter.header_size).await? else {
            return refused(content, HEADER_TOO_LONG, "header");
        };
        let trusted = self.client.is_trusted();
        let authenticator = self.filter.authenticator.as_ref().filter(|_| !trusted);
        draft.remove(|field| {
            is_ours(field)
                || authenticator.is_some_and(|authenticator| {
                    field.is(b"Authentication-Results") && authenticator.is_foreign(field.as_bytes())
                })
        });
        let authenticity = async {
            let authenticator = authenticator?;
            let sender = Sender {
                ip: self.peer.ip,
                hello: &self.greeting.hello,
                reverse_path: &message.mail.reverse_path,
            };
            let spf = match &mut self.spf {
                Some(spf) => spf.wait().await.cloned(),
                None => None,
            };
            // A check that was lost is no reason to let DKIM and DMARC pass unasked.
            let spf = spf.unwrap_or_else(|| unknown_spf(&sender));
            let verdict = authenticator.message(message.id, &sender, &spf, &content).await;
            Some((authenticator.action(&verdict, message.domains), verdict))
        };
        let scanned = async {
            match &mut self.session {
                Some(session) => session.content(message.id, message.user, &content, &mut draft).await,
                None => content::Verdict { outcome: "clean", ..content::Verdict::default() },
            }
        };
        let (authenticity, scanned) = tokio::join!(authenticity, scanned);

        let mut top = String::new();
        let mut marks: Vec<&str> = self.client.marks().iter().map(String::as_str).collect();
        let mut judged =
            Judged { action: scanned.action, content, envelope: scanned.envelope, outcome: scanned.outcome };
        if let Some((action, verdict)) = &authenticity {
            top.push_str(&verdict.results);
            let outcome = judged.take(action, &mut marks);
            self.filter.metrics.check("authentication", outcome);
            self.filter.metrics.authentication(verdict);
            // A message that is put off, by whom ever, comes again and is counted then.
            let put_off = matches!(&judged.action, Action::Refuse(reply) if reply.is_temporary());
            if let Some(reports) = self.filter.reports.as_ref().filter(|_| !put_off) {
                reports.note(verdict, self.peer.ip, action);
            }
            tracing::info!(
                delivery = %message.id, peer = %self.peer.ip, spf = verdict.spf.result().as_str(),
                dmarc = verdict.dmarc.result.as_str(), author = verdict.dmarc.author, outcome, "authentication"
            );
        }
        if matches!(judged.action, Action::Refuse(_) | Action::Drop) {
            return Ok(judged);
        }
        top.push_str(&scanned.headers);
        if !marks.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(top, "X-Chasqui-Marks: {}\r\n", marks.join(",\r\n\t"));
        }
        let Judged { content, .. } = judged;
        let content = draft.finish(content, top.as_bytes(), message.memory, message.folder).await?;
        Ok(Judged { content, ..judged })
    }

    /// The transaction ends without a message.
    pub async fn reset(&mut self) {
        if let Some(session) = &mut self.session {
            session.reset().await;
        }
    }

    /// The connection has ended.
    pub async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

impl Judged {
    /// Takes over what authentication demands, where that is worse than what the filters said; its name for metrics.
    fn take(&mut self, action: &Authenticity, marks: &mut Vec<&str>) -> &'static str {
        let (worse, outcome) = match action {
            Authenticity::Accept => return "accepted",
            Authenticity::Mark => {
                marks.push("authentication");
                return "marked";
            }
            Authenticity::Quarantine => {
                marks.push("authentication");
                (Action::Junk, "quarantined")
            }
            Authenticity::Reject(reply) => (Action::Refuse(reply.clone()), "rejected"),
            Authenticity::Defer(reply) => (Action::Refuse(reply.clone()), "deferred"),
        };
        let takes = match (&self.action, &worse) {
            (Action::Accept, _) => true,
            (Action::Junk, worse) => *worse != Action::Junk,
            (Action::Drop, worse) => matches!(worse, Action::Refuse(_)),
            (Action::Refuse(old), Action::Refuse(new)) => old.is_temporary() && new.is_permanent(),
            (Action::Refuse(_), _) => false,
        };
        if takes {
            self.action = worse;
            self.outcome = "authentication";
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::WhenUnsure;
    use chasqui_base::Span;
    use chasqui_dns::testing::Silence;

    #[tokio::test]
    async fn a_message_whose_spf_check_was_lost_is_authenticated_all_the_same() {
        let silence = Silence::start();
        let dns = chasqui_dns::Config { servers: vec![silence.address()], ..chasqui_dns::Config::default() };
        let resolver = Resolver::new(&dns).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = "From: <ana@sender.test>\r\nSubject: Hola\r\n\r\nHola.\r\n";
        for when_unsure in [WhenUnsure::Defer, WhenUnsure::Accept] {
            let mut config = Config::default();
            config.authentication.when_unsure = when_unsure;
            config.authentication.limits.deadline = Span::millis(300);
            let filter = Filter::open(&config, &resolver, "mx.here.test", &mut Registry::default()).unwrap();
            let (ip, hostname) = ([192, 0, 2, 1].into(), "mx.here.test".into());
            let peer = Peer { ip, port: 0, name: None, hostname };
            let mut screen = filter.connect(peer).unwrap().unwrap();
            screen.hello("client.sender.test", None);
            let mail = Mail::new("ana@sender.test".parse().unwrap());
            let id = DeliveryId::from_bytes([0; 16]);
            screen.mail(id, &mail).await.unwrap();
            screen.spf = Some(Pending::start(async { panic!("as expected") }));
            let message = Message {
                id,
                mail: &mail,
                user: None,
                domains: &["here.test"],
                memory: 10_000,
                folder: folder.path(),
            };
            let judged = screen.content(&message, Content::Memory(text.into())).await.unwrap();
            if when_unsure == WhenUnsure::Defer {
                assert!(matches!(&judged.action, Action::Refuse(reply) if reply.code() == 451));
                continue;
            }
            assert_eq!(judged.action, Action::Accept);
            let Content::Memory(text) = judged.content else { panic!("it is small") };
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("spf=temperror") && text.contains("dmarc=temperror"), "{text}");
        }
    }
}
