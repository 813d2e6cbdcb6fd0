//! Where questions become answers, whichever way they came.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use chasqui_sasl::scram::{self, Signature};

use super::metrics::Metrics;
use super::quota::OverQuota;
use super::replay::Replays;
use super::scram::Verifiers;
use super::verify::{Checked, Submitted, Verifier, Waiter};
use crate::config::LimitsConfig;
use crate::keys::KeyRing;
use crate::record::{AccountState, Services};
use crate::resolve::{self, Hit, Resolution};
use crate::snapshot::View;
use crate::source::Shared;
use crate::wire;
use crate::wire::answers::{Answer, AnswerWriter};
use crate::wire::questions::Question;

/// Told the message of an answer.
pub(crate) type Send = Box<dyn FnOnce(&[u8]) + std::marker::Send>;

/// What all receivers share.
pub(crate) struct Desk {
    shared: Shared,
    pub(crate) keys: ArcSwap<KeyRing>,
    pub(crate) limits: ArcSwap<LimitsConfig>,
    pub(crate) over_quota: OverQuota,
    pub(crate) verifier: Verifier,
    pub(crate) scram: Verifiers,
    pub(crate) replays: Replays,
    pub(crate) metrics: Metrics,
}

impl Desk {
    pub(crate) fn new(
        shared: Shared,
        keys: KeyRing,
        limits: LimitsConfig,
        checkers: (Verifier, Verifiers),
        replays: Replays,
        metrics: Metrics,
    ) -> Self {
        let (verifier, scram) = checkers;
        let (keys, limits) = (ArcSwap::from_pointee(keys), ArcSwap::from_pointee(limits));
        Self { shared, keys, limits, over_quota: OverQuota::default(), verifier, scram, replays, metrics }
    }

    /// The directory as it is now.
    pub(crate) fn view(&self) -> Guard<Arc<View>> {
        self.shared.load()
    }

    /// Answers a question that needs waiting, and was alone in its message; `send` is told the message of the answer, of at most
    /// `limit` octets, now or later and on another thread.
    pub(crate) fn answer_later(self: &Arc<Self>, question: Question<'_>, limit: usize, send: Send) {
        let desk = Arc::clone(self);
        let reply = move |write: &dyn Fn(&Self, &mut AnswerWriter)| {
            let mut writer = AnswerWriter::new();
            writer.begin(wire::now(), 1, limit);
            write(&desk, &mut writer);
            send(writer.content());
        };
        match question {
            Question::Verify { login, password } => {
                let account = login.to_owned();
                let done =
                    move |checked| reply(&|desk, writer| desk.verdict(&account, checked, None, writer));
                self.verify(login, password, Box::new(done));
            }
            Question::ScramBegin(login) => {
                let account = login.to_owned();
                let done = move |found: Option<scram::Verifier>| {
                    reply(&|desk, writer| desk.salt(&account, found.as_ref(), writer));
                };
                self.scram.read(login, Box::new(done));
            }
            Question::ScramFinish { login, auth_message, proof } => {
                let (account, message, proof) = (login.to_owned(), auth_message.to_owned(), *proof);
                let done = move |found: Option<scram::Verifier>| {
                    let (checked, signature) = match found.map(|found| found.verify(&message, &proof)) {
                        None => (Checked::Dropped, None),
                        Some(None) => (Checked::Wrong, None),
                        Some(signature) => (Checked::Right, signature),
                    };
                    reply(&|desk, writer| desk.verdict(&account, checked, signature, writer));
                };
                self.scram.read(login, Box::new(done));
            }
            _ => reply(&|desk, writer| desk.put(writer, &Answer::NotUnderstood, "")),
        }
    }

    /// Answers whatever needs no waiting; what does, among other questions, is not understood.
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
            Question::MaySendAs { account, sender } => {
                let answer = match resolve::may_send_as(view, account, sender, limits) {
                    Some(yes) => Answer::Permitted(yes),
                    None => Answer::Unavailable,
                };
                self.put(writer, &answer, "");
            }
            Question::Verify { .. }
            | Question::ScramBegin(_)
            | Question::ScramFinish { .. }
            | Question::NotUnderstood => self.put(writer, &Answer::NotUnderstood, ""),
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

    fn salt(&self, login: &str, found: Option<&scram::Verifier>, writer: &mut AnswerWriter) {
        let answer = match found {
            Some(found) => Answer::ScramSalt { salt: found.salt(), iterations: found.iterations() },
            None => {
                self.metrics.busy.inc();
                Answer::Unavailable
            }
        };
        self.put(writer, &answer, login);
    }

    /// Checks a password. `done` is told with what [`Self::verdict`] needs, now or later and on another thread.
    fn verify(&self, login: &str, password: &str, done: Waiter) {
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

    /// Writes the verdict that follows from a check; with our signature where a proof was checked.
    fn verdict(
        &self,
        login: &str,
        checked: Checked,
        signature: Option<Signature>,
        writer: &mut AnswerWriter,
    ) {
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
                let answer = match signature {
                    Some(signature) => Answer::Proved(&hit, signature),
                    None => Answer::Yes(&hit),
                };
                self.put(writer, &answer, login);
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
