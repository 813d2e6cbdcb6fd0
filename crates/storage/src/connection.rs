use std::io;
use std::time::Duration;

use chasqui_base::net::Stream;
use tokio::io::AsyncWriteExt;

/// Sends what `out` holds and gives its memory back. Each 64 KiB must be taken within `deadline`.
pub(crate) async fn send(stream: &mut Stream, out: &mut Vec<u8>, deadline: Duration) -> io::Result<()> {
    const PART: usize = 64 * 1024;
    if out.is_empty() {
        return Ok(());
    }
    let bytes = std::mem::take(out);
    for part in bytes.chunks(PART) {
        in_time(deadline, stream.write_all(part)).await?;
    }
    // Under TLS written octets may still wait for the socket.
    in_time(deadline, stream.flush()).await
}

/// Ends the connection in order, without waiting long for a peer that is gone.
pub(crate) async fn close(stream: &mut Stream) {
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.shutdown()).await;
}

/// An operation with a deadline.
pub(crate) async fn in_time<T>(
    deadline: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
