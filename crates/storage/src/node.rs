//! What every session of the node shares.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chasqui_base::EmailAddress;
use chasqui_base::tls::{PeerRoles, Role};
use chasqui_directory::{AccountRecord, AccountState, DirectoryClient, Services};
use chasqui_mailstore::{Account, MailError, Quota, Store};

use crate::config::{LimitsConfig, TimeoutsConfig};
use crate::metrics::{Metrics, Outcome};
use crate::over_quota::OverQuota;
use crate::ownership::{Ownership, Refused};
use crate::training::{Training, TrainingConfig};

/// The node: one in a process, shared by every session.
pub struct Node {
    /// The node's name at the directory.
    pub name: String,
    /// The accounts on disk.
    pub store: Store,
    /// The directory servers.
    pub directory: DirectoryClient,
    /// Counters and latencies.
    pub metrics: Metrics,
    pub(crate) ownership: Ownership,
    pub(crate) over_quota: OverQuota,
    /// What takes lessons for a spam filter, if one is to learn.
    pub(crate) training: Option<Arc<Training>>,
    settings: ArcSwap<Settings>,
}

/// What a reload may change. A session takes it once, when it begins.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bounds of a session.
    pub limits: LimitsConfig,
    /// Deadlines of a session.
    pub timeouts: TimeoutsConfig,
}

/// The protocol by which somebody logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP4rev1.
    Imap,
    /// POP3.
    Pop3,
}

/// An account that may be opened.
#[derive(Clone)]
pub struct LogIn {
    /// Its canonical address.
    pub address: EmailAddress,
    /// Its mail.
    pub account: Account,
    /// What it may hold, as the directory said at log-in.
    pub quota: Quota,
}

/// Why a log-in is refused. The texts are fit for the peer, which is one of our own proxies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogInError {
    /// The certificate does not grant what opens mailboxes (IMAP AUTHORIZATIONFAILED, POP3 `[AUTH]`).
    #[error("this certificate may not open mailboxes")]
    NotAllowed,
    /// The name is no account (AUTHORIZATIONFAILED, `[AUTH]`).
    #[error("no such account")]
    Unknown,
    /// Another node owns the account; the proxy must ask the directory again (UNAVAILABLE, `[SYS/TEMP]`).
    #[error("the mailbox is at {0}")]
    NotOwner(String),
    /// The account's state or services forbid it (AUTHORIZATIONFAILED, `[AUTH]`).
    #[error("the account may not log in here")]
    Disabled,
    /// No directory server answered (UNAVAILABLE, `[SYS/TEMP]`).
    #[error("no directory server answers")]
    NoDirectory,
}

impl Node {
    pub(crate) fn new(
        name: String,
        store: Store,
        directory: DirectoryClient,
        metrics: Metrics,
        settings: Settings,
        training: &TrainingConfig,
    ) -> Arc<Self> {
        Arc::new(Self {
            training: Training::new(training, &metrics).map(Arc::new),
            ownership: Ownership::default(),
            over_quota: OverQuota::default(),
            settings: ArcSwap::from_pointee(settings),
            name,
            store,
            directory,
            metrics,
        })
    }

    /// The settings in force now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    pub(crate) fn change_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// The one way to log in (S9): the peer must be what opens mailboxes, the directory must know the account, this node must
    /// own it, and the account must be allowed the protocol. `authorize` is the authorization identity of SASL EXTERNAL.
    ///
    /// # Errors
    /// [`LogInError`]; it has been counted and logged.
    pub async fn log_in(
        &self,
        roles: PeerRoles,
        authorize: &str,
        protocol: Protocol,
    ) -> Result<LogIn, LogInError> {
        let result = self.authorize(roles, authorize, protocol).await;
        self.metrics.log_in(protocol, Outcome::of(&result));
        match result {
            Ok(record) => {
                tracing::debug!(account = %record.account, protocol = protocol.as_str(), "logged in");
                let quota = quota_of(&record);
                Ok(LogIn { account: self.store.account(&record.account), address: record.account, quota })
            }
            Err(error) => {
                tracing::info!(account = authorize, protocol = protocol.as_str(), %error, "log-in refused");
                Err(error)
            }
        }
    }

    /// Call after a message was refused by [`MailError::OverQuota`]: the node measures the account and tells the directory for
    /// as long as it is full, so that exchangers refuse further mail at RCPT.
    pub fn note_refusal(&self, account: &EmailAddress, error: &MailError) {
        if matches!(error, MailError::OverQuota) {
            self.over_quota.suspect(account, self.settings().limits.over_quota);
        }
    }

    async fn authorize(
        &self,
        roles: PeerRoles,
        authorize: &str,
        protocol: Protocol,
    ) -> Result<AccountRecord, LogInError> {
        if ![Role::Proxy, Role::Webmail, Role::Admin].into_iter().any(|role| roles.has(role)) {
            return Err(LogInError::NotAllowed);
        }
        let address = EmailAddress::parse(authorize).map_err(|_| LogInError::Unknown)?;
        let record = self.ownership.ask(self, &address).await.map_err(|refused| match refused {
            Refused::Unknown => LogInError::Unknown,
            Refused::NotOwner(node) => LogInError::NotOwner(node),
            Refused::NoDirectory => LogInError::NoDirectory,
        })?;
        // The name is an account's own address here, never an alias of it: the proxy has it from the directory.
        if record.account != address {
            return Err(LogInError::Unknown);
        }
        if record.state != AccountState::Active || !record.services.contains(protocol.service()) {
            return Err(LogInError::Disabled);
        }
        Ok(record)
    }
}

impl Protocol {
    /// The name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }

    fn service(self) -> Services {
        match self {
            Self::Imap => Services::IMAP,
            Self::Pop3 => Services::POP3,
        }
    }
}

/// The store's form of the quota in a directory record.
pub(crate) fn quota_of(record: &AccountRecord) -> Quota {
    Quota { bytes: record.quota, messages: None }
}
