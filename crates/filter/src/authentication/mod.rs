//! Whether a message is from whom it says: SPF, DKIM, DMARC and ARC, and what follows.
//!
//! [`Authenticator::spf`] runs at MAIL, [`Authenticator::message`] when the text is complete. Both ask only our own resolver, and
//! every outcome of DNS has a result: see [`spf`], [`dkim`], [`dmarc`]. A temporary failure, a bogus (DNSSEC) answer among them,
//! leads to a 451 or to acceptance ([`WhenUnsure`]) where DMARC hangs on it.
//!
//! # Bounds
//!
//! The header is held in memory up to `header_size`; a longer one is refused. The body is never held: it is hashed in pieces,
//! files by a thread for such work. So many signatures, ARC sets, DNS look-ups and seconds, as
//! [`AuthenticationLimits`] says, and no more.
//!
//! # Why not the mail-auth crate
//!
//! It wants the whole message in memory, asks hickory itself, where bogus and failed look alike, knows no limit of void look-ups
//! for SPF and neither `pct` nor the public suffix list for DMARC. Its samples are our tests.

mod arc;
mod author;
mod config;
mod content;
mod dkim;
pub mod dmarc;
mod header;
mod keys;
pub(crate) mod lookup;
mod policy;
#[cfg(test)]
mod random;
mod results;
mod spf;
mod verdict;

pub use config::{AuthenticationConfig, AuthenticationLimits, Policy, WhenUnsure};
pub use verdict::{
    Action, ArcResult, ArcVerdict, AuthorVerdict, DkimResult, DkimVerdict, DmarcResult, DmarcVerdict,
    SpfCheck, SpfResult, SpfVerdict, Verdict,
};

pub(crate) use config::canonical as canonical_domain;
pub(crate) use spf::unknown as unknown_spf;

use self::{
    dkim::{
        Candidate,
        canonical::{BodyHasher, Form},
    },
    header::Header,
    keys::Keys,
    policy::Rules,
};
use chasqui_base::{DeliveryId, StartError};
use chasqui_courier::{Content, blocking};
use chasqui_dns::Resolver;
use chasqui_smtp::{Reply, ReversePath};
use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Octets of a header up to which signatures are computed on the runtime's own threads.
const INLINE: usize = 32 * 1024;

/// Who sends a message.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// Its name in HELO or EHLO.
    pub hello: &'a str,
    /// The reverse path in MAIL.
    pub reverse_path: &'a ReversePath,
}

/// Finds out whether messages are from whom they say. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    config: AuthenticationConfig,
    rules: Rules,
    resolver: Resolver,
    hostname: String,
    authserv_id: String,
    /// Canonical.
    trusted_sealers: Vec<String>,
}

impl Authenticator {
    /// `hostname` is this exchanger's.
    ///
    /// # Errors
    /// When the configuration cannot be used: see [`AuthenticationConfig::check`].
    pub fn new(
        config: &AuthenticationConfig,
        resolver: Resolver,
        hostname: &str,
    ) -> Result<Self, StartError> {
        config.check("authentication")?;
        Ok(Self(Arc::new(Inner {
            rules: Rules::new(config),
            resolver,
            hostname: hostname.to_owned(),
            authserv_id: config.authserv_id.clone().unwrap_or_else(|| hostname.to_owned()),
            trusted_sealers: config
                .trusted_sealers
                .iter()
                .filter_map(|name| config::canonical(name))
                .collect(),
            config: config.clone(),
        })))
    }

    /// The name in `Authentication-Results`.
    #[must_use]
    pub fn authserv_id(&self) -> &str {
        &self.0.authserv_id
    }

    /// Whether the client may use the names it gives (RFC 7208). To be run at MAIL, beside the recipients' checks.
    pub async fn spf(&self, sender: &Sender<'_>) -> SpfVerdict {
        if !self.0.config.enabled {
            let none =
                SpfCheck { result: SpfResult::None, domain: String::new(), explanation: None, reason: None };
            return SpfVerdict { hello: none, mail_from: None };
        }
        spf::check(&self.0.resolver, &self.0.config.limits, &self.0.hostname, sender).await
    }

    /// What DKIM, DMARC and ARC say of a message as it came, before anything is added to it or stripped.
    /// `id` is its name in the log.
    pub async fn message(
        &self,
        id: DeliveryId,
        sender: &Sender<'_>,
        spf: &SpfVerdict,
        content: &Content,
    ) -> Verdict {
        self.message_at(id, sender, spf, content, SystemTime::now()).await
    }

    /// The same as of another time: signatures expire.
    pub async fn message_at(
        &self,
        id: DeliveryId,
        sender: &Sender<'_>,
        spf: &SpfVerdict,
        content: &Content,
        now: SystemTime,
    ) -> Verdict {
        let mut verdict = self.blank(spf);
        if !self.0.config.enabled {
            verdict.results = results::write_none(&self.0.authserv_id);
            return verdict;
        }
        let examined = self.examine(&mut verdict, content, now).await;
        verdict.action = self.0.rules.action(&verdict, std::iter::empty());
        if let Err(error) = examined {
            tracing::error!(delivery = %id, %error, "a received message cannot be read");
            verdict.unread = true;
            verdict.action =
                Action::Defer(Reply::fixed(451, (4, 3, 0), "The message cannot be read here now"));
        }
        verdict.results = results::write(&results::Facts {
            authserv_id: &self.0.authserv_id,
            ip: sender.ip,
            hello: sender.hello,
            reverse_path: sender.reverse_path,
            spf: &verdict.spf,
            dkim: &verdict.dkim,
            dmarc: &verdict.dmarc,
            arc: &verdict.arc,
        });
        verdict
    }

