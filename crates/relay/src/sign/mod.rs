//! DKIM signatures (RFC 6376), RSA and Ed25519 both (RFC 8463), on messages of any size.
//!
//! A signature stands in front of the message and covers its body, which comes last. So that a big message is written once and never
//! held in memory, a [`Draft`] says at the end of the header how many octets its fields will have, the writer keeps that room, the body
//! is hashed as it passes, and [`Draft::finish`] gives exactly so many octets.
//!
//! What is signed: the fields of [`header`] with those that matter named once more than they are there, so that none can be added;
//! the whole body, `l=` never; relaxed and relaxed. The domain is that of the `From` address, or the nearest one above it that has keys.

mod body;
pub(crate) mod fields;
mod header;
mod keys;
mod record;
mod selectors;
#[cfg(test)]
pub(crate) mod tests;

pub use keys::{KeyError, record_of};
pub use record::strings;
pub use selectors::{FILE, KeyEntry, Pair, Rotation, Selectors, SelectorsError, Stage};

use crate::config::Signing;
use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use body::BodyHash;
use chasqui_base::{DomainName, StartError};
use header::{SignedHeader, relax_value};
use keys::{DomainKeys, PrivateKey};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Octets of a SHA-256 hash in base64.
const HASH: usize = 44;
/// Characters of base64, or of names in `h=`, in one line.
const LINE: usize = 70;

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// `rsa-sha256` (RFC 6376 §3.3.1).
    Rsa,
    /// `ed25519-sha256` (RFC 8463).
    Ed25519,
}

impl Algorithm {
    /// Its name in `a=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }
}

/// Signs for the domains whose keys it has. Its keys can be read again while it signs.
#[derive(Debug)]
pub struct Signer {
    keys: ArcSwap<Keys>,
}

#[derive(Debug)]
struct Keys {
    domains: HashMap<String, Arc<DomainKeys>>,
    parents: bool,
}

impl Signer {
    /// Reads the keys.
    ///
    /// # Errors
    /// When a key cannot be read or is open to other users: names the file.
    pub fn open(config: &Signing) -> Result<Self, StartError> {
        Ok(Self { keys: ArcSwap::from_pointee(Keys::load(config)?) })
    }

    /// Reads the keys again; on an error everything stays.
    ///
    /// # Errors
    /// As [`Signer::open`].
    pub fn reload(&self, config: &Signing) -> Result<(), StartError> {
        self.keys.store(Arc::new(Keys::load(config)?));
        Ok(())
    }

    /// Begins the signatures of a message from `domain` with this header, which ends before the empty line. `None` when the domain has no
    /// active key, or the header cannot be signed.
    #[must_use]
    pub fn begin(&self, domain: &DomainName, header: &[u8]) -> Option<Draft> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        self.begin_at(domain, header, now)
    }

    fn begin_at(&self, domain: &DomainName, header: &[u8], now: u64) -> Option<Draft> {
        let keys = self.keys.load();
        let found = keys.find(domain)?;
        let active = found.selectors.active(now)?;
        let signatures: Vec<_> = active
            .keys
            .iter()
            .filter_map(|entry| {
                let key = Arc::clone(found.keys.get(&entry.selector)?);
                Some(Signature { selector: entry.selector.clone(), algorithm: entry.algorithm, key })
            })
            .collect();
        let header = header::choose(header)?;
        let draft = Draft { domain: found.domain.clone(), now, header, signatures, body: BodyHash::new() };
        (!draft.signatures.is_empty()).then_some(draft)
    }

    /// The signature fields of a message that is in memory whole: empty when the domain has no active key.
    ///
    /// # Errors
    /// When a key does not sign.
    pub fn sign(&self, domain: &DomainName, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let end = memchr::memmem::find(message, b"\r\n\r\n");
        let (header, body) = match end {
            Some(end) => message.split_at(end + 2),
            None => (message, &[][..]),
        };
        let Some(mut draft) = self.begin(domain, header) else { return Ok(Vec::new()) };
        draft.body(body.get(2..).unwrap_or_default());
        draft.finish()
    }
}

