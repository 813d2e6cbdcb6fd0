//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding and without I/O.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::Secret;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// RFC 7677 §4 asks for 4096 at least; a host that demands more than this wants our time, not our password.
const MOST_ITERATIONS: u32 = 1_000_000;
/// Fewer make a stolen exchange cheap to guess from.
const LEAST_ITERATIONS: u32 = 4096;
/// `n,,`: no channel binding, no other identity.
const HEADER: &str = "n,,";

/// One exchange.
pub(super) struct Scram<'a> {
    password: &'a Secret,
    nonce: String,
    first: String,
    state: State,
}

enum State {
    /// The server's first message is next.
    First,
    /// The server's signature is next, and must be this.
    Last([u8; digest::SHA256_OUTPUT_LEN]),
    Done,
}

/// What is wrong with the server's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    /// Not a message of RFC 5802 §7.
    #[error("a message of RFC 5802 §7 was expected")]
    Malformed,
    /// The nonce is not ours, so this may be a copy of another exchange.
    #[error("the nonce does not begin with ours")]
    Nonce,
    /// Too few or too many iterations.
    #[error("{LEAST_ITERATIONS} to {MOST_ITERATIONS} iterations were expected")]
    Iterations,
    /// The server does not know the password.
    #[error("the server's signature is wrong")]
    Signature,
}

impl<'a> Scram<'a> {
    /// An exchange with a nonce of its own.
    pub(super) fn new(user: &str, password: &'a Secret) -> Self {
        let mut random = [0; 18];
        // Without randomness a replayed exchange would still need the server's own nonce.
        let _ = getrandom::fill(&mut random);
        Self::with_nonce(user, password, STANDARD.encode(random))
    }

    fn with_nonce(user: &str, password: &'a Secret, nonce: String) -> Self {
        // RFC 5802 §5.1: `=` and `,` have a meaning of their own.
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first = format!("{HEADER}n={user},r={nonce}");
        Self { password, nonce, first, state: State::First }
    }

    /// What the client says first.
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    /// Whether the server has shown that it knows the password.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// What is said to a message of the server.
    pub(super) fn answer(&mut self, message: &str) -> Result<String, ScramError> {
        match self.state {
            State::First => self.prove(message),
            State::Last(expected) => {
                let signature = message.strip_prefix("v=").ok_or(ScramError::Malformed)?;
                let signature = STANDARD.decode(signature).map_err(|_| ScramError::Malformed)?;
                if signature != expected {
                    return Err(ScramError::Signature);
                }
                self.state = State::Done;
                Ok(String::new())
            }
            State::Done => Err(ScramError::Malformed),
        }
    }

    fn prove(&mut self, message: &str) -> Result<String, ScramError> {
        let mut parts = message.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let nonce = part("r=").ok_or(ScramError::Malformed)?;
        let salt = part("s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or(ScramError::Malformed)?;
        let iterations: u32 = part("i=").and_then(|text| text.parse().ok()).ok_or(ScramError::Malformed)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        let iterations = NonZeroU32::new(iterations)
            .filter(|count| (LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&count.get()))
            .ok_or(ScramError::Iterations)?;

        let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
        let password = self.password.expose().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, salted.as_mut());
        let client_key = sign(&*salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let bare = self.first.get(HEADER.len()..).unwrap_or_default();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let authentication = format!("{bare},{message},{without_proof}");
        let signature = sign(stored_key.as_ref(), authentication.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();

        let server_key = sign(&*salted, b"Server Key");
        let mut expected = [0; digest::SHA256_OUTPUT_LEN];
        expected.copy_from_slice(sign(server_key.as_ref(), authentication.as_bytes()).as_ref());
        self.state = State::Last(expected);
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }
}

fn sign(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(password: &Secret) -> Scram<'_> {
        Scram::with_nonce("user", password, "rOprNGfwEbeRWgbNEkqO".into())
    }

    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_example_of_rfc_7677_holds() {
        let password = Secret::new("pencil".into());
        let mut scram = exchange(&password);
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            scram.answer(SERVER_FIRST).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(!scram.is_done());
        assert_eq!(scram.answer("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(String::new()));
        assert!(scram.is_done());
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let password = Secret::new("pencil".into());
        let mut scram = exchange(&password);
        scram.answer(SERVER_FIRST).unwrap();
        assert_eq!(scram.answer("v=AAAA"), Err(ScramError::Signature));
        assert!(!scram.is_done());
    }

    #[test]
    fn a_server_cannot_weaken_the_exchange() {
        let password = Secret::new("pencil".into());
        for (message, error) in [
            ("r=other,s=W22Z,i=4096", ScramError::Nonce),
            ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096", ScramError::Nonce),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1", ScramError::Iterations),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4000000000", ScramError::Iterations),
            ("m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096", ScramError::Malformed),
            ("v=AAAA", ScramError::Malformed),
        ] {
            assert_eq!(exchange(&password).answer(message), Err(error), "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_taken(message in "[rsiv=,a-z0-9+/]{0,60}") {
            let password = Secret::new("pencil".into());
            let _ = exchange(&password).answer(&message);
        }
    }
}
