//! Parts of a message as octet ranges of its file, read in pieces.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use chasqui_imap::{Section, SectionText};
use chasqui_mailstore::{BodyPart, Content, MailError, Mailbox, Uid};

/// Octets read at once.
pub(super) const PIECE: u64 = 64 << 10;
/// Octets read first when only the header is wanted: most headers are shorter.
pub(super) const HEADER_PIECE: u64 = 16 << 10;
/// Longest header that is looked into for fields. What is beyond is not found; no sane message has so much.
const HEADER: u64 = 1 << 20;

/// A message's octets; the piece read last stays at hand, so that a small message is read once.
pub(super) struct Octets {
    content: Content,
    at_once: u64,
    piece: Bytes,
    /// Where `piece` begins.
    at: u64,
    header_end: Option<u64>,
}

/// What a section is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// There is no such part.
    Nil,
    /// Octets that were put together.
    Text(Vec<u8>),
    /// Octets of the file.
    Range(Range<u64>),
}

impl Octets {
    pub(super) async fn open(mailbox: &Mailbox, uid: Uid, at_once: u64) -> Result<Self, MailError> {
        let content = mailbox.content(uid).await?;
        Ok(Self { content, at_once, piece: Bytes::new(), at: 0, header_end: None })
    }

    pub(super) fn size(&self) -> u64 {
        self.content.size()
    }

