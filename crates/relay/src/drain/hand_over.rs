//! One pass over the queue: every message that can be is handed to a peer.

use super::Drain;
use crate::{
    message::{BodyKind, Envelope, Notify, Returns},
    queue::Taken,
};
use chasqui_base::{DeliveryId, net::Endpoint, tls::Role};
use chasqui_courier::link::{Dial, Link};
use chasqui_smtp::{
    Body, Envelope as WireEnvelope, EnvelopeId, OriginalRecipient, Protocol, RecipientParameters, Reply, Ret,
};
use std::time::Duration;
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

impl Drain {
    /// Goes over the queue once.
    pub(super) async fn pass(&self) {
        let peers: Vec<Endpoint> = self.state().to.iter().filter_map(|peer| peer.parse().ok()).collect();
        let (send, taken) = mpsc::channel(AHEAD);
        let taken = Mutex::new(taken);
        let lanes = (0..LANES * peers.len()).filter_map(|lane| peers.get(lane % peers.len()));
        let lanes: Vec<_> = lanes.map(|peer| self.lane(peer, &taken)).collect();
        let walk = async {
            let mut walk = self.queue.take_all();
            while let Some(message) = walk.next().await {
                if !self.state().draining || send.send(message).await.is_err() {
                    break;
                }
            }
            drop(send);
        };
        let carry = async {
            all(lanes).await;
            // When every lane has ended, nobody takes more: what waits for one goes back as it is dropped.
            taken.lock().await.close();
        };
        tokio::join!(walk, carry);
    }

    /// One connection to one peer. A message that it cannot hand over goes back into the queue, for another lane or the next pass.
    async fn lane(&self, peer: &Endpoint, taken: &Mutex<mpsc::Receiver<Taken>>) {
        let hostname = self.settings().hostname.clone();
        let dial = Dial { endpoint: peer, tls: self.tls.as_ref(), hostname: &hostname, timeout: CONNECT };
        let mut link = match Link::open(dial, Protocol::Smtp, Role::Relay).await {
            Ok(link) => link,
            Err(error) => return self.trouble(format!("{peer}: {error}")),
        };
        loop {
            let next = taken.lock().await.recv().await;
            let Some(message) = next else { break };
            match hand_over(&mut link, &message).await {
                Ok(reply) => {
                    tracing::info!(delivery = %message.id(), remote = %peer, %reply, "handed over");
                    message.remove().await;
                    self.state().handed += 1;
                }
                Err(Failure::Refused(reply)) => {
                    tracing::warn!(delivery = %message.id(), remote = %peer, %reply, "not handed over");
                    message.give_back();
                    self.trouble(format!("{peer}: {reply}"));
                }
                Err(Failure::Link(error)) => {
                    message.give_back();
                    return self.trouble(format!("{peer}: {error}"));
                }
            }
        }
        link.quit().await;
    }

    fn trouble(&self, text: String) {
        tracing::warn!(trouble = text, "draining");
        self.state().trouble = Some(text);
    }
}

enum Failure {
    /// The peer answered, and does not want it.
    Refused(Reply),
    /// The connection is of no more use.
    Link(chasqui_courier::link::LinkError),
}

/// Sends a message to those who do not have it. Ok only when the peer has it for all of them.
async fn hand_over(link: &mut Link, message: &Taken) -> Result<Reply, Failure> {
    let (envelope, delay_said, now) = message.facts();
    let recipients = message.recipients();
    let mut said = None;
    for (number, batch) in recipients.chunks(BATCH).enumerate() {
        let addresses: Vec<&str> = batch.iter().map(|to| to.address.as_str()).collect();
        let parameters: Vec<_> = batch.iter().map(|to| parameters(to, delay_said)).collect();
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
            delivery_id: Some(batch_id(envelope, number)),
            queued: Some(envelope.received),
            parameters: &parameters,
            ..WireEnvelope::new(&envelope.reverse_path, &addresses, message.content().len())
        };
        let (replies, result) = link.send(&begin, message.content(), STEP).await;
        result.map_err(Failure::Link)?;
        for reply in replies.into_iter().flatten() {
            if !reply.is_positive() {
                // Those of a batch before are there already; under the same id they are not taken twice.
                return Err(Failure::Refused(reply));
            }
            said = Some(reply);
        }
    }
    said.ok_or_else(|| Failure::Refused(Reply::fixed(451, (4, 3, 0), "The peer said nothing of the message")))
}

/// The message's id; of the second and further batches of a message with very many recipients one that is made from it.
fn batch_id(envelope: &Envelope, number: usize) -> DeliveryId {
    if number == 0 {
        return envelope.id;
    }
    let mut bytes = envelope.id.to_bytes();
    let digest = blake3::Hasher::new().update(&bytes).update(&(number as u64).to_be_bytes()).finalize();
    for (byte, chance) in bytes.iter_mut().skip(6).zip(digest.as_bytes()) {
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
