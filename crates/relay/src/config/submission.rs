//! Settings of submission (RFC 6409) and of the inside port.

use chasqui_base::{ByteSize, Span, StartError, net::AcceptLimits};
use chasqui_sasl::guessing::GuessingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Mail from users and from the site's other roles.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Submission {
    /// SASL mechanisms that are offered, under TLS only. Default all: `["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]`.
    pub mechanisms: Vec<Mechanism>,
    /// The addresses in `From` and `Sender` must belong to the user too, not only the one in MAIL FROM. A message with an empty
    /// reverse path is held to this in any case. Default true.
    pub check_header: bool,
    /// Write the client's name and address into the `Received` line, where every recipient reads them. Default false.
    pub show_client: bool,
    /// Write the user's account into the `Received` line. Default false.
    pub show_account: bool,
    /// How long a sender may ask for a message to be held (FUTURERELEASE, RFC 4865); 0 does not offer it. Default 7d.
    pub longest_hold: Span,
    /// What one client may ask for.
    pub limits: Limits,
    /// How much mail may be sent.
    pub rates: Rates,
    /// Protection against guessed passwords.
    pub guessing: GuessingConfig,
}

impl Default for Submission {
    fn default() -> Self {
        Self {
            mechanisms: Mechanism::ALL.to_vec(),
            check_header: true,
            show_client: false,
            show_account: false,
            longest_hold: Span::secs(7 * 86_400),
            limits: Limits::default(),
            rates: Rates::default(),
            guessing: GuessingConfig::default(),
        }
    }
}

impl Submission {
    /// Refuses values that the types let pass, with the key and how to mend it.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), StartError> {
        let limits = &self.limits;
        if limits.line_length < 512 {
            return Err(StartError::value(
                "senders.limits.line_length",
                "RFC 5321 §4.5.3.1.4 asks for 512 at least",
            ));
        }
        if limits.recipients == 0 || limits.memory.as_u64() == 0 || limits.header_fields == 0 {
            return Err(StartError::value(
                "senders.limits",
                "`recipients`, `memory` and `header_fields` must not be 0",
            ));
        }
        if limits.header_size.as_u64() < 4096 {
            return Err(StartError::value("senders.limits.header_size", "4KiB at least are expected"));
        }
        if self.mechanisms.is_empty() {
            return Err(StartError::value("senders.mechanisms", "without one nobody can submit"));
        }
        if self.rates.entries == 0 {
            return Err(StartError::value("senders.rates.entries", "must not be 0"));
        }
        Ok(())
    }
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// The password is never sent, and the exchange is bound to the TLS connection (RFC 7677, RFC 9266).
    #[serde(rename = "SCRAM-SHA-256-PLUS")]
    ScramPlus,
    /// The password is never sent (RFC 7677).
    #[serde(rename = "SCRAM-SHA-256")]
    Scram,
    /// The password under TLS (RFC 4616).
    #[serde(rename = "PLAIN")]
    Plain,
    /// The same, for old programs.
    #[serde(rename = "LOGIN")]
    Login,
}

