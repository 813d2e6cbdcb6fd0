//! From a whole command to its type.
//!
//! A command lies in one slice with its literals in place. Every error is a reply: `BAD` for what the grammar does not
//! allow, `NO` for what is in the grammar and cannot be done (a charset, a mailbox name with broken encoding).

mod cursor;
mod list;
mod log_in;
mod mailbox;
mod message;
mod search;

use cursor::Cursor;
pub(crate) use cursor::is_astring_char;

use crate::{AppendMessage, Command, CommandBody, Limits, MailboxName, Numbering, Reply, Tag};

/// A command that is answered without being acted on.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) tag: Option<Tag>,
    pub(crate) reply: Reply,
}

type Parsed<T> = Result<T, Reply>;

/// Parses one command with its line end.
pub(crate) fn command(text: &[u8], limits: &Limits) -> Result<Command, Refused> {
    let mut cursor = Cursor::new(text, limits);
    let tag = start(&mut cursor)?;
    match body(&mut cursor).and_then(|body| cursor.end().map(|()| body)) {
        Ok(body) => Ok(Command { tag, body }),
        Err(reply) => Err(Refused { tag: Some(tag), reply }),
    }
}

/// What precedes the message of an APPEND, if `text` (which ends where a literal is announced) is that.
pub(crate) fn append_prefix(
    text: &[u8],
    limits: &Limits,
) -> Result<Option<(Tag, MailboxName, AppendMessage)>, Refused> {
    let mut cursor = Cursor::new(text, limits);
    let tag = start(&mut cursor)?;
    if !cursor.word("APPEND") {
        return Ok(None);
    }
    let parsed = cursor.space().and_then(|()| {
        if cursor.at_end() {
            return Ok(None);
        }
        let name = cursor.astring()?;
        let message = append_message(&mut cursor)?;
        Ok(Some((mailbox::name(&name)?, message)))
    });
    match parsed {
        Ok(found) => Ok(found.map(|(mailbox, message)| (tag, mailbox, message))),
        Err(reply) => Err(Refused { tag: Some(tag), reply }),
    }
}

/// What precedes a further message of an APPEND.
pub(crate) fn append_next(text: &[u8], limits: &Limits) -> Parsed<AppendMessage> {
    append_message(&mut Cursor::new(text, limits))
}

/// The tag, if the command's name is one that this server knows.
pub(crate) fn known_command(text: &[u8]) -> Result<Tag, Refused> {
    let limits = Limits::default();
    let mut cursor = Cursor::new(text, &limits);
    let tag = start(&mut cursor)?;
    let name = cursor.atom().unwrap_or_default().to_ascii_uppercase();
    if COMMANDS.iter().any(|known| known.as_bytes() == name) {
        Ok(tag)
    } else {
        Err(Refused { tag: Some(tag), reply: unknown() })
    }
}

/// The tag at the start of a text, perhaps without the rest of the line.
pub(crate) fn tag_of(text: &[u8]) -> Option<Tag> {
    let limits = Limits::default();
    start(&mut Cursor::new(text, &limits)).ok()
}

/// Commands with arguments, whose arguments may be literals.
const COMMANDS: [&str; 26] = [
    "APPEND",
    "AUTHENTICATE",
    "COPY",
    "CREATE",
    "DELETE",
    "ENABLE",
    "EXAMINE",
    "FETCH",
    "GETQUOTA",
    "GETQUOTAROOT",
    "ID",
    "LIST",
    "LOGIN",
    "LSUB",
    "MOVE",
    "RENAME",
    "SEARCH",
    "SELECT",
    "SETQUOTA",
    "STATUS",
    "STORE",
    "SUBSCRIBE",
    "UID",
    "UNSUBSCRIBE",
    "XLIST",
    "STARTTLS",
];

fn unknown() -> Reply {
    Reply::bad("Unknown command")
}

/// `tag SP`.
fn start(cursor: &mut Cursor<'_>) -> Result<Tag, Refused> {
    let tag =
        std::str::from_utf8(cursor.take_while(|b| is_astring_char(b) && b != b'+')).ok().and_then(Tag::new);
    let Some(tag) = tag else {
        return Err(Refused { tag: None, reply: Reply::bad("Expected a tag") });
    };
    match cursor.space() {
        Ok(()) => Ok(tag),
        Err(_) => Err(Refused { tag: Some(tag), reply: Reply::bad("Expected a command after the tag") }),
    }
}

fn body(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let name = cursor.atom()?.to_ascii_uppercase();
    let by = if name == b"UID" { Numbering::Uid } else { Numbering::Sequence };
    if by == Numbering::Uid {
        cursor.space()?;
        let name = cursor.atom()?.to_ascii_uppercase();
        return match &name[..] {
            b"EXPUNGE" => message::uid_expunge(cursor),
            name => message::numbered(cursor, name, by),
        };
    }
    Ok(match &name[..] {
        b"CAPABILITY" => CommandBody::Capability,
        b"NOOP" => CommandBody::Noop,
        b"LOGOUT" => CommandBody::Logout,
        b"STARTTLS" => CommandBody::StartTls,
        b"NAMESPACE" => CommandBody::Namespace,
        b"IDLE" => CommandBody::Idle,
        b"CHECK" => CommandBody::Check,
        b"CLOSE" => CommandBody::Close,
        b"UNSELECT" => CommandBody::Unselect,
        b"EXPUNGE" => CommandBody::Expunge,
        b"AUTHENTICATE" => return log_in::authenticate(cursor),
        b"LOGIN" => return log_in::login(cursor),
        b"ID" => return log_in::id(cursor),
        b"ENABLE" => return log_in::enable(cursor),
        b"SELECT" => return mailbox::select(cursor, false),
        b"EXAMINE" => return mailbox::select(cursor, true),
        b"CREATE" => return mailbox::create(cursor),
        b"DELETE" => CommandBody::Delete(mailbox::argument(cursor)?),
        b"RENAME" => CommandBody::Rename { from: mailbox::argument(cursor)?, to: mailbox::argument(cursor)? },
        b"SUBSCRIBE" => CommandBody::Subscribe(mailbox::argument(cursor)?),
        b"UNSUBSCRIBE" => CommandBody::Unsubscribe(mailbox::argument(cursor)?),
        b"LIST" => return list::list(cursor),
        b"LSUB" => return list::lsub(cursor),
        b"STATUS" => return mailbox::status(cursor),
        b"GETQUOTA" => return mailbox::get_quota(cursor),
        b"GETQUOTAROOT" => CommandBody::GetQuotaRoot(mailbox::argument(cursor)?),
        b"SETQUOTA" => return mailbox::set_quota(cursor),
        b"APPEND" => return Err(Reply::bad("APPEND needs its message as a literal")),
        name => return message::numbered(cursor, name, by),
    })
}

/// `SP [flag-list SP] [date-time SP]` in front of the literal of a message (RFC 3501 §9 `append`).
fn append_message(cursor: &mut Cursor<'_>) -> Parsed<AppendMessage> {
    cursor.space()?;
    let mut message = AppendMessage { flags: Vec::new(), date: None, size: 0 };
    if cursor.peek() == Some(b'(') {
        message.flags = message::flag_list(cursor)?;
        cursor.space()?;
    }
    if cursor.peek() == Some(b'"') {
        let text = cursor.quoted()?;
        message.date = Some(
            crate::DateTime::parse(&text).ok_or_else(|| Reply::bad("That date and time does not exist"))?,
        );
        cursor.space()?;
    }
    if cursor.at_end() { Ok(message) } else { Err(Reply::bad("Expected a literal with the message")) }
}

#[cfg(test)]
mod tests;
