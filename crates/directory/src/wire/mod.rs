//! The directory protocol: one datagram each way (S5), encrypted and authenticated (S5c).
//!
//! # Datagrams
//!
//! ```text
//! datagram  = request / reply
//! request   = version %x51 key-id session counter sealed        ; header: 30 octets
//! reply     = version %x52 key-id nonce counter sealed          ; header: 38 octets
//! version   = %x01
//! key-id    = 4OCTET              ; which of the two live keys seals it
//! session   = 16OCTET             ; random, chosen by a client process when it starts
//! counter   = 8OCTET              ; big-endian; no two datagrams of a session have the same
//! nonce     = 24OCTET             ; 16 random octets of the server process, then its own counter
//! sealed    = *OCTET 16OCTET      ; XChaCha20-Poly1305: ciphertext, tag
//! ```
//!
//! A request's nonce is `session counter`, so each is used once. What is authenticated besides the content: the header, and in a reply
//! also the session of the request that it answers. So a reply fits exactly one request: it can be neither replayed nor swapped.
//! Requests and replies are sealed with different keys, derived from the cluster's.
//!
//! A datagram is 512 or 1200 octets long, whatever it says: the content is padded with zeros. Every question alone fits in 512
//! with its answer in all but extreme cases, so that the size does not say whether an address exists.
//!
//! # Content
//!
//! ```text
//! questions = time count 1*question padding
//! answers   = time verdict count *answer padding
//! time      = 8OCTET              ; milliseconds since 1970, big-endian
//! count     = OCTET               ; 1 to 64
//! verdict   = %x00                ; the answers follow, one for each question, in order
//!           / %x01                ; stale: the time is too far off or before the server started; count is 0
//! question  = kind length *OCTET  ; length in front, so that a server can refuse a kind it does not know
//! padding   = *%x00
//!
//! kind      = %x01                ; look-up:    text = recipient
//!           / %x02                ; verify:     text text = log-in name, password; alone in its datagram
//!           / %x03                ; over quota: text OCTET = account, 1 or 0
//!           / %x04                ; ping:       empty
//!           / %x05                ; scram begin: text = log-in name; alone in its datagram, as scram finish is
//!           / %x06                ; scram finish: text text 32OCTET = log-in name, what is proved, proof
//!           / %x07                ; may send as: text text = account, sender
//!
//! answer    = %x00                ; done (over quota, ping)
//!           / %x01                ; not ours
//!           / %x02                ; unknown
//!           / %x03 number *target ; found
//!           / %x04                ; truncated: does not fit. Ask again alone, then over TCP
//!           / %x05                ; unavailable: busy, or cannot say
//!           / %x06 record         ; verify: yes
//!           / %x07                ; verify: no
//!           / %x08                ; verify: right, but the account may not log in
//!           / %x09                ; the question is not understood
//!           / %x0a text number    ; scram begin: salt (octets), iterations
//!           / %x0b 32OCTET record ; scram finish: right, and the server's signature
//!           / %x0c OCTET          ; may send as: 1 or 0
//! target    = %x00 record / %x01 text                           ; an account; a foreign address
//! record    = flags [text] [text] node state services [number] [number] [number]
//!                                 ; account (unless flag 1: as asked), tag (flag 2), …, quota (4), uid (16), gid (32);
//!                                 ; flag 8: over quota
//! node      = number [text text text text]                      ; its number in this datagram; the first time name, lmtp, imap, pop3
//! text      = number *OCTET       ; UTF-8
//! number    = 1*10OCTET           ; LEB128
//! ```
//!
//! Several look-ups that one client has to ask at the same time travel in one datagram: under load that saves nearly all of the system
//! calls and most of the encryption, and it is still one datagram each way for each question.
//!
//! # Replays
//!
//! A server remembers each session's highest counter and which of the 1024 below it have come, and refuses what came already. It
//! forgets a session when the last of its datagrams is too old to pass by its time. It refuses times from before its own start, since it
//! remembers nothing from then. A client whose clock is off learns the server's from the `stale` reply, which is authenticated and bound to
//! its request, and asks again. (A datagram recorded on its way to one server can be sent once to another server of the cluster within
//! those seconds; all it gets is an answer that only the client could open.)
//!
//! # TCP
//!
//! The same content, unpadded and without datagram header, each message behind its length in four octets, big-endian, over TLS with
//! certificates on both sides, or in clear on loopback. A message is at most 1 MiB.

pub(crate) mod answers;
pub(crate) mod cipher;
#[cfg(test)]
mod fuzz;
pub(crate) mod questions;
pub(crate) mod seal;
pub(crate) mod stream;

/// No datagram is longer: it passes every path unfragmented (IPv6's minimum MTU is 1280).
pub(crate) const MAX_DATAGRAM: usize = 1200;
/// The sizes that datagrams have.
pub(crate) const SIZES: [usize; 2] = [512, MAX_DATAGRAM];
/// Questions in a datagram.
pub(crate) const MAX_QUESTIONS: usize = 64;
/// Longest message over TCP.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

pub use crate::bytes::Malformed;

/// Milliseconds since 1970 by this host's clock.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
