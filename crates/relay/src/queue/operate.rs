//! What an operator asks of the queue, and does to it, while it works.

use super::{
    Queue,
    index::{Marks, State},
    open::Open,
    record::{Record, reply_text},
    work::PIECE,
};
use crate::{
    control::protocol::{self, Details, Filter, Leg, Overview, RecipientFate, Stats},
    message::Source,
    metrics::Largest,
};
use chasqui_base::DeliveryId;
use chasqui_smtp::Reply;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
    vec,
};

const WITHDRAWN: Reply = Reply::fixed(554, (5, 7, 0), "Withdrawn by the administrator of the mail system");

/// The peer's answer would come too late for a hold.
const LEAVING: &str = "it is being handed to another relay at this moment: try again";

/// Recipients that a list names of one message.
const NAMED: usize = 5;

/// The messages that a filter finds, piece by piece, so that the queue works on meanwhile.
pub struct Selection<'a> {
    queue: &'a Queue,
    filter: Filter,
    wanted: Vec<Marks>,
    /// Ids that were asked for, in place of numbers.
    ids: Option<vec::IntoIter<DeliveryId>>,
    from: u32,
    piece: vec::IntoIter<(u32, DeliveryId)>,
}

/// A message that a filter found.
pub struct Found {
    number: u32,
    /// Its id.
    pub id: DeliveryId,
}

/// What an operator does to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No attempts until released.
    Hold,
    /// Attempts again.
    Release,
    /// An attempt now.
    Retry,
    /// No more attempts.
    Fail,
}

