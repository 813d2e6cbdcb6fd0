//! A message between its receipt and its delivery: what is to be taken out of its header, put above it, or changed by milters.
//!
//! The header is in memory, which is why it has a bound; the body stays where it is unless a milter replaces it.

use super::head::{Field, Head};
use chasqui_base::DeliveryId;
use chasqui_courier::{Blocks, Content, Incoming};
use std::{io, path::Path};

/// What may still become of a message's text.
#[derive(Debug)]
pub struct Draft {
    /// The line that we wrote on top of it ourselves, of which filters are not told.
    received: Option<Field>,
    /// The header as it came, without what was taken out.
    pub head: Head,
    /// Where the body begins in the content.
    body_at: usize,
    /// The body as a part of the content's file, if it is in one.
    file: Option<Content>,
    /// What a milter has put in its place.
    pub body: Option<Vec<u8>>,
    changed: bool,
}

impl Draft {
    /// Reads the header of `content`, whose first field is our own `Received`. `None` when the header has more than `limit` octets.
    ///
    /// # Errors
    /// When the message's file cannot be read.
    pub async fn read(content: &Content, limit: usize) -> io::Result<Option<Self>> {
        let mut gathered = Vec::new();
        let parsed = match content {
            Content::Memory(text) => {
                let start = text.get(..text.len().min(limit)).unwrap_or_default();
                Head::parse(start, start.len() == text.len())
            }
            Content::Spilled { .. } | Content::Stored { .. } => {
                let mut blocks = content.blocks();
                loop {
                    let block = blocks.next().await?;
                    let whole = block.is_none();
                    gathered.extend_from_slice(block.unwrap_or_default());
                    let parsed =
                        Head::parse(gathered.get(..gathered.len().min(limit)).unwrap_or_default(), whole);
                    if parsed.is_some() || whole || gathered.len() >= limit {
                        break parsed;
                    }
                }
            }
        };
        Ok(parsed.map(|(mut head, body_at)| {
            let own = head.fields.first().is_some_and(|field| field.is(b"Received"));
            let received = own.then(|| head.fields.remove(0));
            let offset = match content {
                Content::Stored { offset, .. } => *offset,
                Content::Memory(_) | Content::Spilled { .. } => 0,
            };
            let file = content.path().map(|path| Content::Stored {
                path: path.to_owned(),
                offset: offset + body_at as u64,
                length: content.len().saturating_sub(body_at as u64),
            });
            Self { received, head, body_at, file, body: None, changed: false }
        }))
    }

    /// Takes out the fields for which `foreign` holds; says how many.
    pub fn remove(&mut self, foreign: impl Fn(&Field) -> bool) -> usize {
        let before = self.head.fields.len();
        self.head.fields.retain(|field| !foreign(field));
        let removed = before - self.head.fields.len();
        self.changed |= removed > 0;
        removed
    }

    /// The header or the body is not what it was.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// The body, block by block.
    pub(crate) fn body<'a>(&'a self, content: &'a Content) -> Body<'a> {
        match (&self.body, content, &self.file) {
            (Some(new), _, _) => Body::Memory(Some(new)),
            (None, Content::Memory(text), _) => Body::Memory(text.get(self.body_at..)),
            (None, _, Some(file)) => Body::File(Box::new(file.blocks())),
            (None, _, None) => Body::Memory(None),
        }
    }

    /// The message with `top` above all, as it is to be delivered. What stays as it is costs nothing.
    ///
    /// # Errors
    /// When the message's file cannot be read, or a new one not written to `folder`.
    pub async fn finish(
        self,
        content: Content,
        top: &[u8],
        memory: usize,
        folder: &Path,
    ) -> io::Result<Content> {
        if !self.changed && top.is_empty() {
            return Ok(content);
        }
        let mut start = Vec::with_capacity(top.len() + self.head.len() + 1024);
        start.extend_from_slice(top);
        start.extend_from_slice(self.received.as_ref().map_or(b"", Field::as_bytes));
        self.head.write_to(&mut start);
        if let (Content::Memory(text), None) = (&content, &self.body) {
            start.extend_from_slice(text.get(self.body_at..).unwrap_or_default());
            return Ok(Content::Memory(start));
        }
        // The file beside the old one needs a name of its own, which nobody sees.
        let name = DeliveryId::generate();
        let mut text = Incoming::new(memory, Some(content.len() + top.len() as u64));
        text.push(&start);
        let mut body = self.body(&content);
        while let Some(block) = body.next().await? {
            text.push(block);
            if text.is_full() {
                text.spill(folder, name).await?;
            }
        }
        text.finish(folder, name).await
    }
}

