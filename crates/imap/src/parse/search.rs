//! SEARCH (RFC 3501 §6.4.4).

use super::{Cursor, Parsed, message};
use crate::{Code, CommandBody, Date, Flag, Numbering, Reply, SearchKey, SearchRequest};

pub(super) fn search(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<CommandBody> {
    cursor.space()?;
    if cursor.word("CHARSET") {
        cursor.space()?;
        let charset = cursor.astring()?;
        // US-ASCII is a part of UTF-8, so every string is read as UTF-8.
        if !charset.eq_ignore_ascii_case(b"UTF-8") && !charset.eq_ignore_ascii_case(b"US-ASCII") {
            return Err(Reply::no("That charset is not supported").with(Code::BadCharset));
        }
        cursor.space()?;
    }
    let mut keys = Vec::new();
    loop {
        keys.push(key(cursor)?);
        if !cursor.skip(b' ') {
            break;
        }
    }
    let key = if keys.len() == 1 { keys.swap_remove(0) } else { SearchKey::And(keys) };
    Ok(CommandBody::Search(Box::new(SearchRequest { by, key })))
}

fn key(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    cursor.element()?;
    match cursor.peek() {
        Some(b'(') => {
            let mut keys = Vec::new();
            cursor.list(|cursor| {
                keys.push(key(cursor)?);
                Ok(())
            })?;
            return if keys.is_empty() {
                Err(Reply::bad("Empty list of search keys"))
            } else {
                Ok(SearchKey::And(keys))
            };
        }
        Some(b'0'..=b'9' | b'*') => return message::set(cursor).map(SearchKey::Sequence),
        _ => {}
    }
    let name = cursor.atom()?.to_ascii_uppercase();
    let not = |key| SearchKey::Not(Box::new(key));
    Ok(match &name[..] {
        b"ALL" => SearchKey::All,
        b"ANSWERED" => SearchKey::Flag(Flag::Answered),
        b"DELETED" => SearchKey::Flag(Flag::Deleted),
        b"DRAFT" => SearchKey::Flag(Flag::Draft),
        b"FLAGGED" => SearchKey::Flag(Flag::Flagged),
        b"SEEN" => SearchKey::Flag(Flag::Seen),
        b"UNANSWERED" => not(SearchKey::Flag(Flag::Answered)),
        b"UNDELETED" => not(SearchKey::Flag(Flag::Deleted)),
        b"UNDRAFT" => not(SearchKey::Flag(Flag::Draft)),
        b"UNFLAGGED" => not(SearchKey::Flag(Flag::Flagged)),
        b"UNSEEN" => not(SearchKey::Flag(Flag::Seen)),
        b"RECENT" => SearchKey::Recent,
        b"OLD" => not(SearchKey::Recent),
        b"NEW" => SearchKey::New,
        b"KEYWORD" => SearchKey::Flag(spaced(cursor, message::keyword)?),
        b"UNKEYWORD" => not(SearchKey::Flag(spaced(cursor, message::keyword)?)),
        b"BEFORE" => SearchKey::Before(spaced(cursor, date)?),
        b"ON" => SearchKey::On(spaced(cursor, date)?),
        b"SINCE" => SearchKey::Since(spaced(cursor, date)?),
        b"SENTBEFORE" => SearchKey::SentBefore(spaced(cursor, date)?),
        b"SENTON" => SearchKey::SentOn(spaced(cursor, date)?),
        b"SENTSINCE" => SearchKey::SentSince(spaced(cursor, date)?),
        b"LARGER" => SearchKey::Larger(spaced(cursor, |cursor| cursor.number())?),
        b"SMALLER" => SearchKey::Smaller(spaced(cursor, |cursor| cursor.number())?),
        b"FROM" => field(cursor, "From")?,
        b"TO" => field(cursor, "To")?,
        b"CC" => field(cursor, "Cc")?,
        b"BCC" => field(cursor, "Bcc")?,
        b"SUBJECT" => field(cursor, "Subject")?,
        b"HEADER" => {
            let field = spaced(cursor, text)?;
            SearchKey::Header { field, text: spaced(cursor, text)? }
        }
        b"BODY" => SearchKey::Body(spaced(cursor, text)?),
        b"TEXT" => SearchKey::Text(spaced(cursor, text)?),
        b"UID" => SearchKey::Uid(spaced(cursor, message::set)?),
        b"NOT" => not(spaced(cursor, |cursor| cursor.deeper(key))?),
        b"OR" => {
            let first = spaced(cursor, |cursor| cursor.deeper(key))?;
            let second = spaced(cursor, |cursor| cursor.deeper(key))?;
            SearchKey::Or(Box::new(first), Box::new(second))
        }
        _ => return Err(Reply::bad("Unknown search key")),
    })
}

fn spaced<'a, T>(cursor: &mut Cursor<'a>, item: impl FnOnce(&mut Cursor<'a>) -> Parsed<T>) -> Parsed<T> {
    cursor.space()?;
    item(cursor)
}

fn field(cursor: &mut Cursor<'_>, name: &str) -> Parsed<SearchKey> {
    Ok(SearchKey::Header { field: name.to_owned(), text: spaced(cursor, text)? })
}

fn text(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let octets = cursor.astring()?.into_owned();
    String::from_utf8(octets).map_err(|_| Reply::no("Search text is not UTF-8").with(Code::BadCharset))
}

/// `date`: with or without quotes.
fn date(cursor: &mut Cursor<'_>) -> Parsed<Date> {
    let octets = cursor.astring()?;
    Date::parse(&octets).ok_or_else(|| Reply::bad("Expected a date such as 1-Feb-1994"))
}
