//! A place in a command, and the small words of the grammar (RFC 3501 §9).

use std::borrow::Cow;

use super::Parsed;
use crate::{Limits, Reply};

pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    elements: usize,
    nesting: usize,
}

/// atom-specials are what is left out.
fn is_atom_char(b: u8) -> bool {
    matches!(b, 0x21..=0x7e) && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// ASTRING-CHAR.
pub(crate) fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']'
}

/// list-char.
fn is_list_char(b: u8) -> bool {
    is_astring_char(b) || b == b'%' || b == b'*'
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8], limits: &Limits) -> Self {
        Self { text, at: 0, elements: limits.elements, nesting: limits.nesting }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Nothing is left at all.
    pub(super) fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Only the line end is left. It was found by LF, so a lone LF is taken as well.
    pub(super) fn at_line_end(&self) -> bool {
        matches!(&self.text[self.at..], b"\r\n" | b"\n")
    }

    pub(super) fn end(&self) -> Parsed<()> {
        if self.at_line_end() { Ok(()) } else { Err(Reply::bad("Expected the end of the command")) }
    }

    /// Takes one octet if it is there.
    pub(super) fn skip(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, octet: u8, otherwise: &'static str) -> Parsed<()> {
        if self.skip(octet) { Ok(()) } else { Err(Reply::bad(otherwise)) }
    }

    pub(super) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "Expected a space")
    }

    /// Takes a whole atom if it is that word, whatever its case.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let before = self.at;
        if self.take_while(is_atom_char).eq_ignore_ascii_case(word.as_bytes()) {
            return true;
        }
        self.at = before;
        false
    }

    pub(super) fn take_while(&mut self, holds: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|&b| !holds(b)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    pub(super) fn atom(&mut self) -> Parsed<&'a [u8]> {
        let atom = self.take_while(is_atom_char);
        if atom.is_empty() { Err(Reply::bad("Expected a word")) } else { Ok(atom) }
    }

    /// Counts one element of a list against the limit.
    pub(super) fn element(&mut self) -> Parsed<()> {
        self.elements =
            self.elements.checked_sub(1).ok_or_else(|| Reply::bad("Too many elements in one command"))?;
        Ok(())
    }

    /// Elements that may still come.
    pub(super) fn elements_left(&self) -> usize {
        self.elements
    }

    /// Runs a parser one level deeper.
    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.nesting = self.nesting.checked_sub(1).ok_or_else(|| Reply::bad("Nested too deeply"))?;
        let result = inner(self);
        self.nesting += 1;
        result
    }

    /// `"(" [item *(SP item)] ")"`.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.expect(b'(', "Expected a list in parentheses")?;
        if self.skip(b')') {
            return Ok(());
        }
        self.deeper(|cursor| {
            loop {
                cursor.element()?;
                item(cursor)?;
                if cursor.skip(b')') {
                    return Ok(());
                }
                cursor.space()?;
            }
        })
    }

    pub(super) fn number(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        std::str::from_utf8(digits)
            .ok()
            .and_then(|d| d.parse().ok())
            .ok_or_else(|| Reply::bad("Expected a number"))
    }

    pub(super) fn number32(&mut self) -> Parsed<u32> {
        u32::try_from(self.number()?).map_err(|_| Reply::bad("Number is too large"))
    }

    /// A quoted string. Octets over 127 are let through: programs send UTF-8 there, and RFC 9051 allows it.
    pub(super) fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b'"', "Expected a quoted string")?;
        let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.skip(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut value = plain.to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(value));
                }
                Some(b'\\') if matches!(self.text.get(self.at + 1), Some(b'"' | b'\\')) => {
                    value.push(self.text[self.at + 1]);
                    self.at += 2;
                }
                Some(b'\\') => return Err(Reply::bad("Only \\ and \" may be escaped in a quoted string")),
                Some(b'\r' | b'\n' | 0) | None => return Err(Reply::bad("Quoted string does not end")),
                Some(octet) => {
                    value.push(octet);
                    self.at += 1;
                }
            }
        }
    }

    /// A literal that lies in the text.
    fn literal(&mut self) -> Parsed<&'a [u8]> {
        self.expect(b'{', "Expected a literal")?;
        let size = self.number()?;
        self.skip(b'+');
        self.expect(b'}', "Expected } after the size of the literal")?;
        self.skip(b'\r');
        self.expect(b'\n', "Expected the line to end after the size of the literal")?;
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| self.at.checked_add(size))
            .filter(|&end| end <= self.text.len());
        let end = end.ok_or_else(|| Reply::bad("Literal is not where a literal may be"))?;
        let value = &self.text[self.at..end];
        self.at = end;
        // RFC 3501 §9 CHAR8: any octet except NUL.
        if value.contains(&0) { Err(Reply::bad("NUL in a literal")) } else { Ok(value) }
    }

    pub(super) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Reply::bad("Expected a string")),
        }
    }

    pub(super) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.string_or(is_astring_char)
    }

    /// list-mailbox.
    pub(super) fn list_pattern(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.string_or(is_list_char)
    }

    fn string_or(&mut self, is_bare: impl Fn(u8) -> bool) -> Parsed<Cow<'a, [u8]>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        let bare = self.take_while(is_bare);
        if bare.is_empty() { Err(Reply::bad("Expected a string")) } else { Ok(Cow::Borrowed(bare)) }
    }

    pub(super) fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.word("NIL") { Ok(None) } else { self.string().map(Some) }
    }
}
