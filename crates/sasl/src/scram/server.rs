//! The server's side.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Channel, KeysError, Proof, Signature, is_nonce, name, nonce, value};
use crate::{
    exchange::{Exchange, SaslError},
    mechanism::Mechanism,
};

/// `client-first-message`: who it is. The caller asks the directory for salt and iterations.
#[derive(Debug)]
pub struct ClientFirst {
    login: String,
    bare: String,
    nonce: String,
    /// What the client must say in `c=` (RFC 5802 §5.1): its header, with the channel behind it for -PLUS.
    binding: String,
}

/// A `server-first-message` was sent.
#[derive(Debug)]
pub struct Waiting {
    login: String,
    /// `client-first-message-bare "," server-first-message`.
    messages: String,
    nonce: String,
    binding: String,
}

/// `client-final-message`: a proof, which the directory verifies.
#[derive(Debug)]
pub struct ClientFinal {
    login: String,
    auth_message: String,
    proof: Proof,
}

impl ClientFirst {
    /// Reads `client-first-message` (RFC 5802 §7).
    ///
    /// # Errors
    /// [`SaslError::Malformed`]; [`SaslError::ChannelBinding`] for a wrong channel, or for a client that was told another list
    /// of mechanisms; [`SaslError::ForAnother`] for one that wants to act for somebody else.
    pub(crate) fn parse(text: &str, mechanism: Mechanism, channel: &Channel) -> Result<Self, SaslError> {
        let mut fields = text.splitn(3, ',');
        let (Some(flag), Some(authorize), Some(bare)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(SaslError::Malformed);
        };
        let plus = mechanism == Mechanism::ScramSha256Plus;
        let mut input = format!("{flag},{authorize},").into_bytes();
        match flag {
            "n" if !plus => {}
            // RFC 5802 §6: the client can bind and believes that we cannot.
            "y" if !plus && channel.plus_offered => return Err(SaslError::ChannelBinding),
            "y" if !plus => {}
            "p=tls-exporter" if plus => {
                let binding = channel.binding.as_ref().ok_or(SaslError::ChannelBinding)?;
                input.extend_from_slice(binding);
            }
            _ if flag.starts_with("p=") || matches!(flag, "n" | "y") => {
                return Err(SaslError::ChannelBinding);
            }
            _ => return Err(SaslError::Malformed),
        }
        let mut fields = bare.split(',');
        // `m=` would come first, and says that something must be understood that we do not (RFC 5802 §5.1).
        let login = value(fields.next(), "n").and_then(name).ok_or(SaslError::Malformed)?;
        let nonce = value(fields.next(), "r").filter(|nonce| is_nonce(nonce)).ok_or(SaslError::Malformed)?;
        if !authorize.is_empty() {
            let other = value(Some(authorize), "a").and_then(name).ok_or(SaslError::Malformed)?;
            if !other.eq_ignore_ascii_case(&login) {
                return Err(SaslError::ForAnother);
            }
        }
        Ok(Self { login, nonce: nonce.to_owned(), binding: STANDARD.encode(input), bare: bare.to_owned() })
    }

    /// The user name as typed; the directory makes it canonical.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// The exchange that waits for the answer to the returned `server-first-message`.
    ///
    /// # Errors
    /// [`KeysError::NoRandomness`].
    pub fn challenge(self, salt: &[u8], iterations: u32) -> Result<(Exchange, String), KeysError> {
        let nonce = nonce()?;
        let (waiting, text) = self.challenge_with(&nonce, salt, iterations);
        Ok((Exchange::Scram(waiting), text))
    }

    pub(super) fn challenge_with(self, nonce: &str, salt: &[u8], iterations: u32) -> (Waiting, String) {
        let nonce = format!("{}{nonce}", self.nonce);
        let text = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        let messages = format!("{},{text}", self.bare);
        (Waiting { login: self.login, messages, nonce, binding: self.binding }, text)
    }
}

impl Waiting {
    /// Reads `client-final-message` (RFC 5802 §7).
    ///
    /// # Errors
    /// [`SaslError::Malformed`], also for a nonce that is not ours; [`SaslError::ChannelBinding`] for another channel than this one.
    pub(crate) fn answer(self, text: &str) -> Result<ClientFinal, SaslError> {
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(SaslError::Malformed)?;
        let mut fields = without_proof.split(',');
        let binding = value(fields.next(), "c").ok_or(SaslError::Malformed)?;
        let nonce = value(fields.next(), "r").ok_or(SaslError::Malformed)?;
        if nonce != self.nonce {
            return Err(SaslError::Malformed);
        }
        if binding != self.binding {
            return Err(SaslError::ChannelBinding);
        }
        let proof = STANDARD.decode(proof).ok().and_then(|proof| Proof::try_from(proof).ok());
        Ok(ClientFinal {
            login: self.login,
            auth_message: format!("{},{without_proof}", self.messages),
            proof: proof.ok_or(SaslError::Malformed)?,
        })
    }
}

impl ClientFinal {
    /// The user name as typed.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// What the proof is about.
    #[must_use]
    pub fn auth_message(&self) -> &str {
        &self.auth_message
    }

    /// The proof.
    #[must_use]
    pub const fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The proof was right: the exchange that waits for the (empty) answer to the returned `server-final-message`, in protocols whose
    /// success carries no text, as SMTP, IMAP and POP3.
    #[must_use]
    pub fn confirm(self, signature: &Signature) -> (Exchange, String) {
        (Exchange::ScramConfirmed(self.login), format!("v={}", STANDARD.encode(signature)))
    }
}
