//! The limits of a server session. Exceeding one is a reply, never a panic.

/// Octets of a line of AUTH or of a response in it, with its CR LF (RFC 4954 §4).
pub const AUTH_LINE: usize = 12_288;

/// What one session may ask for. Every field has a test that exceeds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one command line, with its CR LF. RFC 5321 §4.5.3.1.4 asks for 512 at least; parameters and UTF-8
    /// addresses need more. Also the most input that a caller must be able to hold, except where AUTH is offered, whose lines
    /// may have [`AUTH_LINE`] octets.
    pub line_length: usize,
    /// Octets of one line of message text, with its CR LF; `None` is no limit. RFC 5321 §4.5.3.1.6 allows senders 1000, but
    /// many send more and nothing here depends on it.
    pub text_line_length: Option<usize>,
    /// Octets of one message, advertised by SIZE (RFC 1870).
    pub message_size: u64,
    /// Recipients of one transaction, advertised as RCPTMAX (RFC 9422). RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub recipients: u32,
    /// Transactions of one session, advertised as MAILMAX (RFC 9422); `None` is no limit.
    pub messages: Option<u32>,
    /// Replies of 500 and above before the session is closed with 421.
    pub errors: u32,
    /// Commands that do not exist before the session is closed with 421. Fewer than `errors`, since what speaks another
    /// protocol (HTTP through a browser, say) should not go on for long.
    pub unknown_commands: u32,
    /// Commands without effect (NOOP, RSET, VRFY, HELP, repeated greetings) between two accepted messages, before the session is
    /// closed with 421.
    pub idle_commands: u32,
    /// AUTH commands that failed before the session is closed with 421, so that guessing costs connections.
    pub auth_failures: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_length: 2048,
            text_line_length: None,
            message_size: 50_000_000,
            recipients: 1000,
            messages: None,
            errors: 20,
            unknown_commands: 5,
            idle_commands: 100,
            auth_failures: 3,
        }
    }
}
