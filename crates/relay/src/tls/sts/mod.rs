//! MTA-STS (RFC 8461): a domain says by DNS that it has a policy, and by HTTPS which; it is kept, on disk too, for as long as it says.
//!
//! A policy that is kept holds while nobody can be asked: whoever stands between us and the domain must not be able to make it go
//! away (§3.1). Per domain one look at a time: others wait for it, and find what it found.

mod fetch;
mod policy;
mod store;

pub use policy::{Mode, Policy, PolicyError, announced};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chasqui_base::{Lifecycle, StartError};
use chasqui_dns::{DnsError, Resolver};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use self::store::{Store, Stored};
use super::config::TlsConfig;
use super::metrics::Metrics;
use super::requirement::Failure;
use super::web::Web;

/// Policies fetched at once.
const FETCHES: usize = 32;
/// How often policies are looked through for those to refresh.
const ROUND: Duration = Duration::from_secs(600);
/// A policy is fetched again after this time even if its `max_age` is longer (RFC 8461 §3.3), or after half of it if that is shorter.
const REFRESH: Duration = Duration::from_secs(86_400);

/// What is known of all domains' policies.
pub(super) struct Policies {
    resolver: Resolver,
    web: Web,
    store: Store,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    fetches: Semaphore,
    bound: usize,
    again: Duration,
    max_age: Duration,
    metrics: Metrics,
}

/// What is known of one domain's policy.
#[derive(Default)]
struct Slot(AsyncMutex<State>);

#[derive(Default)]
struct State {
    stored: Option<Arc<Stored>>,
    /// The last fetch that failed: of which id, when, and why.
    failed: Option<(String, Instant, Failure)>,
    /// When it was last tried to fetch the policy before its time.
    refreshed: Option<Instant>,
}

/// A domain's policy as it applies now, and why there may be none although there should.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) failure: Option<Failure>,
}

impl Policies {
    /// Reads the policies that are kept.
    pub(super) fn open(
        config: &TlsConfig,
        resolver: Resolver,
        web: Web,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let store = Store::open(&config.state.join("sts"))?;
        let mut slots = HashMap::new();
        for stored in store.load(config.policies) {
            let state = State { stored: Some(Arc::new(stored.1)), ..State::default() };
            slots.insert(Arc::from(stored.0), Arc::new(Slot(AsyncMutex::new(state))));
        }
        metrics.policies(slots.len());
        Ok(Self {
            web,
            resolver,
            store,
            slots: Mutex::new(slots),
            fetches: Semaphore::new(FETCHES),
            bound: config.policies,
            again: config.fetch_again.get(),
            max_age: config.policy_max_age.get(),
            metrics,
        })
    }

    /// The domain's policy, fetched if its id is new.
    pub(super) async fn of_domain(&self, domain: &str) -> Found {
        let announced = self.announced(domain).await;
        let slot = match (&announced, self.slot(domain)) {
            (_, Some(slot)) => slot,
            (Ok(Some(_)), None) => self.new_slot(domain).await,
            // Nothing is kept, and nothing announced.
            (_, None) => return Found::default(),
        };
        let mut state = slot.0.lock().await;
        self.drop_expired(domain, &mut state).await;
        let known = state.stored.clone();
        let Ok(Some(id)) = announced else { return Found::of(known) };
        if known.as_ref().is_some_and(|known| known.id == id) {
            return Found::of(known);
        }
        if let Some((failed, at, failure)) = &state.failed
            && *failed == id
            && at.elapsed() < self.again
        {
            return Found { failure: Some(*failure), ..Found::of(known) };
        }
        self.fetch(domain, id, &mut state).await
    }

    /// Keeps policies fresh until the role ends.
    pub(super) async fn keep_fresh(self: Arc<Self>, run: Lifecycle) {
        loop {
            tokio::select! {
                () = run.stopped() => return,
                () = tokio::time::sleep(ROUND) => self.refresh(SystemTime::now(), &run).await,
            }
        }
    }

