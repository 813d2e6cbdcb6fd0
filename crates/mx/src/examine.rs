//! What is looked at in every message, filters or not: its id for the log, and the bounds of its header and of its MIME parts, which
//! everybody who parses it later relies on.

use chasqui_courier::Content;
use chasqui_filter::content::structure::Nesting;
use chasqui_smtp::Reply;
use std::{borrow::Cow, io};

const HEADER_TOO_LONG: Reply = Reply::fixed(552, (5, 3, 4), "The message's header is too long");
const TOO_DEEP: Reply = Reply::fixed(554, (5, 6, 0), "The message has too many parts within each other");

/// Octets of a `Message-ID` that are logged.
const MESSAGE_ID: usize = 250;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Examined {
    /// The `Message-ID` with its brackets, printable; empty without one.
    pub message_id: String,
    /// The reply to a message beyond the bounds, and its name in the metrics.
    pub refusal: Option<(Reply, &'static str)>,
}

/// Reads `content` once.
pub(crate) async fn examine(
    content: &Content,
    header_size: usize,
    mime_depth: usize,
) -> io::Result<Examined> {
    let mut nesting = Nesting::new(mime_depth);
    let (header, shallow) = match content {
        Content::Memory(text) => {
            (Cow::Borrowed(text.get(..text.len().min(header_size)).unwrap_or_default()), nesting.read(text))
        }
        Content::Spilled { .. } | Content::Stored { .. } => {
            let mut header = Vec::new();
            let mut shallow = true;
            let mut blocks = content.blocks();
            while let Some(block) = blocks.next().await? {
                if header.len() < header_size && header_end(&header).is_none() {
                    let room = (header_size - header.len()).min(block.len());
                    header.extend_from_slice(block.get(..room).unwrap_or_default());
                }
                shallow = nesting.read(block);
                if !shallow || nesting.is_over() && header_end(&header).is_some() {
                    break;
                }
            }
            (Cow::Owned(header), shallow)
        }
    };
    let end = header_end(&header).or_else(|| (header.len() as u64 == content.len()).then_some(header.len()));
    let message_id = message_id(header.get(..end.unwrap_or(header.len())).unwrap_or_default());
    let refusal = match (end, shallow) {
        (None, _) => Some((HEADER_TOO_LONG, "header")),
        (_, false) => Some((TOO_DEEP, "nested")),
        _ => None,
    };
    Ok(Examined { message_id, refusal })
}

/// Where the header's last line ends. Ours begins with our `Received`, so it is never empty.
fn header_end(text: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, b"\r\n\r\n").map(|end| end + 2)
}

/// The value of the first `Message-ID`: what is not printable ASCII is left out.
fn message_id(header: &[u8]) -> String {
    const NAME: &[u8] = b"message-id:";
    let mut rest = header;
    while !rest.is_empty() {
        if let Some((name, value)) = rest.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            let end = end_of_field(value);
            let value = value.get(..end).unwrap_or_default();
            return value
                .iter()
                .filter(|b| b.is_ascii_graphic())
                .take(MESSAGE_ID)
                .map(|&b| char::from(b))
                .collect();
        }
        match memchr::memchr(b'\n', rest) {
            Some(end) => rest = rest.get(end + 1..).unwrap_or_default(),
            None => break,
        }
    }
    String::new()
}

/// Where a field ends whose lines may be folded.
fn end_of_field(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(end) = text.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        at += end + 1;
        if !matches!(text.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::DeliveryId;
    use chasqui_courier::Incoming;

    async fn of(text: &str) -> (String, Option<&'static str>) {
        let examined = examine(&Content::Memory(text.as_bytes().to_vec()), 200, 3).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut spilled = Incoming::new(1, None);
        let id = DeliveryId::generate();
        spilled.push(text.as_bytes());
        spilled.spill(folder.path(), id).await.unwrap();
        let spilled = spilled.finish(folder.path(), id).await.unwrap();
        assert_eq!(examine(&spilled, 200, 3).await.unwrap(), examined, "in a file as in memory");
        (examined.message_id, examined.refusal.map(|(_, name)| name))
    }

    #[tokio::test]
    async fn the_message_id_is_found_and_cleaned() {
        let found = |text: &str| (text.to_owned(), None);
        assert_eq!(of("Received: x\r\nMESSAGE-ID: <a@b>\r\n\r\nMessage-ID: <c@d>").await, found("<a@b>"));
        assert_eq!(of("Received: x\r\nMessage-ID:\r\n\t<a@\r\n b>\r\nX: y\r\n\r\n").await, found("<a@b>"));
        assert_eq!(of("Received: x\r\nMessage-ID: <ñ \u{1}@b>").await, found("<@b>"));
        assert_eq!(of("Received: x\r\n\r\nbody").await, found(""));
    }

    #[tokio::test]
    async fn long_headers_and_deep_parts_are_refused() {
        let long = format!("Received: x\r\nMessage-ID: <a@b>\r\nX: {}\r\n\r\nbody", "x".repeat(200));
        assert_eq!(of(&long).await, ("<a@b>".into(), Some("header")));
        let part = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        assert_eq!(of(&(0..3).map(part).collect::<String>()).await.1, None);
        assert_eq!(of(&(0..4).map(part).collect::<String>()).await.1, Some("nested"));
        assert_eq!(of(&(0..50_000).map(part).collect::<String>()).await.1, Some("nested"));
    }

    proptest::proptest! {
        #[test]
        fn any_header_has_an_id_or_none(parts in proptest::collection::vec(
            proptest::sample::select(vec!["Message-ID:", "<a@b>", " ", "\r\n", "\n", "\r", "\t", "é"]), 0..30,
        )) {
            let text = parts.concat();
            let id = message_id(text.as_bytes());
            proptest::prop_assert!(id.len() <= MESSAGE_ID && id.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
