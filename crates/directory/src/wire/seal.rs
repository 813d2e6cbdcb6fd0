//! Sealing and opening datagrams in place: see the grammar in [`super`].

use std::sync::atomic::{AtomicU64, Ordering};

use super::cipher::{TAG, XChaCha20Poly1305};
use super::{MAX_DATAGRAM, SIZES};
use crate::keys::KeyRing;

const VERSION: u8 = 1;
const REQUEST: u8 = 0x51;
const REPLY: u8 = 0x52;
/// Octets before the sealed part of a request.
const REQUEST_HEADER: usize = 30;
/// Octets before the sealed part of a reply.
const REPLY_HEADER: usize = 38;

/// The most content that a request carries.
pub(crate) const MAX_QUESTIONS_LEN: usize = MAX_DATAGRAM - REQUEST_HEADER - TAG;
/// The most content that a reply carries.
pub(crate) const MAX_ANSWERS_LEN: usize = MAX_DATAGRAM - REPLY_HEADER - TAG;

/// Which datagram of which client process: the nonce of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    pub(crate) session: [u8; 16],
    pub(crate) counter: u64,
}

/// Makes nonces of which no two are equal, in this process or (but for one chance in 2^64) any other.
pub(crate) struct Nonces {
    prefix: [u8; 16],
    counter: AtomicU64,
}

impl Nonces {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut prefix = [0; 16];
        getrandom::fill(&mut prefix)?;
        Ok(Self { prefix, counter: AtomicU64::new(0) })
    }

    /// The session that all of them bear, with counter 0.
    pub(crate) fn session(&self) -> Stamp {
        Stamp { session: self.prefix, counter: 0 }
    }

    pub(crate) fn next(&self) -> Stamp {
        Stamp { session: self.prefix, counter: self.counter.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Stamp {
    fn put(self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.session);
        into.extend_from_slice(&self.counter.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (session, counter) = bytes.split_first_chunk::<16>()?;
        Some(Self { session: *session, counter: u64::from_be_bytes(counter.try_into().ok()?) })
    }
}

/// Seals questions into `into`; `content` is at most [`MAX_QUESTIONS_LEN`].
pub(crate) fn seal_request(keys: &KeyRing, stamp: Stamp, content: &[u8], into: &mut Vec<u8>) {
    let key = keys.sealing();
    into.clear();
    into.extend_from_slice(&[VERSION, REQUEST]);
    into.extend_from_slice(&key.id);
    stamp.put(into);
    seal(&key.requests, 6..REQUEST_HEADER, None, content, into);
}

/// Seals the answers to the request stamped `request`; `content` is at most [`MAX_ANSWERS_LEN`].
pub(crate) fn seal_reply(keys: &KeyRing, nonce: Stamp, request: Stamp, content: &[u8], into: &mut Vec<u8>) {
    let key = keys.sealing();
    into.clear();
    into.extend_from_slice(&[VERSION, REPLY]);
    into.extend_from_slice(&key.id);
    nonce.put(into);
    into.extend_from_slice(&request.counter.to_be_bytes());
    seal(&key.replies, 6..30, Some(request), content, into);
}

/// Opens a request in place: its stamp and its content.
pub(crate) fn open_request<'a>(keys: &KeyRing, datagram: &'a mut [u8]) -> Option<(Stamp, &'a [u8])> {
    if datagram.len() > MAX_DATAGRAM || !datagram.starts_with(&[VERSION, REQUEST]) {
        return None;
    }
    let (header, sealed) = datagram.split_at_mut_checked(REQUEST_HEADER)?;
    let stamp = Stamp::read(&header[6..])?;
    let key = keys.opening(&header[2..6])?;
    Some((stamp, open(&key.requests, &header[6..], header, sealed)?))
}

/// The counter of the request that a reply claims to answer.
pub(crate) fn reply_counter(datagram: &[u8]) -> Option<u64> {
    if datagram.len() > MAX_DATAGRAM || !datagram.starts_with(&[VERSION, REPLY]) {
        return None;
    }
    Some(u64::from_be_bytes(datagram.get(30..REPLY_HEADER)?.try_into().ok()?))
}

/// Opens in place the reply to the request stamped `request`.
pub(crate) fn open_reply<'a>(keys: &KeyRing, request: Stamp, datagram: &'a mut [u8]) -> Option<&'a [u8]> {
    if reply_counter(datagram)? != request.counter {
        return None;
    }
    let (header, sealed) = datagram.split_at_mut_checked(REPLY_HEADER)?;
    let key = keys.opening(&header[2..6])?;
    open(&key.replies, &header[6..30], &bound(header, request), sealed)
}

/// What a reply authenticates: its header and the session that it answers.
fn bound(header: &[u8], request: Stamp) -> [u8; REPLY_HEADER + 16] {
    let mut bound = [0; REPLY_HEADER + 16];
    bound[..REPLY_HEADER].copy_from_slice(header);
    bound[REPLY_HEADER..].copy_from_slice(&request.session);
    bound
}

/// Appends padded and encrypted content and the tag to the header that stands in `into`.
fn seal(
    cipher: &XChaCha20Poly1305,
    nonce: std::ops::Range<usize>,
    answers: Option<Stamp>,
    content: &[u8],
    into: &mut Vec<u8>,
) {
    let header = into.len();
    let needed = header + content.len() + TAG;
    let size = SIZES.into_iter().find(|size| *size >= needed).unwrap_or(needed);
    into.extend_from_slice(content);
    into.resize(size - TAG, 0);
    let (head, body) = into.split_at_mut(header);
    let sealed = match (head[nonce].try_into(), answers) {
        (Ok(nonce), Some(request)) => cipher.seal(nonce, &bound(head, request), body),
        (Ok(nonce), None) => cipher.seal(nonce, head, body),
        (Err(_), _) => None,
    };
    match sealed {
        Some(tag) => into.extend_from_slice(&tag),
        // Only for content longer than 256 GiB.
        None => into.clear(),
    }
}

fn open<'a>(
    cipher: &XChaCha20Poly1305,
    nonce: &[u8],
    bound: &[u8],
    sealed: &'a mut [u8],
) -> Option<&'a [u8]> {
    cipher.open(nonce.try_into().ok()?, bound, sealed)
}