    /// Looks once at every policy, one after the other.
    pub(super) async fn refresh(&self, now: SystemTime, run: &Lifecycle) {
        let all: Vec<(Arc<str>, Arc<Slot>)> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.iter().map(|(domain, slot)| (Arc::clone(domain), Arc::clone(slot))).collect()
        };
        for (domain, slot) in all {
            if run.stopping() {
                return;
            }
            self.refresh_one(&domain, &slot, now).await;
        }
    }

    /// Fetches a policy again that is past half its time, or a day old, whether or not its id has changed.
    async fn refresh_one(&self, domain: &str, slot: &Slot, now: SystemTime) {
        // One that is being looked at is fresh afterwards.
        let Ok(mut state) = slot.0.try_lock() else { return };
        self.drop_expired(domain, &mut state).await;
        let Some(known) = state.stored.clone() else {
            if state.failed.as_ref().is_none_or(|(_, at, _)| at.elapsed() > self.again) {
                self.forget(domain);
            }
            return;
        };
        let tried_lately = |at: &Instant| at.elapsed() < REFRESH / 24;
        if !known.is_due(now, REFRESH) || state.refreshed.as_ref().is_some_and(tried_lately) {
            return;
        }
        state.refreshed = Some(Instant::now());
        let id = match self.announced(domain).await {
            Ok(Some(id)) => id,
            Ok(None) | Err(_) => known.id.clone(),
        };
        self.fetch(domain, id, &mut state).await;
    }

    /// The id that DNS announces (RFC 8461 §3.1).
    async fn announced(&self, domain: &str) -> Result<Option<String>, DnsError> {
        match self.resolver.txt(&format!("_mta-sts.{domain}")).await {
            Ok(answer) => Ok(policy::announced(&answer.records)),
            Err(error) if error.is_absence() || error == DnsError::BadName => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn fetch(&self, domain: &str, id: String, state: &mut State) -> Found {
        // Never closed; those before us have deadlines.
        let Ok(_permit) = self.fetches.acquire().await else { return Found::of(state.stored.clone()) };
        match fetch::fetch(&self.web, domain).await {
            Ok(policy) => {
                self.metrics.fetched("fetched");
                let stored = Arc::new(Stored::new(id, policy, SystemTime::now(), self.max_age));
                if let Err(error) = self.store.put(domain, &stored).await {
                    tracing::warn!(domain, %error, "an MTA-STS policy cannot be kept on disk");
                }
                *state = State { stored: Some(Arc::clone(&stored)), ..State::default() };
                Found::of(Some(stored))
            }
            Err(error) => {
                let failure = error.kind();
                self.metrics.fetched("failed");
                tracing::info!(domain, %error, "an MTA-STS policy cannot be fetched");
                state.failed = Some((id, Instant::now(), failure));
                Found { failure: Some(failure), ..Found::of(state.stored.clone()) }
            }
        }
    }

    async fn drop_expired(&self, domain: &str, state: &mut State) {
        if state.stored.as_ref().is_some_and(|stored| stored.is_expired(SystemTime::now())) {
            state.stored = None;
            self.store.remove(domain).await;
        }
    }

    fn slot(&self, domain: &str) -> Option<Arc<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned()
    }

    async fn new_slot(&self, domain: &str) -> Arc<Slot> {
        let (slot, displaced) = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let full = slots.len() >= self.bound && !slots.contains_key(domain);
            let displaced = if full { idle(&slots) } else { None };
            if let Some(displaced) = &displaced {
                slots.remove(displaced);
            }
            let slot = Arc::clone(slots.entry(domain.into()).or_default());
            self.metrics.policies(slots.len());
            (slot, displaced)
        };
        if let Some(displaced) = displaced {
            self.store.remove(&displaced).await;
        }
        slot
    }

    fn forget(&self, domain: &str) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.remove(domain);
        self.metrics.policies(slots.len());
    }
}

/// A domain that nobody looks at, one without a policy if there is one: a flood of domains cannot take memory without end.
fn idle(slots: &HashMap<Arc<str>, Arc<Slot>>) -> Option<Arc<str>> {
    let idle = || slots.iter().filter(|(_, slot)| Arc::strong_count(slot) == 1);
    let empty = |slot: &Slot| slot.0.try_lock().is_ok_and(|state| state.stored.is_none());
    let found = idle().find(|(_, slot)| empty(slot)).or_else(|| idle().next());
    found.map(|(domain, _)| Arc::clone(domain))
}

impl Found {
    /// A policy of mode `none` is as good as no policy (RFC 8461 §5).
    fn of(stored: Option<Arc<Stored>>) -> Self {
        let policy = stored.map(|stored| Arc::clone(&stored.policy));
        Self { policy: policy.filter(|policy| policy.mode != Mode::None), failure: None }
    }
}
