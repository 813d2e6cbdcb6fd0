//! What becomes of a message's recipients after an attempt, after its time, or at an operator's word.

use super::{
    Queue, Route, alarm,
    index::{Next, Started},
    open::{Open, State},
    pause,
    record::{Record, reply_text},
};
use crate::{
    fate::{DeliveredKind, Fate, Trouble, Whose},
    message::Destination,
    notice::{self, Action, Kind, Told},
};
use chasqui_base::DeliveryId;
use chasqui_courier::blocking;
use chasqui_smtp::Reply;
use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
};

const EXPIRED: Reply = Reply::fixed(554, (5, 4, 7), "Tried for as long as the relay is told to");
const LOOP: (u16, (u8, u16, u16)) = (554, (5, 4, 6));

/// What is known of an attempt's recipients, sorted by what is to be done.
#[derive(Default)]
pub(super) struct Sorted {
    delivered: Vec<(u32, String, Reply, DeliveredKind)>,
    /// What is said of them, and what was said by whom.
    failed: Vec<(u32, Reply, Trouble)>,
    deferred: Vec<(u32, Trouble)>,
    expanded: Vec<(u32, Vec<String>)>,
}

impl Queue {
    /// Writes down what became of a job's recipients, tells the sender, and says what becomes of the leg.
    pub(super) async fn settle(&self, started: &Started, open: &Arc<Open>, fates: Vec<(u32, Fate)>) -> Next {
        let now = self.clock.now();
        self.judge(started, &fates, now);
        let expired = open.state().envelope.expires * 1000 <= now;
        let troubled = fates
            .iter()
            .any(|(_, fate)| matches!(fate, Fate::Deferred(trouble) if trouble.whose == Whose::Destination));
        let last = fates.last().map_or(started.cursor, |(number, _)| *number);
        let sorted = Sorted::of(fates, expired.then_some(EXPIRED));
        let records = self.carry_out(open, sorted).await;

        let route = self.route.get();
        let (left, attempts) = {
            let state = open.state();
            let here = |number: u32| {
                let to = state.envelope.recipients.get(number as usize);
                to.zip(route).is_some_and(|(to, route)| route(&to.address) == started.destination)
            };
            let pending = state.pending.iter().enumerate().filter(|(_, pending)| pending.is_some());
            let left: Vec<u32> =
                pending.map(|(number, _)| number as u32).filter(|number| here(*number)).collect();
            let attempts = left.iter().filter_map(|number| state.pending.get(*number as usize)?.as_ref());
            (left.clone(), attempts.map(|pending| pending.attempts).max().unwrap_or(0))
        };
        self.add_destinations(started.message, open, now);
        let next = match left.iter().find(|number| **number > last) {
            None if left.is_empty() => Next::Done,
            Some(&further) if !troubled => Next::Continue(further),
            _ => Next::Wait(now + pause(&self.settings.load().queue, attempts.max(1))),
        };
        // Of several legs that end together, whoever looks when the last recipient is done removes the file; it may be two.
        if open.state().is_done() {
            self.finish_file(started.id, open).await;
        } else {
            self.write_down(started.id, records).await;
            if open.state().is_done() {
                self.finish_file(started.id, open).await;
            }
        }
        next
    }

    /// What the attempt says of the destination as a whole.
    fn judge(&self, started: &Started, fates: &[(u32, Fate)], now: u64) {
        let mut reached = false;
        let mut trouble = None;
        for (_, fate) in fates {
            match fate {
                Fate::Deferred(why) if why.whose == Whose::Destination => trouble = Some(why),
                Fate::Delivered { .. } => reached = true,
                Fate::Failed(why) | Fate::Deferred(why) => reached |= why.remote.is_some(),
                Fate::Expanded { .. } => {}
            }
        }
        let mut index = self.index();
        match trouble {
            Some(why) => {
                let settings = self.settings.load();
                let text = reply_text(&why.reply);
                index.close(&started.destination, &text, |failures| pause(&settings.queue, failures), now);
            }
            None if reached => index.opened(&started.destination),
            None => {}
        }
    }

