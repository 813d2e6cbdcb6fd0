//! Reports to domains about the TLS that their hosts had (RFC 8460): counted by day, sent after its end to who the domain names in DNS.
//! Off until configured.
//!
//! The current day is in memory, and on disk as of a minute ago: a crash loses a minute's counts, which are statistics. A day that is
//! over is a file from which each domain is taken out once its report is sent or cannot be; what is left is tried again each hour, for
//! two days. A report that is sent twice, because of a crash between, has the same id.

mod count;
mod document;
mod mail;
mod queued;
mod rua;
mod send;

pub use document::{
    DateRange, FailureDetail, MAX_JSON, MAX_PACKED, PolicyReport, Report, ReportError, ReportedPolicy,
    Summary,
};
pub use queued::Queued;
pub use rua::{Rua, parse as parse_rua};
pub(super) use send::Sender;
pub use send::{ReportMail, ReportMailer};

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chasqui_base::{Lifecycle, StartError, fsx};

use self::count::Day;
use super::config::{ReportConfig, TlsConfig};
use super::metrics::Metrics;
use super::requirement::DomainPolicy;
use super::{Event, Session};

/// How often the current day is written.
const SNAPSHOT: Duration = Duration::from_secs(60);
/// How often reports that are due are sent.
const ROUND: Duration = Duration::from_secs(3600);
/// RFC 8460 §4.1: not everybody's reports arrive at midnight; the first round of a day comes this much later, at a time of our own.
const SPREAD: u64 = 4 * 3600;
/// Days after which what could not be sent is dropped.
const KEEP: u64 = 2;
const DAY: u64 = 86_400;

/// What is counted.
pub(super) struct Reports {
    config: ReportConfig,
    folder: PathBuf,
    state: Mutex<State>,
    metrics: Metrics,
}

struct State {
    day: Day,
    /// Since it was last written.
    changed: bool,
    /// The day before, which is over and still to be written.
    over: Option<Day>,
}

impl Reports {
    /// Reads what was counted of today.
    pub(super) fn open(config: &TlsConfig, metrics: Metrics) -> Result<Self, StartError> {
        let folder = config.state.join("reports");
        fsx::create_private_dir(&folder).map_err(|error| StartError::open(&folder, error))?;
        let today = today(SystemTime::now());
        let day = read(&file(&folder, today)).unwrap_or_else(|| Day::new(today));
        let state = Mutex::new(State { day, changed: false, over: None });
        Ok(Self { config: config.reports.clone(), folder, state, metrics })
    }

    /// Counts a session.
    pub(super) fn note(&self, domain: &DomainPolicy, session: &Session<'_>, event: Event<'_>) {
        let today = today(SystemTime::now());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.day.day != today {
            state.over = Some(std::mem::replace(&mut state.day, Day::new(today)));
        }
        state.changed = true;
        if !state.day.count(domain, session, event, self.config.domains, self.config.failures) {
            self.metrics.report_dropped();
        }
    }

    /// Writes the current day, and sends what is due, until the role ends.
    pub(super) async fn run(self: Arc<Self>, sender: Sender, run: Lifecycle) {
        let mut next = SystemTime::now() + Duration::from_secs(sender.spread(ROUND.as_secs()));
        loop {
            tokio::select! {
                () = run.stopped() => break,
                () = tokio::time::sleep(SNAPSHOT) => {}
            }
            self.snapshot().await;
            let now = SystemTime::now();
            if now >= next && seconds(now) % DAY >= sender.spread(SPREAD) {
                next = now + ROUND;
                self.send_due(&sender, now, &run).await;
            }
        }
        self.snapshot().await;
    }

    /// Sends the reports of days that are over.
    pub(super) async fn send_due(&self, sender: &Sender, now: SystemTime, run: &Lifecycle) {
        let today = today(now);
        for day in self.days().into_iter().filter(|day| *day < today) {
            let path = file(&self.folder, day);
            let Some(mut counted) = read(&path) else {
                let _ = std::fs::remove_file(&path);
                continue;
            };
            let domains: Vec<String> = counted.domains.keys().cloned().collect();
            for domain in domains {
                if run.stopping() {
                    break;
                }
                if sender.send(&counted, &domain).await.is_settled() {
                    counted.domains.remove(&domain);
                }
            }
            if counted.domains.is_empty() || day + KEEP < today {
                let _ = std::fs::remove_file(&path);
            } else {
                self.write(counted).await;
            }
        }
    }

    /// Writes what has changed.
    pub(super) async fn snapshot(&self) {
        let (over, day) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = std::mem::take(&mut state.changed);
            (state.over.take(), changed.then(|| state.day.clone()))
        };
        for day in [over, day].into_iter().flatten() {
            self.write(day).await;
        }
    }

    async fn write(&self, day: Day) {
        let path = file(&self.folder, day.day);
        let write =
            move || -> std::io::Result<()> { fsx::replace_file_durably(&path, &serde_json::to_vec(&day)?) };
        let written = tokio::task::spawn_blocking(write).await.map_err(std::io::Error::from).flatten();
        if let Err(error) = written {
            tracing::warn!(folder = %self.folder.display(), %error, "what TLS reports count cannot be written");
        }
    }

    fn days(&self) -> Vec<u64> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let number = |entry: std::fs::DirEntry| {
            entry.file_name().to_str()?.strip_prefix("day-")?.strip_suffix(".json")?.parse().ok()
        };
        entries.flatten().filter_map(number).collect()
    }
}

fn file(folder: &Path, day: u64) -> PathBuf {
    folder.join(format!("day-{day}.json"))
}

fn read(path: &Path) -> Option<Day> {
    Day::read(&std::fs::read(path).ok()?)
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn today(now: SystemTime) -> u64 {
    seconds(now) / DAY
}