/// A body, wherever it is.
pub(crate) enum Body<'a> {
    Memory(Option<&'a [u8]>),
    File(Box<Blocks<'a>>),
}

impl Body<'_> {
    /// The next part, never empty; `None` at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        match self {
            Self::Memory(text) => Ok(text.take().filter(|text| !text.is_empty())),
            Self::File(blocks) => blocks.next().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Received: ours\r\nX-Spam-Flag: NO\r\nSubject: a\r\n\r\nbody\r\n";

    async fn text_of(content: &Content) -> Vec<u8> {
        let mut text = Vec::new();
        let mut blocks = content.blocks();
        while let Some(block) = blocks.next().await.unwrap() {
            text.extend_from_slice(block);
        }
        text
    }

    /// The same text in memory and in a file.
    async fn both(text: &[u8], folder: &Path) -> [Content; 2] {
        let mut spilled = Incoming::new(1, None);
        spilled.push(text);
        let id = DeliveryId::generate();
        spilled.spill(folder, id).await.unwrap();
        [Content::Memory(text.to_vec()), spilled.finish(folder, id).await.unwrap()]
    }

    #[tokio::test]
    async fn foreign_fields_go_and_ours_come_on_top_in_memory_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for content in both(TEXT, folder.path()).await {
            let mut draft = Draft::read(&content, 1000).await.unwrap().unwrap();
            assert_eq!(draft.head.fields.len(), 2, "not our own line");
            assert_eq!(draft.remove(|field| field.name().starts_with(b"X-Spam-")), 1);
            let done = draft.finish(content, b"X-Spam-Flag: YES\r\n", 1000, folder.path()).await.unwrap();
            assert_eq!(
                text_of(&done).await,
                b"X-Spam-Flag: YES\r\nReceived: ours\r\nSubject: a\r\n\r\nbody\r\n"
            );
        }
    }

    #[tokio::test]
    async fn a_new_body_takes_the_place_of_the_old() {
        let folder = tempfile::tempdir().unwrap();
        for content in both(TEXT, folder.path()).await {
            let mut draft = Draft::read(&content, 1000).await.unwrap().unwrap();
            draft.body = Some(b"new\r\n".to_vec());
            draft.touch();
            let done = draft.finish(content, b"", 10, folder.path()).await.unwrap();
            assert!(text_of(&done).await.ends_with(b"\r\nSubject: a\r\n\r\nnew\r\n"));
        }
    }

    #[tokio::test]
    async fn what_is_not_changed_is_not_written_again_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        for content in both(TEXT, folder.path()).await {
            let path = content.path().map(Path::to_owned);
            let draft = Draft::read(&content, 1000).await.unwrap().unwrap();
            let done = draft.finish(content, b"", 1000, folder.path()).await.unwrap();
            assert_eq!(done.path().map(Path::to_owned), path);
            assert_eq!(text_of(&done).await, TEXT);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_header_over_the_limit_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let long = [b"Subject: ".as_slice(), &[b'x'; 300_000], b"\r\n\r\nbody"].concat();
        for content in both(&long, folder.path()).await {
            assert!(Draft::read(&content, 1000).await.unwrap().is_none());
            assert!(Draft::read(&content, 299_999).await.unwrap().is_none());
            let draft = Draft::read(&content, 400_000).await.unwrap().unwrap();
            let mut body = draft.body(&content);
            assert_eq!(body.next().await.unwrap(), Some(&b"body"[..]));
            assert_eq!(body.next().await.unwrap(), None);
        }
    }
}