impl Queue {
    /// The messages that a filter finds.
    ///
    /// # Errors
    /// When an id is none.
    pub fn select(&self, filter: &Filter) -> Result<Selection<'_>, String> {
        let parse = |id: &String| id.parse::<DeliveryId>().map_err(|error| format!("`{id}`: {error}"));
        let ids = filter.ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let names = [&filter.sender, &filter.recipient, &filter.domain];
        Ok(Selection {
            queue: self,
            wanted: names.into_iter().flatten().map(|name| Marks::of(&self.marks, name)).collect(),
            ids: (!ids.is_empty()).then(|| ids.into_iter()),
            filter: filter.clone(),
            from: 0,
            piece: Vec::new().into_iter(),
        })
    }

    /// Messages in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A message as in a list; `None` when it has gone meanwhile.
    pub async fn overview(&self, found: &Found) -> Option<Overview> {
        let open = self.peek(found.number, found.id).await?;
        self.overview_of(found, &open)
    }

    /// All about a message.
    pub async fn details(&self, found: &Found, headers: bool) -> Option<Details> {
        let open = self.peek(found.number, found.id).await?;
        let overview = self.overview_of(found, &open)?;
        let header = if headers { crate::notice::header_of(&open.content).await.ok() } else { None };
        let state = open.state();
        let envelope = &state.envelope;
        let fate =
            |(to, pending): (&crate::message::Recipient, &Option<super::open::Pending>)| RecipientFate {
                address: to.address.clone(),
                done: pending.is_none(),
                attempts: pending.as_ref().map_or(0, |pending| pending.attempts),
                last: pending.as_ref().and_then(|pending| said(pending.last.as_deref()?)),
                last_at: pending.as_ref().and_then(|pending| pending.last_at),
            };
        Some(Details {
            overview,
            file: self.folder.message(found.id).display().to_string(),
            source: match &envelope.source {
                Source::User(user) => user.to_string(),
                Source::Role => "role".into(),
                Source::Own => "own".into(),
            },
            message_id: envelope.message_id.clone(),
            envelope_id: envelope.envelope_id.clone(),
            priority: envelope.priority,
            not_before: envelope.not_before,
            expires: envelope.expires,
            require_tls: envelope.require_tls,
            delay_said: state.delay_said,
            fates: envelope.recipients.iter().zip(&state.pending).map(fate).collect(),
            headers: header.map(|text| String::from_utf8_lossy(&text).into_owned()),
        })
    }

    /// Does something to a message. Durable after [`Queue::settled`].
    ///
    /// # Errors
    /// Why it cannot be done.
    pub async fn change(&self, found: &Found, change: Change) -> Result<(), &'static str> {
        let (number, id, now) = (found.number, found.id, self.clock.now());
        if self.index().find(id) != Some(number) {
            return Err("it has just been delivered");
        }
        match change {
            Change::Hold | Change::Release => {
                let held = change == Change::Hold;
                if held && self.index().is_leaving(number) {
                    return Err(LEAVING);
                }
                // First on disk, so that a crash does not release what was said to be held.
                self.write_down(id, vec![Record::Held { at: now / 1000, held }]).await;
                let changed = self.set_held(number, id, held, now);
                if changed == Err(LEAVING) {
                    self.write_down(id, vec![Record::Held { at: now / 1000, held: false }]).await;
                }
                changed?;
            }
            Change::Retry => {
                let mut index = self.index();
                if index.find(id) != Some(number) {
                    return Err("it has just been delivered");
                }
                if index.is_held(number) {
                    return Err("it is held: release it");
                }
                let destinations: Vec<_> = index.legs(number).map(|leg| leg.destination.clone()).collect();
                for destination in destinations {
                    index.reopen_now(&destination);
                }
                index.hurry(number, now);
            }
            Change::Fail => {
                {
                    // In one breath, or the number could be another's.
                    let mut index = self.index();
                    if index.find(id) != Some(number) {
                        return Err("it has just been delivered");
                    }
                    if !index.take(number) {
                        return Err("it is being delivered at this moment: try again, or hold it first");
                    }
                }
                self.fail_all(number, id, &WITHDRAWN).await;
            }
        }
        tracing::info!(delivery = %id, ?change, "changed by an operator");
        self.wake.notify_one();
        Ok(())
    }

    fn set_held(&self, number: u32, id: DeliveryId, held: bool, now: u64) -> Result<(), &'static str> {
        let mut index = self.index();
        if index.find(id) != Some(number) {
            return Err("it has just been delivered");
        }
        if held && index.is_leaving(number) {
            return Err(LEAVING);
        }
        if let Some(open) = self.opened().by_number.get(&number) {
            open.state().held = held;
        }
        let changed = index.hold(number, held, now);
        let already = if held { "it is held already" } else { "it is not held" };
        changed.then_some(()).ok_or(already)
    }

    /// What was changed since `began` is on disk when this returns.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn settled(&self, began: Instant) -> std::io::Result<()> {
        self.syncer.sync(began).await
    }

    /// Numbers of the queue.
    pub async fn stats(&self) -> Stats {
        let totals = self.index().totals();
        let (oldest, largest) = self.survey().await;
        Stats {
            messages: totals.messages,
            octets: totals.octets,
            held: totals.held,
            waiting: totals.waiting,
            ready: totals.ready,
            running: totals.running,
            destinations: totals.destinations,
            troubled: totals.troubled,
            oldest,
            largest: largest
                .into_iter()
                .map(|standing| protocol::Destination {
                    name: standing.destination.to_string(),
                    messages: standing.messages,
                    running: standing.running,
                    trouble: standing.trouble.map(|(until, why)| (why, until / 1000)),
                })
                .collect(),
            draining: !self.is_accepting(),
            loading: !self.loaded.load(Ordering::Relaxed),
            unread: self.unread(),
            free_space: self.folder.free_space().unwrap_or(0),
        }
    }

    /// The age of the oldest message, and the destinations that most wait for; looked for piece by piece.
    pub(super) async fn survey(&self) -> (Option<u64>, Vec<super::index::Standing>) {
        let mut oldest = None;
        let mut from = 0;
        loop {
            let (first, end) = self.oldest_of(from);
            oldest = oldest.into_iter().chain(first).min();
            from += PIECE;
            if from >= end {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut largest = Largest::default();
        let mut next = Some(0);
        while let Some(from) = next {
            let (piece, behind) = self.index().standings(from, PIECE);
            largest.add(piece);
            next = behind;
            tokio::task::yield_now().await;
        }
        let now = self.clock.seconds();
        (oldest.map(|received| now.saturating_sub(received)), largest.into_inner())
    }

    /// A message to be looked at, without making others share what was read.
    async fn peek(&self, number: u32, id: DeliveryId) -> Option<Arc<Open>> {
        if let Some(open) = self.opened().by_number.get(&number)
            && open.state().envelope.id == id
        {
            return Some(Arc::clone(open));
        }
        let folder = Arc::clone(&self.folder);
        let read = tokio::task::spawn_blocking(move || {
            folder.read(id).ok().map(|stored| Open::stored(&folder.message(id), stored))
        });
        read.await.ok().flatten().map(Arc::new)
    }

    fn overview_of(&self, found: &Found, open: &Open) -> Option<Overview> {
        let index = self.index();
        let message = index.message(found.number).filter(|message| message.id == found.id)?;
        let state = open.state();
        let waiting = || {
            let all = state.envelope.recipients.iter().zip(&state.pending);
            all.filter_map(|(to, pending)| Some((to, pending.as_ref()?)))
        };
        let last =
            waiting().filter_map(|(_, pending)| pending.last.as_ref().map(|last| (pending.last_at, last)));
        let leg = |leg: super::index::LegView<'_>| Leg {
            destination: leg.destination.to_string(),
            state: match leg.state {
                State::Waiting => "waiting",
                State::Ready => "ready",
                State::Running => "running",
                State::Held => "held",
            }
            .to_owned(),
            attempts: leg.attempts,
            due: leg.due,
            trouble: index
                .standing(leg.destination)
                .and_then(|standing| standing.trouble)
                .map(|(_, why)| why),
        };
        Some(Overview {
            id: found.id.to_string(),
            received: u64::from(message.received),
            size: open.content.len(),
            sender: state.envelope.reverse_path.to_string(),
            recipients: waiting().take(NAMED).map(|(to, _)| to.address.clone()).collect(),
            waiting: waiting().count(),
            held: index.is_held(found.number),
            destinations: index.legs(found.number).take(NAMED).map(leg).collect(),
            last: last.max_by_key(|(at, _)| *at).and_then(|(_, last)| said(last)),
        })
    }
}

