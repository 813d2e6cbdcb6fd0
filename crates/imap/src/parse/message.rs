//! Commands about messages: FETCH, STORE, COPY, MOVE, UID EXPUNGE.

use super::{Cursor, Parsed, mailbox, search, unknown};
use crate::{
    CommandBody, FetchItem, FetchRequest, Flag, FlagMode, Numbering, Reply, Section, SectionText,
    SequenceSet, StoreRequest,
};

/// Longest keyword, in octets.
const KEYWORD: usize = 64;

pub(super) fn numbered(cursor: &mut Cursor<'_>, name: &[u8], by: Numbering) -> Parsed<CommandBody> {
    match name {
        b"FETCH" => fetch(cursor, by),
        b"STORE" => store(cursor, by),
        b"SEARCH" => search::search(cursor, by),
        b"COPY" => {
            let set = spaced_set(cursor)?;
            Ok(CommandBody::Copy { by, set, to: mailbox::argument(cursor)? })
        }
        b"MOVE" => {
            let set = spaced_set(cursor)?;
            Ok(CommandBody::Move { by, set, to: mailbox::argument(cursor)? })
        }
        _ => Err(unknown()),
    }
}

pub(super) fn uid_expunge(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(CommandBody::UidExpunge(spaced_set(cursor)?))
}

fn spaced_set(cursor: &mut Cursor<'_>) -> Parsed<SequenceSet> {
    cursor.space()?;
    set(cursor)
}

pub(super) fn set(cursor: &mut Cursor<'_>) -> Parsed<SequenceSet> {
    let text = cursor.take_while(|b| b.is_ascii_digit() || matches!(b, b'*' | b':' | b','));
    let left = cursor.elements_left();
    SequenceSet::parse(text, left).ok_or_else(|| Reply::bad("Expected a set of message numbers"))
}

