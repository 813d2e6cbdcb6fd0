//! What a client said about itself, checked, whichever protocol and mechanism it came by.

use chasqui_base::Secret;

use crate::exchange::Claim;

/// Longest login name, in octets: an address with quotes in it (RFC 5321 §4.5.3.1) fits.
pub const MAX_LOGIN: usize = 512;
/// Longest password, in octets: bounds what the directory is asked to hash.
pub const MAX_PASSWORD: usize = 1024;

/// A login name and its password. The name is printable, both are not empty and not too long.
#[derive(Debug)]
pub struct Credentials {
    login: String,
    password: Secret,
}

/// Why credentials are not even asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// The name or the password is empty, too long, not UTF-8 or has control characters.
    #[error("malformed user name or password")]
    Malformed,
    /// The client wants to act for another user (RFC 4616 §2), which nobody may here.
    #[error("log in as yourself")]
    ForAnother,
}

impl Credentials {
    /// Checks a name and a password as they were typed.
    ///
    /// # Errors
    /// [`BadCredentials::Malformed`].
    pub fn new(login: &[u8], password: &[u8]) -> Result<Self, BadCredentials> {
        let text = |octets: &[u8]| {
            std::str::from_utf8(octets).map(str::to_owned).map_err(|_| BadCredentials::Malformed)
        };
        Self::checked(text(login)?, Secret::new(text(password)?))
    }

    /// Checks what came out of a SASL exchange or of USER and PASS.
    ///
    /// # Errors
    /// [`BadCredentials`].
    pub fn of(claim: Claim) -> Result<Self, BadCredentials> {
        match claim {
            Claim::Password { authorize: Some(other), login, .. } if !other.eq_ignore_ascii_case(&login) => {
                Err(BadCredentials::ForAnother)
            }
            Claim::Password { login, password, .. } => Self::checked(login, password),
            // Not a password: to be handled before by whoever offers such a mechanism.
            Claim::External { .. } | Claim::Bearer { .. } | Claim::Proved { .. } => {
                Err(BadCredentials::Malformed)
            }
        }
    }

    /// The name as typed; the directory makes it canonical.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// The password.
    pub fn password(&self) -> &Secret {
        &self.password
    }

    fn checked(login: String, password: Secret) -> Result<Self, BadCredentials> {
        // A control character in a name is no name, and would reach the logs.
        let bad_login = login.is_empty() || login.len() > MAX_LOGIN || login.chars().any(char::is_control);
        let given = password.expose();
        if bad_login || given.is_empty() || given.len() > MAX_PASSWORD || given.contains('\0') {
            return Err(BadCredentials::Malformed);
        }
        Ok(Self { login, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(authorize: Option<&str>, login: &str, password: &str) -> Result<Credentials, BadCredentials> {
        let (login, password) = (login.to_owned(), Secret::new(password.to_owned()));
        Credentials::of(Claim::Password { authorize: authorize.map(str::to_owned), login, password })
    }

    #[test]
    fn nobody_acts_for_another() {
        assert_eq!(spoken(Some("beto"), "ana", "llave").unwrap_err(), BadCredentials::ForAnother);
        assert!(spoken(Some("ANA"), "ana", "llave").is_ok() && spoken(None, "ana", "llave").is_ok());
    }

    #[test]
    fn empty_long_and_unprintable_credentials_are_malformed() {
        let long = "x".repeat(MAX_PASSWORD + 1);
        for (login, password) in [
            ("", "llave"),
            ("ana", ""),
            ("a\nb", "x"),
            (long.as_str(), "x"),
            ("ana", long.as_str()),
            ("ana", "a\0b"),
        ] {
            assert_eq!(spoken(None, login, password).unwrap_err(), BadCredentials::Malformed);
            assert!(Credentials::new(login.as_bytes(), password.as_bytes()).is_err());
        }
        assert!(Credentials::new(b"ana", b"\xff").is_err());
        assert!(Credentials::new("ána".as_bytes(), " llave ñ ".as_bytes()).is_ok());
    }
}
