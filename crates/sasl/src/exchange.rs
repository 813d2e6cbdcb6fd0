//! The server's side of an exchange, one answer after the other.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chasqui_base::Secret;

use crate::bearer;
use crate::mechanism::Mechanism;
use crate::scram::{Channel, ClientFinal, ClientFirst, Waiting};

/// Who a client says that it is.
#[derive(Debug)]
pub enum Claim {
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
    /// A token that somebody else gave out (OAUTHBEARER).
    Bearer {
        /// The identity to act as.
        authorize: Option<String>,
        /// The token as it came.
        token: Secret,
    },
    /// The directory has verified a proof of the password, and the client has heard so (SCRAM).
    Proved {
        /// The name as typed.
        login: String,
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
    /// OAUTHBEARER without an initial response.
    Bearer,
    /// SCRAM without an initial response.
    ScramFirst(Mechanism, Channel),
    /// SCRAM, waiting for the proof.
    Scram(Waiting),
    /// SCRAM, waiting for the client to have heard that we know the password too.
    ScramConfirmed(String),
}

/// Where an exchange stands.
#[derive(Debug)]
pub enum Progress {
    /// Send this challenge, which is not encoded yet, and give the answer to the exchange.
    Challenge(Exchange, Cow<'static, str>),
    /// SCRAM: ask the directory for the salt, go on with [`ClientFirst::challenge`].
    Salt(ClientFirst),
    /// SCRAM: ask the directory about the proof. If it is right go on with [`ClientFinal::confirm`], if not the exchange is over.
    Proof(ClientFinal),
    /// The client has said everything.
    Done(Claim),
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
    /// The client wants to act for somebody else.
    #[error("log in as yourself")]
    ForAnother,
    /// Client and server do not stand at the two ends of one TLS connection, or were told different lists of mechanisms.
    #[error("the channel binding does not match")]
    ChannelBinding,
    /// The server that we speak to does not know the password.
    #[error("the server does not know the password")]
    WrongServer,
    /// No such mechanism.
    #[error("unknown mechanism")]
    Unsupported,
}

impl Exchange {
    /// Starts `mechanism` with the initial response, if one came, decoded. `channel` is for SCRAM.
    ///
    /// # Errors
    /// [`SaslError::Unsupported`] for [`Mechanism::Other`], others for a bad initial response.
    pub fn begin(
        mechanism: Mechanism,
        initial: Option<Secret>,
        channel: &Channel,
    ) -> Result<Progress, SaslError> {
        let exchange = match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::Login => Self::LoginName,
            Mechanism::External => Self::External,
            Mechanism::OAuthBearer => Self::Bearer,
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                Self::ScramFirst(mechanism, channel.clone())
            }
            Mechanism::Other => return Err(SaslError::Unsupported),
        };
        match initial {
            Some(response) => exchange.respond(&response),
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
        self.respond(&response)
    }

    fn challenge(self) -> Progress {
        let text = match self {
            Self::LoginName => "Username:",
            Self::LoginPassword(_) => "Password:",
            _ => "",
        };
        Progress::Challenge(self, Cow::Borrowed(text))
    }

    /// Goes on with the client's response, decoded.
    ///
    /// # Errors
    /// [`SaslError`]: the exchange is over.
    pub fn respond(self, response: &Secret) -> Result<Progress, SaslError> {
        let text = response.expose();
        match self {
            Self::Plain => plain(text).map(Progress::Done),
            Self::LoginName => {
                if text.is_empty() || text.contains('\0') {
                    return Err(SaslError::Malformed);
                }
                Ok(Self::LoginPassword(text.to_owned()).challenge())
            }
            Self::LoginPassword(login) => Ok(Progress::Done(Claim::Password {
                authorize: None,
                login,
                password: Secret::from(text.to_owned()),
            })),
            Self::External => {
                if text.contains('\0') {
                    return Err(SaslError::Malformed);
                }
                Ok(Progress::Done(Claim::External { authorize: text.to_owned() }))
            }
            Self::Bearer => bearer::parse(text).map(Progress::Done),
            Self::ScramFirst(mechanism, channel) => {
                ClientFirst::parse(text, mechanism, &channel).map(Progress::Salt)
            }
            Self::Scram(waiting) => waiting.answer(text).map(Progress::Proof),
            Self::ScramConfirmed(login) if text.is_empty() => Ok(Progress::Done(Claim::Proved { login })),
            Self::ScramConfirmed(_) => Err(SaslError::Malformed),
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(text: &str) -> Result<Claim, SaslError> {
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
    Ok(Claim::Password { authorize, login: login.to_owned(), password: Secret::from(password.to_owned()) })
}

/// Decodes one base64 response.
///
/// # Errors
/// [`SaslError::Encoding`].
pub fn decode(line: &[u8]) -> Result<Secret, SaslError> {
    let octets = STANDARD.decode(line).map_err(|_| SaslError::Encoding)?;
    String::from_utf8(octets).map(Secret::from).map_err(|_| SaslError::Encoding)
}

/// Encodes a challenge in base64.
#[must_use]
pub fn encode(challenge: &str) -> String {
    STANDARD.encode(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        STANDARD.encode(text).into_bytes()
    }

    #[test]
    fn plain_gives_login_and_password_and_an_identity_only_when_it_differs() {
        let Ok(Progress::Done(Claim::Password { authorize, login, password })) =
            Exchange::Plain.answer(&encoded("ana\0ana\0secret"))
        else {
            panic!("not done")
        };
        assert_eq!((authorize, login.as_str(), password.expose()), (None, "ana", "secret"));
        let Ok(Progress::Done(Claim::Password { authorize, .. })) =
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
        let Ok(Progress::Challenge(exchange, text)) =
            Exchange::begin(Mechanism::Login, None, &Channel::default())
        else {
            panic!("no challenge")
        };
        assert_eq!(encode(&text), "VXNlcm5hbWU6");
        let Ok(Progress::Challenge(exchange, text)) = exchange.answer(&encoded("ana")) else {
            panic!("no second challenge")
        };
        assert_eq!(encode(&text), "UGFzc3dvcmQ6");
        let Ok(Progress::Done(Claim::Password { login, password, .. })) = exchange.answer(&encoded("x y"))
        else {
            panic!("not done")
        };
        assert_eq!((login.as_str(), password.expose()), ("ana", "x y"));
    }
}
