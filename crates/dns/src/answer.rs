//! What a look-up can end in.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Records that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records, in the server's order unless the look-up says otherwise; never empty.
    pub records: Vec<T>,
    /// Whether DNSSEC proved them and every alias on the way.
    pub secure: bool,
    /// The name that has the records, after aliases: lower case, without the final dot.
    pub name: String,
    /// Whether they are past their time, given because no server answers (RFC 8767). Never an answer that DNSSEC proved.
    pub stale: bool,
}

impl<T> Answer<T> {
    /// The same with each record turned into something else; those that turn into nothing are left out.
    pub(crate) fn filter_map<U>(self, turn: impl FnMut(T) -> Option<U>) -> Answer<U> {
        Answer {
            records: self.records.into_iter().filter_map(turn).collect(),
            secure: self.secure,
            name: self.name,
            stale: self.stale,
        }
    }
}

/// A mail exchanger of a domain (RFC 5321 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mx {
    /// Lower ones are tried first.
    pub preference: u16,
    /// The host: lower case, without the final dot; `.` alone means that there is none (RFC 7505).
    pub host: String,
}

/// Whether the domain says that it takes no mail (RFC 7505 §3).
pub fn is_null_mx(records: &[Mx]) -> bool {
    matches!(records, [only] if only.host == ".")
}

/// A TLSA record (RFC 6698 §2.1), numbers as they came: what is not known is for the user to pass over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage: 2 trust anchor, 3 end entity; 0 and 1 the same within PKIX.
    pub usage: u8,
    /// Selector: 0 the certificate, 1 its public key.
    pub selector: u8,
    /// Matching type: 0 exact, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// The certificate association data.
    pub data: Vec<u8>,
}

/// A host's addresses of both families; never both empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// From A records.
    pub v4: Vec<Ipv4Addr>,
    /// From AAAA records.
    pub v6: Vec<Ipv6Addr>,
    /// Whether DNSSEC proved all of it, a missing family's absence too.
    pub secure: bool,
    /// The host's name after aliases: lower case, without the final dot.
    pub name: String,
    /// Whether a part is past its time, given because no server answers.
    pub stale: bool,
}

/// Why there are no records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN), nor any below it (RFC 8020).
    #[error("no such name")]
    NoSuchName {
        /// Whether DNSSEC proved it.
        secure: bool,
    },
    /// The name exists, but has no such records (NODATA).
    #[error("no such record")]
    NoData {
        /// Whether DNSSEC proved it.
        secure: bool,
    },
    /// DNSSEC says that the answer is not the zone's: a signature is wrong, too old or missing.
    #[error("DNSSEC validation failed")]
    Bogus,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No server could answer: SERVFAIL, REFUSED, no connection.
    #[error("temporary DNS failure: {0}")]
    Temporary(String),
    /// Aliases lead in a circle, or there are more than sixteen.
    #[error("aliases (CNAME) lead in a circle or are too many")]
    CnameLoop,
    /// What was asked for can be no domain name.
    #[error("not a domain name")]
    BadName,
}

impl DnsError {
    /// Whether the same question may be answered later: the failure is the servers' or the zone's keepers', not a fact about the
    /// name. Aliases in a circle count, since somebody will mend them.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Bogus | Self::Timeout | Self::Temporary(_) | Self::CnameLoop)
    }

    /// Whether it is certain that there are no such records.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchName { .. } | Self::NoData { .. })
    }

    /// Whether DNSSEC proved that there are no such records.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::NoSuchName { secure: true } | Self::NoData { secure: true })
    }

    /// Its name among the metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NoSuchName { .. } => "no_such_name",
            Self::NoData { .. } => "no_data",
            Self::Bogus => "bogus",
            Self::Timeout => "timeout",
            Self::Temporary(_) => "temporary",
            Self::CnameLoop => "cname_loop",
            Self::BadName => "bad_name",
        }
    }
}
