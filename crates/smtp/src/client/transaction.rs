//! One message: its commands, and the replies to them.

use super::{ClientError, ClientEvent, ClientSession, Envelope, Framing, State, Text};
use crate::{
    mailbox::{Mailbox, MailboxError},
    reply::Reply,
    server::Protocol,
};
use std::io::Write as _;

impl ClientSession {
    /// Appends MAIL, RCPT… and BDAT LAST to `out`. The caller writes it with `size` octets of text behind.
    ///
    /// # Errors
    /// When the session is not ready or the server lacks what the transaction needs; nothing is appended then and the session
    /// stays as it was.
    pub fn begin<R: AsRef<str>>(
        &mut self,
        envelope: &Envelope<'_, R>,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        if self.state != State::Ready || envelope.recipients.is_empty() {
            return Err(ClientError::NotReady);
        }
        let lacks = |offered, name| if offered { Ok(()) } else { Err(ClientError::Lacks(name)) };
        lacks(self.capabilities.pipelining, "PIPELINING")?;
        lacks(self.capabilities.chunking, "CHUNKING")?;
        envelope.check(&self.capabilities)?;
        let state = self.reset_before(out);
        envelope.write_mail(&self.capabilities, out);
        envelope.write_recipients(&self.capabilities, out);
        // Writing to a Vec cannot fail.
        let _ = write!(out, "BDAT {} LAST\r\n", envelope.size);
        self.start(state, envelope.recipients.len(), Text::Sent);
        Ok(())
    }

    /// Begins a transaction with any server. Write the output, and the text at once where [`ClientEvent::SendText`] is
    /// returned; otherwise [`ClientEvent::Send`] is.
    ///
    /// With `eager` the text follows the recipients before they are answered, where the server offers PIPELINING and
    /// CHUNKING: one round trip less, at the cost of a text that is sent for nothing when every recipient is refused. For
    /// messages that fit into one write. More than some hundred recipients belong into several transactions: the replies must
    /// fit into the socket's buffers while the commands are being written (RFC 2920 §3.1).
    ///
    /// # Errors
    /// When the session is not ready, the server lacks what the transaction needs, or an address is none; there is no output then
    /// and the session stays as it was.
    pub fn open<R: AsRef<str>>(
        &mut self,
        envelope: &Envelope<'_, R>,
        eager: bool,
    ) -> Result<ClientEvent, ClientError> {
        if self.state != State::Ready || envelope.recipients.is_empty() {
            return Err(ClientError::NotReady);
        }
        envelope.check(&self.capabilities)?;
        if let Some(most @ 1..) = self.capabilities.size
            && envelope.size > most
        {
            return Err(ClientError::TooBig(most));
        }
        // What is written here may come from a file, and one CR LF in it would be a command of its own. Brackets may stand in quotes.
        let clean = |address: &str| {
            !address.bytes().any(|b| b.is_ascii_control())
                && (!address.contains(['<', '>']) || Mailbox::parse(address).is_ok())
        };
        if !envelope.recipients.iter().all(|recipient| clean(recipient.as_ref())) {
            return Err(ClientError::Address(MailboxError));
        }
        let offered = &self.capabilities;
        let (pipelining, chunking) = (offered.pipelining, offered.chunking);
        let text = match (chunking, pipelining) {
            (true, true) if eager => Text::Sent,
            (true, _) => Text::Chunk(envelope.size),
            (false, true) => Text::DataSent,
            (false, false) => Text::Data,
        };
        let mut out = Vec::with_capacity(128 + 64 * envelope.recipients.len());
        let state = self.reset_before(&mut out);
        envelope.write_mail(&self.capabilities, &mut out);
        envelope.write_recipients(&self.capabilities, &mut out);
        match text {
            Text::Sent => {
                let _ = write!(out, "BDAT {} LAST\r\n", envelope.size);
            }
            Text::DataSent => out.extend_from_slice(b"DATA\r\n"),
            Text::Chunk(_) | Text::Data => {}
        }
        self.start(state, envelope.recipients.len(), text);
        if pipelining {
            self.output.append(&mut out);
        } else {
            self.later = out;
            self.send_next();
        }
        Ok(if text == Text::Sent { ClientEvent::SendText(Framing::Counted) } else { ClientEvent::Send })
    }

    pub(super) fn take_transaction(&mut self, reply: Reply) -> Result<Option<ClientEvent>, ClientError> {
        match self.state {
            State::Reset if reply.is_positive() => {
                self.state = State::Mail;
                Ok(self.send_next())
            }
            State::Reset => Err(ClientError::Refused(reply)),
            State::Mail => {
                if !reply.is_positive() {
                    self.results.fill(Some(reply));
                    if !self.later.is_empty() {
                        // Nothing else was said, and the server has no transaction open.
                        return Ok(Some(self.done()));
                    }
                }
                self.state = State::Recipient(0);
                Ok(self.send_next())
            }
            State::Recipient(index) => {
                if let Some(result @ None) = self.results.get_mut(index)
                    && !reply.is_positive()
                {
                    *result = Some(reply);
                }
                if index + 1 < self.results.len() {
                    self.state = State::Recipient(index + 1);
                    return Ok(self.send_next());
                }
                Ok(self.recipients_answered())
            }
            State::Data => Ok(self.take_data(reply)),
            State::Text(index) => Ok(self.take_text(index, reply)),
            _ => Err(ClientError::Unasked(reply)),
        }
    }

    /// Every recipient has been answered: the text, or what is left of the transaction without one.
    fn recipients_answered(&mut self) -> Option<ClientEvent> {
        let first = self.next_open(0);
        let none = first == self.results.len();
        self.left_open = none;
        match self.text {
            Text::Sent => {
                self.state = State::Text(first);
                None
            }
            Text::DataSent => {
                self.state = State::Data;
                None
            }
            Text::Chunk(_) | Text::Data if none => Some(self.done()),
            Text::Chunk(size) => {
                let _ = write!(self.output, "BDAT {size} LAST\r\n");
                self.state = State::Text(first);
                Some(ClientEvent::SendText(Framing::Counted))
            }
            Text::Data => {
                self.output.extend_from_slice(b"DATA\r\n");
                self.state = State::Data;
                Some(ClientEvent::Send)
            }
        }
    }

    fn take_data(&mut self, reply: Reply) -> Option<ClientEvent> {
        let first = self.next_open(0);
        let none = first == self.results.len();
        if reply.code() == 354 {
            self.state = State::Text(first);
            if none {
                // RFC 2920 §3.1: a server may take DATA without a recipient, and then waits for the end of a text.
                self.output.extend_from_slice(b".\r\n");
                self.left_open = false;
                return Some(ClientEvent::Send);
            }
            return Some(ClientEvent::SendText(Framing::Dots));
        }
        if !none {
            self.settle(&reply);
            // RFC 5321 §4.1.1.4: after a refused DATA the transaction is still there.
            self.left_open = true;
        }
        Some(self.done())
    }

    fn take_text(&mut self, index: usize, reply: Reply) -> Option<ClientEvent> {
        if self.protocol == Protocol::Lmtp && index < self.results.len() {
            // RFC 2033 §4.2: one reply for each recipient that was accepted, in their order.
            if let Some(result) = self.results.get_mut(index) {
                *result = Some(reply);
            }
            let next = self.next_open(index + 1);
            if next < self.results.len() {
                self.state = State::Text(next);
                return None;
            }
        } else {
            self.settle(&reply);
        }
        Some(self.done())
    }

    fn done(&mut self) -> ClientEvent {
        self.later.clear();
        self.state = State::Ready;
        ClientEvent::Done
    }

    fn start(&mut self, state: State, recipients: usize, text: Text) {
        self.results.clear();
        self.results.resize(recipients, None);
        self.text = text;
        self.state = state;
    }

    /// Appends RSET where the last transaction is still open at the server.
    fn reset_before(&mut self, out: &mut Vec<u8>) -> State {
        if std::mem::take(&mut self.left_open) {
            out.extend_from_slice(b"RSET\r\n");
            State::Reset
        } else {
            State::Mail
        }
    }

    /// Says the next command of those that wait, if one does.
    fn send_next(&mut self) -> Option<ClientEvent> {
        let end = memchr::memmem::find(&self.later, b"\r\n")? + 2;
        self.output.extend(self.later.drain(..end));
        Some(ClientEvent::Send)
    }

    /// Gives the reply to every recipient that has none.
    fn settle(&mut self, reply: &Reply) {
        for result in self.results.iter_mut().filter(|result| result.is_none()) {
            *result = Some(reply.clone());
        }
    }

    fn next_open(&self, from: usize) -> usize {
        (from..self.results.len())
            .find(|&index| self.results.get(index).is_some_and(Option::is_none))
            .unwrap_or(self.results.len())
    }
}
