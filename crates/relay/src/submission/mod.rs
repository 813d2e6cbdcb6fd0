//! Submission (RFC 6409): mail from users, over TLS and with a password, into the queue; and what it shares with [`crate::inside`].
//!
//! ```text
//! client ──▶ TLS ──▶ AUTH ──▶ MAIL: is the address theirs? have they sent too much?
//!                             RCPT: is a local one known? have they sent to too many?
//!                             header: are its addresses theirs? completed, signed ──▶ queue ──▶ 250
//! ```
//!
//! - `session`: one connection, from greeting to end. It runs a transaction from first to last in its own task.
//! - `log_in`: AUTH. `user`: what a user may say. `header`, `addresses`: what a header must be and becomes.
//! - `intake`: the text while it comes in. `transaction`: all else of a message.
//! - `rates`: how much each user and domain has sent.
//!
//! Nothing is relayed for who has not authenticated: the wire refuses MAIL before AUTH, and a session without an account knows no recipient.
//! 250 goes out only after [`Accept::enqueue`] has returned, and so with the message on disk.

mod addresses;
pub(crate) mod header;
pub(crate) mod intake;
mod log_in;
mod metrics;
mod rates;
pub(crate) mod session;
#[cfg(test)]
pub(crate) mod tests;
mod trace;
pub(crate) mod transaction;
mod user;
mod users;

pub use users::{Answer, Users};

use crate::{
    config::Config,
    inside,
    message::Envelope,
    queue::{EnqueueError, Queue},
    sign::Signer,
};
use arc_swap::ArcSwap;
use chasqui_base::{
    Lifecycle, Span, StartError,
    net::{AcceptLimits, Peer, Stream},
    tls::{PublicTls, RoleTls},
};
use chasqui_courier::Content;
use chasqui_sasl::guessing::Guessing;
use chasqui_smtp::{BareOctets, Profile, Protocol};
use metrics::Metrics;
use prometheus_client::registry::Registry;
use rates::Book;
use session::{Door, Session};
use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// What one connection more than the limit is told.
pub const REFUSAL: &[u8] = b"421 4.7.0 Too many connections\r\n";

/// Where complete messages go: the queue; a list in tests.
pub trait Accept: Send + Sync + 'static {
    /// Takes a message. When this has returned without an error it is on disk. One whose id is here already is taken once.
    fn enqueue(
        &self,
        envelope: Envelope,
        content: Arc<Content>,
    ) -> Pin<Box<dyn Future<Output = Result<(), EnqueueError>> + Send + '_>>;

    /// Whether a message of this size would be taken now, so that nobody sends one in vain.
    fn check_room(&self, size: u64) -> Result<(), EnqueueError>;

    /// Where big messages stay while they come in. On the queue's file system, emptied at the start.
    fn folder(&self) -> PathBuf;
}

impl Accept for Queue {
    fn enqueue(
        &self,
        envelope: Envelope,
        content: Arc<Content>,
    ) -> Pin<Box<dyn Future<Output = Result<(), EnqueueError>> + Send + '_>> {
        Box::pin(async move { Self::enqueue(self, envelope, &content).await })
    }

    fn check_room(&self, size: u64) -> Result<(), EnqueueError> {
        Self::check_room(self, size)
    }

    fn folder(&self) -> PathBuf {
        self.tmp()
    }
}

/// What all sessions share.
pub struct Shared {
    pub(crate) policy: ArcSwap<Policy>,
    pub(crate) tls: Option<PublicTls>,
    pub(crate) role_tls: Option<RoleTls>,
    pub(crate) users: Arc<dyn Users>,
    pub(crate) queue: Arc<dyn Accept>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) book: Arc<Book>,
    pub(crate) guessing: Guessing,
    pub(crate) metrics: Metrics,
    usage: PathBuf,
}

/// What a reload replaces. A session keeps the one that it began with.
pub(crate) struct Policy {
    pub config: Config,
    pub users: Arc<Profile>,
    pub roles: Arc<Profile>,
}

