//! The delivery id: one a transaction, from the exchanger's log to the name of the message's file.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// 128 bits: 48 of milliseconds since 1970, then 80 of chance, so that ids sort by time.
///
/// The exchanger makes it once for a message; every retry carries the same one, and the storage node derives the file's unique
/// name from it, so that a retry after a lost reply is recognised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId([u8; 16]);

impl DeliveryId {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 26;

    /// A new id.
    pub fn generate() -> Self {
        let mut bytes = [0u8; 16];
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        // The kernel's generator fails only before it is seeded at boot; the clock alone then still tells most ids apart, and a
        // clash is caught where it matters: a file of that name exists.
        if getrandom::fill(&mut bytes[6..]).is_err() {
            let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
            bytes[6..].copy_from_slice(&nanos.to_be_bytes()[6..]);
        }
        Self(bytes)
    }

    /// The id of these 16 octets.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 octets.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Crockford's base32 in lower case: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let mut text = [0u8; Self::TEXT_LEN];
        for (i, slot) in text.iter_mut().enumerate() {
            *slot = ALPHABET[(value >> (5 * (Self::TEXT_LEN - 1 - i)) & 31) as usize];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 26 characters of base32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delivery id is 26 characters of 0-9 and a-z without i, l, o and u")]
pub struct BadDeliveryId;

impl FromStr for DeliveryId {
    type Err = BadDeliveryId;

    fn from_str(text: &str) -> Result<Self, BadDeliveryId> {
        if text.len() != Self::TEXT_LEN {
            return Err(BadDeliveryId);
        }
        let mut value = 0u128;
        for (i, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&a| a == byte).ok_or(BadDeliveryId)?;
            // 26 digits hold 130 bits: the first may use only its low three.
            if i == 0 && digit > 7 {
                return Err(BadDeliveryId);
            }
            value = value << 5 | digit as u128;
        }
        Ok(Self(value.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_sort_by_time() {
        let first = DeliveryId::generate();
        std::thread::sleep(std::time::Duration::from_millis(3));
        let second = DeliveryId::generate();
        assert!(first < second && first.to_string() < second.to_string());
    }

    proptest! {
        #[test]
        fn the_text_form_round_trips(bytes: [u8; 16]) {
            let id = DeliveryId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn other_text_is_refused_without_panic(text in "\\PC{0,30}") {
            if let Ok(id) = text.parse::<DeliveryId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