    /// The octets from `range.start`: all of the range if it is short, else a piece of it; never empty.
    ///
    /// # Errors
    /// The file ends before the range does: it was cut by somebody else.
    pub(super) async fn read(&mut self, range: Range<u64>) -> Result<Bytes, MailError> {
        let there = self.at..self.at + self.piece.len() as u64;
        if !there.contains(&range.start) {
            let end = range.start.saturating_add(self.at_once).min(self.size());
            self.piece = self.content.read(range.start..end).await?;
            self.at = range.start;
        }
        let from = (range.start - self.at) as usize;
        let to = self.piece.len().min(from + usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        if from >= to {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(self.piece.slice(from..to))
    }

    /// Where the header ends, behind its empty line; the whole message if it has none.
    async fn header_end(&mut self) -> Result<u64, MailError> {
        if let Some(end) = self.header_end {
            return Ok(end);
        }
        let mut empty_line = true;
        let mut at = 0;
        let end = 'found: loop {
            if at >= self.size() {
                break self.size();
            }
            let piece = self.read(at..self.size()).await?;
            for (i, octet) in piece.iter().enumerate() {
                match octet {
                    b'\n' if empty_line => break 'found at + i as u64 + 1,
                    b'\n' => empty_line = true,
                    b'\r' => {}
                    _ => empty_line = false,
                }
            }
            at += piece.len() as u64;
        };
        self.header_end = Some(end);
        Ok(end)
    }

    /// The message's own header, cut at the longest that is looked into.
    pub(super) async fn header(&mut self) -> Result<Vec<u8>, MailError> {
        let end = self.header_end().await?;
        self.collect(0..end, HEADER).await
    }

    /// The octets of a range in memory, at most `most`.
    pub(super) async fn collect(&mut self, range: Range<u64>, most: u64) -> Result<Vec<u8>, MailError> {
        let end = range.end.min(range.start.saturating_add(most)).min(self.size());
        let mut octets = Vec::new();
        let mut at = range.start;
        while at < end {
            let piece = self.read(at..end).await?;
            octets.extend_from_slice(&piece);
            at += piece.len() as u64;
        }
        Ok(octets)
    }

    /// What a section names (RFC 3501 §6.4.5); `body` is needed if it has part numbers.
    pub(super) async fn section(
        &mut self,
        section: &Section,
        body: Option<&BodyPart>,
    ) -> Result<Piece, MailError> {
        let (header, text) = if section.part.is_empty() {
            let size = self.size();
            if section.text.is_none() {
                return Ok(Piece::Range(0..size));
            }
            let end = self.header_end().await?;
            (0..end, end..size)
        } else {
            let Some(part) = body.and_then(|body| body.find(&section.part)) else { return Ok(Piece::Nil) };
            match (&section.text, &part.message) {
                (None, _) => return Ok(self.range(part.body_start..part.body_end)),
                (Some(SectionText::Mime), _) => return Ok(self.range(part.header_start..part.body_start)),
                (Some(_), None) => return Ok(Piece::Nil),
                (Some(_), Some(nested)) => {
                    let body = &nested.body;
                    (body.header_start..body.body_start, body.body_start..body.body_end)
                }
            }
        };
        match &section.text {
            Some(SectionText::Text) => Ok(self.range(text)),
            Some(SectionText::HeaderFields(names)) => {
                Ok(Piece::Text(fields(&self.collect(header, HEADER).await?, names, true)))
            }
            Some(SectionText::HeaderFieldsNot(names)) => {
                Ok(Piece::Text(fields(&self.collect(header, HEADER).await?, names, false)))
            }
            _ => Ok(self.range(header)),
        }
    }

    /// A range cut to the file, in case the index is older than it.
    fn range(&self, range: Range<u64>) -> Piece {
        let end = range.end.min(self.size());
        Piece::Range(range.start.min(end)..end)
    }
}

impl Piece {
    /// The part of it that `<origin.length>` names; beyond its end nothing is left (RFC 3501 §6.4.5).
    pub(super) fn cut(self, partial: Option<(u32, u32)>) -> Self {
        let Some((origin, length)) = partial else { return self };
        let (origin, length) = (u64::from(origin), u64::from(length));
        match self {
            Self::Nil => Self::Nil,
            Self::Text(octets) => {
                let from = (origin as usize).min(octets.len());
                let to = from.saturating_add(length as usize).min(octets.len());
                Self::Text(octets[from..to].to_vec())
            }
            Self::Range(range) => {
                let start = range.start.saturating_add(origin).min(range.end);
                Self::Range(start..start.saturating_add(length).min(range.end))
            }
        }
    }
}

/// The fields of a header, each with its continuation lines; the empty line is not one.
pub(super) fn each_field(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = header;
    std::iter::from_fn(move || {
        if rest.is_empty() || rest.starts_with(b"\r\n") || rest.starts_with(b"\n") {
            return None;
        }
        let mut end = 0;
        loop {
            match rest[end..].iter().position(|&b| b == b'\n') {
                Some(at) => end += at + 1,
                None => end = rest.len(),
            }
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, after) = rest.split_at(end);
        rest = after;
        Some(field)
    })
}

/// A field's name, without the space that old messages have before the colon.
pub(super) fn field_name(field: &[u8]) -> &[u8] {
    let name = field.split(|&b| b == b':').next().unwrap_or_default();
    name.trim_ascii_end()
}

/// The fields with (or without) these names, and the empty line that ends a header (RFC 3501 §6.4.5).
fn fields(header: &[u8], names: &[Vec<u8>], with: bool) -> Vec<u8> {
    let mut out = Vec::new();
    // Sorted, as a client may name thousands.
    let mut names: Vec<Vec<u8>> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    for field in each_field(header) {
        let named = names.binary_search(&field_name(field).to_ascii_lowercase()).is_ok();
        if named == with {
            out.extend_from_slice(field);
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_chosen_with_their_continuations() {
        let header = b"Subject: a\r\n b\r\nFrom : x\r\nto: y\r\n\r\nSubject: body\r\n";
        let names = vec![b"subject".to_vec(), b"FROM".to_vec()];
        assert_eq!(fields(header, &names, true), b"Subject: a\r\n b\r\nFrom : x\r\n\r\n");
        assert_eq!(fields(header, &names, false), b"to: y\r\n\r\n");
        assert_eq!(fields(b"", &names, true), b"\r\n");
        assert_eq!(fields(b"Subject: cut", &names, true), b"Subject: cut\r\n");
    }

    #[test]
    fn partial_beyond_the_end_is_empty() {
        assert_eq!(Piece::Range(10..20).cut(Some((5, 100))), Piece::Range(15..20));
        assert_eq!(Piece::Range(10..20).cut(Some((50, 1))), Piece::Range(20..20));
        assert_eq!(Piece::Text(b"abc".to_vec()).cut(Some((1, 1))), Piece::Text(b"b".to_vec()));
        assert_eq!(Piece::Text(b"abc".to_vec()).cut(Some((9, u32::MAX))), Piece::Text(vec![]));
    }
}
