//! Errors as IMAP replies.

use std::io;

use chasqui_imap::{Code, MailboxName, Reply};
use chasqui_mailstore::{FolderName, MailError};

use crate::node::LogInError;

/// Why a verb ends without doing all it was asked.
#[derive(Debug)]
pub(super) enum Stop {
    /// Reply this; the session goes on.
    Refused(Reply),
    /// The connection can no longer be used.
    Broken(io::Error),
}

/// What a verb gives: its tagged reply.
pub(super) type Outcome = Result<Reply, Stop>;

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<MailError> for Stop {
    fn from(error: MailError) -> Self {
        Self::Refused(refused(&error))
    }
}

/// The reply for what the store refuses. A failing or full disk is NO: nothing is lost and it may work later.
pub(super) fn refused(error: &MailError) -> Reply {
    let (code, text) = match error {
        MailError::OverQuota => (Code::OverQuota, "The mailbox is over its quota".to_owned()),
        MailError::NoSuchFolder => (Code::NonExistent, "No such mailbox".to_owned()),
        MailError::FolderExists => (Code::AlreadyExists, "That mailbox exists already".to_owned()),
        MailError::InvalidName(why) => (Code::Cannot, sentence(why)),
        MailError::ReadOnly => (Code::ReadOnly, "The mailbox is open read-only".to_owned()),
        MailError::Full => (Code::Unavailable, "The storage is full".to_owned()),
        MailError::Gone => (Code::ExpungeIssued, "The message or mailbox no longer exists".to_owned()),
        MailError::LimitExceeded(which) => (Code::Limit, sentence(which)),
        MailError::Busy => (Code::Unavailable, "The storage is busy, try again".to_owned()),
        error => {
            tracing::error!(error = error as &dyn std::error::Error, "the store failed");
            (Code::Unavailable, "The storage failed, try again later".to_owned())
        }
    };
    Reply::no(text).with(code)
}

/// The same where a missing mailbox is the target of messages: the client may create it (RFC 3501 §6.3.11, §6.4.7).
pub(super) fn target_refused(error: &MailError) -> Reply {
    match error {
        MailError::NoSuchFolder => Reply::no("No such mailbox").with(Code::TryCreate),
        other => refused(other),
    }
}

/// The reply for a log-in that is refused.
pub(super) fn log_in_refused(error: &LogInError) -> Reply {
    let code = match error {
        LogInError::NotAllowed | LogInError::Unknown | LogInError::Disabled => Code::AuthorizationFailed,
        LogInError::NotOwner(_) | LogInError::NoDirectory => Code::Unavailable,
    };
    Reply::no(sentence(&error.to_string())).with(code)
}

/// The store's form of a name.
pub(super) fn folder(name: &MailboxName) -> Result<FolderName, Stop> {
    Ok(FolderName::parse(name.as_str()).map_err(MailError::from)?)
}

/// The wire's form of a name.
pub(super) fn mailbox(name: &FolderName) -> MailboxName {
    MailboxName::from_utf8(name.as_str().to_owned())
}

fn sentence(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
