//! Where questions become answers, whichever way they came.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::metrics::Metrics;
use super::quota::OverQuota;
use super::replay::Replays;
use super::verify::{Checked, Submitted, Verifier, Waiter};
use crate::config::LimitsConfig;
use crate::keys::KeyRing;
use crate::record::{AccountState, Services};
use crate::resolve::{self, Hit, Resolution};
use crate::snapshot::View;
use crate::source::Shared;
use crate::wire::answers::{Answer, AnswerWriter};
use crate::wire::questions::Question;

/// What all receivers share.
pub(crate) struct Desk {
    shared: Shared,
    pub(crate) keys: ArcSwap<KeyRing>,
    pub(crate) limits: ArcSwap<LimitsConfig>,
    pub(crate) over_quota: OverQuota,
    pub(crate) verifier: Verifier,
    pub(crate) replays: Replays,
    pub(crate) metrics: Metrics,
}

impl Desk {
    pub(crate) fn new(
        shared: Shared,
        keys: KeyRing,
        limits: LimitsConfig,
        verifier: Verifier,
        replays: Replays,
        metrics: Metrics,
    ) -> Self {
        let (keys, limits) = (ArcSwap::from_pointee(keys), ArcSwap::from_pointee(limits));
        Self { shared, keys, limits, over_quota: OverQuota::default(), verifier, replays, metrics }
    }

    /// The directory as it is now.
    pub(crate) fn view(&self) -> Guard<Arc<View>> {
        self.shared.load()
    }

    /// Answers whatever needs no waiting; a password check among other questions is not understood.
    pub(crate) fn answer(
        &self,
        view: &View,
        limits: &LimitsConfig,
        question: Question<'_>,
        writer: &mut AnswerWriter,
    ) {
        match question {
            Question::LookUp(recipient) => self.look_up(view, limits, recipient, writer),
            Question::OverQuota { account, over } => {
                self.over_quota.report(account, over, limits.over_quota_ttl.get(), limits.over_quota);
                self.put(writer, &Answer::Done, "");
            }
            Question::Ping => self.put(writer, &Answer::Done, ""),
            Question::Verify { .. } | Question::NotUnderstood => self.put(writer, &Answer::NotUnderstood, ""),
        }
    }

    fn look_up(&self, view: &View, limits: &LimitsConfig, recipient: &str, writer: &mut AnswerWriter) {
        match resolve::resolve(view, recipient, limits) {
            Resolution::Account(hit) => {
                self.metrics.found.inc();
                self.put(writer, &Answer::Account(&hit), recipient);
            }
            Resolution::Targets(targets) => {
                self.metrics.found.inc();
                self.put(writer, &Answer::Targets(&targets), recipient);
            }
            Resolution::Unknown => {
                self.metrics.unknown.inc();
                self.put(writer, &Answer::Unknown, recipient);
            }
            Resolution::NotOurs => {
                self.metrics.not_ours.inc();
                self.put(writer, &Answer::NotOurs, recipient);
            }
            Resolution::Failing(reason) => {
                tracing::warn!(recipient, reason, "a look-up cannot be answered");
                self.metrics.failing.inc();
                self.put(writer, &Answer::Unavailable, recipient);
            }
        }
    }

    /// Checks a password. `done` is told with what [`Self::verdict`] needs, now or later and on another thread.
    pub(crate) fn verify(&self, login: &str, password: &str, done: Waiter) {
        let view = self.view();
        let stored = resolve::exact(&view, login).map_or(&[][..], |hit| hit.account.hash);
        match self.verifier.submit(login, stored, password, done) {
            Submitted::Remembered(done) => {
                self.metrics.remembered.inc();
                done(Checked::Right);
            }
            Submitted::Waiting => {}
            Submitted::Full(done) => done(Checked::Dropped),
        }
    }

    /// Writes the verdict that follows from a check.
    pub(crate) fn verdict(&self, login: &str, checked: Checked, writer: &mut AnswerWriter) {
        let view = self.view();
        match (checked, resolve::exact(&view, login)) {
            (Checked::Dropped, _) => {
                self.metrics.busy.inc();
                self.put(writer, &Answer::Unavailable, login);
            }
            (Checked::Right, Some(hit))
                if hit.account.state != AccountState::Active || hit.account.services == Services::NONE =>
            {
                self.metrics.disabled.inc();
                self.put(writer, &Answer::Disabled, login);
            }
            (Checked::Right, Some(hit)) => {
                self.metrics.yes.inc();
                self.put(writer, &Answer::Yes(&hit), login);
            }
            // Removed while its password was being checked.
            (Checked::Right, None) | (Checked::Wrong, _) => {
                self.metrics.no.inc();
                self.put(writer, &Answer::No, login);
            }
        }
    }

    fn put(&self, writer: &mut AnswerWriter, answer: &Answer<'_>, asked: &str) {
        writer.put(answer, asked, &|hit: &Hit<'_>| self.over_quota.is_over(hit.account.local, hit.domain));
    }
}
