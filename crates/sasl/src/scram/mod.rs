//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): a password is proved without being sent.
//!
//! The server's side is three steps with the directory between them, since the keys never leave it:
//!
//! ```text
//! client-first ─▶ ClientFirst ── salt and iterations, from the directory ─▶ server-first, Waiting
//! client-final ─▶ Waiting ─▶ ClientFinal ── proof and message, to the directory ─▶ its signature ─▶ server-final
//! ```
//!
//! Channel binding is `tls-exporter` (RFC 9266). A client that says that it could bind and believes that we could not (`y`), where -PLUS
//! was offered, has seen another list of mechanisms than we sent, and is refused (RFC 5802 §6).
//!
//! User names are taken as they are spelt, since the directory makes them canonical; passwords are prepared by SASLprep
//! (RFC 4013) on both sides.

mod client;
mod keys;
mod server;

pub use client::Client;
pub use keys::{ITERATIONS, KeysError, Proof, Signature, Verifier};
pub use server::{ClientFinal, ClientFirst, Waiting};

/// Octets of randomness in a nonce of ours.
const NONCE: usize = 18;

/// The longest nonce, and the longest name, of a peer that is looked at, in octets.
const LONGEST: usize = 1024;

/// What a connection offers to bind an exchange to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// The connection's `tls-exporter` value (RFC 9266), where there is one.
    pub binding: Option<Vec<u8>>,
    /// Whether -PLUS was among the mechanisms that the server offered.
    pub plus_offered: bool,
}

/// Decodes `saslname` (RFC 5802 §5.1): `=2C` is a comma and `=3D` an equals sign.
pub(crate) fn name(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = String::from(parts.next()?);
    for part in parts {
        let rest = if let Some(rest) = part.strip_prefix("2C") {
            name.push(',');
            rest
        } else {
            name.push('=');
            part.strip_prefix("3D")?
        };
        name.push_str(rest);
    }
    let valid = !name.is_empty() && name.len() <= LONGEST && !text.contains([',', '\0']);
    valid.then_some(name)
}

/// The value of `key=value`.
fn value<'a>(field: Option<&'a str>, key: &str) -> Option<&'a str> {
    field?.strip_prefix(key)?.strip_prefix('=')
}

/// RFC 5802 §7: printable without a comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

/// A fresh nonce, in base64.
fn nonce() -> Result<String, KeysError> {
    let mut octets = [0; NONCE];
    getrandom::fill(&mut octets).map_err(|_| KeysError::NoRandomness)?;
    Ok(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, octets))
}

#[cfg(test)]
mod tests;
