//! From a client's bytes to commands, a piece at a time.
//!
//! One buffer holds what was read and not used up. A command is cut out when its last line is there: literals that
//! belong to it lie in the same buffer, so the parser walks over one slice. The message of an APPEND is handed out
//! as it comes. When nothing is pending the buffer is freed.
//!
//! A refused command whose rest is on its way (the client does not wait, LITERAL+) is read to its end and dropped, so the
//! stream stays in step. Only a line over the limit, which has no end to wait for, ends the connection.

use crate::{
    AppendMessage, Code, Command, Limits, MailboxName, Reply, Tag,
    parse::{self, Refused},
};

/// Octets to read at once in the middle of a message.
const CHUNK: usize = 64 << 10;
/// Octets to read at once otherwise.
const READ: usize = 16 << 10;

/// What the reader has for its driver.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing is complete. Append what comes to [`CommandReader::input`], at most [`CommandReader::room`] octets.
    NeedInput,
    /// Write a continuation request (`+ OK` CRLF), flush, go on.
    Continue,
    /// A command.
    Command(Command),
    /// An APPEND whose message comes now. Answer by [`CommandReader::accept`] or [`CommandReader::refuse`].
    Append {
        /// Its tag.
        tag: Tag,
        /// Where to.
        mailbox: MailboxName,
        /// The first message.
        message: AppendMessage,
    },
    /// The last message is whole and another follows (RFC 3502). Accept or refuse it as the first.
    AppendNext(AppendMessage),
    /// Octets of the message accepted.
    Chunk(&'a [u8]),
    /// All messages of the APPEND are whole, and so is the command: act and reply.
    AppendEnd,
    /// Write this reply; the connection goes on. After a message was accepted it also ends the APPEND: drop what was written.
    Refused {
        /// The command's tag, if it had a readable one.
        tag: Option<Tag>,
        /// What to reply.
        reply: Reply,
    },
    /// Write this reply and a BYE, close: the stream cannot be understood any more.
    Fatal {
        /// The command's tag, if it had a readable one.
        tag: Option<Tag>,
        /// What to reply.
        reply: Reply,
    },
}

/// What [`CommandReader::next_line`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// No complete line yet.
    NeedInput,
    /// A line without its end.
    Line(Vec<u8>),
    /// Longer than the limit: reply BAD and close.
    TooLong,
}

/// See the module.
#[derive(Debug)]
pub struct CommandReader {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the command in progress begins in `buffer`.
    head: usize,
    /// Where the line in progress begins, from `head`.
    line: usize,
    /// How far that line is known to hold no LF, from `head`.
    scanned: usize,
    state: State,
    /// Octets handed out by the last [`Event::Chunk`].
    lent: usize,
    /// The APPEND in progress.
    append: Option<Tag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading lines of a command.
    Line,
    /// Reading a literal that is kept.
    Literal { left: usize },
    /// A message was announced; the driver has to decide.
    Offered { size: u64, waits: bool },
    /// Accepted; the client waits for the continuation.
    Accepted { size: u64 },
    /// Handing out a message.
    Message { left: u64 },
    /// The line after a message.
    AfterMessage,
    /// The command is answered; a literal of it is dropped.
    SkipLiteral { left: u64 },
    /// The command is answered; a line of it is dropped.
    SkipLine,
}

/// How a line ends that announces a literal.
struct Announced {
    /// Where `{` is in the line.
    at: usize,
    size: u64,
    /// The client waits for a continuation.
    waits: bool,
}

