//! One pass over the queue: every message that can be is handed to a peer, each to its own.

use super::Drain;
use crate::{
    message::{BodyKind, Notify, Returns},
    queue::Taken,
};
use chasqui_base::{DeliveryId, net::Endpoint, tls::Role};
use chasqui_courier::link::{Dial, Link};
use chasqui_smtp::{
    Body, Envelope as WireEnvelope, EnvelopeId, OriginalRecipient, Protocol, RecipientParameters, Reply, Ret,
};
use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Mutex, mpsc};

/// Connections to each peer.
const LANES: usize = 4;
/// Recipients of one transaction; see [`Link::send`].
const BATCH: usize = 500;
/// For a connection with its handshake and greeting.
const CONNECT: Duration = Duration::from_secs(15);
/// For each step of a transaction. The peer answers after its disk.
const STEP: Duration = Duration::from_secs(120);
/// Messages that wait for a lane.
const AHEAD: usize = 16;
/// Messages of which it is remembered that a peer did not take them.
const UNTAKEN: usize = 100_000;

/// A peer in one pass.
struct Way<'a> {
    peer: &'a Endpoint,
    number: usize,
    /// The connection that showed that the peer is there.
    first: Mutex<Option<Link>>,
    taken: Mutex<mpsc::Receiver<Taken>>,
}

impl Drain {
    /// Goes over the queue once.
    pub(super) async fn pass(&self) {
        let peers: Vec<Endpoint> = self.state().to.iter().filter_map(|peer| peer.parse().ok()).collect();
        let first: Vec<Mutex<Option<Link>>> = peers.iter().map(|_| Mutex::default()).collect();
        let dials = peers.iter().zip(&first);
        all(dials.map(|(peer, first)| async { *first.lock().await = self.dial(peer).await }).collect()).await;
        let mut ways = Vec::new();
        let mut senders = Vec::new();
        for (number, (peer, first)) in peers.iter().zip(first).enumerate() {
            let there = first.into_inner();
            let (send, taken) = mpsc::channel(AHEAD);
            senders.push(there.is_some().then_some(send));
            if there.is_some() {
                ways.push(Way { peer, number, first: Mutex::new(there), taken: Mutex::new(taken) });
            }
        }
        let walk = async {
            let mut walk = self.queue.take_all();
            while self.state().draining && senders.iter().flatten().any(|send| !send.is_closed()) {
                let Some(message) = walk.next().await else { break };
                // When all connections to its peer have ended, it goes back as it is dropped.
                if let Some(send) = self.peer_of(message.id(), &senders) {
                    let _ = send.send(message).await;
                }
            }
            drop(senders);
        };
        let carry = ways.iter().map(|way| async {
            all((0..LANES).map(|_| self.lane(way)).collect()).await;
            // Nobody takes more: what waits goes back as it is dropped.
            way.taken.lock().await.close();
        });
        tokio::join!(walk, all(carry.collect()));
    }

    /// The peer that a message goes to: always the same one, or a lost answer would make two messages of it. Another only while that one
    /// cannot be reached, or when it has refused the message and cannot have it.
    fn peer_of<'a, T>(&self, id: DeliveryId, peers: &'a [Option<T>]) -> Option<&'a T> {
        let [.., a, b, c, d] = id.to_bytes();
        let home = u32::from_be_bytes([a, b, c, d]) as usize;
        let from = match self.untaken().get(&id) {
            Some(Untaken::Unanswered(peer)) => *peer,
            Some(Untaken::Refused(times)) => home.wrapping_add(*times),
            None => home,
        };
        let at = from.checked_rem(peers.len())?;
        if let Some(Some(peer)) = peers.get(at) {
            return Some(peer);
        }
        let there: Vec<&T> = peers.iter().flatten().collect();
        there.get(from.checked_rem(there.len())?).copied()
    }

    async fn dial(&self, peer: &Endpoint) -> Option<Link> {
        let hostname = self.settings().hostname.clone();
        let dial = Dial { endpoint: peer, tls: self.tls.as_ref(), hostname: &hostname, timeout: CONNECT };
        let link = Link::open(dial, Protocol::Smtp, Role::Relay).await;
        link.inspect_err(|error| self.trouble(format!("{peer}: {error}"))).ok()
    }

    /// One connection to one peer. A message that it cannot hand over goes back into the queue, for the next pass.
    async fn lane(&self, way: &Way<'_>) {
        let peer = way.peer;
        let first = way.first.lock().await.take();
        let link = if first.is_some() { first } else { self.dial(peer).await };
        let Some(mut link) = link else { return };
        loop {
            let next = way.taken.lock().await.recv().await;
            let Some(message) = next else { break };
            // It may have waited for a while.
            if !message.leave() {
                continue;
            }
            let id = message.id();
            match hand_over(&mut link, &message, peer).await {
                Ok(()) => {
                    message.remove().await;
                    self.untaken().remove(&id);
                    self.state().handed += 1;
                }
                Err(Failure::Refused(reply)) => {
                    tracing::warn!(delivery = %id, remote = %peer, %reply, "not handed over");
                    self.refused(id);
                    message.give_back();
                    self.trouble(format!("{peer}: {reply}"));
                }
                Err(Failure::Link(error)) => {
                    self.untaken_now(id, Untaken::Unanswered(way.number));
                    message.give_back();
                    return self.trouble(format!("{peer}: {error}"));
                }
            }
        }
        link.quit().await;
    }

    fn refused(&self, id: DeliveryId) {
        let known = self.untaken().get(&id).copied();
        match known {
            // It may have the message all the same, from before.
            Some(Untaken::Unanswered(_)) => {}
            Some(Untaken::Refused(times)) => self.untaken_now(id, Untaken::Refused(times.wrapping_add(1))),
            None => self.untaken_now(id, Untaken::Refused(1)),
        }
    }

    fn untaken_now(&self, id: DeliveryId, why: Untaken) {
        let mut untaken = self.untaken();
        if untaken.len() < UNTAKEN || untaken.contains_key(&id) {
            untaken.insert(id, why);
        }
    }

    fn untaken(&self) -> MutexGuard<'_, HashMap<DeliveryId, Untaken>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, text: String) {
        tracing::warn!(trouble = text, "draining");
        self.state().trouble = Some(text);
    }
}

