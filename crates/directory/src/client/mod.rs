//! The client that every role asks the directory with.
//!
//! One task (`driver`) owns the sockets and everything that is in flight; askers hand it their question and wait for the answer. Look-ups
//! that are handed over at the same time travel in one datagram. There is no timer for a question: the driver looks over all that
//! is open every few milliseconds.
//!
//! The rules (S5b): the primary is asked; what it did not answer within `hedge` is asked of the secondary too, and then of each server
//! in turn at doubling intervals, until `give_up`. A server that left several look-ups unanswered, or whose host says that
//! nobody listens, is asked last for a while, and probed. A single server is asked again itself, so that one lost datagram costs 20 ms.

mod driver;
mod flight;
mod metrics;
mod servers;
mod tcp;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use chasqui_base::address::EmailAddress;
use chasqui_base::secret::Secret;
use chasqui_base::service::StartError;
use chasqui_base::tls::RoleTls;
use chasqui_sasl::scram::{ITERATIONS, Proof, Signature};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

use crate::config::ClientConfig;
use crate::keys::{KeyFile, KeyRing};
use crate::record::{LookUp, ScramSalt, Verdict};
use crate::wire::answers::Reply;
use driver::Driver;
use metrics::Metrics;
use servers::Servers;

/// A role's connection to the directory servers. Clones share it; when the last one is dropped, it ends.
#[derive(Clone)]
pub struct DirectoryClient {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

/// No directory server answered in time, or none could: the caller answers with a temporary failure (451 4.4.3, `UNAVAILABLE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no directory server answered")]
pub struct DirectoryUnavailable;

/// What askers and the driver share.
struct Shared {
    config: ClientConfig,
    keys: ArcSwap<KeyRing>,
    tls: Option<RoleTls>,
    metrics: Metrics,
}

/// A question on its way, and who waits for the answer.
struct Job {
    ask: Ask,
    begun: Instant,
    /// Bit `n`: server `n` said that it cannot answer.
    refused: u8,
    asker: oneshot::Sender<Result<Reply, DirectoryUnavailable>>,
}

enum Ask {
    LookUp(EmailAddress),
    Verify(EmailAddress, Secret),
    /// Nobody waits for an answer.
    OverQuota(EmailAddress, bool),
    ScramBegin(EmailAddress),
    ScramFinish(EmailAddress, Box<(String, Proof)>),
    MaySendAs(EmailAddress, EmailAddress),
}

impl DirectoryClient {
    /// Opens the sockets and reads the keys. Servers need not answer yet. `tls` is this role's identity for answers that fit in no
    /// datagram; without it those are asked for over plain TCP, on loopback only.
    pub async fn connect(config: &ClientConfig, tls: Option<RoleTls>) -> Result<Self, StartError> {
        Self::connect_to(config, tls, Servers::open(config).await?)
    }

    fn connect_to(config: &ClientConfig, tls: Option<RoleTls>, servers: Servers) -> Result<Self, StartError> {
        let keys = KeyFile::load(&config.keys)?;
        let shared = Shared {
            config: config.clone(),
            keys: ArcSwap::from_pointee(keys),
            tls,
            metrics: Metrics::default(),
        };
        let shared = Arc::new(shared);
        let (jobs, arriving) = mpsc::channel(config.in_flight.max(1));
        let driver = Driver::new(shared.clone(), servers, arriving);
        let driver = driver.map_err(|error| {
            StartError::value("directory", format!("the system gives no randomness: {error}"))
        })?;
        tokio::spawn(driver.run());
        Ok(Self { jobs, shared })
    }

    /// Adds the client's metrics (prefix `chasqui_directory_client`).
    pub fn register(&self, registry: &mut Registry) {
        self.shared.metrics.register(registry);
    }

    /// Takes over new keys from the key file, for a role that reloads.
    pub async fn reload(&self) -> Result<(), StartError> {
        self.shared.keys.store(Arc::new(KeyFile::load(&self.shared.config.keys)?));
        Ok(())
    }

    /// Who receives mail for this address?
    pub async fn look_up(&self, recipient: &EmailAddress) -> Result<LookUp, DirectoryUnavailable> {
        match self.ask(Ask::LookUp(recipient.clone())).await {
            Ok(Reply::LookUp(answer)) => Ok(answer),
            _ => Err(DirectoryUnavailable),
        }
    }

    /// May this log-in name with this password log in? The name is an account's address, in any writing of it; aliases do not log in.
    pub async fn verify(&self, login: &str, password: &Secret) -> Result<Verdict, DirectoryUnavailable> {
        // What is no address is nobody's, and saying so tells nothing about who exists.
        let Ok(account) = EmailAddress::parse(login) else { return Ok(Verdict::No) };
        match self.ask(Ask::Verify(account, password.clone())).await {
            Ok(Reply::Verdict(verdict)) => Ok(verdict),
            _ => Err(DirectoryUnavailable),
        }
    }

