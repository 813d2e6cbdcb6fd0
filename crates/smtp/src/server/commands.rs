//! Commands: their order, and those that need no caller.

use super::{Event, Pending, Phase, ServerSession};
use crate::{
    command::{Body, Command, Dialect, Mail, Offers, Recipient},
    notification::RecipientParameters,
    reply::{Reply, replies},
};
use std::fmt::Write as _;

impl ServerSession {
    pub(super) fn command<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Event<'a>>) {
        let longest = self.longest_line(input);
        let within = &input[..input.len().min(longest)];
        let Some(end) = memchr::memmem::find(within, b"\r\n") else {
            if input.len() < longest {
                return (0, None);
            }
            self.write(&replies::LINE_TOO_LONG);
            self.phase = Phase::Overlong(false);
            return (within.len() - usize::from(within.ends_with(b"\r")), None);
        };
        let used = end + 2;
        let dialect =
            Dialect { lmtp: self.lmtp(), extended: self.greeted == Some(true), offers: self.offers() };
        let event = match Command::parse(&input[..end], dialect) {
            Ok(Command::StartTls) => {
                let event = self.start_tls(input.len() - used);
                // RFC 3207 §4.2: what was sent in clear text behind the command is never looked at.
                return if event.is_some() { (input.len(), event) } else { (used, None) };
            }
            Ok(command) => self.run(command),
            Err(refusal) => {
                if refusal == replies::UNKNOWN_COMMAND {
                    self.unknown_commands += 1;
                }
                self.write(&refusal);
                None
            }
        };
        (used, event)
    }

    fn offers(&self) -> Offers {
        let profile = &self.profile;
        Offers {
            auth: !profile.auth.is_empty(),
            dsn: profile.dsn,
            binary_mime: profile.binary_mime,
            require_tls: profile.require_tls,
            future_release: profile.future_release.is_some() && self.now.is_some(),
            priority: profile.priority,
            delivery_id: profile.delivery_id,
            junk: profile.junk,
            queued: profile.queued,
        }
    }

    fn run<'a>(&mut self, command: Command<'a>) -> Option<Event<'a>> {
        if let Some(refusal) = self.refuse_unauthenticated(&command) {
            return self.refuse(&refusal);
        }
        match command {
            Command::Hello(hello) => {
                if self.greeted.is_some() {
                    self.idle_commands += 1;
                }
                // RFC 5321 §4.1.4: a greeting in mid-session is a RSET too.
                self.transaction = None;
                self.ask(Pending::Hello { extended: hello.extended }, Event::Hello(hello))
            }
            Command::Mail(mail) => self.mail(mail),
            Command::Recipient(recipient, parameters) => self.recipient(recipient, parameters),
            Command::Data => {
                if let Some(refusal) = self.refuse_message_start(true) {
                    return self.refuse(&refusal);
                }
                self.ask(Pending::Data, Event::MessageStart)
            }
            Command::Chunk { size, last } => self.chunk_command(size, last),
            Command::Reset => {
                self.idle_commands += 1;
                self.write(&replies::RESET);
                self.transaction.take().map(|_| Event::Dropped(None))
            }
            Command::Noop => self.idle(&replies::NOOP),
            Command::Verify => self.idle(&replies::VRFY),
            Command::Help => self.idle(&replies::HELP),
            Command::Quit => {
                self.end(&replies::BYE);
                None
            }
            Command::StartTls => None,
            Command::Authenticate { mechanism, initial } => self.authenticate(mechanism, initial),
        }
    }

    fn mail<'a>(&mut self, mail: Mail) -> Option<Event<'a>> {
        let limits = &self.profile.limits;
        if self.greeted.is_none() {
            return self.refuse(&replies::HELLO_FIRST);
        }
        if self.transaction.is_some() {
            return self.refuse(&replies::NESTED_MAIL);
        }
        // RFC 1870 §6.1: refused before a single octet of it is sent.
        if mail.size.is_some_and(|size| size > limits.message_size) {
            return self.refuse(&replies::TOO_BIG);
        }
        if limits.messages.is_some_and(|most| self.messages >= most) {
            self.end(&replies::TOO_MANY_MESSAGES);
            return None;
        }
        if mail.require_tls && !self.tls {
            return self.refuse(&replies::REQUIRETLS_NEEDS_TLS);
        }
        if let (Some(hold), Some(now), Some(longest)) = (mail.hold, self.now, self.profile.future_release)
            && hold.release_at(now) > now.saturating_add(longest.get().as_secs())
        {
            return self.refuse(&replies::HELD_TOO_LONG);
        }
        let pending = Pending::Mail { smtputf8: mail.smtputf8, binary: mail.body == Body::BinaryMime };
        self.ask(pending, Event::Mail(mail))
    }

    fn recipient<'a>(&mut self, recipient: Recipient, parameters: RecipientParameters) -> Option<Event<'a>> {
        let Some(transaction) = &self.transaction else {
            return self.refuse(&replies::MAIL_FIRST);
        };
        if transaction.chunks.is_some() {
            return self.refuse(&replies::CHUNKS_STARTED);
        }
        if transaction.recipients >= self.profile.limits.recipients {
            return self.refuse(&replies::TOO_MANY_RECIPIENTS);
        }
        match &recipient {
            Recipient::Mailbox(mailbox) if !transaction.smtputf8 && !mailbox.is_ascii() => {
                self.refuse(&replies::NEEDS_SMTPUTF8)
            }
            _ => self.ask(Pending::Recipient, Event::Recipient(recipient, parameters)),
        }
    }

    fn start_tls<'a>(&mut self, dropped: usize) -> Option<Event<'a>> {
        if !self.profile.starttls {
            return self.refuse(&replies::NOT_IMPLEMENTED);
        }
        if self.tls {
            return self.refuse(&replies::NOT_IMPLEMENTED);
        }
        if self.greeted != Some(true) {
            return self.refuse(&replies::HELLO_FIRST);
        }
        self.ask(Pending::StartTls, Event::StartTls { dropped })
    }

    pub(super) fn capabilities(&self, extended: bool) -> Reply {
        let mut text = String::from(&*self.profile.hostname);
        if !extended {
            return Reply::plain(250, text);
        }
        let limits = &self.profile.limits;
        text.push_str("\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nCHUNKING");
        // Writing to a String cannot fail.
        let _ = write!(text, "\nSIZE {}", limits.message_size);
        if self.profile.starttls && !self.tls {
            text.push_str("\nSTARTTLS");
        }
        let _ = write!(text, "\nLIMITS RCPTMAX={}", limits.recipients);
        if let Some(messages) = limits.messages {
            let _ = write!(text, " MAILMAX={messages}");
        }
        let profile = &self.profile;
        self.write_mechanisms(&mut text);
        let future_release = profile.future_release.zip(self.now);
        if let Some((longest, now)) = future_release {
            let longest = longest.get().as_secs();
            // RFC 4865 §4: the same limit twice, as a span and as a time.
            if let Some(until) = i64::try_from(now.saturating_add(longest))
                .ok()
                .and_then(|until| chrono::DateTime::from_timestamp(until, 0))
            {
                let until = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
                let _ = write!(text, "\nFUTURERELEASE {longest} {until}");
            }
        }
        for (offered, keyword) in [
            (profile.dsn, "\nDSN"),
            (profile.binary_mime, "\nBINARYMIME"),
            // RFC 8689 §2: only under TLS.
            (profile.require_tls && self.tls, "\nREQUIRETLS"),
            (profile.priority, "\nMT-PRIORITY"),
            (profile.delivery_id, "\nXDELIVERYID"),
            (profile.junk, "\nXJUNK"),
            (profile.queued, "\nXQUEUED"),
        ] {
            if offered {
                text.push_str(keyword);
            }
        }
        Reply::plain(250, text)
    }
}
