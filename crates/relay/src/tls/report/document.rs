//! The report itself: JSON, gzip (RFC 8460 §4.4), and how one from elsewhere is read within bounds.

use std::io::{Read, Write};
use std::net::IpAddr;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use mail_parser::{MessageParser, MimeHeaders};
use serde::{Deserialize, Serialize};

/// Octets of a report as it comes, and of its JSON. A report of a few kilobytes can say that it unfolds to gigabytes.
pub const MAX_PACKED: usize = 4 * 1024 * 1024;
/// See [`MAX_PACKED`].
pub const MAX_JSON: usize = 16 * 1024 * 1024;

/// A TLS report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Who reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_name: Option<String>,
    /// What time it is about.
    pub date_range: DateRange,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_info: Option<String>,
    /// Unlike any other report's of the same sender.
    pub report_id: String,
    /// What was seen, by policy.
    #[serde(default)]
    pub policies: Vec<PolicyReport>,
}

/// From and to, in RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DateRange {
    /// The first second.
    pub start_datetime: String,
    /// The last second.
    pub end_datetime: String,
}

/// What was seen under one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyReport {
    /// The policy.
    pub policy: ReportedPolicy,
    /// How many sessions.
    pub summary: Summary,
    /// The failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_details: Vec<FailureDetail>,
}

/// A policy as it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReportedPolicy {
    /// `tlsa`, `sts` or `no-policy-found`.
    pub policy_type: String,
    /// Its text: the lines of an MTA-STS policy, or TLSA records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_string: Vec<String>,
    /// The recipients' domain; empty where the sender left it out.
    #[serde(default)]
    pub policy_domain: String,
    /// The MX patterns of an MTA-STS policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub mx_host: Vec<String>,
}

/// Sessions of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Those that satisfied it.
    #[serde(default)]
    pub total_successful_session_count: u64,
    /// Those that did not.
    #[serde(default)]
    pub total_failure_session_count: u64,
}

/// Sessions that failed in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailureDetail {
    /// The kind (RFC 8460 §4.3); more of them may come to be.
    pub result_type: String,
    /// The address that we came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_mta_ip: Option<IpAddr>,
    /// The mail host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_mx_hostname: Option<String>,
    /// What it said that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_mx_helo: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_ip: Option<IpAddr>,
    /// How many.
    #[serde(default)]
    pub failed_session_count: u64,
    /// Where there is more to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_information: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason_code: Option<String>,
}

/// Why something is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The mail has no part that is one.
    #[error("no part of the mail is a TLS report")]
    NoReport,
    /// It is longer than allowed, as it came or unfolded.
    #[error("the report is too long")]
    TooLong,
    /// It cannot be unfolded.
    #[error("gzip: {0}")]
    Gzip(std::io::Error),
    /// It is not what RFC 8460 §4.4 says.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Report {
    /// As it is sent: JSON under gzip.
    pub fn pack(&self) -> std::io::Result<Vec<u8>> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&serde_json::to_vec(self)?)?;
        gzip.finish()
    }

    /// Reads one, under gzip or not.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn unpack(octets: &[u8]) -> Result<Self, ReportError> {
        if octets.len() > MAX_PACKED {
            return Err(ReportError::TooLong);
        }
        if !octets.starts_with(&[0x1f, 0x8b]) {
            return Ok(serde_json::from_slice(octets)?);
        }
        let mut json = Vec::new();
        let limit = MAX_JSON as u64 + 1;
        GzDecoder::new(octets).take(limit).read_to_end(&mut json).map_err(ReportError::Gzip)?;
        if json.len() > MAX_JSON {
            return Err(ReportError::TooLong);
        }
        Ok(serde_json::from_slice(&json)?)
    }

    /// Reads the one in a mail (RFC 8460 §5.3): its first part of a report's type or name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_mail(mail: &[u8]) -> Result<Self, ReportError> {
        if mail.len() > 2 * MAX_PACKED {
            return Err(ReportError::TooLong);
        }
        let message = MessageParser::new().parse(mail).ok_or(ReportError::NoReport)?;
        let is_report = |part: &&mail_parser::MessagePart<'_>| {
            let of_type = part.content_type().is_some_and(|kind| {
                let subtype = kind.subtype().unwrap_or("");
                kind.ctype().eq_ignore_ascii_case("application")
                    && ["tlsrpt+gzip", "tlsrpt+json", "gzip", "json"]
                        .iter()
                        .any(|ours| subtype.eq_ignore_ascii_case(ours))
            });
            let name = part.attachment_name().unwrap_or("");
            of_type || name.ends_with(".json.gz") || name.ends_with(".json")
        };
        let part = message.parts.iter().find(is_report).ok_or(ReportError::NoReport)?;
        Self::unpack(part.contents())
    }
}

/// Some write a single pattern without its list.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Given::deserialize(from)? {
        Given::One(one) => vec![one],
        Given::Many(many) => many,
    })
}