    /// Tells the sender and changes what is known. Returns the records of it.
    pub(super) async fn carry_out(&self, open: &Arc<Open>, mut sorted: Sorted) -> Vec<Record> {
        let at = self.clock.seconds();
        sorted.refuse_loops(open);
        self.tell_of(open, &sorted);
        sorted.keep_untold(self.tell_failures(open, &sorted.failed).await);
        self.tell_successes(open, &sorted).await;

        let mut state = open.state();
        let mut records = Vec::new();
        let mut done: HashMap<String, Vec<u32>> = HashMap::new();
        for (number, remote, reply, _) in &sorted.delivered {
            state.done(*number);
            done.entry(format!("{} ({remote})", reply_text(reply))).or_default().push(*number);
            self.metrics.recipient("delivered");
            self.metrics.delivered_after(at.saturating_sub(state.envelope.received));
        }
        for (number, reply, _) in &sorted.failed {
            state.done(*number);
            state.untold |= state.envelope.reverse_path.as_str().is_empty();
            done.entry(reply_text(reply)).or_default().push(*number);
            self.metrics.recipient("failed");
        }
        records.extend(done.into_iter().map(|(reply, recipients)| Record::Done { at, recipients, reply }));
        let mut put_off: Vec<(Arc<Trouble>, Vec<u32>)> = Vec::new();
        for (number, trouble) in sorted.deferred {
            self.metrics.recipient("deferred");
            let group = match put_off.iter().position(|(other, _)| other.same(&trouble)) {
                Some(at) => at,
                None => {
                    put_off.push((Arc::new(trouble), Vec::new()));
                    put_off.len() - 1
                }
            };
            if let Some((trouble, numbers)) = put_off.get_mut(group) {
                state.deferred(number, at, trouble);
                numbers.push(number);
            }
        }
        records.extend(put_off.into_iter().map(|(trouble, recipients)| Record::Deferred {
            at,
            recipients,
            remote: trouble.remote.clone(),
            reply: reply_text(&trouble.reply),
        }));
        for (recipient, to) in sorted.expanded {
            self.metrics.recipient("expanded");
            // Refused above where it cannot be.
            if state.expand(recipient, &to).is_ok() {
                records.push(Record::Expanded { at, recipient, to });
            }
        }
        records
    }

    /// A line in the log for each recipient (S2).
    fn tell_of(&self, open: &Open, sorted: &Sorted) {
        let state = open.state();
        let id = state.envelope.id;
        let address = |number: u32| {
            state.envelope.recipients.get(number as usize).map_or("", |recipient| recipient.address.as_str())
        };
        for (number, remote, reply, _) in &sorted.delivered {
            tracing::info!(delivery = %id, recipient = address(*number), remote, %reply, "delivered");
        }
        for (number, reply, trouble) in &sorted.failed {
            let (remote, said) = (trouble.remote.as_deref().unwrap_or_default(), &trouble.reply);
            tracing::info!(delivery = %id, recipient = address(*number), remote, %reply, %said, "failed");
        }
        for (number, trouble) in &sorted.deferred {
            let (remote, reply) = (trouble.remote.as_deref().unwrap_or_default(), &trouble.reply);
            tracing::info!(delivery = %id, recipient = address(*number), remote, %reply, "deferred");
        }
        for (number, to) in &sorted.expanded {
            tracing::info!(delivery = %id, recipient = address(*number), to = to.join(", "), "expanded");
        }
    }

    /// Queues the notice of failures. On an error nobody was told.
    async fn tell_failures(&self, open: &Arc<Open>, failed: &[(u32, Reply, Trouble)]) -> bool {
        let told: Vec<Told> = {
            let state = open.state();
            let told = failed.iter().filter_map(|(number, reply, trouble)| {
                let recipient = state.envelope.recipients.get(*number as usize)?;
                recipient.notify.failure.then(|| Told {
                    number: *number,
                    recipient: recipient.clone(),
                    action: Action::Failed,
                    status: reply.clone(),
                    said: Some(trouble.reply.clone()),
                    remote: trouble.remote.clone(),
                    last_attempt: Some(self.clock.seconds()),
                })
            });
            told.collect()
        };
        self.notify(open, Kind::Failure, told).await
    }

    async fn tell_successes(&self, open: &Arc<Open>, sorted: &Sorted) {
        let at = self.clock.seconds();
        let told: Vec<Told> = {
            let state = open.state();
            let wants = |number: u32| {
                let recipient = state.envelope.recipients.get(number as usize)?;
                recipient.notify.success.then(|| recipient.clone())
            };
            let delivered = sorted.delivered.iter().filter_map(|(number, remote, reply, kind)| {
                let action = match kind {
                    DeliveredKind::Final => Action::Delivered,
                    DeliveredKind::Relayed => Action::Relayed,
                    DeliveredKind::PassedOn => return None,
                };
                Some(Told {
                    number: *number,
                    recipient: wants(*number)?,
                    action,
                    status: reply.clone(),
                    said: Some(reply.clone()),
                    remote: Some(remote.clone()),
                    last_attempt: Some(at),
                })
            });
            // One that stands for one other passes the wish on (RFC 3461 §5.2.7.1).
            let expanded = sorted.expanded.iter().filter(|(_, to)| to.len() > 1).filter_map(|(number, _)| {
                Some(Told {
                    number: *number,
                    recipient: wants(*number)?,
                    action: Action::Expanded,
                    status: Reply::fixed(250, (2, 0, 0), "Sent on to several"),
                    said: None,
                    remote: None,
                    last_attempt: None,
                })
            });
            delivered.chain(expanded).collect()
        };
        self.notify(open, Kind::Success, told).await;
    }

