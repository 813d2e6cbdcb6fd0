//! What a milter wants changed, gathered until it says that it is done: one that fails half-way changes nothing.

use super::{ChainVerdict, Change};
use crate::content::{draft::Draft, head::Field};
use chasqui_base::DeliveryId;
use chasqui_smtp::{Mailbox, ReversePath};

/// Changes of one message beyond the body: more counts as a milter out of order.
const MOST: usize = 10_000;

/// What milters change of the envelope.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EnvelopeChanges {
    /// Another reverse path.
    pub sender: Option<ReversePath>,
    /// Recipients that are added.
    pub added: Vec<Mailbox>,
    /// Recipients that are taken out.
    pub deleted: Vec<Mailbox>,
    /// One of the milters that took recipients out may have nothing dropped: with no recipient left, the message goes to Junk.
    pub keeps: bool,
}

pub(super) struct Changes {
    changes: Vec<Change>,
    body: Option<Vec<u8>>,
    body_size: u64,
    /// A recipient is taken out.
    pub(super) deletes: bool,
}

impl Changes {
    pub(super) const fn new(body_size: u64) -> Self {
        Self { changes: Vec::new(), body: None, body_size, deletes: false }
    }

    /// Takes one.
    ///
    /// # Errors
    /// The limit of a body, when the new one is larger, or there are too many changes.
    pub(super) fn take(&mut self, change: Change) -> Result<(), u64> {
        match change {
            Change::Body(part) => {
                let body = self.body.get_or_insert_default();
                body.extend_from_slice(&part);
                if body.len() as u64 > self.body_size {
                    return Err(self.body_size);
                }
            }
            change => {
                self.deletes |= matches!(change, Change::DeleteRecipient(_));
                self.changes.push(change);
                if self.changes.len() > MOST {
                    return Err(self.body_size);
                }
            }
        }
        Ok(())
    }

    /// Applies them in their order; true when there were any.
    pub(super) fn apply(self, id: DeliveryId, draft: &mut Draft, verdict: &mut ChainVerdict) -> bool {
        let any = !self.changes.is_empty() || self.body.is_some();
        for change in self.changes {
            apply(change, id, draft, verdict);
        }
        if let Some(body) = self.body {
            draft.body = Some(body);
            draft.touch();
        }
        any
    }
}

fn apply(change: Change, id: DeliveryId, draft: &mut Draft, verdict: &mut ChainVerdict) {
    // With `SMFIP_HDR_LEADSPC` unset a value comes without its space, with it the milter writes it itself; what begins with a space
    // therefore gets no second one.
    let field = |name: &[u8], value: &[u8]| Field::new(name, value, value.starts_with(b" "));
    match change {
        Change::AddHeader { name, value } => {
            if let Some(field) = field(&name, &value) {
                draft.head.fields.push(field);
                draft.touch();
            }
        }
        Change::InsertHeader { index, name, value } => {
            if let Some(field) = field(&name, &value) {
                let at = (index as usize).min(draft.head.fields.len());
                draft.head.fields.insert(at, field);
                draft.touch();
            }
        }
        Change::ChangeHeader { index, name, value } => {
            let new = if value.is_empty() { None } else { field(&name, &value) };
            draft.head.change(index, &name, new);
            draft.touch();
        }
        Change::Quarantine(reason) => {
            let printable = |b: &&u8| b.is_ascii_graphic() || **b == b' ';
            let reason: String = reason.iter().filter(printable).take(200).map(|&b| char::from(b)).collect();
            verdict.quarantine.get_or_insert(reason);
        }
        Change::Sender(path) => match bare(&path) {
            Some("") => verdict.envelope.sender = Some(ReversePath::Null),
            Some(text) => match text.parse() {
                Ok(mailbox) => verdict.envelope.sender = Some(ReversePath::Address(mailbox)),
                Err(_) => tracing::warn!(delivery = %id, "a milter wants a sender that is none"),
            },
            None => tracing::warn!(delivery = %id, "a milter wants a sender that is none"),
        },
        Change::AddRecipient(path) => match bare(&path).and_then(|text| text.parse().ok()) {
            Some(mailbox) => verdict.envelope.added.push(mailbox),
            None => tracing::warn!(delivery = %id, "a milter adds a recipient that is none"),
        },
        Change::DeleteRecipient(path) => match bare(&path).and_then(|text| text.parse().ok()) {
            Some(mailbox) => verdict.envelope.deleted.push(mailbox),
            None => tracing::warn!(delivery = %id, "a milter takes out a recipient that is none"),
        },
        // Gathered apart.
        Change::Body(_) => {}
    }
}

