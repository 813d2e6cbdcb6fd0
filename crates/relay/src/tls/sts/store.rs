//! Policies on disk: one small file a domain, replaced whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chasqui_base::{StartError, fsx};
use serde::{Deserialize, Serialize};

use super::policy::Policy;

/// The form of the files. An older one is read through its own type, once there is one.
const VERSION: u32 = 1;
/// The largest file that is read: a policy's text as JSON is at most about twice as long.
const MAX_FILE: u64 = 256 * 1024;

/// A policy that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) policy: Arc<Policy>,
    fetched: SystemTime,
    expires: SystemTime,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    domain: String,
    id: String,
    /// Seconds since 1970.
    fetched: u64,
    expires: u64,
    policy: Policy,
}

impl Stored {
    pub(super) fn new(id: String, policy: Policy, now: SystemTime, max_age: Duration) -> Self {
        let life = Duration::from_secs(policy.max_age).min(max_age);
        Self { id, policy: Arc::new(policy), fetched: now, expires: now + life }
    }

    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        now >= self.expires
    }

    /// Whether it is to be fetched again: older than `refresh`, or past half its life.
    pub(super) fn is_due(&self, now: SystemTime, refresh: Duration) -> bool {
        let life = self.expires.duration_since(self.fetched).unwrap_or_default();
        // A clock that was set back makes it due: what it says of the rest of its life is not known.
        now.duration_since(self.fetched).map_or(true, |age| age >= refresh.min(life / 2))
    }
}

/// The folder.
#[derive(Clone)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Makes the folder if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, StartError> {
        fsx::create_private_dir(folder).map_err(|error| StartError::open(folder, error))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// All that are kept, at most `bound`. What cannot be read is passed over: it is fetched again.
    pub(super) fn load(&self, bound: usize) -> Vec<(String, Stored)> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let files = entries.flatten().map(|entry| entry.path());
        let kept = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        kept.filter_map(|path| read(&path)).take(bound).collect()
    }

    /// Keeps a policy; it is on disk when this returns.
    pub(super) async fn put(&self, domain: &str, stored: &Stored) -> std::io::Result<()> {
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let file = File {
            version: VERSION,
            domain: domain.to_owned(),
            id: stored.id.clone(),
            fetched: seconds(stored.fetched),
            expires: seconds(stored.expires),
            policy: Policy::clone(&stored.policy),
        };
        let content = serde_json::to_vec(&file)?;
        let path = self.path(domain);
        tokio::task::spawn_blocking(move || fsx::replace_file_durably(&path, &content)).await?
    }

    /// Forgets a policy. One that comes back after a crash has expired all the same.
    pub(super) async fn remove(&self, domain: &str) {
        let _ = tokio::fs::remove_file(self.path(domain)).await;
    }

    /// By digest: a domain from a mail is no file name.
    fn path(&self, domain: &str) -> PathBuf {
        self.folder.join(format!("{}.json", blake3::hash(domain.as_bytes()).to_hex()))
    }
}

fn read(path: &Path) -> Option<(String, Stored)> {
    if std::fs::metadata(path).ok()?.len() > MAX_FILE {
        return None;
    }
    let file: File = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    if file.version != VERSION {
        return None;
    }
    let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let stored = Stored {
        id: file.id,
        policy: Arc::new(file.policy),
        fetched: time(file.fetched)?,
        expires: time(file.expires)?,
    };
    Some((file.domain, stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(max_age: u64, now: SystemTime) -> Stored {
        let text = format!("version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: {max_age}");
        Stored::new("1".to_owned(), Policy::parse(&text).unwrap(), now, Duration::from_secs(1_000_000))
    }

    #[test]
    fn a_policy_is_refreshed_at_half_its_life_or_after_a_day_and_then_ends() {
        let now = SystemTime::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let day = Duration::from_secs(86_400);
        let short = stored(100, now);
        assert!(!short.is_due(at(49), day) && short.is_due(at(50), day));
        assert!(!short.is_expired(at(99)) && short.is_expired(at(100)));
        let long = stored(900_000, now);
        assert!(!long.is_due(at(86_399), day) && long.is_due(at(86_400), day));
        assert!(stored(20_000_000, now).is_expired(at(1_000_000)), "our own bound holds too");
    }

    #[tokio::test]
    async fn a_kept_policy_is_there_after_a_restart_and_rubbish_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sts");
        let store = Store::open(&path).unwrap();
        let one = stored(1000, UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        store.put("example.org", &one).await.unwrap();
        store.put("../../etc/passwd", &one).await.unwrap();
        std::fs::write(path.join("x.json"), b"{").unwrap();
        std::fs::write(path.join("y.json"), vec![b' '; MAX_FILE as usize + 1]).unwrap();
        std::fs::write(path.join("z.json"), br#"{"version": 99}"#).unwrap();
        let mut read = Store::open(&path).unwrap().load(10);
        read.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(read, [("../../etc/passwd".to_owned(), one.clone()), ("example.org".to_owned(), one)]);
        assert_eq!(store.load(1).len(), 1);
        store.remove("example.org").await;
        assert_eq!(store.load(10).len(), 1);
    }
}
