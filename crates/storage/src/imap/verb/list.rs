//! LIST (RFC 3501 §6.3.8), extended (RFC 5258), with special uses (RFC 6154) and STATUS (RFC 5819).

use chasqui_imap::{ListOption, ListRequest, ListReturn, MailboxName, write};
use chasqui_mailstore::FolderInfo;

use super::super::defaults;
use super::super::pattern::{Pattern, TURN};
use super::super::refusal::{Outcome, mailbox};
use super::super::session::Session;
use super::{done, status};

pub(super) async fn run(session: &mut Session, request: &ListRequest) -> Outcome {
    if !request.extended && request.patterns.iter().all(String::is_empty) {
        // The client asks for the separator and the root of the reference.
        line(&mut session.out, "LIST", &["\\Noselect"], "", b"");
        return done("LIST");
    }
    let patterns = Pattern::all(&request.reference, &request.patterns)?;
    let folders = defaults::folders(session.account()).await?;
    for (i, folder) in folders.iter().enumerate() {
        if i % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        if !patterns.iter().any(|pattern| pattern.matches(folder.name.as_str())) {
            continue;
        }
        let Some(child_info) = selected(request, folder, &folders) else { continue };
        let attributes = attributes(request, folder);
        let extension: &[u8] = if child_info { b" (\"CHILDINFO\" (\"SUBSCRIBED\"))" } else { b"" };
        line(&mut session.out, "LIST", &attributes, folder.name.as_str(), extension);
        for returned in &request.returns {
            if let (ListReturn::Status(items), true) = (returned, folder.exists)
                && let Ok(told) = session.account().status(&folder.name).await
            {
                // RFC 5819 §2: a mailbox that cannot be looked into has no STATUS, and the LIST goes on.
                status::respond(&mut session.out, &mailbox(&folder.name), &told, items);
            }
        }
        session.flush_if_large().await?;
    }
    done("LIST")
}

/// Whether the selection options take the folder: `Some(true)` if only because of what is under it (RFC 5258 §3.5).
fn selected(request: &ListRequest, folder: &FolderInfo, folders: &[FolderInfo]) -> Option<bool> {
    let wanted = |option| request.options.contains(&option);
    if wanted(ListOption::SpecialUse) && folder.special_use.is_none() {
        return None;
    }
    if !wanted(ListOption::Subscribed) {
        return (folder.exists || folder.has_children).then_some(false);
    }
    if folder.subscribed {
        return Some(false);
    }
    let below = |other: &FolderInfo| other.subscribed && other.name.is_below(&folder.name);
    (wanted(ListOption::RecursiveMatch) && folders.iter().any(below)).then_some(true)
}

fn attributes(request: &ListRequest, folder: &FolderInfo) -> Vec<&'static str> {
    let mut attributes = Vec::new();
    if !folder.exists {
        // RFC 5258 §3: \NonExistent says more, but only who speaks the extension knows it.
        attributes.push(if request.extended { "\\NonExistent" } else { "\\Noselect" });
    }
    let subscribed = request.options.contains(&ListOption::Subscribed)
        || request.returns.contains(&ListReturn::Subscribed);
    if subscribed && folder.subscribed {
        attributes.push("\\Subscribed");
    }
    attributes.push(if folder.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
    attributes.extend(folder.special_use.map(|special_use| special_use.as_str()));
    attributes
}

/// Appends `* LIST (attributes) "/" name`.
pub(super) fn line(out: &mut Vec<u8>, verb: &str, attributes: &[&str], name: &str, extension: &[u8]) {
    out.extend_from_slice(b"* ");
    out.extend_from_slice(verb.as_bytes());
    out.push(b' ');
    write::flags(out, attributes.iter().copied(), false);
    out.extend_from_slice(b" \"/\" ");
    write::mailbox(out, &MailboxName::from_utf8(name.to_owned()));
    out.extend_from_slice(extension);
    out.extend_from_slice(b"\r\n");
}
