//! The client's side, for smarthosts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::Secret;
use subtle::ConstantTimeEq as _;

use super::{Channel, KeysError, Signature, is_nonce, keys, nonce, value};
use crate::exchange::SaslError;

/// An exchange with a server.
#[derive(Debug)]
pub struct Client {
    header: String,
    bare: String,
    nonce: String,
    binding: Option<Vec<u8>>,
    password: Secret,
    expected: Option<Signature>,
    confirmed: bool,
}

impl Client {
    /// Begins. With `plus` the mechanism is SCRAM-SHA-256-PLUS, for which the channel must have a binding.
    ///
    /// # Errors
    /// [`KeysError::NoRandomness`].
    pub fn new(login: &str, password: Secret, channel: &Channel, plus: bool) -> Result<Self, KeysError> {
        let nonce = nonce()?;
        Ok(Self::with_nonce(login, password, channel, plus, nonce))
    }

    pub(super) fn with_nonce(
        login: &str,
        password: Secret,
        channel: &Channel,
        plus: bool,
        nonce: String,
    ) -> Self {
        // RFC 5802 §6: `y` says that we could bind, and saw no -PLUS.
        let flag = match &channel.binding {
            Some(_) if plus => "p=tls-exporter",
            Some(_) if !channel.plus_offered => "y",
            _ => "n",
        };
        let name = login.replace('=', "=3D").replace(',', "=2C");
        Self {
            header: format!("{flag},,"),
            bare: format!("n={name},r={nonce}"),
            nonce,
            binding: channel.binding.clone().filter(|_| plus),
            password,
            expected: None,
            confirmed: false,
        }
    }

    /// The initial response.
    #[must_use]
    pub fn first(&self) -> Secret {
        Secret::new(format!("{}{}", self.header, self.bare))
    }

    /// Answers a challenge: the first by the proof, the second, when the server has proved that it knows the password too, by
    /// nothing. Computing the proof takes some 50 ms of the processor for each 100,000 iterations.
    ///
    /// # Errors
    /// [`SaslError::Malformed`] for what is no message of SCRAM or asks for too few or too many iterations, and
    /// [`SaslError::WrongServer`] for a signature that is not of this password: nobody there is to be trusted.
    pub fn answer(&mut self, challenge: &str) -> Result<Secret, SaslError> {
        let text = match self.expected.take() {
            None => self.last(challenge)?,
            Some(expected) => {
                let signature = value(Some(challenge), "v").and_then(|text| STANDARD.decode(text).ok());
                let right = signature.is_some_and(|signature| bool::from(signature.ct_eq(&expected)));
                if !right {
                    return Err(SaslError::WrongServer);
                }
                self.confirmed = true;
                String::new()
            }
        };
        Ok(Secret::new(text))
    }

    /// Whether the server has proved that it knows the password too. One that says that the log-in succeeded and has not is none to be
    /// trusted.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    fn last(&mut self, challenge: &str) -> Result<String, SaslError> {
        let mut fields = challenge.split(',');
        let nonce = value(fields.next(), "r").filter(|nonce| is_nonce(nonce)).ok_or(SaslError::Malformed)?;
        // The server's own part must be there.
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(SaslError::Malformed);
        }
        let salt = value(fields.next(), "s").and_then(|text| STANDARD.decode(text).ok());
        let iterations = value(fields.next(), "i").and_then(|text| text.parse().ok());
        let (Some(salt), Some(iterations)) = (salt, iterations) else { return Err(SaslError::Malformed) };
        let mut input = self.header.clone().into_bytes();
        input.extend(self.binding.iter().flatten());
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(input));
        let message = format!("{},{challenge},{without_proof}", self.bare);
        let (proof, signature) =
            keys::prove(&self.password, &salt, iterations, &message).map_err(|_| SaslError::Malformed)?;
        self.expected = Some(signature);
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }
}
