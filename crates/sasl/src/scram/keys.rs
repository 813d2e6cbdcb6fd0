//! What is kept of a password: RFC 5803.

use std::{fmt, num::NonZeroU32, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::Secret;
use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Iterations for new passwords. RFC 7677 §4 asks for 4096 at least; this many cost the client about what Argon2id costs the
/// directory, some 50 ms, and somebody who steals the database the same for each guess. The server's own cost is two HMACs,
/// whatever the number.
pub const ITERATIONS: u32 = 100_000;

/// The fewest (RFC 7677 §4) and the most iterations that are believed: a stored verifier or a server beyond it wants our time, not the password.
const FEWEST: u32 = 4096;
const MOST: u32 = 1_000_000;

const SALT: usize = 16;
const KEY: usize = 32;

/// `ClientProof` (RFC 5802 §3).
pub type Proof = [u8; KEY];
/// `ServerSignature` (RFC 5802 §3).
pub type Signature = [u8; KEY];

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The text is no verifier.
    #[error("expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey (RFC 5803)")]
    Malformed,
    /// Fewer iterations than 4096 (RFC 7677 §4), or more than anybody waits for.
    #[error("iterations are between 4096 and 1000000")]
    Iterations,
    /// The system has no random octets.
    #[error("no random octets")]
    NoRandomness,
}

/// What the directory keeps, from which no password can be computed but by guessing.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; KEY],
    server_key: [u8; KEY],
}

impl Verifier {
    /// Of a new password, with a salt of its own. Takes about 50 ms.
    ///
    /// # Errors
    /// [`KeysError::NoRandomness`].
    pub fn of(password: &Secret) -> Result<Self, KeysError> {
        let mut salt = vec![0; SALT];
        getrandom::fill(&mut salt).map_err(|_| KeysError::NoRandomness)?;
        Self::derive(password, salt, ITERATIONS)
    }

    /// One that no proof matches, to be told to whoever asks for a user that does not exist.
    #[must_use]
    pub fn of_nobody(salt: &[u8]) -> Self {
        // A `ClientKey` whose hash is zero is not known to exist.
        Self { iterations: ITERATIONS, salt: salt.to_vec(), stored_key: [0; KEY], server_key: [0; KEY] }
    }

    /// Of a password with this salt.
    ///
    /// # Errors
    /// [`KeysError::Iterations`].
    pub fn derive(password: &Secret, salt: Vec<u8>, iterations: u32) -> Result<Self, KeysError> {
        let salted = salted_password(password, &salt, iterations)?;
        let client_key = hmac_of(&salted[..], b"Client Key");
        let server_key = hmac_of(&salted[..], b"Server Key");
        Ok(Self { iterations, salt, stored_key: hash(&client_key[..]), server_key })
    }

    /// The salt, which the client is told.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The iterations, which the client is told.
    #[must_use]
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Whether the proof shows knowledge of the password; then our signature, which shows the client that we know it too.
    #[must_use]
    pub fn verify(&self, auth_message: &str, proof: &Proof) -> Option<Signature> {
        let signature = hmac_of(&self.stored_key, auth_message.as_bytes());
        let client_key = Zeroizing::new(xor(&signature, proof));
        let right: bool = hash(&client_key[..]).ct_eq(&self.stored_key).into();
        right.then(|| hmac_of(&self.server_key, auth_message.as_bytes()))
    }
}

impl fmt::Display for Verifier {
    /// RFC 5803 §3: `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, for the database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |octets: &[u8]| STANDARD.encode(octets);
        let (salt, stored, server) = (code(&self.salt), code(&self.stored_key), code(&self.server_key));
        write!(f, "SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl FromStr for Verifier {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let fields = || {
            let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
            let (salt, keys) = rest.split_once('$')?;
            let (stored, server) = keys.split_once(':')?;
            let key = |text: &str| <[u8; KEY]>::try_from(STANDARD.decode(text).ok()?).ok();
            let salt = STANDARD.decode(salt).ok().filter(|salt| (1..=64).contains(&salt.len()))?;
            Some((iterations.parse().ok()?, salt, key(stored)?, key(server)?))
        };
        let (iterations, salt, stored_key, server_key) = fields().ok_or(KeysError::Malformed)?;
        checked(iterations)?;
        Ok(Self { iterations, salt, stored_key, server_key })
    }
}

/// The client's proof, and the signature that it expects of the server.
pub(super) fn prove(
    password: &Secret,
    salt: &[u8],
    iterations: u32,
    auth_message: &str,
) -> Result<(Proof, Signature), KeysError> {
    let salted = salted_password(password, salt, iterations)?;
    let client_key = Zeroizing::new(hmac_of(&salted[..], b"Client Key"));
    let signature = hmac_of(&hash(&client_key[..]), auth_message.as_bytes());
    let server_key = Zeroizing::new(hmac_of(&salted[..], b"Server Key"));
    Ok((xor(&client_key, &signature), hmac_of(&server_key[..], auth_message.as_bytes())))
}

fn checked(iterations: u32) -> Result<NonZeroU32, KeysError> {
    NonZeroU32::new(iterations)
        .filter(|iterations| (FEWEST..=MOST).contains(&iterations.get()))
        .ok_or(KeysError::Iterations)
}

/// `Hi(Normalize(password), salt, i)` (RFC 5802 §2.2).
fn salted_password(
    password: &Secret,
    salt: &[u8],
    iterations: u32,
) -> Result<Zeroizing<[u8; KEY]>, KeysError> {
    let iterations = checked(iterations)?;
    // What SASLprep refuses (control characters, say) is taken as it is: no client can send it through SCRAM, but PLAIN can.
    let prepared = match stringprep::saslprep(password.expose()) {
        Ok(prepared) => Zeroizing::new(prepared.into_owned()),
        Err(_) => Zeroizing::new(password.expose().to_owned()),
    };
    let mut salted = Zeroizing::new([0; KEY]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, prepared.as_bytes(), &mut *salted);
    Ok(salted)
}

fn hmac_of(key: &[u8], message: &[u8]) -> [u8; KEY] {
    octets(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

fn hash(message: &[u8]) -> [u8; KEY] {
    octets(digest::digest(&digest::SHA256, message).as_ref())
}

fn octets(found: &[u8]) -> [u8; KEY] {
    let mut octets = [0; KEY];
    octets.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
    octets
}

fn xor(a: &[u8; KEY], b: &[u8; KEY]) -> [u8; KEY] {
    let mut result = *a;
    result.iter_mut().zip(b).for_each(|(to, from)| *to ^= from);
    result
}