/// What the sessions are given.
pub struct Parts {
    /// The directory.
    pub users: Arc<dyn Users>,
    /// The queue.
    pub queue: Arc<dyn Accept>,
    /// The certificate for users.
    pub tls: Option<PublicTls>,
    /// The certificate towards roles.
    pub role_tls: Option<RoleTls>,
    /// The keys of signatures; the queue's own notices are signed with the same.
    pub signer: Arc<Signer>,
    /// The file in which it is kept how much users have sent.
    pub usage: PathBuf,
}

impl Shared {
    /// Reads what users have sent, and registers the metrics.
    ///
    /// # Errors
    /// Values that cannot be used, by their key.
    pub fn open(config: &Config, parts: Parts, registry: &mut Registry) -> Result<Self, StartError> {
        let policy = Policy::new(config.clone())?;
        let book = Book::new(config.senders.rates.clone());
        // Who cannot read it starts with an empty book: mail is worth more than what was counted.
        if let Err(error) = book.load(&parts.usage) {
            tracing::warn!(path = %parts.usage.display(), %error, "cannot read what users have sent");
        }
        Ok(Self {
            policy: ArcSwap::from_pointee(policy),
            tls: parts.tls,
            role_tls: parts.role_tls,
            users: parts.users,
            queue: parts.queue,
            signer: parts.signer,
            book: Arc::new(book),
            guessing: Guessing::new(config.senders.guessing.clone(), Instant::now()),
            metrics: Metrics::register(registry),
            usage: parts.usage,
        })
    }

    /// Takes over limits, rates, mechanisms and the hostname; sessions that are open keep theirs. The certificates and the signer are
    /// their owner's to reload.
    ///
    /// # Errors
    /// Values that cannot be used, by their key. Then everything stays.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let policy = Policy::new(config.clone())?;
        self.book.set_rates(config.senders.rates.clone());
        self.guessing.reconfigure(config.senders.guessing.clone());
        self.policy.store(Arc::new(policy));
        Ok(())
    }

    /// Keeps what users have sent in its file, until the relay ends.
    pub async fn work(self: Arc<Self>, run: Lifecycle) {
        Arc::clone(&self.book).work(self.usage.clone(), run).await;
    }
}

/// The limits of the gate in front of users.
#[must_use]
pub fn accept_limits(config: &Config) -> AcceptLimits {
    let limits = &config.senders.limits;
    AcceptLimits { connections: limits.connections, per_address: limits.connections_per_address }
}

/// Serves a user's connection to its end. With `implicit_tls` the handshake comes first (RFC 8314).
pub async fn run(stream: Stream, peer: Peer, shared: Arc<Shared>, implicit_tls: bool, run: Lifecycle) {
    let _open = shared.metrics.session(Door::User.name());
    let policy = shared.policy.load_full();
    let session = Session::new(stream, peer, shared, Arc::clone(&policy.users), policy, Door::User);
    session.run(implicit_tls, &run).await;
}

impl Policy {
    fn new(config: Config) -> Result<Self, StartError> {
        config.senders.check()?;
        let senders = &config.senders;
        let limits = &senders.limits;
        let wire = chasqui_smtp::Limits {
            line_length: limits.line_length,
            text_line_length: limits.text_line_length,
            message_size: limits.message_size.as_u64(),
            recipients: limits.recipients,
            messages: limits.messages,
            errors: limits.errors,
            auth_failures: limits.auth_failures,
            unknown_commands: limits.unknown_commands,
            idle_commands: limits.idle_commands,
        };
        let common = Profile {
            dsn: true,
            binary_mime: true,
            require_tls: true,
            priority: true,
            ..Profile::new(Protocol::Smtp, config.hostname.as_str())
        };
        let users = Profile {
            limits: wire.clone(),
            starttls: config.public_tls.is_some(),
            auth: senders.mechanisms.iter().map(|mechanism| mechanism.name()).collect(),
            auth_required: true,
            future_release: Some(senders.longest_hold).filter(|hold| *hold != Span::default()),
            ..common.clone()
        };
        let roles = Profile {
            limits: inside::limits(wire),
            delivery_id: true,
            queued: true,
            future_release: Some(inside::LONGEST_HOLD),
            // What a relay took over is handed on as it is: refusing it here would only make a bounce.
            bare_octets: BareOctets::Accept,
            ..common
        };
        Ok(Self { users: Arc::new(users), roles: Arc::new(roles), config })
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}
