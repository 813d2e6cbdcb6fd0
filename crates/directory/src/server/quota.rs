//! Whose quota is used up, as the owners report it: in memory only, and forgotten unless repeated.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Accounts over quota.
#[derive(Default)]
pub(crate) struct OverQuota {
    until: RwLock<HashMap<Box<str>, Instant>>,
    /// How many there are, so that the usual look-up, when there is none, takes no lock.
    count: AtomicUsize,
}

impl OverQuota {
    /// Takes a report. One too many is not remembered: the owner refuses the delivery anyway.
    pub(crate) fn report(&self, account: &str, over: bool, ttl: Duration, most: usize) {
        let now = Instant::now();
        let mut until = self.until.write().unwrap_or_else(PoisonError::into_inner);
        if !over {
            until.remove(account);
        } else if let Some(known) = until.get_mut(account) {
            *known = now + ttl;
        } else {
            if until.len() >= most {
                until.retain(|_, until| *until > now);
            }
            if until.len() < most {
                until.insert(account.into(), now + ttl);
            }
        }
        self.count.store(until.len(), Ordering::Relaxed);
    }

    /// Whether `local@domain` is over quota.
    pub(crate) fn is_over(&self, local: &str, domain: &str) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let account = format!("{local}@{domain}");
        let until = self.until.read().unwrap_or_else(PoisonError::into_inner);
        until.get(account.as_str()).is_some_and(|until| *until > Instant::now())
    }

    /// Reports remembered.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_holds_until_it_expires_or_is_taken_back() {
        let over = OverQuota::default();
        let minute = Duration::from_secs(60);
        over.report("ana@ours.test", true, minute, 2);
        assert!(over.is_over("ana", "ours.test") && !over.is_over("beto", "ours.test"));
        over.report("ana@ours.test", false, minute, 2);
        assert!(!over.is_over("ana", "ours.test"));
        over.report("ana@ours.test", true, Duration::ZERO, 2);
        assert!(!over.is_over("ana", "ours.test"));
    }

    #[test]
    fn reports_are_bounded_and_expired_ones_make_room() {
        let over = OverQuota::default();
        over.report("a@x", true, Duration::ZERO, 2);
        over.report("b@x", true, Duration::from_secs(60), 2);
        over.report("c@x", true, Duration::from_secs(60), 2);
        over.report("d@x", true, Duration::from_secs(60), 2);
        assert_eq!(over.len(), 2);
        assert!(over.is_over("b", "x") && over.is_over("c", "x") && !over.is_over("d", "x"));
    }
}