    /// What follows from a verdict for recipients in these domains of ours: as far as the mildest of their policies goes, since
    /// one reply answers for all. With one domain, what follows for it.
    #[must_use]
    pub fn action(&self, verdict: &Verdict, recipient_domains: &[&str]) -> Action {
        if !self.0.config.enabled || verdict.unread {
            return verdict.action.clone();
        }
        self.0.rules.action(verdict, recipient_domains.iter().copied())
    }

    /// Whether a header field, whole, is an `Authentication-Results` that has to be removed from a message that comes in: one that
    /// claims to be ours (RFC 8601 §5), or any if so configured. To be removed after [`message`](Self::message): it may be signed.
    #[must_use]
    pub fn is_foreign(&self, field: &[u8]) -> bool {
        results::is_foreign(field, &self.0.authserv_id, self.0.config.remove_all_results)
    }

    fn blank(&self, spf: &SpfVerdict) -> Verdict {
        Verdict {
            spf: spf.clone(),
            dkim: Vec::new(),
            authors: Vec::new(),
            dmarc: dmarc::unchecked(DmarcResult::None, None),
            arc: arc::unchecked(ArcResult::None, None),
            action: Action::Accept,
            results: String::new(),
            header_too_long: false,
            unread: false,
        }
    }

    async fn examine(&self, verdict: &mut Verdict, content: &Content, now: SystemTime) -> io::Result<()> {
        let Inner { config, resolver, .. } = &*self.0;
        let limits = &config.limits;
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let Some((text, body)) = content::header(content, limits.header_size.as_usize()).await? else {
            const REASON: Option<&str> = Some("header too long");
            verdict.header_too_long = true;
            verdict.dmarc = dmarc::unchecked(DmarcResult::PermError, REASON);
            verdict.arc = arc::unchecked(ArcResult::Fail, REASON);
            return Ok(());
        };
        let inline = text.len() <= INLINE;
        let header = Arc::new(Header::new(text));
        let authors = author::domains(&header);
        let preferred = |domain: &str| {
            let organization = dmarc::organizational(domain);
            authors.iter().flatten().any(|author| dmarc::organizational(author) == organization)
        };
        let candidates = dkim::candidates(&header, limits.signatures, preferred);
        let chain = arc::Chain::read(&header, limits.arc_sets);

        let signatures = || candidates.iter().filter_map(|candidate| candidate.as_ref().ok());
        let found_chain = chain.as_ref().ok().and_then(Option::as_ref);
        let wants = |form| {
            signatures().any(|signature| signature.body_form == form)
                || found_chain.is_some_and(|chain| chain.newest().body_form == form)
        };
        let hasher = BodyHasher::new(wants(Form::Simple), wants(Form::Relaxed));
        let key_names: Vec<String> = signatures()
            .map(dkim::signature::Signature::key_name)
            .chain(found_chain.into_iter().flat_map(arc::Chain::key_names))
            .collect();
        let deadline = limits.deadline.get();
        let (hashes, keys, policies) = tokio::join!(
            content::hash_body(content, body, hasher),
            Keys::fetch(resolver, key_names, deadline),
            dmarc::discover(resolver, authors.as_deref().unwrap_or_default(), deadline),
        );
        let hashes = hashes?;

        let shared = Arc::clone(&header);
        let compute = move || {
            let dkim = candidates
                .into_iter()
                .map(|candidate: Candidate| match candidate {
                    Ok(signature) => dkim::verify(&signature, &shared, &hashes, &keys, now),
                    Err(verdict) => verdict,
                })
                .collect();
            let arc = match &chain {
                Ok(None) => arc::unchecked(ArcResult::None, None),
                Ok(Some(chain)) => chain.verify(&shared, &hashes, &keys, now),
                Err(reason) => arc::unchecked(ArcResult::Fail, Some(*reason)),
            };
            Ok((dkim, arc, chain))
        };
        let chain;
        (verdict.dkim, verdict.arc, chain) = if inline { compute()? } else { blocking(compute).await? };

        let chain = chain.ok().flatten();
        let trusted = |domain: &str| self.0.trusted_sealers.iter().any(|sealer| sealer == domain);
        let weighed = |dmarc: DmarcVerdict| {
            let vouches = !dmarc.author.is_empty()
                && chain.as_ref().is_some_and(|chain| chain.vouches(&header, &dmarc.author, trusted));
            AuthorVerdict {
                dmarc,
                vouched: vouches && verdict.arc.result == ArcResult::Pass,
                would_vouch: vouches && verdict.arc.result == ArcResult::TempError,
            }
        };
        verdict.authors = match &authors {
            Err(reason) => vec![weighed(dmarc::unchecked(DmarcResult::PermError, Some(*reason)))],
            Ok(_) => {
                let draw = draw(&header);
                let judged = policies.iter().map(|policy| policy.judge(&verdict.spf, &verdict.dkim, draw));
                judged.map(weighed).collect()
            }
        };
        if let Some(AuthorVerdict { dmarc, vouched, would_vouch }) = dmarc::worst(&verdict.authors) {
            verdict.dmarc = dmarc.clone();
            (verdict.arc.vouched, verdict.arc.would_vouch) = (*vouched, *would_vouch);
        }
        Ok(())
    }
}

/// From 0 to 99, the same for the same message, so that trying again is no way around `pct`.
fn draw(header: &Header) -> u8 {
    let mut hash = blake3::Hasher::new();
    for name in ["From", "Date", "Message-ID"] {
        for field in header.named(name) {
            hash.update(header.raw(field));
        }
    }
    let bytes = hash.finalize();
    let number = bytes.as_bytes().iter().take(4).fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    (number % 100) as u8
}
