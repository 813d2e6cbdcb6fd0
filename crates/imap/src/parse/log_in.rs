//! AUTHENTICATE, LOGIN, ID, ENABLE.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Cursor, Parsed};
use crate::{CommandBody, Identity, Reply, Sensitive};

pub(super) fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mechanism = upper(cursor.atom()?);
    let initial = if cursor.skip(b' ') {
        let text = cursor.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
        // RFC 4959 §3: "=" is the empty initial response.
        let octets =
            if text == b"=" { Vec::new() } else { STANDARD.decode(text).map_err(|_| not_base64())? };
        if text.is_empty() {
            return Err(not_base64());
        }
        Some(Sensitive::new(octets))
    } else {
        None
    };
    Ok(CommandBody::Authenticate { mechanism, initial })
}

pub(super) fn login(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let user = cursor.astring()?.into_owned();
    cursor.space()?;
    let password = Sensitive::new(cursor.astring()?.into_owned());
    Ok(CommandBody::Login { user, password })
}

pub(super) fn id(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    if cursor.word("NIL") {
        return Ok(CommandBody::Id(Vec::new()));
    }
    let mut fields = Vec::new();
    cursor.list(|cursor| {
        let field = cursor.string()?.into_owned();
        cursor.space()?;
        let value = cursor.nstring()?.map(std::borrow::Cow::into_owned);
        fields.push(Identity { field, value });
        // RFC 2971 §3.3: not more than 30 fields.
        if fields.len() > 30 { Err(Reply::bad("Too many fields in ID")) } else { Ok(()) }
    })?;
    Ok(CommandBody::Id(fields))
}

pub(super) fn enable(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mut names = Vec::new();
    cursor.space()?;
    loop {
        cursor.element()?;
        names.push(upper(cursor.atom()?));
        if !cursor.skip(b' ') {
            return Ok(CommandBody::Enable(names));
        }
    }
}

fn upper(atom: &[u8]) -> String {
    String::from_utf8_lossy(atom).to_ascii_uppercase()
}

fn not_base64() -> Reply {
    Reply::bad("Initial response is not base64")
}
