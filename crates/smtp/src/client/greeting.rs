//! Before the first transaction: EHLO or HELO, STARTTLS, AUTH.

use super::{Capabilities, ClientError, ClientEvent, ClientSession, State};
use crate::{command, reply::Reply, server::Protocol};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::Secret;

/// The longest AUTH command, with its CR LF; a longer initial response waits for an empty challenge (RFC 4954 §4).
const COMMAND: usize = 512;

impl ClientSession {
    /// Asks for TLS: write the output, then [`ClientEvent::StartTls`] or [`ClientEvent::TlsRefused`] comes.
    ///
    /// # Errors
    /// [`ClientError::NotReady`], or [`ClientError::Lacks`] when it is not offered.
    pub fn start_tls(&mut self) -> Result<(), ClientError> {
        if !self.capabilities.starttls {
            return Err(ClientError::Lacks("STARTTLS"));
        }
        self.leave_ready(State::StartTls)?;
        self.output.extend_from_slice(b"STARTTLS\r\n");
        Ok(())
    }

    /// The handshake is done: what was said in clear text is forgotten, and the greeting begins anew (RFC 3207 §4.2). Write the
    /// output; [`ClientEvent::Ready`] comes.
    pub fn tls_started(&mut self) {
        self.capabilities = Capabilities::default();
        let verb = if self.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
        self.hello(verb, State::Hello);
    }

    /// Begins AUTH with a mechanism of [`Capabilities::auth`]: write the output, then [`ClientEvent::Challenge`],
    /// [`ClientEvent::Authenticated`] or [`ClientEvent::AuthRefused`] comes. The output holds secrets: overwrite it.
    ///
    /// # Errors
    /// [`ClientError::NotReady`], or [`ClientError::Lacks`] when AUTH is not offered.
    pub fn authenticate(&mut self, mechanism: &str, initial: Option<&Secret>) -> Result<(), ClientError> {
        if !self.capabilities.auth.iter().any(|offered| offered.eq_ignore_ascii_case(mechanism)) {
            return Err(ClientError::Lacks("AUTH by this mechanism"));
        }
        self.leave_ready(State::Authentication)?;
        self.initial = None;
        self.output.extend_from_slice(b"AUTH ");
        self.output.extend_from_slice(mechanism.as_bytes());
        if let Some(initial) = initial {
            let text = initial.expose();
            if self.output.len() + 1 + text.len().div_ceil(3) * 4 + 2 > COMMAND {
                self.initial = Some(initial.clone());
            } else {
                self.output.push(b' ');
                let mut encoded = STANDARD.encode(text);
                self.output.extend_from_slice(if encoded.is_empty() { b"=" } else { encoded.as_bytes() });
                zeroize::Zeroize::zeroize(&mut encoded);
            }
        }
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Answers [`ClientEvent::Challenge`]; `None` takes AUTH back, and [`ClientEvent::AuthRefused`] comes. Without a challenge it does
    /// nothing.
    pub fn respond(&mut self, response: Option<&Secret>) {
        if self.state != State::Challenged {
            return;
        }
        self.state = State::Authentication;
        match response {
            Some(response) => {
                let mut encoded = STANDARD.encode(response.expose());
                self.output.extend_from_slice(encoded.as_bytes());
                zeroize::Zeroize::zeroize(&mut encoded);
            }
            None => self.output.push(b'*'),
        }
        self.output.extend_from_slice(b"\r\n");
    }

    pub(super) fn take_hello(&mut self, reply: Reply) -> Result<Option<ClientEvent>, ClientError> {
        if reply.code() == 250 {
            self.capabilities =
                if self.state == State::Hello { Capabilities::read(&reply) } else { Capabilities::default() };
            self.state = State::Ready;
            return Ok(Some(ClientEvent::Ready));
        }
        // RFC 5321 §3.2: a server that does not know EHLO is greeted with HELO.
        if self.state == State::Hello && self.protocol == Protocol::Smtp && reply.is_permanent() {
            self.hello("HELO", State::PlainHello);
            return Ok(Some(ClientEvent::Send));
        }
        Err(ClientError::Refused(reply))
    }

    pub(super) fn take_start_tls(&mut self, reply: Reply) -> ClientEvent {
        if reply.code() == 220 {
            self.state = State::Handshake;
            return ClientEvent::StartTls;
        }
        self.state = State::Ready;
        ClientEvent::TlsRefused(reply)
    }

    pub(super) fn take_authentication(&mut self, reply: Reply) -> Result<Option<ClientEvent>, ClientError> {
        if reply.code() == 334 {
            let encoded = reply.lines().next().unwrap_or_default();
            let Some(challenge) = command::response(encoded.as_bytes()) else {
                return Err(ClientError::Unasked(reply));
            };
            self.state = State::Challenged;
            let Some(initial) = self.initial.take() else {
                return Ok(Some(ClientEvent::Challenge(challenge)));
            };
            self.respond(Some(&initial));
            return Ok(Some(ClientEvent::Send));
        }
        self.initial = None;
        self.state = State::Ready;
        Ok(Some(if reply.code() == 235 {
            ClientEvent::Authenticated
        } else {
            ClientEvent::AuthRefused(reply)
        }))
    }
}
