//! Counting: a shared number of things to do, latencies, and the one line of JSON that each load prints.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The work that all connections of a load share: numbers from 0 to `total`, each handed out once.
#[derive(Clone)]
pub struct Work {
    next: Arc<AtomicU64>,
    total: u64,
}

impl Work {
    /// Work of `total` pieces.
    pub fn new(total: u64) -> Self {
        Self { next: Arc::new(AtomicU64::new(0)), total }
    }

    /// The next piece, or `None` when all are taken.
    pub fn take(&self) -> Option<u64> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        (piece < self.total).then_some(piece)
    }
}

/// What one load measured.
#[derive(Serialize)]
pub struct Measured {
    /// Pieces of work done.
    pub done: u64,
    /// Seconds from the first piece's start to the last one's end, as the work defines its end.
    pub seconds: f64,
    /// `done / seconds`.
    pub per_second: f64,
    /// Median time of one piece, in milliseconds.
    pub median_ms: f64,
    /// 99th percentile of the time of one piece, in milliseconds.
    pub p99_ms: f64,
    /// Longest time of one piece, in milliseconds.
    pub max_ms: f64,
}

impl Measured {
    /// Sums up a load that took `elapsed` and whose pieces took `times`.
    pub fn new(mut times: Vec<Duration>, elapsed: Duration) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let seconds = elapsed.as_secs_f64();
        Self {
            done: times.len() as u64,
            seconds,
            per_second: times.len() as f64 / seconds,
            median_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }

    /// Prints the one line that the caller reads.
    pub fn print(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