fn store(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<CommandBody> {
    let set = spaced_set(cursor)?;
    cursor.space()?;
    let mode = match cursor.peek() {
        Some(b'+') => FlagMode::Add,
        Some(b'-') => FlagMode::Remove,
        _ => FlagMode::Replace,
    };
    if mode != FlagMode::Replace {
        cursor.take_while(|b| matches!(b, b'+' | b'-'));
    }
    let silent = cursor.word("FLAGS.SILENT");
    if !silent && !cursor.word("FLAGS") {
        return Err(Reply::bad("Expected FLAGS"));
    }
    cursor.space()?;
    let flags = if cursor.peek() == Some(b'(') {
        flag_list(cursor)?
    } else {
        let mut flags = Vec::new();
        loop {
            cursor.element()?;
            flags.extend(flag(cursor)?);
            if !cursor.skip(b' ') {
                break flags;
            }
        }
    };
    Ok(CommandBody::Store(StoreRequest { by, set, mode, silent, flags }))
}

pub(super) fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<Flag>> {
    let mut flags = Vec::new();
    cursor.list(|cursor| {
        flags.extend(flag(cursor)?);
        Ok(())
    })?;
    Ok(flags)
}

/// A flag; `None` for `\Recent`, which clients send back with the rest and cannot change (RFC 3501 §2.3.2).
fn flag(cursor: &mut Cursor<'_>) -> Parsed<Option<Flag>> {
    if !cursor.skip(b'\\') {
        return keyword(cursor).map(Some);
    }
    Ok(Some(match &cursor.atom()?.to_ascii_uppercase()[..] {
        b"SEEN" => Flag::Seen,
        b"ANSWERED" => Flag::Answered,
        b"FLAGGED" => Flag::Flagged,
        b"DELETED" => Flag::Deleted,
        b"DRAFT" => Flag::Draft,
        b"RECENT" => return Ok(None),
        _ => return Err(Reply::bad("Unknown system flag")),
    }))
}

pub(super) fn keyword(cursor: &mut Cursor<'_>) -> Parsed<Flag> {
    let word = cursor.atom()?;
    if word.len() > KEYWORD {
        return Err(Reply::bad("Keyword is too long"));
    }
    Ok(Flag::Keyword(String::from_utf8_lossy(word).into_owned()))
}

fn fetch(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<CommandBody> {
    let set = spaced_set(cursor)?;
    cursor.space()?;
    let mut items = Vec::new();
    if cursor.peek() == Some(b'(') {
        cursor.list(|cursor| {
            items.push(item(cursor)?);
            Ok(())
        })?;
        if items.is_empty() {
            return Err(Reply::bad("FETCH needs at least one item"));
        }
    } else if let Some(found) = fetch_macro(cursor) {
        items.extend(found);
    } else {
        items.push(item(cursor)?);
    }
    if by == Numbering::Uid && !items.contains(&FetchItem::Uid) {
        items.insert(0, FetchItem::Uid);
    }
    let mut once = Vec::with_capacity(items.len());
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    Ok(CommandBody::Fetch(FetchRequest { by, set, items: once }))
}

/// RFC 3501 §6.4.5; a macro stands alone.
fn fetch_macro(cursor: &mut Cursor<'_>) -> Option<Vec<FetchItem>> {
    let mut items = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
    if cursor.word("FAST") {
        return Some(items);
    }
    items.push(FetchItem::Envelope);
    if cursor.word("ALL") {
        return Some(items);
    }
    items.push(FetchItem::Body);
    cursor.word("FULL").then_some(items)
}

fn item(cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    // `[` may be in an atom, but never is in the name of an item.
    let name = cursor.take_while(|b| b.is_ascii_alphanumeric() || b == b'.').to_ascii_uppercase();
    if cursor.peek() == Some(b'[') {
        let peek = match &name[..] {
            b"BODY" => false,
            b"BODY.PEEK" => true,
            _ => return Err(Reply::bad("Unknown FETCH item")),
        };
        return body_section(cursor, peek);
    }
    Ok(match &name[..] {
        b"UID" => FetchItem::Uid,
        b"FLAGS" => FetchItem::Flags,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"RFC822.SIZE" => FetchItem::Size,
        b"ENVELOPE" => FetchItem::Envelope,
        b"BODY" => FetchItem::Body,
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"RFC822" => FetchItem::Rfc822,
        b"RFC822.HEADER" => FetchItem::Rfc822Header,
        b"RFC822.TEXT" => FetchItem::Rfc822Text,
        _ => return Err(Reply::bad("Unknown FETCH item")),
    })
}

/// `"[" [section-spec] "]" ["<" number "." nz-number ">"]`.
fn body_section(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    cursor.expect(b'[', "Expected [")?;
    let section = section(cursor)?;
    cursor.expect(b']', "Expected ] after the section")?;
    let mut partial = None;
    if cursor.skip(b'<') {
        let origin = cursor.number32()?;
        cursor.expect(b'.', "Expected a length after the origin")?;
        let length = cursor.number32()?;
        cursor.expect(b'>', "Expected > after the length")?;
        if length == 0 {
            return Err(Reply::bad("Length must not be zero"));
        }
        partial = Some((origin, length));
    }
    Ok(FetchItem::Section { section, partial, peek })
}

fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    let mut section = Section::default();
    while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
        cursor.element()?;
        let number = cursor.number32()?;
        if number == 0 {
            return Err(Reply::bad("Parts count from 1"));
        }
        section.part.push(number);
        if !cursor.skip(b'.') {
            return Ok(section);
        }
    }
    let name = cursor.take_while(|b| b.is_ascii_alphabetic() || b == b'.').to_ascii_uppercase();
    section.text = Some(match &name[..] {
        b"" if section.part.is_empty() => return Ok(section),
        b"HEADER" => SectionText::Header,
        b"TEXT" => SectionText::Text,
        b"MIME" if !section.part.is_empty() => SectionText::Mime,
        b"HEADER.FIELDS" => SectionText::HeaderFields(field_names(cursor)?),
        b"HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(field_names(cursor)?),
        _ => return Err(Reply::bad("Unknown section")),
    });
    Ok(section)
}

fn field_names(cursor: &mut Cursor<'_>) -> Parsed<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    cursor.space()?;
    cursor.list(|cursor| {
        names.push(cursor.astring()?.into_owned());
        Ok(())
    })?;
    if names.is_empty() { Err(Reply::bad("Expected at least one field name")) } else { Ok(names) }
}
