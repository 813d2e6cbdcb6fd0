//! Reading a message that may be in a file: the header whole and bounded, the body in pieces.

use super::{
    dkim::canonical::{BodyHasher, BodyHashes},
    header::{self, Header},
    results,
};
use chasqui_courier::{Content, blocking};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
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
                let (_, start) = place.front(limit, false)?;
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
                let mut file = place.open(false)?;
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

/// Removes the `Authentication-Results` that are not ours to believe; returns how many. In a file they are renamed to
/// `X-Removed-Auth-Results` instead, which is as long: 50 MB need not be copied for it.
pub(crate) async fn strip(
    content: &mut Content,
    authserv_id: &str,
    all: bool,
    limit: usize,
) -> io::Result<usize> {
    if let Content::Memory(text) = content {
        let Some((header, _)) = header_of(text, limit) else { return Ok(0) };
        let spans = results::foreign(&Header::new(header), authserv_id, all);
        for span in spans.iter().rev() {
            text.drain(span.clone());
        }
        return Ok(spans.len());
    }
    let place = Place::of(content)?;
    let authserv_id = authserv_id.to_owned();
    blocking(move || {
        let (mut file, start) = place.front(limit, true)?;
        let Some((header, _)) = header_of(&start, limit) else { return Ok(0) };
        let spans = results::foreign(&Header::new(header), &authserv_id, all);
        for span in &spans {
            file.seek(SeekFrom::Start(place.offset + span.start as u64))?;
            file.write_all(results::REMOVED)?;
        }
        Ok(spans.len())
    })
    .await
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

    fn open(&self, write: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(write).open(&self.path)
    }

    /// The file, and what stands at the front: all, or enough to see that the header is longer than `limit`.
    fn front(&self, limit: usize, write: bool) -> io::Result<(File, Vec<u8>)> {
        let mut file = self.open(write)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let wanted = self.length.min(limit as u64 + 5);
        let mut text = Vec::new();
        (&mut file).take(wanted).read_to_end(&mut text)?;
        Ok((file, text))
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

    #[tokio::test]
    async fn results_in_our_name_leave_memory_and_are_renamed_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"A: 1\r\nAuthentication-Results: mx.test;\r\n\tspf=pass\r\nB: 2\r\nAUTHENTICATION-RESULTS: mx.test; none\r\nAuthentication-Results: other.test; none\r\n\r\nAuthentication-Results: mx.test; body\r\n";
        let mut memory = Content::Memory(text.to_vec());
        assert_eq!(strip(&mut memory, "mx.test", false, 9999).await.unwrap(), 2);
        let Content::Memory(left) = memory else { panic!("moved") };
        assert_eq!(
            left,
            b"A: 1\r\nB: 2\r\nAuthentication-Results: other.test; none\r\n\r\nAuthentication-Results: mx.test; body\r\n"
        );
        let mut file = stored(text, folder.path());
        assert_eq!(strip(&mut file, "mx.test", false, 9999).await.unwrap(), 2);
        let left = String::from_utf8(std::fs::read(file.path().unwrap()).unwrap()).unwrap();
        assert_eq!(left.len(), text.len() + 12);
        assert_eq!(left.matches("X-Removed-Auth-Results: mx.test").count(), 2);
        assert!(left.starts_with("beforeA: 1") && left.ends_with("behind"));
        assert!(left.contains(
            "Authentication-Results: other.test; none\r\n\r\nAuthentication-Results: mx.test; body"
        ));
    }

    #[test]
    fn the_new_name_is_as_long_as_the_old() {
        assert_eq!(results::REMOVED.len(), "Authentication-Results".len());
    }
}
