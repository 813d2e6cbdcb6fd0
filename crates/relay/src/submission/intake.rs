//! The text of one message while it comes in.
//!
//! The header is held in memory, within its limit, until the empty line has come: it decides whether the message is taken, and is
//! written in front of the body completed. The body then goes to memory or to a file as it comes, past the hash of the signatures, whose
//! fields are put into the room that was kept for them once the body is complete.

use crate::sign::Draft;
use chasqui_base::DeliveryId;
use chasqui_courier::{Content, Incoming};
use chasqui_smtp::Reply;
use std::{io, path::Path};

const LOCAL_ERROR: Reply = Reply::fixed(451, (4, 3, 0), "Local error, try again later");
const NO_SPACE: Reply = Reply::fixed(452, (4, 3, 1), "No space for the message now, try again later");
const LOOP: Reply = Reply::fixed(554, (5, 4, 6), "Routing loop: too many Received lines");
const HEADER_TOO_BIG: Reply = Reply::fixed(552, (5, 3, 4), "The header of the message is too big");

/// A message that comes in.
pub(crate) struct Intake {
    stage: Stage,
    /// Octets that its header may have.
    most: usize,
}

enum Stage {
    /// Until the empty line.
    Header(Vec<u8>),
    /// Until the end.
    Body(Box<Body>),
    /// It will be answered with this at its end.
    Refused(Reply),
}

struct Body {
    text: Incoming,
    draft: Option<Draft>,
    /// Where the room for signatures begins.
    room: usize,
    /// Something above 127 is in it.
    eight_bit: bool,
}

/// What is written before the body.
pub(crate) struct Front<'a> {
    /// The `Received` line.
    pub trace: &'a str,
    /// The fields.
    pub header: &'a [u8],
    /// What signs the message.
    pub draft: Option<Draft>,
}

/// A message that is complete.
pub(crate) struct Complete {
    pub content: Content,
    /// Something above 127 is in the body.
    pub eight_bit: bool,
}

/// A header whose empty line has come, and what came behind it. The text of a message without an empty line is a header.
pub(crate) struct Split {
    pub header: Vec<u8>,
    pub body: Vec<u8>,
}

impl Intake {
    /// For a message whose header may have `most` octets.
    pub(crate) fn new(most: usize) -> Self {
        Self { stage: Stage::Header(Vec::new()), most }
    }

    /// Takes text. Once the header is complete it is handed out with what came behind it, and [`Intake::begin`] or [`Intake::refuse`] is to
    /// be called.
    pub(crate) fn push(&mut self, octets: &[u8]) -> Option<Split> {
        match &mut self.stage {
            Stage::Header(header) => {
                // The empty line may have begun in what came before.
                let from = header.len().saturating_sub(3);
                header.extend_from_slice(octets);
                let split = end_of_header(header, from);
                if split.map_or(header.len(), |(end, _)| end) > self.most {
                    self.refuse(HEADER_TOO_BIG);
                    return None;
                }
                let (end, body) = split?;
                Some(take(header, end, body))
            }
            Stage::Body(body) => {
                body.push(octets);
                None
            }
            Stage::Refused(_) => None,
        }
    }

    /// The text is complete. A message without an empty line hands out its header now.
    pub(crate) fn end(&mut self) -> Option<Split> {
        match &mut self.stage {
            Stage::Header(header) => {
                let end = header.len();
                Some(take(header, end, end))
            }
            Stage::Body(_) | Stage::Refused(_) => None,
        }
    }

    /// The message will be answered with this at its end; what still comes of it is dropped.
    pub(crate) fn refuse(&mut self, reply: Reply) {
        self.stage = Stage::Refused(reply);
    }

    /// Takes the message: writes its front, and what came behind its header. At most `memory` octets stay in memory.
    pub(crate) fn begin(&mut self, front: Front<'_>, body: &[u8], memory: usize, expected: Option<u64>) {
        let Front { trace, header, draft } = front;
        let mut text = Incoming::new(memory, expected.map(|size| size.saturating_add(1024)));
        text.push(trace.as_bytes());
        // Spaces: what is there until the signatures are.
        text.push(&vec![b' '; draft.as_ref().map_or(0, Draft::len)]);
        text.push(header);
        text.push(b"\r\n");
        let mut begun = Body { text, draft, room: trace.len(), eight_bit: false };
        begun.push(body);
        self.stage = Stage::Body(Box::new(begun));
    }

    /// More is in memory than should be: [`Intake::spill`] is to be called.
    pub(crate) fn is_full(&self) -> bool {
        matches!(&self.stage, Stage::Body(body) if body.text.is_full())
    }

    /// Moves the text from memory to a file in `folder`.
    pub(crate) async fn spill(&mut self, folder: &Path, id: DeliveryId) {
        let Stage::Body(body) = &mut self.stage else { return };
        if let Err(error) = body.text.spill(folder, id).await {
            tracing::error!(delivery = %id, %error, "cannot write the message to the queue's folder");
            self.refuse(of_io(&error));
        }
    }

