//! AUTH (RFC 4954): the exchange of challenges and responses. What they mean is the caller's.

use super::{Event, Pending, Phase, ServerSession};
use crate::{
    command::{self, Command},
    limits::AUTH_LINE,
    reply::{Reply, replies},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::Secret;

impl ServerSession {
    /// Answers [`Event::Authenticate`] or [`Event::AuthResponse`] with a challenge, which is not encoded yet. Without such a
    /// question it does nothing.
    pub fn challenge(&mut self, text: &str) {
        if !matches!(self.pending, Some(Pending::Authenticate)) {
            return;
        }
        self.pending = None;
        self.phase = Phase::Response;
        // Written directly: a challenge may be longer than a line of a reply, and must not be cut.
        self.output.extend_from_slice(b"334 ");
        self.output.extend_from_slice(STANDARD.encode(text).as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Answers [`Event::Authenticate`] or [`Event::AuthResponse`]: the client is who it says.
    pub fn authenticated(&mut self) {
        if matches!(self.pending, Some(Pending::Authenticate)) {
            self.reply(&replies::AUTHENTICATED);
        }
    }

    /// Whether AUTH has succeeded.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Whether the next line is a response in an exchange of AUTH.
    #[must_use]
    pub const fn reads_response(&self) -> bool {
        matches!(self.phase, Phase::Response)
    }

    pub(super) fn authenticate<'a>(&mut self, mechanism: &str, initial: Option<Secret>) -> Option<Event<'a>> {
        if self.greeted != Some(true) {
            return self.refuse(&replies::HELLO_FIRST);
        }
        if self.authenticated {
            return self.refuse(&replies::AUTHENTICATED_ALREADY);
        }
        if self.transaction.is_some() {
            return self.refuse(&replies::AUTH_IN_TRANSACTION);
        }
        if !self.tls && !self.profile.auth_in_clear {
            return self.refuse(&replies::AUTH_NEEDS_TLS);
        }
        let Some(mechanism) = self.mechanisms().find(|offered| offered.eq_ignore_ascii_case(mechanism))
        else {
            return self.refuse(&replies::UNKNOWN_MECHANISM);
        };
        self.ask(Pending::Authenticate, Event::Authenticate { mechanism, initial })
    }

    /// Takes the line that answers a challenge.
    pub(super) fn response<'a>(&mut self, input: &[u8]) -> (usize, Option<Event<'a>>) {
        let within = &input[..input.len().min(AUTH_LINE)];
        let Some(end) = memchr::memmem::find(within, b"\r\n") else {
            if input.len() < AUTH_LINE {
                return (0, None);
            }
            self.write(&replies::RESPONSE_TOO_LONG);
            self.phase = Phase::Overlong(false);
            return (within.len() - usize::from(within.ends_with(b"\r")), None);
        };
        self.phase = Phase::Command;
        let event = match &input[..end] {
            b"*" => self.refuse(&replies::AUTH_CANCELLED),
            line => match command::response(line) {
                Some(response) => self.ask(Pending::Authenticate, Event::AuthResponse(response)),
                None => self.refuse(&replies::BAD_RESPONSE),
            },
        };
        (end + 2, event)
    }

    /// RFC 4954 §6: every command but those that lead to AUTH, or end the session.
    pub(super) fn refuse_unauthenticated(&self, command: &Command<'_>) -> Option<Reply> {
        if !self.profile.auth_required || self.authenticated {
            return None;
        }
        match command {
            Command::Mail(_) | Command::Recipient(..) | Command::Data | Command::Verify => {
                let in_clear = !self.tls && !self.profile.auth_in_clear;
                Some(if in_clear { replies::TLS_FIRST } else { replies::AUTH_FIRST })
            }
            _ => None,
        }
    }

    /// RFC 4954 §4: an AUTH command with its initial response may be as long as a response.
    pub(super) fn longest_line(&self, input: &[u8]) -> usize {
        let longest = self.profile.limits.line_length;
        let auth = !self.profile.auth.is_empty()
            && input.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        if auth { longest.max(AUTH_LINE) } else { longest }
    }

    pub(super) fn write_mechanisms(&self, text: &mut String) {
        if self.authenticated || !self.tls && !self.profile.auth_in_clear {
            return;
        }
        for (index, mechanism) in self.mechanisms().enumerate() {
            text.push_str(if index == 0 { "\nAUTH " } else { " " });
            text.push_str(mechanism);
        }
    }

    fn mechanisms(&self) -> impl Iterator<Item = &'static str> + '_ {
        let binding = self.channel_binding;
        self.profile.auth.iter().copied().filter(move |mechanism| binding || !mechanism.ends_with("-PLUS"))
    }
}