/// An address without its brackets and what follows them.
fn bare(path: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(path).ok()?.trim();
    match text.strip_prefix('<') {
        Some(rest) => rest.split_once('>').map(|(address, _)| address),
        None => text.split([' ', '\0']).next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_courier::Content;

    async fn changed(changes: Vec<Change>) -> (String, ChainVerdict) {
        let content = Content::Memory(b"Received: ours\r\nSubject: a\r\nTo: b\r\n\r\nbody\r\n".to_vec());
        let mut draft = Draft::read(&content, 1000).await.unwrap().unwrap();
        let mut gathered = Changes::new(10);
        for change in changes {
            gathered.take(change).unwrap();
        }
        let mut verdict = ChainVerdict::default();
        gathered.apply(DeliveryId::from_bytes([0; 16]), &mut draft, &mut verdict);
        let folder = tempfile::tempdir().unwrap();
        let Content::Memory(text) = draft.finish(content, b"", 1000, folder.path()).await.unwrap() else {
            panic!("in a file")
        };
        (String::from_utf8(text).unwrap(), verdict)
    }

    #[tokio::test]
    async fn changes_are_made_in_their_order() {
        let text = |text: &str| text.as_bytes().to_vec();
        let (message, verdict) = changed(vec![
            Change::AddHeader { name: text("X-End"), value: text("1") },
            Change::InsertHeader { index: 0, name: text("X-Top"), value: text(" two\n three") },
            Change::InsertHeader { index: 99, name: text("X-Last"), value: text("3") },
            Change::ChangeHeader { index: 1, name: text("subject"), value: text("b") },
            Change::ChangeHeader { index: 1, name: text("To"), value: text("") },
            Change::AddHeader { name: text("bad name"), value: text("x") },
            Change::Body(text("new")),
            Change::Body(text(" body")),
            Change::Quarantine(text("looks\r\nodd")),
            Change::Sender(text("<>")),
            Change::AddRecipient(text("<c@example.org> NOTIFY=NEVER")),
            Change::DeleteRecipient(text("d@example.org")),
            Change::DeleteRecipient(text("nobody")),
        ])
        .await;
        assert_eq!(
            message,
            "Received: ours\r\nX-Top: two\r\n three\r\nsubject: b\r\nX-End: 1\r\nX-Last: 3\r\n\r\nnew body"
        );
        assert_eq!(verdict.quarantine.as_deref(), Some("looksodd"));
        assert_eq!(verdict.envelope.sender, Some(ReversePath::Null));
        assert_eq!(verdict.envelope.added, ["c@example.org".parse().unwrap()]);
        assert_eq!(verdict.envelope.deleted, ["d@example.org".parse().unwrap()]);
    }

    #[test]
    fn a_body_and_a_number_of_changes_have_a_bound() {
        let mut changes = Changes::new(10);
        assert_eq!(changes.take(Change::Body(vec![0; 10])), Ok(()));
        assert_eq!(changes.take(Change::Body(vec![0])), Err(10));
        let mut changes = Changes::new(10);
        for _ in 0..MOST {
            changes.take(Change::Quarantine(Vec::new())).unwrap();
        }
        assert_eq!(changes.take(Change::Quarantine(Vec::new())), Err(10));
    }
}
