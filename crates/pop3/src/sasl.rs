use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chasqui_base::Secret;

/// A SASL mechanism named by a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// The undocumented LOGIN that old clients insist on (draft-murchison-sasl-login).
    Login,
    /// RFC 4422 appendix A: the identity is that of the certificate of the TLS connection.
    External,
    /// Anything else; never offered.
    Other,
}

/// Who a client says that it is.
#[derive(Debug)]
pub enum Credentials {
    /// A login name and its password (USER/PASS, PLAIN, LOGIN).
    Password {
        /// The identity to act as, where the client named one other than `login` (RFC 4616 §2).
        authorize: Option<String>,
        /// The name as typed: the directory makes it canonical.
        login: String,
        /// The password as typed.
        password: Secret,
    },
    /// The connection itself proves the right to act as `authorize` (EXTERNAL).
    External {
        /// The authorization identity: an account's canonical address.
        authorize: String,
    },
}

/// An exchange that waits for the client's answer to a challenge.
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN without an initial response.
    Plain,
    /// LOGIN, waiting for the name.
    LoginName,
    /// LOGIN, waiting for the password of this name.
    LoginPassword(String),
    /// EXTERNAL without an initial response.
    External,
}

/// Where an exchange stands.
#[derive(Debug)]
pub enum Progress {
    /// Send this challenge (base64 already), then give the answer to [`Exchange::answer`].
    Challenge(Exchange, &'static str),
    /// The client has said everything.
    Done(Credentials),
}

/// Why an exchange ended without credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client sent `*` (RFC 5034 §4).
    #[error("authentication cancelled")]
    Cancelled,
    /// Not base64, or not UTF-8 inside.
    #[error("the response is not base64 of UTF-8 text")]
    Encoding,
    /// Well encoded, but not what the mechanism takes.
    #[error("the response is malformed")]
    Malformed,
    /// No such mechanism.
    #[error("unknown mechanism")]
    Unsupported,
}

impl Mechanism {
    /// The mechanism of this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        [Self::Plain, Self::Login, Self::External]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name))
            .unwrap_or(Self::Other)
    }

    /// Its registered name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
            Self::Other => "",
        }
    }
}

impl Exchange {
    /// Starts `mechanism` with the initial response, if one came.
    ///
    /// # Errors
    /// [`SaslError::Unsupported`] for [`Mechanism::Other`], [`SaslError::Malformed`] for a bad initial response.
    pub fn begin(mechanism: &Mechanism, initial: Option<Secret>) -> Result<Progress, SaslError> {
        let exchange = match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::Login => Self::LoginName,
            Mechanism::External => Self::External,
            Mechanism::Other => return Err(SaslError::Unsupported),
        };
        match initial {
            Some(response) => exchange.step(&response),
            None => Ok(exchange.challenge()),
        }
    }

    /// Goes on with the client's answer: one line as it came, base64 or `*`.
    ///
    /// # Errors
    /// [`SaslError`]: the exchange is over and a `-ERR` is due.
    pub fn answer(self, line: &[u8]) -> Result<Progress, SaslError> {
        if line == b"*" {
            return Err(SaslError::Cancelled);
        }
        let response = decode(line)?;
        self.step(&response)
    }

    fn challenge(self) -> Progress {
        let text = match self {
            Self::Plain | Self::External => "",
            Self::LoginName => "VXNlcm5hbWU6",
            Self::LoginPassword(_) => "UGFzc3dvcmQ6",
        };
        Progress::Challenge(self, text)
    }

    fn step(self, response: &Secret) -> Result<Progress, SaslError> {
        let text = response.expose();
        match self {
            Self::Plain => plain(text).map(Progress::Done),
            Self::LoginName => {
                if text.is_empty() || text.contains('\0') {
                    return Err(SaslError::Malformed);
                }
                Ok(Self::LoginPassword(text.to_owned()).challenge())
            }
            Self::LoginPassword(login) => Ok(Progress::Done(Credentials::Password {
                authorize: None,
                login,
                password: Secret::from(text.to_owned()),
            })),
            Self::External => {
                if text.contains('\0') {
                    return Err(SaslError::Malformed);
                }
                Ok(Progress::Done(Credentials::External { authorize: text.to_owned() }))
            }
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(text: &str) -> Result<Credentials, SaslError> {
    let mut parts = text.split('\0');
    let (Some(authorize), Some(login), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    if login.is_empty() || password.is_empty() {
        return Err(SaslError::Malformed);
    }
    let authorize = (!authorize.is_empty() && authorize != login).then(|| authorize.to_owned());
    Ok(Credentials::Password {
        authorize,
        login: login.to_owned(),
        password: Secret::from(password.to_owned()),
    })
}

/// Decodes one base64 response.
pub(crate) fn decode(line: &[u8]) -> Result<Secret, SaslError> {
    let octets = STANDARD.decode(line).map_err(|_| SaslError::Encoding)?;
    String::from_utf8(octets).map(Secret::from).map_err(|_| SaslError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        STANDARD.encode(text).into_bytes()
    }

    #[test]
    fn plain_gives_login_and_password_and_an_identity_only_when_it_differs() {
        let Ok(Progress::Done(Credentials::Password { authorize, login, password })) =
            Exchange::Plain.answer(&encoded("ana\0ana\0secret"))
        else {
            panic!("not done")
        };
        assert_eq!((authorize, login.as_str(), password.expose()), (None, "ana", "secret"));
        let Ok(Progress::Done(Credentials::Password { authorize, .. })) =
            Exchange::Plain.answer(&encoded("beto\0ana\0secret"))
        else {
            panic!("not done")
        };
        assert_eq!(authorize.as_deref(), Some("beto"));
    }

    #[test]
    fn malformed_plain_responses_are_refused() {
        for text in ["", "ana", "\0ana", "\0\0secret", "\0ana\0", "a\0b\0c\0d"] {
            assert_eq!(Exchange::Plain.answer(&encoded(text)).err(), Some(SaslError::Malformed), "{text:?}");
        }
        assert_eq!(Exchange::Plain.answer(b"%%%").err(), Some(SaslError::Encoding));
        assert_eq!(Exchange::Plain.answer(b"*").err(), Some(SaslError::Cancelled));
    }

    #[test]
    fn login_asks_for_the_name_and_then_for_the_password() {
        let Ok(Progress::Challenge(exchange, "VXNlcm5hbWU6")) = Exchange::begin(&Mechanism::Login, None)
        else {
            panic!("no challenge")
        };
        let Ok(Progress::Challenge(exchange, "UGFzc3dvcmQ6")) = exchange.answer(&encoded("ana")) else {
            panic!("no second challenge")
        };
        let Ok(Progress::Done(Credentials::Password { login, password, .. })) =
            exchange.answer(&encoded("x y"))
        else {
            panic!("not done")
        };
        assert_eq!((login.as_str(), password.expose()), ("ana", "x y"));
    }
}