impl CommandReader {
    /// A reader at the start of a command.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            head: 0,
            line: 0,
            scanned: 0,
            state: State::Line,
            lent: 0,
            append: None,
        }
    }

    /// Other limits from the next command on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Where to append what was read.
    pub fn input(&mut self) -> &mut Vec<u8> {
        self.settle();
        if self.head > 0 {
            self.buffer.drain(..self.head);
            self.head = 0;
        }
        &mut self.buffer
    }

    /// How many octets to read at once.
    pub fn room(&self) -> usize {
        if matches!(self.state, State::Message { .. } | State::SkipLiteral { .. }) { CHUNK } else { READ }
    }

    /// Whether something was read that is not used up: the client pipelines, or is in the middle of a command.
    pub fn has_input(&self) -> bool {
        self.buffer.len() > self.head + self.lent
    }

    /// Octets kept now.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.head
    }

    /// Throws away what was read and not used: after STARTTLS, what came in the clear must not count as said under TLS
    /// (RFC 3501 §6.2.1).
    pub fn discard_input(&mut self) {
        self.buffer = Vec::new();
        (self.head, self.line, self.scanned, self.lent) = (0, 0, 0, 0);
        self.state = State::Line;
        self.append = None;
    }

    /// Takes what was read and not used: for a proxy that passes the rest of the connection on.
    pub fn take_input(&mut self) -> Vec<u8> {
        let rest = std::mem::take(self.input());
        self.discard_input();
        rest
    }

    /// Takes the announced message.
    pub fn accept(&mut self) {
        if let State::Offered { size, waits } = self.state {
            self.state = if waits { State::Accepted { size } } else { State::Message { left: size } };
        }
    }

    /// Refuses the announced message; the driver replies to the APPEND. A message that comes without waiting is dropped
    /// as it comes.
    pub fn refuse(&mut self) {
        if let State::Offered { size, waits } = self.state {
            self.append = None;
            self.state = if waits { State::Line } else { State::SkipLiteral { left: size } };
        }
    }

    /// The next event. Go on calling until [`Event::NeedInput`].
    pub fn next_event(&mut self) -> Event<'_> {
        self.settle();
        loop {
            match self.state {
                State::Line => match self.command_line() {
                    Some(event) => return event,
                    None => continue,
                },
                State::Literal { left } => {
                    let there = self.buffer.len() - self.head - self.line;
                    if there < left {
                        return Event::NeedInput;
                    }
                    // The literal stays in the buffer; the line that follows it begins behind it.
                    self.line += left;
                    self.scanned = self.line;
                    self.state = State::Line;
                }
                State::Offered { .. } => return Event::NeedInput,
                State::Accepted { size } => {
                    self.state = State::Message { left: size };
                    return Event::Continue;
                }
                State::Message { left: 0 } => self.state = State::AfterMessage,
                State::Message { left } => {
                    let there =
                        (self.buffer.len() - self.head).min(usize::try_from(left).unwrap_or(usize::MAX));
                    if there == 0 {
                        return self.need_input();
                    }
                    self.state = State::Message { left: left - there as u64 };
                    self.lent = there;
                    return Event::Chunk(&self.buffer[self.head..self.head + there]);
                }
                State::AfterMessage => match self.line_after_message() {
                    Some(event) => return event,
                    None => continue,
                },
                State::SkipLiteral { left } => {
                    let there =
                        (self.buffer.len() - self.head).min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.head += there;
                    let left = left - there as u64;
                    self.state = if left == 0 { State::SkipLine } else { State::SkipLiteral { left } };
                    if left > 0 {
                        return self.need_input();
                    }
                }
                State::SkipLine => {
                    let end = match self.line_end() {
                        Ok(end) => end,
                        Err(event) => return event,
                    };
                    let announced = announced(&self.buffer[self.head..self.head + end]);
                    self.consume(end);
                    self.state = match announced {
                        Some(Announced { size, waits: false, .. }) => State::SkipLiteral { left: size },
                        _ => State::Line,
                    };
                }
            }
        }
    }

    /// The next line instead of a command: a SASL response, or what ends IDLE.
    pub fn next_line(&mut self) -> LineEvent {
        self.settle();
        match self.find_line_end() {
            Some(end) if end - self.line <= self.limits.line + 2 => {
                let line = without_end(&self.buffer[self.head..self.head + end]).to_vec();
                self.consume(end);
                LineEvent::Line(line)
            }
            None if self.buffered() <= self.limits.line + 1 => {
                self.need_input();
                LineEvent::NeedInput
            }
            _ => LineEvent::TooLong,
        }
    }

    /// Looks at the line in progress in a command. `None`: the state changed, look again.
    fn command_line(&mut self) -> Option<Event<'static>> {
        let end = match self.line_end() {
            Ok(end) => end,
            Err(event) => return Some(event),
        };
        let Some(literal) = announced(&self.buffer[self.head + self.line..self.head + end]) else {
            let parsed = parse::command(&self.buffer[self.head..self.head + end], &self.limits);
            self.consume(end);
            return Some(match parsed {
                Ok(command) => Event::Command(command),
                Err(Refused { tag, reply }) => Event::Refused { tag, reply },
            });
        };
        let before = self.line + literal.at;
        match self.announced_in_command(before, &literal) {
            Ok(None) => {
                self.line = end;
                self.scanned = end;
                self.state = State::Literal { left: literal.size as usize };
                literal.waits.then_some(Event::Continue)
            }
            Ok(Some(event)) => {
                self.consume(end);
                self.state = State::Offered { size: literal.size, waits: literal.waits };
                Some(event)
            }
            Err(Refused { tag, reply }) => {
                self.consume(end);
                if !literal.waits {
                    self.state = State::SkipLiteral { left: literal.size };
                }
                Some(Event::Refused { tag, reply })
            }
        }
    }

    /// Decides about a literal announced at `before` from the head: `Some` event if it is the message of an APPEND,
    /// `None` if it is to be kept.
    fn announced_in_command(
        &mut self,
        before: usize,
        literal: &Announced,
    ) -> Result<Option<Event<'static>>, Refused> {
        let text = &self.buffer[self.head..self.head + before];
        if let Some((tag, mailbox, mut message)) = parse::append_prefix(text, &self.limits)? {
            message.size = literal.size;
            if literal.size > self.limits.message {
                let reply = Reply::no("Message is too large").with(Code::TooBig);
                return Err(Refused { tag: Some(tag), reply });
            }
            self.append = Some(tag.clone());
            return Ok(Some(Event::Append { tag, mailbox, message }));
        }
        // What is no command, or may not be so long, is refused before the client sends the literal.
        let tag = parse::known_command(text)?;
        let whole = (before as u64).saturating_add(literal.size);
        if literal.size > self.limits.literal as u64 || whole > self.limits.command as u64 {
            return Err(Refused {
                tag: Some(tag),
                reply: Reply::bad("Literal is too large").with(Code::TooBig),
            });
        }
        Ok(None)
    }

    /// The line behind a message: the end of the APPEND, or what precedes another message.
    fn line_after_message(&mut self) -> Option<Event<'static>> {
        let end = match self.line_end() {
            Ok(end) => end,
            Err(event) => return Some(event),
        };
        let line = &self.buffer[self.head..self.head + end];
        if without_end(line).is_empty() {
            self.consume(end);
            self.append = None;
            self.state = State::Line;
            return Some(Event::AppendEnd);
        }
        let tag = self.append.clone();
        let literal = announced(line);
        let next = match &literal {
            Some(literal) if literal.size <= self.limits.message => {
                parse::append_next(&line[..literal.at], &self.limits)
            }
            Some(_) => Err(Reply::no("Message is too large").with(Code::TooBig)),
            None => Err(Reply::bad("Expected the end of APPEND after the message")),
        };
        self.consume(end);
        Some(match (next, literal) {
            (Ok(message), Some(Announced { size, waits, .. })) => {
                self.state = State::Offered { size, waits };
                Event::AppendNext(AppendMessage { size, ..message })
            }
            (Err(reply), literal) => {
                self.append = None;
                self.state = match literal {
                    Some(Announced { size, waits: false, .. }) => State::SkipLiteral { left: size },
                    _ => State::Line,
                };
                Event::Refused { tag, reply }
            }
            // `append_next` is only asked with a literal.
            (Ok(_), None) => {
                self.state = State::Line;
                Event::AppendEnd
            }
        })
    }

    /// Where the line in progress ends, behind its LF, from the head; else what to do without it: wait, or give up because it is
    /// too long already.
    fn line_end(&mut self) -> Result<usize, Event<'static>> {
        match self.find_line_end() {
            Some(end) if end - self.line <= self.limits.line + 2 => Ok(end),
            None if self.scanned - self.line <= self.limits.line + 1 => Err(self.need_input()),
            _ => Err(self.too_long()),
        }
    }

    fn find_line_end(&mut self) -> Option<usize> {
        let from = self.head + self.scanned;
        match self.buffer[from..].iter().position(|&b| b == b'\n') {
            Some(at) => Some(self.scanned + at + 1),
            None => {
                self.scanned = self.buffer.len() - self.head;
                None
            }
        }
    }

    fn too_long(&mut self) -> Event<'static> {
        let text = &self.buffer[self.head..];
        let tag = self.append.take().or_else(|| parse::tag_of(text));
        self.discard_input();
        Event::Fatal { tag, reply: Reply::bad("Line is too long").with(Code::Limit) }
    }

    fn need_input(&mut self) -> Event<'static> {
        if self.head == self.buffer.len() {
            // Nothing is pending: an idle connection holds no buffer.
            self.buffer = Vec::new();
            self.head = 0;
        }
        Event::NeedInput
    }

    /// Takes back what was lent out as a chunk.
    fn settle(&mut self) {
        self.head += std::mem::take(&mut self.lent);
    }

    /// Uses up everything to `end` from the head and begins a new line there.
    fn consume(&mut self, end: usize) {
        self.head += end;
        self.line = 0;
        self.scanned = 0;
    }
}

/// The literal that a line announces at its end: `{n}` or `{n+}` (RFC 7888). A number too large for any literal counts as
/// the largest.
fn announced(line: &[u8]) -> Option<Announced> {
    let line = without_end(line).strip_suffix(b"}")?;
    let at = line.iter().rposition(|&b| b == b'{')?;
    let inside = &line[at + 1..];
    let (digits, waits) = match inside.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (inside, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')));
    Some(Announced { at, size, waits })
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
