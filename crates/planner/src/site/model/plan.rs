//! The demand that a site is planned for, and its mail domains.

use chasqui_base::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// The demand that a site is planned for.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Accounts.
    pub users: u64,
    /// Octets that an account may hold.
    pub quota: ByteSize,
    /// Which figures the plan was made with. Default `measured`.
    #[serde(default)]
    pub model: Model,
}

/// Where the figures of a plan come from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// The rules of the evaluation of Expresso V3.
    Paper,
    /// The benchmarks of this project.
    #[default]
    Measured,
}

/// A mail domain and what its zone says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Domain {
    /// Accounts that are planned for it. Default 0.
    pub users: u64,
    /// Octets that a new account of it may hold. Default: the plan's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<ByteSize>,
    /// What others should do with mail that claims this domain and is not ours (RFC 7489 §6.3). Default `quarantine`.
    pub dmarc: DmarcPolicy,
    /// Where DMARC and TLS reports go. Default `postmaster@` the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports: Option<String>,
    /// Further mechanisms of the SPF record for mail that others send for the domain, such as `include:_spf.example.net` (RFC 7208 §5).
    /// Default none: the relays alone.
    pub spf: Vec<String>,
    /// Public halves of the DKIM keys: selector, and the record's text such as `v=DKIM1; k=ed25519; p=…` (RFC 6376 §3.6.1), as
    /// `chasqui dkim show` prints it.
    pub dkim: Table<String>,
    /// What senders should do when TLS to us fails (RFC 8461 §3.2). Default `testing`.
    pub mta_sts: MtaSts,
    /// The CAs that may issue certificates for the domain (RFC 8659). Default none: no CAA record.
    pub caa: Vec<String>,
    /// TLSA records of the exchangers' certificates, `3 1 1 HEX` (RFC 7672 §3.1). Default none.
    pub tlsa: Vec<String>,
}

/// A DMARC policy (RFC 7489 §6.3).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DmarcPolicy {
    /// Only report.
    None,
    /// Treat as suspicious.
    #[default]
    Quarantine,
    /// Refuse.
    Reject,
}

/// The mode of an MTA-STS policy (RFC 8461 §3.2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MtaSts {
    /// No policy is published.
    None,
    /// Failures are reported, mail is delivered.
    #[default]
    Testing,
    /// Mail is not delivered without TLS.
    Enforce,
}
