//! Reading a message that may be in a file: the header whole and bounded, the body in pieces.

use super::{
    dkim::canonical::{BodyHasher, BodyHashes},
    header,
};
use chasqui_courier::{Content, blocking};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

/// Octets that are read, and hashed, at once.
const PIECE: usize = 64 * 1024;

/// The header, and where the body begins. `None` when the header is longer than `limit`.
pub(crate) async fn header(content: &Content, limit: usize) -> io::Result<Option<(Vec<u8>, u64)>> {
    match content {
        Content::Memory(text) => Ok(header_of(text, limit)),
        Content::Spilled { .. } | Content::Stored { .. } => {
            let place = Place::of(content)?;
            blocking(move || {
                let start = place.front(limit)?;
                Ok(header_of(&start, limit))
            })
            .await
        }
    }
}

/// `text` is all of the message, or more than `limit` of its beginning.
fn header_of(text: &[u8], limit: usize) -> Option<(Vec<u8>, u64)> {
    let start = &text[..text.len().min(limit.saturating_add(4))];
    let (end, body) = header::end(start, start.len() == text.len()).filter(|(end, _)| *end <= limit)?;
    Some((start[..end].to_vec(), body as u64))
}

/// Hashes the body. What is in memory is hashed here, with a pause for others after each piece; a file is read by a thread for
/// such work.
pub(crate) async fn hash_body(
    content: &Content,
    body: u64,
    mut hasher: BodyHasher,
) -> io::Result<BodyHashes> {
    if hasher.is_idle() {
        return Ok(hasher.finish());
    }
    match content {
        Content::Memory(text) => {
            let body = usize::try_from(body).ok().and_then(|body| text.get(body..)).unwrap_or_default();
            for (index, piece) in body.chunks(PIECE).enumerate() {
                if index > 0 {
                    tokio::task::yield_now().await;
                }
                hasher.update(piece);
            }
            Ok(hasher.finish())
        }
        Content::Spilled { .. } | Content::Stored { .. } => {
            let place = Place::of(content)?;
            blocking(move || {
                let mut file = File::open(&place.path)?;
                file.seek(SeekFrom::Start(place.offset.saturating_add(body)))?;
                let mut rest = file.take(place.length.saturating_sub(body));
                let mut piece = vec![0; PIECE];
                loop {
                    match rest.read(&mut piece)? {
                        0 => return Ok(hasher.finish()),
                        read => hasher.update(&piece[..read]),
                    }
                }
            })
            .await
        }
    }
}

/// A part of a file.
struct Place {
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Place {
    fn of(content: &Content) -> io::Result<Self> {
        let path = content.path().ok_or(io::ErrorKind::NotFound)?.to_owned();
        let offset = match content {
            Content::Stored { offset, .. } => *offset,
            Content::Memory(_) | Content::Spilled { .. } => 0,
        };
        Ok(Self { path, offset, length: content.len() })
    }

    /// What stands at the front: all, or enough to see that the header is longer than `limit`.
    fn front(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = Vec::new();
        file.take(self.length.min(limit as u64 + 5)).read_to_end(&mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &[u8], folder: &std::path::Path) -> Content {
        let path = folder.join("message");
        std::fs::write(&path, [b"before", text, b"behind"].concat()).unwrap();
        Content::Stored { path, offset: 6, length: text.len() as u64 }
    }

    #[tokio::test]
    async fn memory_and_file_give_the_same_header_and_hashes() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["a: b\r\n\r\nbody \r\n", "a: b\r\n\r\n", "a: b\r\n", "a: b", "\r\nbody"] {
            let memory = Content::Memory(text.as_bytes().to_vec());
            let file = stored(text.as_bytes(), folder.path());
            let mut found = Vec::new();
            for content in [&memory, &file] {
                let (header, body) = header(content, 1000).await.unwrap().unwrap();
                let hashes = hash_body(content, body, BodyHasher::new(true, true)).await.unwrap();
                let [simple, relaxed] = [hashes.simple, hashes.relaxed].map(|hash| {
                    let hash = hash.unwrap();
                    (hash.length, hash.digest.as_ref().to_vec())
                });
                found.push((header, body, simple, relaxed));
            }
            assert_eq!(found[0], found[1], "{text}");
        }
    }

    #[tokio::test]
    async fn a_header_over_the_limit_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let text = [b"a: ".as_slice(), &[b'x'; 95], b"\r\n\r\nbody"].concat();
        for content in [Content::Memory(text.clone()), stored(&text, folder.path())] {
            assert!(header(&content, 99).await.unwrap().is_none());
            assert!(header(&content, 100).await.unwrap().is_some());
        }
    }
}
