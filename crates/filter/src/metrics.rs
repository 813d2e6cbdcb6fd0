//! What the filters count, under `chasqui_filter`.

use crate::authentication::{DkimResult, Verdict};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FilterLabel {
    filter: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    filter: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    method: &'static str,
    result: &'static str,
}

/// The metrics of connection checks and content filters. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    checks: Family<CheckLabel, Counter>,
    results: Family<ResultLabel, Counter>,
    filters: Family<FilterLabel, Counter>,
    times: Family<NameLabel, Histogram>,
}

impl Metrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            checks: Family::default(),
            results: Family::default(),
            filters: Family::default(),
            times: Family::new_with_constructor(chasqui_courier::times),
        };
        let registry = registry.sub_registry_with_prefix("chasqui_filter");
        let m = metrics.clone();
        registry.register("checks", "What connection checks found that was not in order", m.checks);
        registry.register(
            "authentication",
            "Messages by what SPF, DKIM (its best signature), DMARC and ARC say of them",
            m.results,
        );
        registry.register("contents", "Messages given to content filters, by what came of it", m.filters);
        registry.register_with_unit(
            "content",
            "Time of one content filter for one message",
            Unit::Seconds,
            m.times,
        );
        metrics
    }

    /// A connection check found something.
    pub(crate) fn check(&self, check: &'static str, outcome: &'static str) {
        self.checks.get_or_create(&CheckLabel { check, outcome }).inc();
    }

    /// A message was checked.
    pub(crate) fn authentication(&self, verdict: &Verdict) {
        let best = verdict.dkim.iter().find(|dkim| dkim.result == DkimResult::Pass).or(verdict.dkim.first());
        for (method, result) in [
            ("spf", verdict.spf.result().as_str()),
            ("dkim", best.map_or("none", |dkim| dkim.result.as_str())),
            ("dmarc", verdict.dmarc.result.as_str()),
            ("arc", verdict.arc.result.as_str()),
        ] {
            self.results.get_or_create(&ResultLabel { method, result }).inc();
        }
    }

    /// A content filter has finished with a message, or was given up.
    pub(crate) fn content(&self, filter: &str, outcome: &'static str, took: Duration) {
        self.filters.get_or_create(&FilterLabel { filter: filter.to_owned(), outcome }).inc();
        self.times.get_or_create(&NameLabel { filter: filter.to_owned() }).observe(took.as_secs_f64());
    }
}
