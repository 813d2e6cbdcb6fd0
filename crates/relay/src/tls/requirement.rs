//! What a host must show, and how it went: the words that delivery and the policies share.

use std::sync::Arc;

use chasqui_smtp::Reply;
use serde::{Deserialize, Serialize};

use super::config::MinimumLevel;
use super::dane::Dane;
use super::sts::{Mode, Policy};

/// What a destination demands, as known before any of its hosts is asked. Cloning shares it.
#[derive(Clone, Debug)]
pub struct DomainPolicy {
    pub(super) domain: Arc<str>,
    /// The domain's MTA-STS policy, if it has one that is in force or being tested.
    pub(super) sts: Option<Arc<Policy>>,
    /// Why there is none although the domain says that it has one.
    pub(super) sts_failure: Option<Failure>,
    pub(super) minimum: MinimumLevel,
    /// Names of the certificate instead of the host's, for [`MinimumLevel::Verified`].
    pub(super) names: Arc<[String]>,
}

impl DomainPolicy {
    /// The domain: lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The MTA-STS policy's mode, if there is a policy.
    pub fn sts_mode(&self) -> Option<Mode> {
        self.sts.as_ref().map(|policy| policy.mode)
    }
}

/// What the connection to one host must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// TLS if it is offered, with any certificate (RFC 7435). If it is not offered or does not work, clear text where that is allowed.
    Opportunistic {
        /// Whether the message may go in clear text.
        cleartext_allowed: bool,
    },
    /// TLS with any certificate.
    Encrypted,
    /// TLS with a certificate that the host's TLSA records vouch for.
    Dane(Arc<Dane>),
    /// TLS with a certificate of a CA that is trusted, for one of these names.
    WebPki {
        /// Host names; the certificate may have a wildcard for them.
        names: Vec<String>,
    },
    /// As opportunistic, but a certificate is tried as for [`Requirement::WebPki`], and what is wrong is reported: a policy under test.
    Tested {
        /// Host names; the certificate may have a wildcard for them.
        names: Vec<String>,
        /// Whether the message may go in clear text.
        cleartext_allowed: bool,
    },
}

impl Requirement {
    /// Whether the message may go in clear text when the host offers no TLS, or TLS fails.
    pub fn cleartext_allowed(&self) -> bool {
        match self {
            Self::Opportunistic { cleartext_allowed } | Self::Tested { cleartext_allowed, .. } => {
                *cleartext_allowed
            }
            Self::Encrypted | Self::Dane(_) | Self::WebPki { .. } => false,
        }
    }

    /// Whether a connection that satisfies it is with the right host for certain.
    pub fn authenticates(&self) -> bool {
        matches!(self, Self::Dane(_) | Self::WebPki { .. })
    }
}

/// This host may not be used, or not for this message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFailure {
    /// What a TLS report calls it.
    pub kind: Failure,
    /// What is told in the host's place: 4xx if it may be tried again later, else 5xx.
    pub reply: Reply,
}

/// How a connection was secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The protocol: `TLSv1_3`.
    pub version: String,
    /// The cipher suite: `TLS13_AES_256_GCM_SHA384`.
    pub suite: String,
    /// What vouched for the certificate.
    pub verified: Verified,
    /// What a policy under test would have failed with.
    pub violation: Option<Violation>,
}

/// What vouched for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Nothing.
    No,
    /// TLSA records.
    Dane,
    /// A CA.
    WebPki,
}

/// What was wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What a TLS report calls it.
    pub kind: Failure,
    /// For people.
    pub reason: String,
}

/// TLS did not come about as required. The connection is gone; whether another may be made in clear text says
/// [`Requirement::cleartext_allowed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TlsFailure {
    /// What a TLS report calls it.
    pub kind: Failure,
    /// For people.
    pub reason: String,
}

impl TlsFailure {
    /// A host that offers no STARTTLS although the requirement wants it.
    pub fn not_offered() -> Self {
        Self { kind: Failure::StarttlsNotSupported, reason: "the host offers no STARTTLS".to_owned() }
    }

    /// What a sender is told. Always temporary: certificates are renewed, and servers mended.
    pub fn reply(&self) -> Reply {
        match self.kind {
            // RFC 3207 §4: a session that is to be encrypted.
            Failure::StarttlsNotSupported => {
                Reply::new(451, (4, 7, 10), "Encryption is needed, and the host offers none")
            }
            _ => Reply::new(451, (4, 7, 5), format!("TLS with the host failed: {}", self.reason)),
        }
    }
}

/// The kinds of failure of TLS reports (RFC 8460 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// No STARTTLS.
    StarttlsNotSupported,
    /// The certificate is another host's.
    CertificateHostMismatch,
    /// The certificate is not valid any more, or not yet.
    CertificateExpired,
    /// No trusted CA vouches for it, or another reason not to believe it.
    CertificateNotTrusted,
    /// Anything else.
    ValidationFailure,
    /// No TLSA record is usable, or none matches.
    TlsaInvalid,
    /// DNSSEC validation failed, or the records could not be had.
    DnssecInvalid,
    /// DANE is required by this site, and the host has no TLSA records.
    DaneRequired,
    /// The MTA-STS policy could not be fetched.
    StsPolicyFetchError,
    /// The policy is none, or the host is not one of its.
    StsPolicyInvalid,
    /// The policy host's certificate is not valid.
    StsWebpkiInvalid,
}

impl Failure {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::DaneRequired => "dane-required",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }
}
