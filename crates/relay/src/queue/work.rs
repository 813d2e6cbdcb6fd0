//! Jobs: started as they fall due, each a task of its own.

use super::{
    Queue,
    folder::ReadError,
    index::{Next, Started, State},
    open::Open,
};
use crate::{
    carrier::Carrier,
    fate::{Fate, Trouble, Whose},
    message::Job,
};
use chasqui_base::{DeliveryId, Lifecycle};
use chasqui_courier::blocking;
use chasqui_smtp::Reply;
use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};

/// Jobs that are started in one go, so that the lock is not held for long.
const AT_ONCE: usize = 64;
/// How often the numbers are taken, and old failed messages removed.
const ROUND: Duration = Duration::from_secs(10);
/// Numbers of messages that are looked at in one go.
pub(super) const PIECE: u32 = 4096;
/// How long a message is left alone whose file cannot be read now.
const UNREADABLE_MS: u64 = 60_000;
/// Alarms that are seen to at once: each may read a message's file and queue a notice.
const ALARMS: usize = 64;
/// How often the clock is looked at when nothing is due: it may have been set.
const LOOK: Duration = Duration::from_secs(5);

/// What a recipient is said to have met when an attempt says nothing of it.
const NOTHING_SAID: Reply = Reply::fixed(451, (4, 3, 0), "The attempt ended without a result");

/// A message whose alarm went. By the time it is seen to, its number may be another's.
type Due = (u32, DeliveryId);