/// What is known of a message that a peer did not say 250 to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Untaken {
    /// This peer may have it.
    Unanswered(usize),
    /// So many said that they do not want it.
    Refused(usize),
}

enum Failure {
    /// The peer answered, and does not want it.
    Refused(Reply),
    /// The connection is of no more use.
    Link(chasqui_courier::link::LinkError),
}

/// Sends a message to those who do not have it. Ok only when the peer has it for all of them; for whom it has it otherwise is written
/// down.
async fn hand_over(link: &mut Link, message: &Taken, peer: &Endpoint) -> Result<(), Failure> {
    let (envelope, delay_said, now) = message.facts();
    let recipients = message.recipients();
    let whole = recipients.len() == envelope.recipients.len() && recipients.len() <= BATCH;
    let mut refusal = None;
    // By their index, so that a batch is the same one whatever became of others.
    for batch in recipients.chunk_by(|(a, _), (b, _)| *a as usize / BATCH == *b as usize / BATCH) {
        let indices: Vec<u32> = batch.iter().map(|(index, _)| *index).collect();
        let id = if whole { envelope.id } else { part_id(envelope.id, &indices) };
        let addresses: Vec<&str> = batch.iter().map(|(_, to)| to.address.as_str()).collect();
        let parameters: Vec<_> = batch.iter().map(|(_, to)| parameters(to, delay_said)).collect();
        let envelope_id = envelope.envelope_id.as_deref().and_then(|id| xtext(id).parse::<EnvelopeId>().ok());
        let begin = WireEnvelope {
            smtputf8: envelope.smtputf8,
            body: match envelope.body {
                BodyKind::SevenBit => Body::SevenBit,
                BodyKind::EightBitMime => Body::EightBitMime,
                BodyKind::Binary => Body::BinaryMime,
            },
            ret: envelope.returns.map(|returns| match returns {
                Returns::Full => Ret::Full,
                Returns::Headers => Ret::Headers,
            }),
            envelope_id: envelope_id.as_ref(),
            require_tls: envelope.require_tls,
            priority: Some(envelope.priority).filter(|priority| *priority != 0),
            hold_for: envelope.not_before.and_then(|at| at.checked_sub(now)).filter(|seconds| *seconds > 0),
            delivery_id: Some(id),
            queued: Some(envelope.received),
            parameters: &parameters,
            ..WireEnvelope::new(&envelope.reverse_path, &addresses, message.content().len())
        };
        let (replies, result) = link.send(&begin, message.content(), STEP).await;
        result.map_err(Failure::Link)?;
        let mut taken = Vec::new();
        let mut said = None;
        for (index, reply) in indices.into_iter().zip(replies) {
            match reply {
                Some(reply) if reply.is_positive() => {
                    taken.push(index);
                    said = Some(reply);
                }
                Some(reply) => refusal = Some(reply),
                None => {}
            }
        }
        if let Some(reply) = said {
            tracing::info!(
                delivery = %message.id(), handed_as = %id, remote = %peer, recipients = taken.len(), %reply, "handed over"
            );
            if message.passed_on(taken, &reply).await {
                return Ok(());
            }
        }
        if refusal.is_some() {
            break;
        }
    }
    const SILENT: Reply = Reply::fixed(451, (4, 3, 0), "The peer said nothing of the message");
    Err(Failure::Refused(refusal.unwrap_or(SILENT)))
}

/// The id of a part of a message, made from its recipients. The same part has the same id each time, so that a peer that has it does not take
/// it twice; another part, say since some were delivered while draining was cancelled, has another, so that it is not held to be the one that the
/// peer has. And the message's own id may come back from the peer only when nothing of the message is left here.
fn part_id(id: DeliveryId, recipients: &[u32]) -> DeliveryId {
    let mut bytes = id.to_bytes();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes);
    for recipient in recipients {
        hasher.update(&recipient.to_be_bytes());
    }
    for (byte, chance) in bytes.iter_mut().skip(6).zip(hasher.finalize().as_bytes()) {
        *byte = *chance;
    }
    DeliveryId::from_bytes(bytes)
}

/// What the sender wants to hear, but of what it was told already.
fn parameters(to: &crate::message::Recipient, delay_said: bool) -> RecipientParameters {
    let Notify { success, failure, delay, explicit } = to.notify;
    let notify = chasqui_smtp::Notify { success, failure, delay: delay && !delay_said };
    RecipientParameters {
        notify: (explicit || delay_said).then_some(notify),
        original: to.original.as_deref().and_then(original),
    }
}

fn original(typed: &str) -> Option<OriginalRecipient> {
    let (kind, address) = typed.split_once(';')?;
    match OriginalRecipient::of(address) {
        Some(plain) if plain.kind().eq_ignore_ascii_case(kind) => Some(plain),
        // Of another type than ours.
        _ => format!("{kind};{}", xtext(address)).parse().ok(),
    }
}

/// As ENVID and ORCPT have it (RFC 3461 §4).
fn xtext(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"+=".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("+{byte:02X}") })
        .collect()
}

/// Waits for all of several.
async fn all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(|future| Some(Box::pin(future))).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for slot in &mut futures {
            if let Some(future) = slot {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(()) => *slot = None,
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}
