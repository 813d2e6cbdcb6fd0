//! Settings of the filters that read messages.

use chasqui_base::{ByteSize, Span, StartError, net::Endpoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Filters that read messages, all at the same time. None is asked unless it has an address. Since none of their protocols has TLS,
/// each must be on this host (E19): an exchanger runs its own, or a tunnel ends on loopback.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContentConfig {
    /// SpamAssassin, by the protocol of spamd.
    pub spamassassin: SpamdConfig,
    /// ClamAV, by clamd's INSTREAM.
    pub clamav: ClamdConfig,
    /// Milters, asked one after the other, each with what those before it have changed. Default none.
    pub milter: Vec<MilterConfig>,
}

/// What becomes of a message that a filter did not judge: it is away, late or out of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenAway {
    /// It is accepted with a line `X-Chasqui-Unfiltered` that names the filter.
    #[default]
    Mark,
    /// It is answered 451, and the sender tries again later.
    Defer,
}

/// SpamAssassin.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpamdConfig {
    /// Where spamd listens, `127.0.0.1:783` or `unix:/run/spamd.sock`. Default none: SpamAssassin is not asked.
    pub address: Option<Endpoint>,
    /// How long it may take for a message, once that has a place (`connections`). Default 30s.
    pub deadline: Span,
    /// Messages above this are not given to it; spam is small. Default 500kB.
    pub max_size: ByteSize,
    /// Messages that it judges at once. Those above wait, as long as `deadline`, and are then put off with 451, whatever `when_away`
    /// says. Default 8.
    pub connections: usize,
    /// What becomes of a message that it did not judge. Default `mark`.
    pub when_away: WhenAway,
    /// The score from which a message is spam and goes to Junk. Default what SpamAssassin is set to (`required_score`).
    pub junk_score: Option<f64>,
    /// The score from which a message is refused in the session. Default none is.
    pub reject_score: Option<f64>,
    /// Whether the account is named to spamd where there is only one, so that its own rules and what it has learnt apply. Default true.
    pub per_user: bool,
}

impl Default for SpamdConfig {
    fn default() -> Self {
        Self {
            address: None,
            deadline: Span::secs(30),
            max_size: ByteSize(500_000),
            connections: 8,
            when_away: WhenAway::Mark,
            junk_score: None,
            reject_score: None,
            per_user: true,
        }
    }
}

/// What becomes of a message with a virus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Infected {
    /// It is refused in the session, 550 5.7.1 with the virus' name.
    #[default]
    Reject,
    /// It goes to Junk with a line `X-Virus-Status`.
    Junk,
}

/// ClamAV.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClamdConfig {
    /// Where clamd listens, `unix:/run/clamav/clamd.ctl` or `127.0.0.1:3310`. Default none: ClamAV is not asked.
    pub address: Option<Endpoint>,
    /// How long it may take for a message, once that has a place (`connections`). Default 1m.
    pub deadline: Span,
    /// Messages above this are not given to it, and `when_away` says what becomes of them. Not above clamd's `StreamMaxLength`.
    /// Default 25MB.
    pub max_size: ByteSize,
    /// Messages that it reads at once. Those above wait, as long as `deadline`, and are then put off with 451, whatever `when_away`
    /// says. Not above clamd's `MaxThreads`. Default 8.
    pub connections: usize,
    /// What becomes of a message that it did not judge. Default `mark`.
    pub when_away: WhenAway,
    /// What becomes of a message with a virus. Default `reject`.
    pub infected: Infected,
}

impl Default for ClamdConfig {
    fn default() -> Self {
        Self {
            address: None,
            deadline: Span::secs(60),
            max_size: ByteSize(25_000_000),
            connections: 8,
            when_away: WhenAway::Mark,
            infected: Infected::Reject,
        }
    }
}

/// What becomes of a message that a milter wants dropped without a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Discarded {
    /// It goes to Junk: what was accepted is kept.
    #[default]
    Junk,
    /// It is dropped.
    Drop,
}

/// A milter: a filter that speaks version 6 of Sendmail's protocol, as for Sendmail and Postfix.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MilterConfig {
    /// Its name in logs, metrics and marks: letters, digits and hyphens.
    pub name: String,
    /// Where it listens, `127.0.0.1:8891` or `unix:/run/opendkim/opendkim.sock`.
    pub address: Endpoint,
    /// How long it may take to be connected to. Default 5s.
    #[serde(default = "connect_deadline")]
    pub connect_deadline: Span,
    /// How long it may take for its answer to a command. Default 20s.
    #[serde(default = "command_deadline")]
    pub command_deadline: Span,
    /// How long it may take for all that follows the recipients: header, body and its verdict. Default 1m.
    #[serde(default = "message_deadline")]
    pub message_deadline: Span,
    /// Connections to it, one for each client that sends. Clients above wait, within `connect_deadline`, and are then put off
    /// with 451, whatever `when_away` says. Default 256.
    #[serde(default = "connections")]
    pub connections: usize,
    /// What becomes of messages while it is away. Default `mark`.
    #[serde(default)]
    pub when_away: WhenAway,
    /// What becomes of a message that it wants dropped without a word, or whose recipients it takes out, all of them. Default `junk`.
    #[serde(default)]
    pub discarded: Discarded,
    /// Octets of a body that it may put in place of the message's. More counts as out of order. Default 25MB.
    #[serde(default = "body_size")]
    pub body_size: ByteSize,
}

const fn connect_deadline() -> Span {
    Span::secs(5)
}

const fn command_deadline() -> Span {
    Span::secs(20)
}

const fn message_deadline() -> Span {
    Span::secs(60)
}

const fn connections() -> usize {
    256
}

const fn body_size() -> ByteSize {
    ByteSize(25_000_000)
}

impl ContentConfig {
    /// Whether any filter is to be asked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.spamassassin.address.is_some() || self.clamav.address.is_some() || !self.milter.is_empty()
    }

    /// Refuses values that the types let pass, with the key and how to mend it.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), StartError> {
        let refuse =
            |key: &str, reason: &str| Err(StartError::value(format!("filter.content.{key}"), reason));
        const NEAR: &str =
            "the protocol has no TLS: the filter must listen on loopback or a UNIX socket of this host";
        let (spamd, clamd) = (&self.spamassassin, &self.clamav);
        if spamd.address.as_ref().is_some_and(|address| !address.is_local()) {
            return refuse("spamassassin.address", NEAR);
        }
        if clamd.address.as_ref().is_some_and(|address| !address.is_local()) {
            return refuse("clamav.address", NEAR);
        }
        if spamd.connections == 0 || clamd.connections == 0 {
            return refuse("spamassassin.connections, clamav.connections", "must not be 0");
        }
        if let (Some(junk), Some(reject)) = (spamd.junk_score, spamd.reject_score)
            && reject < junk
        {
            return refuse("spamassassin.reject_score", "must not be below `junk_score`");
        }
        for (index, milter) in self.milter.iter().enumerate() {
            if !milter.address.is_local() {
                return refuse("milter.address", NEAR);
            }
            if milter.connections == 0 {
                return refuse("milter.connections", "must not be 0");
            }
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if milter.name.is_empty() || !milter.name.bytes().all(word) {
                return refuse("milter.name", "letters, digits and hyphens are expected");
            }
            if self.milter.iter().take(index).any(|other| other.name == milter.name) {
                return refuse("milter.name", "two milters have the same name");
            }
        }
        Ok(())
    }
}