impl Keys {
    fn load(config: &Signing) -> Result<Self, StartError> {
        let domains = match &config.keys {
            Some(folder) => keys::load(folder)?,
            None => HashMap::new(),
        };
        Ok(Self { domains, parents: config.parents })
    }

    fn find(&self, domain: &DomainName) -> Option<&DomainKeys> {
        let mut name = domain.as_str();
        loop {
            if let Some(found) = self.domains.get(name) {
                return Some(found);
            }
            if !self.parents {
                return None;
            }
            (_, name) = name.split_once('.')?;
        }
    }
}

/// The signatures of one message, until its body is complete.
#[derive(Debug)]
pub struct Draft {
    domain: DomainName,
    now: u64,
    header: SignedHeader,
    signatures: Vec<Signature>,
    body: BodyHash,
}

#[derive(Debug)]
struct Signature {
    selector: String,
    algorithm: Algorithm,
    key: Arc<PrivateKey>,
}

impl Draft {
    /// The domain that signs.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// Octets that [`Draft::finish`] will give.
    #[must_use]
    pub fn len(&self) -> usize {
        let field = |signature: &Signature| {
            let encoded = signature.key.signature_len().div_ceil(3) * 4;
            self.field(signature, &"=".repeat(HASH)).len() + folded_len(encoded) + 2
        };
        self.signatures.iter().map(field).sum()
    }

    /// Never: a draft has a signature.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty()
    }

    /// Takes the next part of the body.
    pub fn body(&mut self, octets: &[u8]) {
        self.body.push(octets);
    }

    /// The whole fields, each with its CR LF, to stand before all others.
    ///
    /// # Errors
    /// When a key does not sign.
    pub fn finish(mut self) -> Result<Vec<u8>, KeyError> {
        let body = std::mem::replace(&mut self.body, BodyHash::new()).finish();
        let hash = STANDARD.encode(body);
        let mut out = Vec::with_capacity(self.len());
        for signature in &self.signatures {
            let field = self.field(signature, &hash);
            // RFC 6376 §3.7: the field itself in the relaxed form, with an empty `b=` and without CR LF.
            let mut signed = self.header.relaxed.clone();
            let (name, value) = field.split_once(':').unwrap_or_default();
            signed.extend(name.bytes().map(|b| b.to_ascii_lowercase()));
            signed.push(b':');
            relax_value(value.as_bytes(), &mut signed);
            let encoded = STANDARD.encode(signature.key.sign(&signed)?);
            out.extend_from_slice(field.as_bytes());
            fold(&encoded, &mut out);
            out.extend_from_slice(b"\r\n");
        }
        Ok(out)
    }

    /// The field up to the value of `b=`, which comes last.
    fn field(&self, signature: &Signature, hash: &str) -> String {
        let mut field = format!(
            "DKIM-Signature: v=1; a={}; c=relaxed/relaxed; d={};\r\n\ts={}; t={};\r\n\th=",
            signature.algorithm.name(),
            self.domain,
            signature.selector,
            self.now
        );
        let mut line = 0;
        for (index, name) in self.header.names.iter().enumerate() {
            if line + name.len() > LINE {
                field.push_str("\r\n\t ");
                line = 0;
            }
            field.push_str(name);
            field.push_str(if index + 1 < self.header.names.len() { ":" } else { ";" });
            line += name.len() + 1;
        }
        field.push_str("\r\n\tbh=");
        field.push_str(hash);
        field.push_str(";\r\n\tb=");
        field
    }
}

/// Appends base64 in lines.
fn fold(encoded: &str, out: &mut Vec<u8>) {
    for (index, part) in encoded.as_bytes().chunks(LINE).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n\t ");
        }
        out.extend_from_slice(part);
    }
}

/// Octets that [`fold`] makes of so many.
const fn folded_len(encoded: usize) -> usize {
    encoded + 4 * (encoded.div_ceil(LINE).saturating_sub(1))
}
