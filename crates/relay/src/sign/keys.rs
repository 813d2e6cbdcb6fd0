//! Private keys: read from their folder, never shown.

use super::{
    Algorithm, record,
    selectors::{Selectors, SelectorsError},
};
use chasqui_base::{DomainName, StartError};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use std::{collections::HashMap, fmt, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};
use zeroize::Zeroizing;

/// A private key.
pub(crate) enum PrivateKey {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not what it should be.
    #[error("no {0} key in PKCS#8 form: {1}")]
    Form(&'static str, String),
    /// It refused to sign.
    #[error("the key does not sign")]
    Sign,
}

impl PrivateKey {
    /// Reads a key in PKCS#8 form.
    pub(crate) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::Rsa => RsaKeyPair::from_pkcs8(der)
                .map(|key| Self::Rsa(Box::new(key)))
                .map_err(|error| KeyError::Form("RSA", error.to_string())),
            // Other programs write the public half beside it or not.
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(|key| Self::Ed25519(Box::new(key)))
                .map_err(|error| KeyError::Form("Ed25519", error.to_string())),
        }
    }

    /// The text of its TXT record.
    pub(crate) fn record(&self) -> String {
        match self {
            Self::Rsa(key) => record::text(Algorithm::Rsa, key.public_key().as_ref()),
            Self::Ed25519(key) => record::text(Algorithm::Ed25519, key.public_key().as_ref()),
        }
    }

    /// Octets of a signature.
    pub(crate) fn signature_len(&self) -> usize {
        match self {
            Self::Rsa(key) => key.public().modulus_len(),
            Self::Ed25519(_) => 64,
        }
    }

    /// Signs what is hashed of the header.
    pub(crate) fn sign(&self, header: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), header, &mut signature)
                    .map_err(|_| KeyError::Sign)?;
                Ok(signature)
            }
            // RFC 8463 §3: the hash is what is signed.
            Self::Ed25519(key) => Ok(key.sign(digest(&SHA256, header).as_ref()).as_ref().to_vec()),
        }
    }
}

/// The record of a key in PKCS#8 form, for the one who makes it.
///
/// # Errors
/// When it is no such key.
pub fn record_of(algorithm: Algorithm, pkcs8: &[u8]) -> Result<String, KeyError> {
    PrivateKey::from_pkcs8(algorithm, pkcs8).map(|key| key.record())
}

/// A domain's keys, by selector, and when each is used.
#[derive(Debug)]
pub(crate) struct DomainKeys {
    pub domain: DomainName,
    pub selectors: Selectors,
    pub keys: HashMap<String, Arc<PrivateKey>>,
}

/// Reads all domains of the folder of keys.
pub(crate) fn load(folder: &Path) -> Result<HashMap<String, Arc<DomainKeys>>, StartError> {
    let open = |path: &Path, reason: String| StartError::open(path, reason);
    let listed = std::fs::read_dir(folder).map_err(|error| open(folder, error.to_string()))?;
    let mut domains = HashMap::new();
    for entry in listed {
        let path = entry.map_err(|error| open(folder, error.to_string()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_dir() || name.starts_with('.') || name == "lost+found" {
            continue;
        }
        let domain = DomainName::parse(&name)
            .map_err(|error| open(&path, format!("its name should be a domain: {error}")))?;
        let selectors = Selectors::load(&path).map_err(|error| match error {
            SelectorsError::Io { path, source } => StartError::open(path, source),
            error => open(&path, error.to_string()),
        })?;
        let mut keys = HashMap::new();
        for entry in selectors.pairs.iter().flat_map(|pair| &pair.keys) {
            let file = path.join(format!("{}.pem", entry.selector));
            let key = read(entry.algorithm, &file)?;
            if key.record() != entry.record {
                return Err(open(&file, format!("it is not the key of the record in {}", super::FILE)));
            }
            keys.insert(entry.selector.clone(), Arc::new(key));
        }
        domains.insert(domain.as_str().to_owned(), Arc::new(DomainKeys { domain, selectors, keys }));
    }
    Ok(domains)
}

fn read(algorithm: Algorithm, path: &Path) -> Result<PrivateKey, StartError> {
    let bad = |reason: String| StartError::open(path, reason);
    let mode = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(bad(format!(
            "the private key is open to every user (mode {:03o}): chmod 600",
            mode & 0o777
        )));
    }
    let pem = Zeroizing::new(std::fs::read(path).map_err(|error| bad(error.to_string()))?);
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem)
        .map_err(|error| bad(format!("no PKCS#8 private key in PEM form: {error}")))?;
    let der = Zeroizing::new(der.secret_pkcs8_der().to_vec());
    PrivateKey::from_pkcs8(algorithm, &der).map_err(|error| bad(error.to_string()))
}