impl Queue {
    /// Takes up what is in the folder, and delivers until `run` ends.
    pub async fn work<C: Carrier>(self: Arc<Self>, carrier: Arc<C>, run: Lifecycle) {
        let route = Arc::clone(&carrier);
        if self.route.set(Box::new(move |address| route.destination(address))).is_err() {
            tracing::error!("the queue is worked on already");
            return;
        }
        let loading = tokio::spawn(Arc::clone(&self).load());
        let counting = tokio::spawn(Arc::clone(&self).count());
        // A message has one alarm, so no more wait there than there are messages.
        let (alarms, due) = mpsc::unbounded_channel();
        let alarming = tokio::spawn(Arc::clone(&self).see_to_alarms(due, run.clone()));
        loop {
            let next = self.start_due(&carrier, &alarms, &run);
            tokio::select! {
                () = run.stopped() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
        loading.abort();
        counting.abort();
        alarming.abort();
    }

    /// Sees to alarms, so many at a time. Those that are left at the end come again after the next start.
    async fn see_to_alarms(self: Arc<Self>, mut due: mpsc::UnboundedReceiver<Due>, run: Lifecycle) {
        let places = Arc::new(Semaphore::new(ALARMS));
        while let Some((number, id)) = due.recv().await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let alarm = Arc::clone(&self).alarm(number, id);
            run.spawn(async move {
                alarm.await;
                drop(place);
            });
        }
    }

    /// Starts what is due, and says how long to wait before looking again.
    fn start_due<C: Carrier>(
        self: &Arc<Self>,
        carrier: &Arc<C>,
        alarms: &mpsc::UnboundedSender<Due>,
        run: &Lifecycle,
    ) -> Duration {
        loop {
            let now = self.clock.now();
            let jobs = if self.is_accepting() { self.settings.load().queue.jobs } else { 0 };
            let mut started = Vec::new();
            let set_back = self.clock.take_set_back();
            let mut index = self.index();
            if set_back > 0 {
                index.set_back(set_back);
            }
            for number in index.advance(now) {
                if let Some(message) = index.message(number) {
                    // Received until work ends.
                    let _ = alarms.send((number, message.id));
                }
            }
            while started.len() < AT_ONCE
                && let Some(job) = index.start(&**carrier, jobs)
            {
                started.push(job);
            }
            let next = index.next_time();
            drop(index);
            let more = started.len() == AT_ONCE;
            for job in started {
                run.spawn(Arc::clone(self).job(Arc::clone(carrier), job));
            }
            match next {
                Some(at) if at <= now => {}
                _ if more => {}
                Some(at) => return Duration::from_millis(at - now).min(LOOK),
                None => return LOOK,
            }
        }
    }

    /// One job from its file to its end.
    async fn job<C: Carrier>(self: Arc<Self>, carrier: Arc<C>, started: Started) {
        let mut ending =
            Ending { queue: &self, started: &started, next: Next::Wait(self.clock.now() + UNREADABLE_MS) };
        let Some(open) = self.open_message(&started).await else { return };
        let recipients = {
            let most = self.settings.load().queue.recipients_per_job.max(1);
            let state = open.state();
            let from = started.cursor as usize;
            let waiting = state.envelope.recipients.iter().zip(&state.pending).enumerate().skip(from);
            let here = waiting.filter(|(_, (to, pending))| {
                pending.is_some() && carrier.destination(&to.address) == started.destination
            });
            here.take(most).map(|(number, _)| number as u32).collect::<Vec<_>>()
        };
        let job = Job {
            envelope: Arc::clone(&open.state().envelope),
            content: Arc::clone(&open.content),
            destination: started.destination.clone(),
            recipients,
            attempts: u32::from(started.attempts),
        };
        let asked = job.recipients.clone();
        let fates = if asked.is_empty() {
            Vec::new()
        } else {
            let began = Instant::now();
            // A task of its own, so that a fault in it is no end of the queue's work.
            let fates = tokio::spawn(Arc::clone(&carrier).carry(job)).await.unwrap_or_else(|error| {
                tracing::error!(delivery = %started.id, destination = %started.destination, %error, "an attempt broke off");
                Vec::new()
            });
            self.metrics.attempt(began.elapsed());
            fates
        };
        let fates = complete(&asked, fates);
        ending.next = self.settle(&started, &open, fates).await;
    }

    /// The message of a job: in memory, or from its file.
    async fn open_message(&self, started: &Started) -> Option<Arc<Open>> {
        let open = self.opened().attempt(started.message);
        match open {
            Some(open) => Some(open),
            None => self.read_message(started.message, started.id, started.verify).await,
        }
    }

    /// A message that nobody works on, as it is in memory or in its file.
    pub(super) async fn open_any(&self, number: u32, id: DeliveryId) -> Option<Arc<Open>> {
        let (open, verify) = {
            let index = self.index();
            if index.find(id) != Some(number) {
                return None;
            }
            (self.opened().by_number.get(&number).cloned(), index.is_unverified(number))
        };
        match open {
            Some(open) => Some(open),
            None => self.read_message(number, id, verify).await,
        }
    }

    /// A message that was taken from the index; when its file is gone, so is it.
    pub(super) async fn open_taken(&self, number: u32, id: DeliveryId) -> Option<Arc<Open>> {
        let open = self.open_any(number, id).await;
        if open.is_none() {
            let now = self.clock.now();
            let mut index = self.index();
            if self.opened().doomed.remove(&number) {
                index.remove(number);
            } else {
                index.set_alarm(number, now + UNREADABLE_MS);
                index.give_back(number, now + UNREADABLE_MS);
            }
        }
        open
    }

    async fn read_message(&self, number: u32, id: DeliveryId, verify: bool) -> Option<Arc<Open>> {
        let folder = Arc::clone(&self.folder);
        let read = tokio::task::spawn_blocking(move || {
            let stored = folder.read(id)?;
            if verify {
                folder.verify(id, &stored)?;
            }
            Ok::<_, ReadError>(Open::stored(&folder.message(id), stored))
        });
        let read = read.await;
        let mut index = self.index();
        if index.find(id) != Some(number) {
            // It has ended meanwhile, and its number may be another's.
            return None;
        }
        match read {
            Ok(Ok(open)) => {
                if verify {
                    index.set_verified(number);
                }
                // Another leg of it may have been faster: what it knows is what counts.
                return Some(self.opened().share(number, open));
            }
            Ok(Err(error)) if error.is_damage() => {
                self.opened().doomed.insert(number);
                drop(index);
                self.set_aside(id, &error);
            }
            Ok(Err(ReadError::Io(error))) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!(delivery = %id, "a message's file is gone; somebody else has removed it");
                self.opened().doomed.insert(number);
            }
            Ok(Err(error)) => tracing::error!(delivery = %id, %error, "cannot read a queue file now"),
            Err(error) => tracing::error!(delivery = %id, %error, "reading a queue file broke off"),
        }
        None
    }