    /// Queues a notice. True when all that is to be told is told, or on its way.
    async fn notify(&self, open: &Arc<Open>, kind: Kind, told: Vec<Told>) -> bool {
        let envelope = Arc::clone(&open.state().envelope);
        if told.is_empty() || envelope.reverse_path.as_str().is_empty() {
            return true;
        }
        let settings = self.settings.load_full();
        let about = notice::About {
            envelope: &envelope,
            content: &open.content,
            hostname: &settings.hostname,
            settings: &settings.notice,
            now: self.clock.seconds(),
            lifetime: settings.queue.lifetime.get(),
        };
        let (name, count) = (kind.name(), told.len());
        let queued = match notice::compose(&about, kind, &told).await {
            Ok((notice, content)) => {
                let id = notice.id;
                // It has the queue itself as its way in: boxed, or its future would hold itself.
                Box::pin(self.put(notice, &Arc::new(content), true))
                    .await
                    .map(|()| id)
                    .map_err(io::Error::other)
            }
            Err(error) => Err(error),
        };
        match queued {
            Ok(id) => {
                self.metrics.notice(name);
                tracing::info!(delivery = %envelope.id, notice = %id, kind = name, recipients = count, "notice queued");
                true
            }
            Err(error) => {
                tracing::error!(delivery = %envelope.id, kind = name, %error, "cannot queue a notice");
                false
            }
        }
    }

    /// Everybody who still waits has a leg after this: those who took an alias's place, and those whose route was changed, at whatever
    /// moment of the attempt.
    fn add_destinations(&self, message: u32, open: &Open, now: u64) {
        let Some(route) = self.route.get() else { return };
        let mut wanted = open.state().destinations(route);
        let mut index = self.index();
        for leg in index.legs(message) {
            wanted.remove(leg.destination);
        }
        for destination in wanted {
            index.add_leg(message, &destination, 0, now);
        }
    }

    /// Appends records. They are synced soon, with what else is synced then.
    pub(super) async fn write_down(&self, id: DeliveryId, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let folder = Arc::clone(&self.folder);
        match blocking(move || folder.append(id, &records)).await {
            Ok(()) => self.syncer.soon(),
            // Its other legs have ended, and the file with them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(delivery = %id, %error, "cannot write down what became of a message; after a restart it may be sent again");
            }
        }
    }

    async fn finish_file(&self, id: DeliveryId, open: &Open) {
        let keep = open.state().untold;
        let folder = Arc::clone(&self.folder);
        let removed = if keep {
            blocking(move || folder.keep_failed(id).map(Some)).await
        } else {
            blocking(move || folder.remove(id).map(|()| None)).await
        };
        self.file_ended(id, removed);
        self.syncer.soon();
    }

    /// A message's time has come: its sender is told that it is late, or it has failed.
    pub(super) async fn alarm(self: Arc<Self>, number: u32, id: DeliveryId) {
        let now = self.clock.now();
        let expires = {
            let mut index = self.index();
            if index.find(id) != Some(number) {
                return;
            }
            let Some(expires) = index.message(number).map(|message| u64::from(message.expires) * 1000) else {
                return;
            };
            if expires <= now && now < self.clock.last_chance() {
                index.set_alarm(number, self.clock.last_chance());
                return;
            }
            if expires <= now && !index.take(number) {
                // Its job sees itself that it has expired; should it break off, we look again.
                index.set_alarm(number, now + 60_000);
                return;
            }
            // What an operator holds back does not fail.
            if expires <= now && index.is_held(number) {
                index.set_alarm(number, now + 3_600_000);
                index.give_back(number, now);
                return;
            }
            expires
        };
        if expires <= now {
            self.fail_all(number, id, &EXPIRED).await;
        } else {
            self.tell_delay(number, id).await;
        }
    }

    /// Everybody who does not have a message that was taken from the index will not get it.
    pub(super) async fn fail_all(&self, number: u32, id: DeliveryId, reply: &Reply) {
        let Some(open) = self.open_taken(number, id).await else { return };
        let mut sorted = Sorted::default();
        for (number, pending) in open.state().pending.iter().enumerate() {
            if let Some(pending) = pending {
                let last = pending.last.as_deref().cloned();
                let trouble =
                    last.unwrap_or(Trouble { remote: None, reply: reply.clone(), whose: Whose::Message });
                sorted.failed.push((number as u32, reply.clone(), trouble));
            }
        }
        let records = self.carry_out(&open, sorted).await;
        if open.state().is_done() {
            self.finish_file(id, &open).await;
            let mut index = self.index();
            self.remembered().add(id);
            index.remove(number);
            self.opened().forget(number);
        } else {
            // The sender could not be told: the disk is full. It is tried again with the alarm.
            self.write_down(id, records).await;
            let now = self.clock.now();
            let mut index = self.index();
            index.set_alarm(number, now + 60_000);
            index.give_back(number, now + 60_000);
            self.opened().forget(number);
        }
    }

    async fn tell_delay(&self, number: u32, id: DeliveryId) {
        let now = self.clock.now();
        let Some(open) = self.open_any(number, id).await else { return };
        let (told, envelope) = {
            let state = open.state();
            let told: Vec<Told> = state.late().collect();
            (told, Arc::clone(&state.envelope))
        };
        let kind = Kind::Delay { until: envelope.expires };
        let said = self.index().delay_said(number) || self.notify(&open, kind, told).await;
        let settings = self.settings.load_full();
        if said {
            open.state().delay_said = true;
            self.write_down(id, vec![Record::Delayed { at: now / 1000 }]).await;
        }
        let mut index = self.index();
        if index.find(id) != Some(number) {
            // Delivered meanwhile; its number may be another's.
            return;
        }
        if said {
            index.set_delay_said(number);
        }
        let next = if said { alarm(&settings, &envelope, true, now) } else { now + 60_000 };
        index.set_alarm(number, next);
        if index.is_idle(number) {
            self.opened().forget(number);
        }
    }
}