    /// The salt and iterations with which this log-in name proves its password (SCRAM). A name that nobody has gets some that are always the
    /// same, as does an account whose password was set before there was SCRAM: no proof fits them.
    pub async fn scram_begin(&self, login: &str) -> Result<ScramSalt, DirectoryUnavailable> {
        let Ok(account) = EmailAddress::parse(login) else {
            // What is no address is nobody's, and everybody can see that.
            let hash = blake3::hash(login.as_bytes());
            let salt = hash.as_bytes().iter().copied().take(16).collect();
            return Ok(ScramSalt { salt, iterations: ITERATIONS });
        };
        match self.ask(Ask::ScramBegin(account)).await {
            Ok(Reply::ScramSalt(salt)) => Ok(salt),
            _ => Err(DirectoryUnavailable),
        }
    }

    /// Whether this proof of the password is right and the account may log in, and then the server's signature, which is owed to the client
    /// (RFC 5802 §3).
    pub async fn scram_finish(
        &self,
        login: &str,
        auth_message: &str,
        proof: &Proof,
    ) -> Result<(Verdict, Option<Signature>), DirectoryUnavailable> {
        let Ok(account) = EmailAddress::parse(login) else { return Ok((Verdict::No, None)) };
        match self.ask(Ask::ScramFinish(account, Box::new((auth_message.to_owned(), *proof)))).await {
            Ok(Reply::Proved(record, signature)) => Ok((Verdict::Yes(record), Some(signature))),
            Ok(Reply::Verdict(verdict @ (Verdict::No | Verdict::Disabled))) => Ok((verdict, None)),
            _ => Err(DirectoryUnavailable),
        }
    }

    /// Whether an account may send mail as `sender`: its own address, with a tag or without; an alias that leads to it alone;
    /// an address that the operator has delegated to it.
    pub async fn may_send_as(
        &self,
        account: &EmailAddress,
        sender: &EmailAddress,
    ) -> Result<bool, DirectoryUnavailable> {
        match self.ask(Ask::MaySendAs(account.clone(), sender.clone())).await {
            Ok(Reply::Permitted(yes)) => Ok(yes),
            _ => Err(DirectoryUnavailable),
        }
    }

    /// Tells every directory server that an account's quota is used up, or no longer is. Not waited for and not repeated: the
    /// servers forget it after 60 s, so the owner repeats it every 15 s while it lasts.
    pub fn report_over_quota(&self, account: &EmailAddress, over: bool) {
        let (asker, _) = oneshot::channel();
        let job =
            Job { ask: Ask::OverQuota(account.clone(), over), begun: Instant::now(), refused: 0, asker };
        if self.jobs.try_send(job).is_err() {
            tracing::debug!(%account, "too busy to report a quota");
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, DirectoryUnavailable> {
        let (asker, answer) = oneshot::channel();
        let job = Job { ask, begun: Instant::now(), refused: 0, asker };
        if let Err(full) = self.jobs.try_send(job) {
            let sending = self.jobs.send(full.into_inner());
            // Only a full queue needs a timer; after that the driver keeps the time.
            let sent = tokio::time::timeout(self.shared.config.give_up.get(), sending).await;
            sent.map_err(|_| DirectoryUnavailable)?.map_err(|_| DirectoryUnavailable)?;
        }
        let answer = answer.await.unwrap_or(Err(DirectoryUnavailable));
        if answer.is_err() {
            self.shared.metrics.unavailable.inc();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use chasqui_base::service::{Lifecycle, RoleService};

    use super::*;
    use crate::admin::Database;
    use crate::{Config, DirectoryService};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_whose_clock_is_off_learns_the_servers() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        KeyFile::create(&keys).unwrap();
        let mut config =
            Config { listen: "127.0.0.1:0".parse().unwrap(), keys: keys.clone(), ..Config::default() };
        config.database.path = dir.path().join("directory.sqlite");
        Database::open(&config.database.path).await.unwrap().close().await;
        let service = DirectoryService::bind(config, &mut Registry::default()).await.unwrap();
        let run = Lifecycle::new();
        service.start(&run);
        let servers = vec![service.endpoints()[0].1.parse().unwrap()];
        let config = ClientConfig { servers, keys, ..ClientConfig::default() };
        for ahead in [-3_600_000, 3_600_000] {
            let mut servers = Servers::open(&config).await.unwrap();
            servers.all[0].clock_ahead = ahead;
            let client = DirectoryClient::connect_to(&config, None, servers).unwrap();
            for _ in 0..3 {
                let answer = client.look_up(&"ana@theirs.test".parse().unwrap()).await;
                assert_eq!(answer, Ok(LookUp::NotOurs), "{ahead} ms ahead");
            }
        }
        run.drain(std::time::Duration::from_secs(5)).await;
        service.close().await;
    }
}
