//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 §2), made of ring's ChaCha20-Poly1305 and HChaCha20.
//!
//! The pure Rust implementation of the whole spends about four times as long on a datagram, most of it in Poly1305; at a hundred thousand
//! look-ups a second that is a quarter of a core. Tests compare the two.

use chacha20::{R20, hchacha};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Octets of a tag.
pub(crate) const TAG: usize = 16;

/// A key; overwritten when dropped.
pub(crate) struct XChaCha20Poly1305(Zeroizing<[u8; 32]>);

impl XChaCha20Poly1305 {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Encrypts in place; the tag, or `None` if the text is longer than the cipher allows (256 GiB).
    pub(crate) fn seal(&self, nonce: &[u8; 24], bound: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        let (key, nonce) = self.derive(nonce)?;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(bound), text).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts text and tag in place; the text, or `None` if anything was changed.
    pub(crate) fn open<'a>(&self, nonce: &[u8; 24], bound: &[u8], sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let (key, nonce) = self.derive(nonce)?;
        key.open_in_place(nonce, Aad::from(bound), sealed).ok().map(|text| &*text)
    }

    /// The key of the first 16 octets of the nonce, and the nonce that remains.
    fn derive(&self, nonce: &[u8; 24]) -> Option<(LessSafeKey, Nonce)> {
        let (prefix, rest) = nonce.split_first_chunk::<16>()?;
        let mut derived = hchacha::<R20>((&*self.0).into(), prefix.into());
        let key = UnboundKey::new(&CHACHA20_POLY1305, &derived).ok().map(LessSafeKey::new);
        zeroize::Zeroize::zeroize(derived.as_mut_slice());
        let mut short = [0; NONCE_LEN];
        short[4..].copy_from_slice(rest);
        Some((key?, Nonce::assume_unique_for_key(short)))
    }
}

#[cfg(test)]
mod tests {
    use chacha20poly1305::{AeadInOut, KeyInit};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_xchacha20_poly1305(key: [u8; 32], nonce: [u8; 24], bound: Vec<u8>, text in proptest::collection::vec(any::<u8>(), 0..1300)) {
            let mut expected = text.clone();
            let reference = chacha20poly1305::XChaCha20Poly1305::new(&key.into());
            reference.encrypt_in_place(&nonce.into(), &bound, &mut expected).unwrap();

            let cipher = XChaCha20Poly1305::new(Zeroizing::new(key));
            let mut sealed = text.clone();
            let tag = cipher.seal(&nonce, &bound, &mut sealed).unwrap();
            sealed.extend(tag);
            prop_assert_eq!(&sealed, &expected);
            prop_assert_eq!(cipher.open(&nonce, &bound, &mut sealed).unwrap(), text);
            expected[0] ^= 1;
            prop_assert!(cipher.open(&nonce, &bound, &mut expected).is_none());
        }
    }
}