    /// A leg's job has ended; with its last leg a message ends.
    fn end_leg(&self, started: &Started, next: Next) {
        let number = started.message;
        let mut index = self.index();
        index.finish(started.leg, next);
        let over = index.message(number).is_some() && index.legs(number).next().is_none();
        let idle = index.legs(number).all(|leg| leg.state != State::Running);
        let mut opened = self.opened();
        let waiting = opened.by_number.get(&number).zip(self.route.get()).filter(|_| over);
        // Another leg's attempt led somebody here after this one had looked who is left.
        let wanted = waiting.map(|(open, route)| open.state().destinations(route)).unwrap_or_default();
        for destination in &wanted {
            index.add_leg(number, destination, 0, self.clock.now());
        }
        let over = over && wanted.is_empty();
        let doomed = idle && opened.doomed.contains(&number);
        if over || doomed {
            self.remembered().add(started.id);
            index.remove(number);
        }
        if idle || over {
            opened.forget(number);
        }
        drop((index, opened));
        self.wake.notify_one();
    }

    /// Moves a file that cannot be read out of the way.
    pub(super) fn set_aside(&self, id: DeliveryId, why: &ReadError) {
        self.metrics.damaged();
        match self.folder.set_aside(&self.folder.message(id)) {
            Ok(path) => {
                tracing::error!(delivery = %id, error = %why, path = %path.display(), "damaged queue file set aside")
            }
            Err(error) => {
                tracing::error!(delivery = %id, %why, %error, "cannot set a damaged queue file aside")
            }
        }
    }

    /// Ends a message's file that was found done.
    pub(super) fn end_file(&self, id: DeliveryId, keep: bool) {
        let ended =
            if keep { self.folder.keep_failed(id).map(Some) } else { self.folder.remove(id).map(|()| None) };
        self.file_ended(id, ended);
    }

    /// A message's file was removed, or kept where its sender cannot be told.
    pub(super) fn file_ended(&self, id: DeliveryId, ended: io::Result<Option<PathBuf>>) {
        match ended {
            Ok(Some(path)) => {
                tracing::warn!(delivery = %id, path = %path.display(), "undeliverable notice kept in failed/")
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(delivery = %id, %error, "cannot remove a finished message; it may be sent again after a restart")
            }
        }
    }

    /// Takes numbers for the metrics, piece by piece, and removes what was kept for long enough.
    async fn count(self: Arc<Self>) {
        let mut round = 0_u64;
        loop {
            let (oldest, largest) = self.survey().await;
            self.metrics.totals(&self.index().totals(), oldest);
            self.metrics.largest(&largest);
            if round.is_multiple_of(360) {
                let (folder, age) = (Arc::clone(&self.folder), self.settings.load().queue.keep_failed.get());
                match blocking(move || folder.prune_failed(age)).await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(removed, "old files removed from failed/"),
                    Err(error) => tracing::warn!(%error, "cannot tidy failed/"),
                }
            }
            round += 1;
            tokio::time::sleep(ROUND).await;
        }
    }

    /// When the oldest of a piece of the numbers was received, and where numbers end.
    pub(super) fn oldest_of(&self, from: u32) -> (Option<u64>, u32) {
        let index = self.index();
        let end = index.end();
        let piece = (from..end.min(from.saturating_add(PIECE))).filter_map(|number| index.message(number));
        (piece.map(|message| u64::from(message.received)).min(), end)
    }

    /// Whether everything that was in the folder at the start has been read.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }
}

/// Ends a leg whatever happens to its task.
struct Ending<'a> {
    queue: &'a Queue,
    started: &'a Started,
    next: Next,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.queue.end_leg(self.started, self.next);
    }
}

/// One fate for each recipient that was asked for, and no other.
fn complete(asked: &[u32], fates: Vec<(u32, Fate)>) -> Vec<(u32, Fate)> {
    let mut by_number: std::collections::HashMap<u32, Fate> = fates.into_iter().collect();
    let nothing = || Fate::Deferred(Trouble { remote: None, reply: NOTHING_SAID, whose: Whose::Message });
    asked.iter().map(|number| (*number, by_number.remove(number).unwrap_or_else(nothing))).collect()
}
