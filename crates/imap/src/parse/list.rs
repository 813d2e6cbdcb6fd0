//! LIST and LSUB (RFC 3501 §6.3.8, RFC 5258).

use super::{Cursor, Parsed, mailbox};
use crate::{CommandBody, ListOption, ListRequest, ListReturn, Reply, decode_utf7};

pub(super) fn lsub(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let reference = decoded(&cursor.astring()?);
    cursor.space()?;
    let pattern = decoded(&cursor.list_pattern()?);
    Ok(CommandBody::Lsub { reference, pattern })
}

pub(super) fn list(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mut request = ListRequest {
        options: Vec::new(),
        reference: String::new(),
        patterns: Vec::new(),
        returns: Vec::new(),
        extended: false,
    };
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        request.extended = true;
        cursor.list(|cursor| {
            request.options.push(option(cursor.atom()?)?);
            Ok(())
        })?;
        cursor.space()?;
        // RFC 5258 §3.1: RECURSIVEMATCH and REMOTE only modify another option.
        let needs_base = request.options.contains(&ListOption::RecursiveMatch);
        let has_base =
            request.options.iter().any(|o| matches!(o, ListOption::Subscribed | ListOption::SpecialUse));
        if needs_base && !has_base {
            return Err(Reply::bad("RECURSIVEMATCH needs another selection option"));
        }
    }
    request.reference = decoded(&cursor.astring()?);
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        request.extended = true;
        cursor.list(|cursor| {
            request.patterns.push(decoded(&cursor.list_pattern()?));
            Ok(())
        })?;
    } else {
        request.patterns.push(decoded(&cursor.list_pattern()?));
    }
    if cursor.skip(b' ') {
        request.extended = true;
        if !cursor.word("RETURN") {
            return Err(Reply::bad("Expected RETURN"));
        }
        cursor.space()?;
        cursor.list(|cursor| {
            request.returns.push(returned(cursor)?);
            Ok(())
        })?;
    }
    Ok(CommandBody::List(request))
}

fn option(word: &[u8]) -> Parsed<ListOption> {
    Ok(match &word.to_ascii_uppercase()[..] {
        b"SUBSCRIBED" => ListOption::Subscribed,
        b"REMOTE" => ListOption::Remote,
        b"RECURSIVEMATCH" => ListOption::RecursiveMatch,
        b"SPECIAL-USE" => ListOption::SpecialUse,
        _ => return Err(Reply::bad("Unknown selection option")),
    })
}

fn returned(cursor: &mut Cursor<'_>) -> Parsed<ListReturn> {
    Ok(match &cursor.atom()?.to_ascii_uppercase()[..] {
        b"SUBSCRIBED" => ListReturn::Subscribed,
        b"CHILDREN" => ListReturn::Children,
        b"SPECIAL-USE" => ListReturn::SpecialUse,
        b"STATUS" => {
            cursor.space()?;
            ListReturn::Status(mailbox::status_items(cursor)?)
        }
        _ => return Err(Reply::bad("Unknown return option")),
    })
}

/// A pattern in UTF-8. What cannot be decoded matches no name, so it may stay as it is.
fn decoded(octets: &[u8]) -> String {
    decode_utf7(octets).unwrap_or_else(|_| String::from_utf8_lossy(octets).into_owned())
}
