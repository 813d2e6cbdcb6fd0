//! The verbs, one a file; the shortest are here.

pub(super) mod append;
mod copy;
mod create;
mod delete;
mod expunge;
mod fetch;
pub(super) mod id;
mod list;
mod lsub;
mod quota;
mod rename;
mod search;
mod select;
mod status;
mod store;
mod subscribe;
mod unselect;

use std::io;

use chasqui_imap::{Code, Command, CommandBody, Numbering, Reply};
use chasqui_mailstore::Access;

use super::refusal::Outcome;
use super::session::{After, Session, Telling, capabilities};

/// Runs one command and writes its replies.
pub(super) async fn run(session: &mut Session, Command { tag, body }: Command) -> io::Result<After> {
    let telling = telling(&body);
    let outcome: Outcome = match body {
        CommandBody::Capability => {
            let line = format!("* CAPABILITY {}\r\n", capabilities(&session.settings));
            session.out.extend_from_slice(line.as_bytes());
            done("CAPABILITY")
        }
        CommandBody::Noop => done("NOOP"),
        CommandBody::Check => session.mailbox().map(drop).and_then(|()| done("CHECK")),
        CommandBody::Logout => {
            Reply::bye("Goodbye").untagged(&mut session.out);
            Reply::ok("LOGOUT completed").tagged(&tag, &mut session.out);
            return Ok(After::End);
        }
        CommandBody::Idle => {
            session.out.extend_from_slice(b"+ idling\r\n");
            session.idling = Some(tag);
            return Ok(After::Go);
        }
        CommandBody::Id(_) => {
            id::respond(&mut session.out);
            done("ID")
        }
        CommandBody::Enable(_) => {
            // RFC 5161 §3.1: what is unknown is passed over; nothing that this server has needs enabling.
            session.out.extend_from_slice(b"* ENABLED\r\n");
            done("ENABLE")
        }
        CommandBody::Namespace => {
            session.out.extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
            done("NAMESPACE")
        }
        CommandBody::StartTls | CommandBody::Authenticate { .. } | CommandBody::Login { .. } => {
            Ok(Reply::bad("Already logged in"))
        }
        CommandBody::Select { mailbox, .. } => select::run(session, &mailbox, Access::ReadWrite).await,
        CommandBody::Examine { mailbox, .. } => select::run(session, &mailbox, Access::ReadOnly).await,
        CommandBody::Create { mailbox, special_use, .. } => {
            create::run(session, &mailbox, &special_use).await
        }
        CommandBody::Delete(mailbox) => delete::run(session, &mailbox).await,
        CommandBody::Rename { from, to } => rename::run(session, &from, &to).await,
        CommandBody::Subscribe(mailbox) => subscribe::run(session, &mailbox, true).await,
        CommandBody::Unsubscribe(mailbox) => subscribe::run(session, &mailbox, false).await,
        CommandBody::List(request) => list::run(session, &request).await,
        CommandBody::Lsub { reference, pattern } => lsub::run(session, &reference, &pattern).await,
        CommandBody::Status { mailbox, items } => status::run(session, &mailbox, &items).await,
        CommandBody::GetQuota(root) => quota::get(session, &root).await,
        CommandBody::GetQuotaRoot(mailbox) => quota::root(session, &mailbox).await,
        CommandBody::SetQuota(_) => Ok(Reply::no("The quota is set by the administrator").with(Code::NoPerm)),
        CommandBody::Close => unselect::run(session, true).await,
        CommandBody::Unselect => unselect::run(session, false).await,
        CommandBody::Expunge => expunge::run(session, None).await,
        CommandBody::UidExpunge(set) => expunge::run(session, Some(&set)).await,
        CommandBody::Search(request) => search::run(session, &request).await,
        CommandBody::Fetch(request) => fetch::run(session, &request).await,
        CommandBody::Store(request) => store::run(session, &request).await,
        CommandBody::Copy { by, set, to } => copy::copy(session, by, &set, &to).await,
        CommandBody::Move { by, set, to } => copy::move_to(session, by, &set, &to).await,
    };
    session.finish(&tag, outcome, telling)
}

/// RFC 3501 §7.4.1: EXPUNGE must not be told while FETCH, STORE or SEARCH with sequence numbers is in progress.
fn telling(body: &CommandBody) -> Telling {
    let by = match body {
        CommandBody::Fetch(request) => request.by,
        CommandBody::Store(request) => request.by,
        CommandBody::Search(request) => request.by,
        CommandBody::Copy { by, .. } | CommandBody::Move { by, .. } => return Telling::Everything(*by),
        CommandBody::UidExpunge(_) => Numbering::Uid,
        CommandBody::Select { .. } | CommandBody::Examine { .. } => return Telling::Nothing,
        _ => return Telling::Everything(Numbering::Sequence),
    };
    match by {
        Numbering::Sequence => Telling::NoExpunges,
        Numbering::Uid => Telling::Everything(by),
    }
}

/// `OK … completed`.
fn done(verb: &str) -> Outcome {
    Ok(Reply::ok(format!("{verb} completed")))
}