impl Selection<'_> {
    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<Found> {
        loop {
            let (number, id) = match self.piece.next() {
                Some(found) => found,
                None => {
                    self.piece = self.next_piece()?.into_iter();
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            if self.wanted.is_empty() {
                return Some(Found { number, id });
            }
            if let Some(open) = self.queue.peek(number, id).await
                && self.filter.finds(&open)
            {
                return Some(Found { number, id });
            }
        }
    }

    fn next_piece(&mut self) -> Option<Vec<(u32, DeliveryId)>> {
        let index = self.queue.index();
        let may_be = |number: u32| {
            let message = index.message(number)?;
            let marked = self.wanted.iter().all(|wanted| message.marks.may_have(*wanted));
            (marked && (!self.filter.held || index.is_held(number))).then_some((number, message.id))
        };
        if let Some(ids) = &mut self.ids {
            let some: Vec<_> = ids.by_ref().take(PIECE as usize).collect();
            if some.is_empty() {
                return None;
            }
            return Some(some.into_iter().filter_map(|id| may_be(index.find(id)?)).collect());
        }
        if self.from >= index.end() {
            return None;
        }
        let end = index.end().min(self.from.saturating_add(PIECE));
        let piece = (self.from..end).filter_map(may_be).collect();
        self.from = end;
        Some(piece)
    }
}

impl Filter {
    fn finds(&self, open: &Open) -> bool {
        let state = open.state();
        let domain_of = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        let is = |address: &str, wanted: &str| {
            address.to_lowercase() == wanted.to_lowercase()
                || domain_of(address) == Some(wanted.to_lowercase())
        };
        let waits_for = |wanted: &str| {
            let mut all = state.envelope.recipients.iter().zip(&state.pending);
            all.any(|(to, pending)| pending.is_some() && is(&to.address, wanted))
        };
        self.sender.as_deref().is_none_or(|wanted| is(state.envelope.reverse_path.as_str(), wanted))
            && self.recipient.as_deref().is_none_or(waits_for)
            && self.domain.as_deref().is_none_or(waits_for)
    }
}

fn said(trouble: &crate::fate::Trouble) -> Option<String> {
    let text = reply_text(&trouble.reply);
    Some(match &trouble.remote {
        Some(remote) => format!("{remote}: {text}"),
        None => text,
    })
}
