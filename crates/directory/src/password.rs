//! Password hashes: Argon2id as a PHC string in the database, as bytes in memory.
//!
//! A PHC string is about 97 characters, its content 48 bytes: salt and hash. With a million users that is the difference between
//! half of the memory and most of it, so the snapshot holds [`StoredHash`]'s packed form.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chasqui_base::secret::Secret;
use chasqui_sasl::scram::Verifier;
use subtle::ConstantTimeEq;

const SALT: usize = 16;
const HASH: usize = 32;
/// The most memory, in KiB, that a hash may ask for: 256 MiB. What asks for more would let one record exhaust the server.
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 8;

/// New passwords: Argon2id, 19 MiB, 2 passes, 1 lane (OWASP's first choice).
const DEFAULT: Parameters = Parameters {
    algorithm: Algorithm::Argon2id,
    version: Version::V0x13,
    memory: 19_456,
    passes: 2,
    lanes: 1,
};

/// Parameters of one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters {
    algorithm: Algorithm,
    version: Version,
    /// KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// Hashes a new password and writes it as the database keeps it.
pub fn hash_password(password: &Secret) -> Result<String, PasswordError> {
    let mut salt = [0_u8; SALT];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Failed)?;
    let mut hash = [0_u8; HASH];
    let argon2 = DEFAULT.argon2(HASH)?;
    argon2
        .hash_password_into(password.expose().as_bytes(), &salt, &mut hash)
        .map_err(|_| PasswordError::Failed)?;
    Ok(StoredHash { parameters: DEFAULT, salt: salt.to_vec(), hash: hash.to_vec() }.to_phc())
}

/// What the database keeps of a new password: two things, neither of which can be computed from the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHashes {
    /// An Argon2 hash, for passwords that are sent.
    pub argon2: String,
    /// An RFC 5803 verifier, for those that are proved (SCRAM); none where only the hash is known.
    pub scram: Option<String>,
}

impl PasswordHashes {
    /// Both. Takes some 100 ms.
    pub fn of(password: &Secret) -> Result<Self, PasswordError> {
        let verifier = Verifier::of(password).map_err(|_| PasswordError::Failed)?;
        Ok(Self { argon2: hash_password(password)?, scram: Some(verifier.to_string()) })
    }
}

/// Why a hash cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is no Argon2 PHC string.
    #[error("the password hash is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")]
    NotArgon2,
    /// Its parameters are out of bounds.
    #[error(
        "the password hash asks for more than 256 MiB, 16 passes or 8 lanes, or its salt or hash has a length out of bounds"
    )]
    OutOfBounds,
    /// Hashing failed: no memory or no randomness.
    #[error("the password could not be hashed")]
    Failed,
}

/// A hash that passwords are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHash {
    parameters: Parameters,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl StoredHash {
    /// Reads a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`).
    pub fn parse(phc: &str) -> Result<Self, PasswordError> {
        let mut parts = phc.strip_prefix('$').ok_or(PasswordError::NotArgon2)?.split('$');
        let mut next = || parts.next().ok_or(PasswordError::NotArgon2);
        let algorithm = match next()? {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            "argon2d" => Algorithm::Argon2d,
            _ => return Err(PasswordError::NotArgon2),
        };
        let mut settings = next()?;
        let version = match settings {
            "v=19" => Version::V0x13,
            "v=16" => Version::V0x10,
            _ => return Err(PasswordError::NotArgon2),
        };
        settings = next()?;
        let (mut memory, mut passes, mut lanes) = (None, None, None);
        for setting in settings.split(',') {
            let (name, value) = setting.split_once('=').ok_or(PasswordError::NotArgon2)?;
            let value: u32 = value.parse().map_err(|_| PasswordError::NotArgon2)?;
            match name {
                "m" => memory = Some(value),
                "t" => passes = Some(value),
                "p" => lanes = Some(value),
                _ => return Err(PasswordError::NotArgon2),
            }
        }
        let (Some(memory), Some(passes), Some(lanes)) = (memory, passes, lanes) else {
            return Err(PasswordError::NotArgon2);
        };
        let mut bytes = || STANDARD_NO_PAD.decode(next()?).map_err(|_| PasswordError::NotArgon2);
        let (salt, hash) = (bytes()?, bytes()?);
        if parts.next().is_some() {
            return Err(PasswordError::NotArgon2);
        }
        let parameters = Parameters { algorithm, version, memory, passes, lanes };
        parameters.argon2(hash.len())?;
        if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
            return Err(PasswordError::OutOfBounds);
        }
        Ok(Self { parameters, salt, hash })
    }

    /// Writes it as the database keeps it.
    pub fn to_phc(&self) -> String {
        let Parameters { algorithm, version, memory, passes, lanes } = self.parameters;
        let (salt, hash) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.hash));
        format!("${algorithm}$v={}$m={memory},t={passes},p={lanes}${salt}${hash}", u32::from(version))
    }

    /// A hash that no password matches and that costs as much as a real one, so that an unknown user takes as long to refuse.
    pub(crate) fn dummy() -> Self {
        Self { parameters: DEFAULT, salt: vec![0x5a; SALT], hash: vec![0; HASH] }
    }

    /// Whether `password` is the one that was hashed. Takes tens of milliseconds on purpose; `memory` is reused between calls.
    pub(crate) fn matches(&self, password: &Secret, memory: &mut HashMemory) -> bool {
        let Ok(argon2) = self.parameters.argon2(self.hash.len()) else { return false };
        let mut hash = zeroize::Zeroizing::new(vec![0; self.hash.len()]);
        let blocks = memory.of(argon2.params().block_count());
        let done = argon2.hash_password_into_with_memory(
            password.expose().as_bytes(),
            &self.salt,
            &mut hash,
            blocks,
        );
        done.is_ok() && hash.ct_eq(&self.hash).into()
    }

    /// Packs it: one byte for the usual parameters, else 15, then salt and hash.
    pub(crate) fn pack(&self, into: &mut Vec<u8>) {
        let Parameters { algorithm, version, memory, passes, lanes } = self.parameters;
        if self.parameters == DEFAULT && self.salt.len() == SALT && self.hash.len() == HASH {
            into.push(1);
        } else {
            let algorithm = match algorithm {
                Algorithm::Argon2d => 0,
                Algorithm::Argon2i => 1,
                Algorithm::Argon2id => 2,
            };
            let version = if version == Version::V0x10 { 0x10 } else { 0x13 };
            // Lengths were checked by `parse`: at most 64.
            into.extend([2, algorithm, version, self.salt.len() as u8, self.hash.len() as u8]);
            into.extend(memory.to_be_bytes());
            into.extend(passes.to_be_bytes());
            into.push(lanes as u8);
        }
        into.extend(&self.salt);
        into.extend(&self.hash);
    }

    /// Reads what `pack` wrote.
    pub(crate) fn unpack(packed: &[u8]) -> Option<Self> {
        match packed {
            [1, rest @ ..] if rest.len() == SALT + HASH => {
                Some(Self { parameters: DEFAULT, salt: rest[..SALT].to_vec(), hash: rest[SALT..].to_vec() })
            }
            [2, algorithm, version, salt, hash, rest @ ..]
                if rest.len() == 9 + usize::from(*salt) + usize::from(*hash) =>
            {
                let parameters = Parameters {
                    algorithm: [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id]
                        .into_iter()
                        .nth(usize::from(*algorithm))?,
                    version: if *version == 0x10 { Version::V0x10 } else { Version::V0x13 },
                    memory: u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]),
                    passes: u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]),
                    lanes: u32::from(rest[8]),
                };
                let (salt, hash) = rest[9..].split_at(usize::from(*salt));
                Some(Self { parameters, salt: salt.to_vec(), hash: hash.to_vec() })
            }
            _ => None,
        }
    }
}