    /// The message, with its signatures.
    ///
    /// # Errors
    /// What the client is told.
    pub(crate) async fn finish(
        self,
        folder: &Path,
        id: DeliveryId,
        received_lines: usize,
    ) -> Result<Complete, Reply> {
        let body = match self.stage {
            Stage::Body(body) => body,
            Stage::Refused(reply) => return Err(reply),
            Stage::Header(_) => return Err(LOCAL_ERROR),
        };
        let Body { mut text, draft, room, eight_bit } = *body;
        // RFC 5321 §6.3. Our own line is one of them.
        if text.received_lines() > received_lines.saturating_add(1) {
            return Err(LOOP);
        }
        if let Some(draft) = draft {
            let signatures = draft.finish().map_err(|error| {
                tracing::error!(delivery = %id, %error, "cannot sign the message");
                LOCAL_ERROR
            })?;
            text.overwrite(room, &signatures).await.map_err(|error| logged(id, &error))?;
        }
        let content = text.finish(folder, id).await.map_err(|error| logged(id, &error))?;
        Ok(Complete { content, eight_bit })
    }
}

impl Body {
    fn push(&mut self, octets: &[u8]) {
        self.eight_bit |= !octets.is_ascii();
        if let Some(draft) = &mut self.draft {
            draft.body(octets);
        }
        self.text.push(octets);
    }
}

/// Where the fields end, and where the body begins. The empty line is looked for behind `from`.
fn end_of_header(text: &[u8], from: usize) -> Option<(usize, usize)> {
    if text.starts_with(b"\r\n") {
        return Some((0, 2));
    }
    let found = from + memchr::memmem::find(text.get(from..)?, b"\r\n\r\n")?;
    Some((found + 2, found + 4))
}

fn take(text: &mut Vec<u8>, end: usize, body: usize) -> Split {
    let mut header = std::mem::take(text);
    let body = header.get(body..).unwrap_or_default().to_vec();
    header.truncate(end);
    Split { header, body }
}

fn logged(id: DeliveryId, error: &io::Error) -> Reply {
    tracing::error!(delivery = %id, %error, "cannot write the message to the queue's folder");
    of_io(error)
}

/// What a client is told when a file cannot be written.
fn of_io(error: &io::Error) -> Reply {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NO_SPACE,
        _ => LOCAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(parts: &[&[u8]]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut intake = Intake::new(64);
        for part in parts {
            if let Some(split) = intake.push(part) {
                return Some((split.header, split.body));
            }
        }
        None
    }

    #[test]
    fn the_header_ends_at_the_first_empty_line_wherever_it_is_cut() {
        let whole = b"A: b\r\nC: d\r\n\r\nbody\r\n\r\n";
        for cut in 0..=whole.len() {
            let (header, body) = split(&[&whole[..cut], &whole[cut..]]).unwrap();
            assert_eq!(header, b"A: b\r\nC: d\r\n", "{cut}");
            // What comes behind the piece that ends the header goes to the body directly.
            assert!(b"body\r\n\r\n".starts_with(&body), "{cut}");
        }
        assert_eq!(split(&[b"\r\nbody"]), Some((Vec::new(), b"body".to_vec())));
        assert_eq!(split(&[b"A: b\r\n", b"C: d\r\n"]), None);
    }

    #[tokio::test]
    async fn a_header_over_its_limit_is_refused_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut intake = Intake::new(64);
        assert!(intake.push(&[b'x'; 65]).is_none() && intake.push(b"\r\n\r\n").is_none());
        let reply = intake.finish(folder.path(), DeliveryId::generate(), 10).await.err().unwrap();
        assert_eq!(reply, HEADER_TOO_BIG);
        // A body is not measured by it.
        let text = [&b"A: b\r\n\r\n"[..], &[b'x'; 100]].concat();
        assert!(split(&[&text]).is_some());
    }

    #[tokio::test]
    async fn a_message_is_written_with_its_front() {
        let folder = tempfile::tempdir().unwrap();
        for memory in [1, 1 << 20] {
            let id = DeliveryId::generate();
            let mut intake = Intake::new(1000);
            let split = intake.push(b"A: b\r\n\r\nuno\r\n").unwrap();
            let front = Front { trace: "Received: x\r\n", header: &split.header, draft: None };
            intake.begin(front, &split.body, memory, None);
            for _ in 0..3 {
                assert!(intake.push("dós\r\n".as_bytes()).is_none());
                if intake.is_full() {
                    intake.spill(folder.path(), id).await;
                }
            }
            let complete = intake.finish(folder.path(), id, 10).await.ok().unwrap();
            let mut blocks = complete.content.blocks();
            let text = String::from_utf8(blocks.next().await.unwrap().unwrap().to_vec()).unwrap();
            assert_eq!(text, "Received: x\r\nA: b\r\n\r\nuno\r\ndós\r\ndós\r\ndós\r\n");
            assert!(complete.eight_bit && complete.content.path().is_some() == (memory == 1));
        }
    }

    #[tokio::test]
    async fn a_message_that_has_come_around_too_often_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut intake = Intake::new(1000);
        let split = intake.push("Received: x\r\n".repeat(11).as_bytes());
        assert!(split.is_none());
        let split = intake.end().unwrap();
        intake.begin(Front { trace: "Received: y\r\n", header: &split.header, draft: None }, b"", 1000, None);
        let reply = intake.finish(folder.path(), DeliveryId::generate(), 10).await.err().unwrap();
        assert_eq!(reply, LOOP);
    }
}
