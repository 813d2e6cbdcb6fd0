//! What every server side of SMTP does with its connection: reads in bounded parts, answers within a deadline, hangs up in order.

use crate::content::in_time;
use chasqui_base::net::Stream;
use std::{io, time::Duration};
use tokio::io::AsyncWriteExt as _;

/// What one read takes at most of message text.
pub const READ: usize = 64 * 1024;
/// What one read takes at most of commands, which a client may pipeline with the text behind them.
pub const READ_COMMANDS: usize = 16 * 1024;

/// How long a client may take to read our replies.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

/// How long a closed connection is read from.
const LINGER: Duration = Duration::from_secs(1);

/// Writes replies.
///
/// # Errors
/// Also when the client does not read them within a minute.
pub async fn answer(stream: &mut Stream, replies: &[u8]) -> io::Result<()> {
    in_time(WRITE_DEADLINE, async {
        stream.write_all(replies).await?;
        stream.flush().await
    })
    .await
}

/// Closes in order. What the client still sends is read for a moment, since the kernel answers unread octets with a reset, which
/// would take our last reply from the client.
///
/// # Errors
/// When the client does not hang up within a second, or the connection fails.
pub async fn hang_up(stream: &mut Stream) -> io::Result<()> {
    let mut unread = Vec::new();
    in_time(LINGER, async {
        stream.shutdown().await?;
        while stream.read_more(&mut unread, READ).await? > 0 {
            unread.clear();
        }
        Ok(())
    })
    .await
}
