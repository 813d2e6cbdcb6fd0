//! Outcomes that are remembered: until their time is over, and some beyond it (RFC 8767).

use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use moka::Expiry;
use moka::sync::Cache as Moka;

use crate::answer::{Answer, DnsError};

/// How long stale answers are given without asking again, after the servers have failed (RFC 8767 §5, the failure recheck timer).
const RECHECK: Duration = Duration::from_secs(10);
/// What one entry of the bound may weigh, in octets.
const ENTRY: usize = 512;

/// What is remembered of one name and type.
pub(crate) type Outcome = Result<Answer<RData>, DnsError>;

type Key = (Name, RecordType);

/// What a look-up in memory found.
pub(crate) enum Remembered {
    /// Within its time.
    Fresh(Arc<Outcome>),
    /// Past its time. `asked_lately` tells that the servers have just failed to give a better one.
    Stale { outcome: Arc<Outcome>, asked_lately: bool },
    /// Nothing.
    Nothing,
}

/// Bounded by weight; what is asked for rarely goes first, so a flood of names that nobody asks for twice does not displace the others.
#[derive(Clone)]
pub(crate) struct Cache {
    entries: Moka<Key, Entry>,
    serve_stale: Duration,
}

#[derive(Clone)]
struct Entry {
    outcome: Arc<Outcome>,
    fresh_until: Instant,
    forget_at: Instant,
    ask_again_at: Option<Instant>,
}

impl Cache {
    pub(crate) fn new(entries: usize, serve_stale: Duration) -> Self {
        let entries = Moka::builder()
            .max_capacity(entries as u64)
            .weigher(|_: &Key, entry: &Entry| weight(&entry.outcome))
            .expire_after(ForgetAt)
            .build();
        Self { entries, serve_stale }
    }

    pub(crate) fn get(&self, name: &Name, kind: RecordType, now: Instant) -> Remembered {
        match self.entries.get(&(name.clone(), kind)) {
            Some(entry) if now < entry.fresh_until => Remembered::Fresh(entry.outcome),
            Some(entry) if now < entry.forget_at => Remembered::Stale {
                outcome: entry.outcome,
                asked_lately: entry.ask_again_at.is_some_and(|at| now < at),
            },
            _ => Remembered::Nothing,
        }
    }

    /// Remembers an outcome for `ttl`. Records stay beyond it to be served stale, unless DNSSEC proved them: given again without their
    /// proof, what depends on it would change, and given with it, a withdrawn key would live on. Nor does their absence stay.
    pub(crate) fn put(
        &self,
        name: Name,
        kind: RecordType,
        outcome: &Arc<Outcome>,
        ttl: Duration,
        now: Instant,
    ) {
        let may_be_stale =
            kind != RecordType::TLSA && outcome.as_ref().as_ref().is_ok_and(|answer| !answer.secure);
        let serve_stale = if may_be_stale { self.serve_stale } else { Duration::ZERO };
        if (ttl + serve_stale).is_zero() {
            self.entries.invalidate(&(name, kind));
            return;
        }
        let fresh_until = now + ttl;
        let entry = Entry {
            outcome: Arc::clone(outcome),
            fresh_until,
            forget_at: fresh_until + serve_stale,
            ask_again_at: None,
        };
        self.entries.insert((name, kind), entry);
    }

    /// The servers failed while an outcome past its time is remembered: for a while it is given without asking.
    pub(crate) fn failed(&self, name: &Name, kind: RecordType, now: Instant) {
        let key = (name.clone(), kind);
        if let Some(mut entry) = self.entries.get(&key) {
            entry.ask_again_at = Some(now + RECHECK);
            self.entries.insert(key, entry);
        }
    }

    pub(crate) fn clear(&self) {
        self.entries.invalidate_all();
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.entry_count()
    }
}

struct ForgetAt;

impl Expiry<Key, Entry> for ForgetAt {
    fn expire_after_create(&self, _: &Key, entry: &Entry, now: Instant) -> Option<Duration> {
        Some(entry.forget_at.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.forget_at.saturating_duration_since(now))
    }
}

fn weight(outcome: &Outcome) -> u32 {
    let octets: usize = match outcome {
        Ok(answer) => answer.records.iter().map(size).sum(),
        Err(_) => 0,
    };
    u32::try_from(1 + octets / ENTRY).unwrap_or(u32::MAX)
}

fn size(record: &RData) -> usize {
    const OVERHEAD: usize = 64;
    OVERHEAD
        + match record {
            RData::TXT(txt) => txt.txt_data.iter().map(|text| text.len() + 16).sum(),
            RData::TLSA(tlsa) => tlsa.cert_data.len(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::rdata::{A, TXT};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn found(record: RData) -> Arc<Outcome> {
        Arc::new(Ok(Answer { records: vec![record], secure: false, name: "x.test".to_owned(), stale: false }))
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_gone() {
        let cache = Cache::new(10, Duration::from_secs(60));
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let x = name("x.test.");
        cache.put(
            x.clone(),
            RecordType::A,
            &found(RData::A(A::new(192, 0, 2, 1))),
            Duration::from_secs(5),
            now,
        );
        assert!(matches!(cache.get(&x, RecordType::A, at(4)), Remembered::Fresh(_)));
        assert!(matches!(cache.get(&x, RecordType::A, at(6)), Remembered::Stale { asked_lately: false, .. }));
        cache.failed(&x, RecordType::A, at(6));
        assert!(matches!(cache.get(&x, RecordType::A, at(7)), Remembered::Stale { asked_lately: true, .. }));
        assert!(matches!(
            cache.get(&x, RecordType::A, at(17)),
            Remembered::Stale { asked_lately: false, .. }
        ));
        assert!(matches!(cache.get(&x, RecordType::A, at(66)), Remembered::Nothing));
    }

    #[test]
    fn absence_and_tlsa_and_what_was_proved_are_never_stale() {
        let cache = Cache::new(10, Duration::from_secs(60));
        let now = Instant::now();
        let later = now + Duration::from_secs(6);
        let x = name("x.test.");
        let absent = Arc::new(Err(DnsError::NoData { secure: false }));
        cache.put(x.clone(), RecordType::MX, &absent, Duration::from_secs(5), now);
        cache.put(
            x.clone(),
            RecordType::TLSA,
            &found(RData::A(A::new(192, 0, 2, 1))),
            Duration::from_secs(5),
            now,
        );
        let proved = Answer { records: Vec::new(), secure: true, name: "x.test".to_owned(), stale: false };
        cache.put(x.clone(), RecordType::TXT, &Arc::new(Ok(proved)), Duration::from_secs(5), now);
        assert!(matches!(cache.get(&x, RecordType::MX, now), Remembered::Fresh(_)));
        for kind in [RecordType::MX, RecordType::TLSA, RecordType::TXT] {
            assert!(matches!(cache.get(&x, kind, later), Remembered::Nothing));
        }
    }

    #[test]
    fn the_cache_is_bounded_and_a_large_answer_counts_as_several() {
        let cache = Cache::new(100, Duration::from_secs(60));
        let now = Instant::now();
        for n in 0..1000 {
            let record = RData::A(A::new(192, 0, 2, 1));
            cache.put(
                name(&format!("n{n}.test.")),
                RecordType::A,
                &found(record),
                Duration::from_secs(60),
                now,
            );
        }
        cache.entries.run_pending_tasks();
        assert!(cache.len() <= 100, "{}", cache.len());
        let large = found(RData::TXT(TXT::new(vec!["x".repeat(250); 40])));
        assert!(weight(&large) > 15);
    }
}
