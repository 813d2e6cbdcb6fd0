//! Commands about a mailbox as a whole.

use super::{Cursor, Parsed};
use crate::{Code, CommandBody, MailboxName, Reply, SpecialUse, StatusItem};

/// A mailbox name. Broken encoding is NO: the grammar allows any string there.
pub(super) fn name(octets: &[u8]) -> Parsed<MailboxName> {
    MailboxName::from_wire(octets)
        .map_err(|error| Reply::no(capitalised(&error.to_string())).with(Code::Cannot))
}

/// `SP mailbox`.
pub(super) fn argument(cursor: &mut Cursor<'_>) -> Parsed<MailboxName> {
    cursor.space()?;
    name(&cursor.astring()?)
}

pub(super) fn select(cursor: &mut Cursor<'_>, examine: bool) -> Parsed<CommandBody> {
    let mailbox = argument(cursor)?;
    let mut condstore = false;
    if cursor.skip(b' ') {
        // RFC 4466 select-params; only CONDSTORE (RFC 7162 §3.1.8) has no value.
        cursor.list(|cursor| {
            condstore = cursor.word("CONDSTORE");
            if condstore { Ok(()) } else { Err(Reply::bad("Unknown parameter")) }
        })?;
    }
    Ok(if examine {
        CommandBody::Examine { mailbox, condstore }
    } else {
        CommandBody::Select { mailbox, condstore }
    })
}

pub(super) fn create(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let octets = cursor.astring()?;
    // RFC 3501 §6.3.3: a separator at the end only says that names will be made under it.
    let stripped = octets.strip_suffix(b"/");
    let mailbox = name(stripped.unwrap_or(&octets))?;
    let parent_only = stripped.is_some();
    let mut special_use = Vec::new();
    if cursor.skip(b' ') {
        cursor.list(|cursor| {
            if !cursor.word("USE") {
                return Err(Reply::bad("Unknown parameter"));
            }
            cursor.space()?;
            cursor.list(|cursor| {
                cursor.expect(b'\\', "Expected a special use")?;
                let word = cursor.atom()?;
                let found = SpecialUse::EVERY
                    .into_iter()
                    .find(|u| u.as_str().as_bytes()[1..].eq_ignore_ascii_case(word));
                special_use.push(found.ok_or_else(|| Reply::no("Unknown special use").with(Code::UseAttr))?);
                Ok(())
            })
        })?;
    }
    Ok(CommandBody::Create { mailbox, parent_only, special_use })
}

pub(super) fn status(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mailbox = argument(cursor)?;
    cursor.space()?;
    let items = status_items(cursor)?;
    Ok(CommandBody::Status { mailbox, items })
}

/// `"(" status-att *(SP status-att) ")"`; an item named twice counts once.
pub(super) fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    const EVERY: [StatusItem; 8] = [
        StatusItem::Messages,
        StatusItem::Recent,
        StatusItem::UidNext,
        StatusItem::UidValidity,
        StatusItem::Unseen,
        StatusItem::Deleted,
        StatusItem::Size,
        StatusItem::HighestModSeq,
    ];
    let mut items = Vec::new();
    cursor.list(|cursor| {
        let word = cursor.atom()?;
        let item = EVERY.into_iter().find(|item| item.as_str().as_bytes().eq_ignore_ascii_case(word));
        let item = item.ok_or_else(|| Reply::bad("Unknown STATUS item"))?;
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err(Reply::bad("STATUS needs at least one item")) } else { Ok(items) }
}

pub(super) fn get_quota(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    Ok(CommandBody::GetQuota(cursor.astring()?.into_owned()))
}

pub(super) fn set_quota(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let root = cursor.astring()?.into_owned();
    cursor.space()?;
    // `resource SP number` pairs, all separated by spaces.
    cursor.list(|cursor| {
        cursor.atom()?;
        cursor.space()?;
        cursor.number().map(drop)
    })?;
    Ok(CommandBody::SetQuota(root))
}

fn capitalised(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
