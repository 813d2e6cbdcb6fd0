//! Status replies and their response codes.

use std::borrow::Cow;

use crate::{Tag, compact, write};

/// A status reply (RFC 3501 §7.1): condition, perhaps a code, and text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What happened.
    pub condition: Condition,
    /// For programs.
    pub code: Option<Code>,
    /// For people; never empty, one line, US-ASCII.
    pub text: Cow<'static, str>,
}

/// The condition of a status reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Understood, but not done.
    No,
    /// Not understood, or not allowed now.
    Bad,
    /// Greeting of a connection that is logged in already.
    PreAuth,
    /// The server closes the connection.
    Bye,
}

impl Condition {
    /// As it goes over the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::PreAuth => "PREAUTH",
            Self::Bye => "BYE",
        }
    }
}

impl Reply {
    /// `OK`.
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::Ok, code: None, text: text.into() }
    }

    /// `NO`.
    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::No, code: None, text: text.into() }
    }

    /// `BAD`.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::Bad, code: None, text: text.into() }
    }

    /// `BYE`: only untagged.
    pub fn bye(text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::Bye, code: None, text: text.into() }
    }

    /// The same with a code.
    pub fn with(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Appends it as the tagged reply, with its line end.
    pub fn tagged(&self, tag: &Tag, out: &mut Vec<u8>) {
        out.extend_from_slice(tag.as_str().as_bytes());
        self.write(out);
    }

    /// Appends it untagged, with its line end.
    pub fn untagged(&self, out: &mut Vec<u8>) {
        out.push(b'*');
        self.write(out);
    }

    /// Tagged if the tag is known (RFC 3501 §7.1.3: an untagged BAD is for what has no readable tag).
    pub fn answer(&self, tag: Option<&Tag>, out: &mut Vec<u8>) {
        match tag {
            Some(tag) => self.tagged(tag, out),
            None => self.untagged(out),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b' ');
        out.extend_from_slice(self.condition.as_str().as_bytes());
        if let Some(code) = &self.code {
            out.extend_from_slice(b" [");
            code.write(out);
            out.push(b']');
        }
        out.push(b' ');
        write::text(out, &self.text);
        out.extend_from_slice(b"\r\n");
    }
}

/// A response code (RFC 3501 §7.1, RFC 4315, RFC 5530, RFC 9051 §7.1, RFC 9208).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// The text must be shown to the user.
    Alert,
    /// Supported charsets of SEARCH.
    BadCharset,
    /// Capabilities, separated by spaces.
    Capability(Cow<'static, str>),
    /// Flags that can be changed for good, written out with parentheses.
    PermanentFlags(String),
    /// The mailbox is selected read-only.
    ReadOnly,
    /// The mailbox is selected read-write.
    ReadWrite,
    /// The target does not exist, but could be created.
    TryCreate,
    /// Next UID.
    UidNext(u32),
    /// UID validity.
    UidValidity(u32),
    /// Sequence number of the first message that is not `\Seen`.
    Unseen(u32),
    /// RFC 4315.
    AppendUid {
        /// Of the target.
        uid_validity: u32,
        /// In the order of the messages.
        uids: Vec<u32>,
    },
    /// RFC 4315.
    CopyUid {
        /// Of the target.
        uid_validity: u32,
        /// UIDs in the source.
        from: Vec<u32>,
        /// UIDs in the target, in the same order.
        to: Vec<u32>,
    },
    /// The mailbox selected before is closed (RFC 7162 §3.2.11).
    Closed,
    /// Mod-sequences are not kept (RFC 7162 §3.1.2.2).
    NoModSeq,
    /// RFC 7162 §3.1.2.1.
    HighestModSeq(u64),
    /// RFC 5530: a part of the system is down, try again.
    Unavailable,
    /// RFC 5530.
    AuthenticationFailed,
    /// RFC 5530.
    AuthorizationFailed,
    /// RFC 5530.
    Expired,
    /// RFC 5530: TLS first.
    PrivacyRequired,
    /// RFC 5530.
    ContactAdmin,
    /// RFC 5530.
    NoPerm,
    /// RFC 5530.
    InUse,
    /// RFC 5530: some messages of the set are gone.
    ExpungeIssued,
    /// RFC 5530.
    Corruption,
    /// RFC 5530.
    ServerBug,
    /// RFC 5530.
    ClientBug,
    /// RFC 5530: can never be done.
    Cannot,
    /// RFC 5530: a limit of the server.
    Limit,
    /// RFC 5530, RFC 9208.
    OverQuota,
    /// RFC 5530.
    AlreadyExists,
    /// RFC 5530.
    NonExistent,
    /// RFC 9051 §7.1: has names under it.
    HasChildren,
    /// RFC 7889: the literal is too large.
    TooBig,
    /// RFC 6154 §3: no such special use.
    UseAttr,
}

impl Code {
    fn write(&self, out: &mut Vec<u8>) {
        let word: &str = match self {
            Self::Alert => "ALERT",
            Self::BadCharset => "BADCHARSET (US-ASCII UTF-8)",
            Self::Capability(list) => {
                out.extend_from_slice(b"CAPABILITY ");
                list
            }
            Self::PermanentFlags(flags) => {
                out.extend_from_slice(b"PERMANENTFLAGS ");
                flags
            }
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::TryCreate => "TRYCREATE",
            Self::UidNext(n) => return word_number(out, "UIDNEXT", u64::from(*n)),
            Self::UidValidity(n) => return word_number(out, "UIDVALIDITY", u64::from(*n)),
            Self::Unseen(n) => return word_number(out, "UNSEEN", u64::from(*n)),
            Self::AppendUid { uid_validity, uids } => {
                word_number(out, "APPENDUID", u64::from(*uid_validity));
                out.push(b' ');
                return compact(out, uids.iter().copied());
            }
            Self::CopyUid { uid_validity, from, to } => {
                word_number(out, "COPYUID", u64::from(*uid_validity));
                out.push(b' ');
                compact(out, from.iter().copied());
                out.push(b' ');
                return compact(out, to.iter().copied());
            }
            Self::Closed => "CLOSED",
            Self::NoModSeq => "NOMODSEQ",
            Self::HighestModSeq(n) => return word_number(out, "HIGHESTMODSEQ", *n),
            Self::Unavailable => "UNAVAILABLE",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::Expired => "EXPIRED",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::NoPerm => "NOPERM",
            Self::InUse => "INUSE",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::Corruption => "CORRUPTION",
            Self::ServerBug => "SERVERBUG",
            Self::ClientBug => "CLIENTBUG",
            Self::Cannot => "CANNOT",
            Self::Limit => "LIMIT",
            Self::OverQuota => "OVERQUOTA",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::NonExistent => "NONEXISTENT",
            Self::HasChildren => "HASCHILDREN",
            Self::TooBig => "TOOBIG",
            Self::UseAttr => "USEATTR",
        };
        out.extend_from_slice(word.as_bytes());
    }
}

fn word_number(out: &mut Vec<u8>, word: &str, n: u64) {
    out.extend_from_slice(word.as_bytes());
    out.push(b' ');
    write::number(out, n);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_carry_tag_and_code() {
        let tag = Tag::new("a1").unwrap();
        let mut out = Vec::new();
        Reply::ok("Copied")
            .with(Code::CopyUid { uid_validity: 7, from: vec![1, 2, 5], to: vec![8, 9, 10] })
            .tagged(&tag, &mut out);
        Reply::bad("What?\r\nHow?").untagged(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a1 OK [COPYUID 7 1:2,5 8:10] Copied\r\n* BAD What?  How?\r\n"
        );
    }
}