impl State {
    /// Where those go who still wait.
    pub(super) fn destinations(&self, route: &Route) -> HashSet<Destination> {
        let waiting =
            self.envelope.recipients.iter().zip(&self.pending).filter(|(_, pending)| pending.is_some());
        waiting.map(|(to, _)| route(&to.address)).collect()
    }

    /// Recipients whose sender wants to hear that they are late.
    fn late(&self) -> impl Iterator<Item = Told> {
        let waiting = self.envelope.recipients.iter().zip(&self.pending).enumerate();
        waiting.filter(|(_, (to, pending))| to.notify.delay && pending.is_some()).map(
            |(number, (to, pending))| {
                let last = pending.as_ref().and_then(|pending| pending.last.clone());
                const NOT_TRIED: Reply = Reply::fixed(451, (4, 4, 0), "It waits for its turn");
                Told {
                    number: number as u32,
                    recipient: to.clone(),
                    action: Action::Delayed,
                    status: last.as_ref().map_or(NOT_TRIED, |trouble| trouble.reply.clone()),
                    said: last.as_ref().map(|trouble| trouble.reply.clone()),
                    remote: last.as_ref().and_then(|trouble| trouble.remote.clone()),
                    last_attempt: pending.as_ref().and_then(|pending| pending.last_at),
                }
            },
        )
    }
}

impl Sorted {
    /// With `expired` nothing is put off any more.
    fn of(fates: Vec<(u32, Fate)>, expired: Option<Reply>) -> Self {
        let mut sorted = Self::default();
        for (number, fate) in fates {
            match fate {
                Fate::Delivered { remote, reply, kind } => {
                    sorted.delivered.push((number, remote, reply, kind))
                }
                Fate::Expanded { to } => sorted.expanded.push((number, to)),
                Fate::Failed(trouble) => sorted.failed.push((number, trouble.reply.clone(), trouble)),
                Fate::Deferred(trouble) => match &expired {
                    Some(reply) => sorted.failed.push((number, reply.clone(), trouble)),
                    None => sorted.deferred.push((number, trouble)),
                },
            }
        }
        sorted
    }

    /// Aliases that lead back to themselves have failed.
    fn refuse_loops(&mut self, open: &Open) {
        let state = open.state();
        let (failed, expanded) = (&mut self.failed, &mut self.expanded);
        expanded.retain(|(number, to)| match state.may_expand(*number, to) {
            Ok(()) => true,
            Err(why) => {
                let (code, enhanced) = LOOP;
                let reply = Reply::fixed(code, enhanced, why);
                let trouble = Trouble { remote: None, reply: reply.clone(), whose: Whose::Message };
                failed.push((*number, reply, trouble));
                false
            }
        });
    }

    /// Failures that nobody could be told of are tried again, so that nothing ends unsaid.
    fn keep_untold(&mut self, told: bool) {
        if !told {
            self.deferred.extend(self.failed.drain(..).map(|(number, _, trouble)| (number, trouble)));
        }
    }
}
