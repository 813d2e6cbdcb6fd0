//! The names of mechanisms.

/// A SASL mechanism named by a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// The undocumented LOGIN that old clients insist on (draft-murchison-sasl-login).
    Login,
    /// RFC 4422 appendix A: the identity is that of the certificate of the TLS connection.
    External,
    /// RFC 7677.
    ScramSha256,
    /// RFC 7677, bound to the TLS connection (RFC 5802 §6, RFC 9266).
    ScramSha256Plus,
    /// RFC 7628. To be offered only where somebody can verify tokens.
    OAuthBearer,
    /// Anything else; never offered.
    Other,
}

impl Mechanism {
    const KNOWN: [Self; 6] = [
        Self::Plain,
        Self::Login,
        Self::External,
        Self::ScramSha256,
        Self::ScramSha256Plus,
        Self::OAuthBearer,
    ];

    /// The mechanism of this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        Self::KNOWN.into_iter().find(|known| known.name().eq_ignore_ascii_case(name)).unwrap_or(Self::Other)
    }

    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::Other => "",
        }
    }
}