impl Mechanism {
    /// Every mechanism, the best first.
    pub const ALL: [Self; 4] = [Self::ScramPlus, Self::Scram, Self::Plain, Self::Login];

    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramPlus => "SCRAM-SHA-256-PLUS",
            Self::Scram => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// What one client may ask for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all, the inside port's beside them. More get 421. Default 10000.
    pub connections: usize,
    /// Connections from one address. More get 421. Default 100.
    pub connections_per_address: usize,
    /// Octets of a message. More get 552 5.3.4. Default 50MB.
    pub message_size: ByteSize,
    /// Octets of a message's header. More get 552 5.3.4. Default 256KiB.
    pub header_size: ByteSize,
    /// Fields of a message's header. More get 554 5.6.0. Default 1000.
    pub header_fields: usize,
    /// Recipients of a transaction. More get 452 4.5.3. Default 1000.
    pub recipients: u32,
    /// Messages of one connection. Then it is closed with 421. Default no limit.
    pub messages: Option<u32>,
    /// Octets of a command line. Longer ones get 500. AUTH may be longer (RFC 4954 §4). Default 2048.
    pub line_length: usize,
    /// Octets of a line of message text. Messages with longer ones get 554. Default no limit.
    pub text_line_length: Option<usize>,
    /// Refusals (5xx) before a connection is closed with 421. Default 20.
    pub errors: u32,
    /// Failed AUTH commands before a connection is closed with 421. Default 3.
    pub auth_failures: u32,
    /// Unknown commands before a connection is closed with 421. Default 5.
    pub unknown_commands: u32,
    /// Commands without effect (NOOP, RSET, …) between two messages before a connection is closed with 421. Default 100.
    pub idle_commands: u32,
    /// `Received` lines of a message. More are taken for a loop: 554 5.4.6. Default 100.
    pub received_lines: usize,
    /// How long a client may take to authenticate. Default 1m.
    pub login_timeout: Span,
    /// How long a client may take for its next command (RFC 5321 §4.5.3.2.7). Default 5m.
    pub command_timeout: Span,
    /// How long a client may pause while it sends a message. Default 3m.
    pub data_timeout: Span,
    /// How long a client may take for a whole message. Default 1h.
    pub message_timeout: Span,
    /// Octets of a message that are held in memory; what is more goes to a file in the queue's folder. Default 256KiB.
    pub memory: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        let wire = chasqui_smtp::Limits::default();
        let accept = AcceptLimits::default();
        Self {
            connections: accept.connections,
            connections_per_address: accept.per_address,
            message_size: ByteSize(50_000_000),
            header_size: ByteSize(256 * 1024),
            header_fields: 1000,
            recipients: 1000,
            messages: None,
            line_length: wire.line_length,
            text_line_length: None,
            errors: wire.errors,
            auth_failures: wire.auth_failures,
            unknown_commands: wire.unknown_commands,
            idle_commands: wire.idle_commands,
            received_lines: 100,
            login_timeout: Span::secs(60),
            command_timeout: Span::secs(300),
            data_timeout: Span::secs(180),
            message_timeout: Span::secs(3600),
            memory: ByteSize(256 * 1024),
        }
    }
}

/// How much mail may be sent, so that a stolen password or a program gone wild does not cost the site its good name.
///
/// Over a limit a client is told 450 4.7.1 with the time of day when it may go on, `chasqui_relay_submission_limited` counts it, and
/// the first time in an hour it is logged as a warning. A window slides: what was sent in the hour (day) before the present one counts by the part
/// of it that is still less than an hour (a day) ago.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// What one user may send.
    pub user: Rate,
    /// What all users of one domain may send together.
    pub domain: Rate,
    /// Other limits for some: an account's address, or a domain.
    pub exceptions: BTreeMap<String, Rate>,
    /// Users and domains that are counted at once. When there are more, those who sent least are forgotten. About 150 octets each.
    /// Default 200000.
    pub entries: usize,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            user: Rate {
                messages_per_hour: Some(200),
                messages_per_day: Some(1000),
                recipients_per_hour: Some(1000),
                recipients_per_day: Some(5000),
            },
            domain: Rate::default(),
            exceptions: BTreeMap::new(),
            entries: 200_000,
        }
    }
}

/// How much may be sent in an hour and in a day. What is not set has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rate {
    /// Messages in an hour. Default for a user 200.
    pub messages_per_hour: Option<u32>,
    /// Messages in a day. Default for a user 1000.
    pub messages_per_day: Option<u32>,
    /// Recipients of all messages in an hour. Default for a user 1000.
    pub recipients_per_hour: Option<u32>,
    /// Recipients of all messages in a day. Default for a user 5000.
    pub recipients_per_day: Option<u32>,
}