impl Parameters {
    fn argon2(self, output: usize) -> Result<Argon2<'static>, PasswordError> {
        if self.memory > MAX_MEMORY || self.passes > MAX_PASSES || self.lanes > MAX_LANES {
            return Err(PasswordError::OutOfBounds);
        }
        let params = Params::new(self.memory, self.passes, self.lanes, Some(output))
            .map_err(|_| PasswordError::OutOfBounds)?;
        Ok(Argon2::new(self.algorithm, self.version, params))
    }
}

/// The working memory of one hashing thread: kept between checks of a storm, given back when it is over.
#[derive(Default)]
pub(crate) struct HashMemory(Vec<Block>);

impl HashMemory {
    fn of(&mut self, blocks: usize) -> &mut [Block] {
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::default());
        }
        &mut self.0[..blocks]
    }

    /// Gives the memory back to the system.
    pub(crate) fn release(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$9v7jBLuDhFSXjDEUqZQRUnTzzGCKcYDBPzqSsdVDIw8";

    #[test]
    fn a_new_password_is_argon2id_with_19_mib() {
        let phc = hash_password(&Secret::new("chasqui-demo".to_owned())).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let stored = StoredHash::parse(&phc).unwrap();
        assert_eq!(stored.to_phc(), phc);
        let mut memory = HashMemory::default();
        assert!(stored.matches(&Secret::new("chasqui-demo".to_owned()), &mut memory));
        assert!(!stored.matches(&Secret::new("chasqui-dem".to_owned()), &mut memory));
        assert!(!StoredHash::dummy().matches(&Secret::new(String::new()), &mut memory));
    }

    #[test]
    fn packed_hashes_survive_and_the_usual_ones_take_49_bytes() {
        for (phc, length) in
            [(hash_password(&Secret::new("x".to_owned())).unwrap(), 49), (KNOWN.to_owned(), 5 + 9 + 8 + 32)]
        {
            let stored = StoredHash::parse(&phc).unwrap();
            let mut packed = Vec::new();
            stored.pack(&mut packed);
            assert_eq!(packed.len(), length);
            assert_eq!(StoredHash::unpack(&packed).unwrap(), stored);
        }
        assert_eq!(StoredHash::unpack(&[]), None);
        assert_eq!(StoredHash::unpack(&[2, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn strange_hashes_are_refused_with_a_sentence() {
        for bad in [
            "",
            "secret",
            "$1$abc$def",
            "$argon2id$v=19$m=64,t=2$c29tZXNhbHQ$9v7j",
            "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ",
        ] {
            assert_eq!(StoredHash::parse(bad), Err(PasswordError::NotArgon2), "{bad}");
        }
        let huge = KNOWN.replace("m=64", "m=99999999");
        assert_eq!(StoredHash::parse(&huge), Err(PasswordError::OutOfBounds));
    }
}
