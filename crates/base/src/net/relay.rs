//! Copies octets between two connections, both ways (S9).
//!
//! Thousands of relayed connections are idle at any moment, so a direction owns memory only while the other end cannot take
//! what was read: it reads into the thread's scratch buffer, writes at once, and keeps no more than the rest.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::stream::{Stream, with_scratch};

/// Octets that one read takes. 16 KiB is one TLS record; more would let one busy connection hold its thread for long.
const CHUNK: usize = 16 * 1024;

/// How long a client may keep its half of the connection open after the server has closed its own. Closing at once could
/// make the kernel throw away the last reply; waiting for ever would let clients that vanished hold up a role that drains.
const LINGER: Duration = Duration::from_secs(2);

/// Relays until both ends have finished, one fails, or nothing has moved for `idle` (then `TimedOut`). Returns octets from `a`
/// to `b` and from `b` to `a`. When one end finishes sending, the other is told and may still answer; `b` is the server, and when
/// it has finished `a` has no more than [`LINGER`] to hang up.
pub async fn relay(a: &mut Stream, b: &mut Stream, idle: Duration) -> io::Result<(u64, u64)> {
    let mut there = Direction::default();
    let mut back = Direction::default();
    let mut deadline = std::pin::pin!(tokio::time::sleep(idle));
    let mut moved_at_arming = 0;
    let mut lingering = false;
    poll_fn(move |context| {
        let first = there.poll(context, a, b)?;
        let second = back.poll(context, b, a)?;
        if first.is_ready() && second.is_ready() {
            return Poll::Ready(Ok((there.moved, back.moved)));
        }
        if second.is_ready() && !lingering {
            lingering = true;
            deadline.as_mut().reset(Instant::now() + idle.min(LINGER));
        }
        // Re-armed only when it fires: touching a timer for every record would cost more than the copy.
        while deadline.as_mut().poll(context).is_ready() {
            if lingering {
                return Poll::Ready(Ok((there.moved, back.moved)));
            }
            let moved = there.moved + back.moved;
            if moved == moved_at_arming {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            moved_at_arming = moved;
            deadline.as_mut().reset(Instant::now() + idle);
        }
        Poll::Pending
    })
    .await
}

#[derive(Default)]
struct Direction {
    /// Read but not yet written; its buffer is freed once it is empty.
    rest: Vec<u8>,
    written: usize,
    moved: u64,
    unflushed: bool,
    finished: bool,
    closed: bool,
}

impl Direction {
    /// Moves what can be moved now. Ready when the source has finished and the target knows.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            while self.written < self.rest.len() {
                match Pin::new(&mut *to).poll_write(context, &self.rest[self.written..])? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(n) => self.written += n,
                    Poll::Pending => return Poll::Pending,
                }
            }
            if !self.rest.is_empty() {
                self.rest = Vec::new();
                self.written = 0;
            }
            if self.finished {
                // An error says that the other end is gone: then it needs not be told.
                if Pin::new(&mut *to).poll_shutdown(context).is_pending() {
                    return Poll::Pending;
                }
                self.closed = true;
                continue;
            }
            let read = with_scratch(|scratch| self.poll_chunk(context, from, to, &mut scratch[..CHUNK]))?;
            if read.is_pending() {
                if self.unflushed && Pin::new(&mut *to).poll_flush(context)?.is_ready() {
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
    }

    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        scratch: &mut [u8],
    ) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(scratch);
        if Pin::new(from).poll_read(context, &mut buffer)?.is_pending() {
            return Poll::Pending;
        }
        let read = buffer.filled();
        if read.is_empty() {
            self.finished = true;
            return Poll::Ready(Ok(()));
        }
        self.moved += read.len() as u64;
        self.unflushed = true;
        let taken = match Pin::new(to).poll_write(context, read)? {
            Poll::Ready(n) => n,
            Poll::Pending => 0,
        };
        self.rest.extend_from_slice(&read[taken..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn octets_arrive_both_ways_and_ends_are_passed_on() {
        let (mut client, mut client_side) = Stream::pair().unwrap();
        let (mut server_side, mut server) = Stream::pair().unwrap();
        let relaying =
            tokio::spawn(
                async move { relay(&mut client_side, &mut server_side, Duration::from_secs(5)).await },
            );
        let sent: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        let expected = sent.clone();
        let echo = tokio::spawn(async move {
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            server.write_all(&got[..1000]).await.unwrap();
            server.shutdown().await.unwrap();
            got
        });
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(echo.await.unwrap() == expected && answer == expected[..1000]);
        assert_eq!(relaying.await.unwrap().unwrap(), (3_000_000, 1000));
    }

    #[tokio::test]
    async fn an_end_that_is_gone_when_it_is_to_be_told_is_no_failure() {
        let (mut client, mut a) = Stream::pair().unwrap();
        let (mut b, mut server) = Stream::pair().unwrap();
        client.write_all(b"LOGOUT").await.unwrap();
        client.shutdown().await.unwrap();
        server.write_all(b"BYE").await.unwrap();
        server.shutdown().await.unwrap();
        let mut asked = [0; 6];
        let serving = tokio::spawn(async move {
            server.read_exact(&mut asked).await.unwrap();
            drop(server);
        });
        let moved = relay(&mut a, &mut b, Duration::from_secs(5)).await.unwrap();
        serving.await.unwrap();
        assert_eq!(moved, (6, 3));
    }

    #[tokio::test]
    async fn a_client_that_stays_after_the_server_has_gone_is_left_soon() {
        let (_client, mut a) = Stream::pair().unwrap();
        let (mut b, server) = Stream::pair().unwrap();
        drop(server);
        let begun = Instant::now();
        assert_eq!(relay(&mut a, &mut b, Duration::from_secs(1800)).await.unwrap(), (0, 0));
        assert!(begun.elapsed() <= LINGER + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn an_idle_relay_ends() {
        let (_client, mut a) = Stream::pair().unwrap();
        let (mut b, _server) = Stream::pair().unwrap();
        let error = relay(&mut a, &mut b, Duration::from_millis(30)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
