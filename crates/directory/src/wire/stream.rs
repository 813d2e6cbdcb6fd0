//! Messages over a connection: a length in four octets, big-endian, then the content.

use std::io;

use chasqui_base::net::Stream;

/// What the length of a message looks like.
pub(crate) fn length(content: &[u8]) -> [u8; 4] {
    // Both sides bound their messages far below 4 GiB.
    (content.len() as u32).to_be_bytes()
}

/// Reads one message of at most `limit` octets; `None` when the other side ended between messages. What came of the next one is left in
/// `received`.
pub(crate) async fn read_message(
    stream: &mut Stream,
    received: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some((head, rest)) = received.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if length > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
            }
            if rest.len() >= length {
                let message = rest[..length].to_vec();
                received.drain(..4 + length);
                return Ok(Some(message));
            }
        }
        if stream.read_more(received, 64 * 1024).await? == 0 {
            return if received.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}
