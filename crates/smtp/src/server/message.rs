//! Message text, by DATA and by BDAT.

use super::{Chunk, Event, Pending, Phase, Refusal, ServerSession};
use crate::{
    content::{BareOctets, Piece, Scanner},
    reply::{Reply, replies},
};

impl ServerSession {
    pub(super) fn refuse_message_start(&self, data: bool) -> Option<Reply> {
        match &self.transaction {
            None if self.greeted.is_none() => Some(replies::HELLO_FIRST),
            None => Some(replies::MAIL_FIRST),
            Some(transaction) if data && transaction.chunks.is_some() => Some(replies::CHUNKS_STARTED),
            Some(transaction) if data && transaction.binary => Some(replies::BINARY_NEEDS_BDAT),
            Some(transaction) if transaction.recipients > 0 => None,
            Some(_) if self.lmtp() => Some(replies::LMTP_NO_RECIPIENTS),
            Some(_) => Some(replies::NO_RECIPIENTS),
        }
    }

    pub(super) fn chunk_command<'a>(&mut self, size: u64, last: bool) -> Option<Event<'a>> {
        let mut chunk = Chunk { left: size, size, last, refused: None };
        if self.refuse_message_start(false).is_some() {
            // The octets follow all the same (RFC 3030 §2) and must not be read as commands.
            chunk.refused = Some(Refusal::Order);
            self.phase = Phase::Chunk(chunk);
            return None;
        }
        let limit = self.profile.limits.message_size;
        let first = self.transaction.as_ref().is_some_and(|transaction| transaction.chunks.is_none());
        let scanner = self.scanner();
        if let Some(transaction) = &mut self.transaction {
            if transaction.size.saturating_add(size) > limit {
                transaction.refusal.get_or_insert(replies::TOO_BIG);
            }
            if transaction.refusal.is_some() {
                chunk.refused = Some(Refusal::Message);
            }
            transaction.chunks.get_or_insert_with(|| Box::new(scanner));
        }
        if first && chunk.refused.is_none() {
            return self.ask(Pending::Chunk(chunk), Event::MessageStart);
        }
        self.phase = Phase::Chunk(chunk);
        None
    }

    pub(super) fn start_chunk(&mut self, mut chunk: Chunk, reply: &Reply) {
        if !reply.is_positive() {
            chunk.refused = Some(Refusal::Message);
            if let Some(transaction) = &mut self.transaction {
                transaction.refusal = Some(reply.clone());
            }
        }
        self.phase = Phase::Chunk(chunk);
    }

    pub(super) fn chunk<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Event<'a>>) {
        let Phase::Chunk(chunk) = &mut self.phase else { return (0, None) };
        let here = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(input.len());
        chunk.left -= here as u64;
        let chunk = *chunk;
        let octets = &input[..here];
        let mut event = None;
        if let Some(transaction) = self.transaction.as_mut().filter(|_| chunk.refused.is_none()) {
            transaction.size += here as u64;
            if let Some(scanner) = transaction.chunks.as_mut() {
                scanner.counted(octets);
                if chunk.last && chunk.left == 0 {
                    scanner.finish();
                }
                if let Some(flaw) = scanner.flaw() {
                    transaction.refusal.get_or_insert_with(|| flaw.reply());
                }
            }
            if transaction.refusal.is_none() && here > 0 {
                event = Some(Event::Text(octets));
            }
        }
        if chunk.left > 0 {
            return (here, event);
        }
        if event.is_some() {
            // The end of the chunk is told by the next call, which comes even without more input: see `next`.
            return (here, event);
        }
        (here, self.chunk_end(chunk))
    }

    fn chunk_end<'a>(&mut self, chunk: Chunk) -> Option<Event<'a>> {
        self.phase = Phase::Command;
        if chunk.refused == Some(Refusal::Order) {
            let refusal = self.refuse_message_start(false).unwrap_or(replies::MAIL_FIRST);
            if refusal == replies::LMTP_NO_RECIPIENTS {
                // The usual end of a pipelined transaction whose recipients were all refused: no error of the client's.
                refusal.write_to(&mut self.output);
                return None;
            }
            return self.refuse(&refusal);
        }
        let transaction = self.transaction.as_mut()?;
        match (transaction.refusal.take(), chunk.last) {
            (None, true) => self.message_end(),
            (None, false) => {
                self.write(&Reply::new(250, (2, 0, 0), format!("{} octets", chunk.size)));
                None
            }
            (Some(refusal), true) => {
                self.refuse_message(&refusal);
                Some(Event::Dropped(Some(refusal)))
            }
            (Some(refusal), false) => {
                // RFC 3030 §2: after a failed chunk the transaction is over, and further chunks are out of order.
                self.refuse_chunk(&refusal);
                Some(Event::Dropped(Some(refusal)))
            }
        }
    }

    pub(super) fn text<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Event<'a>>) {
        let limit = self.profile.limits.message_size;
        let (Phase::Text(scanner), Some(transaction)) = (&mut self.phase, &mut self.transaction) else {
            self.phase = Phase::Command;
            return (0, None);
        };
        let mut used = 0;
        loop {
            let (octets, piece) = scanner.stuffed(&input[used..]);
            used += octets;
            match piece {
                Piece::More => return (used, None),
                Piece::Text(text) => {
                    transaction.size = transaction.size.saturating_add(text.len() as u64);
                    if transaction.size > limit {
                        transaction.refusal.get_or_insert(replies::TOO_BIG);
                    } else if let Some(flaw) = scanner.flaw() {
                        transaction.refusal.get_or_insert_with(|| flaw.reply());
                    }
                    // Once it will be refused, the rest is only read to its end.
                    if transaction.refusal.is_none() {
                        return (used, Some(Event::Text(text)));
                    }
                }
                Piece::End => break,
            }
        }
        let refusal = transaction.refusal.take().or_else(|| scanner.flaw().map(|flaw| flaw.reply()));
        self.phase = Phase::Command;
        let event = match refusal {
            None => self.message_end(),
            Some(refusal) => {
                self.refuse_message(&refusal);
                Some(Event::Dropped(Some(refusal)))
            }
        };
        (used, event)
    }

    fn message_end<'a>(&mut self) -> Option<Event<'a>> {
        let left = self.replies_of_message();
        self.ask(Pending::MessageEnd { left }, Event::MessageEnd)
    }

    pub(super) fn message_done(&mut self) {
        self.transaction = None;
        self.messages = self.messages.saturating_add(1);
        self.idle_commands = 0;
    }

    fn refuse_message(&mut self, refusal: &Reply) {
        for _ in 1..self.replies_of_message() {
            refusal.write_to(&mut self.output);
        }
        self.refuse_chunk(refusal);
    }

    fn refuse_chunk(&mut self, refusal: &Reply) {
        self.write(refusal);
        self.transaction = None;
        if *refusal == replies::BARE_OCTETS {
            // Whatever comes next may be meant to be taken for commands by somebody who ends lines elsewhere.
            self.phase = Phase::Closed;
        }
    }

    /// RFC 2033 §4.2: LMTP answers a message once for each accepted recipient.
    fn replies_of_message(&self) -> u32 {
        match &self.transaction {
            Some(transaction) if self.lmtp() => transaction.recipients.max(1),
            _ => 1,
        }
    }

    pub(super) fn scanner(&self) -> Scanner {
        // RFC 3030 §3: a binary message has no lines.
        match &self.transaction {
            Some(transaction) if transaction.binary => Scanner::new(BareOctets::Accept, None),
            _ => Scanner::new(self.profile.bare_octets, self.profile.limits.text_line_length),
        }
    }
}
