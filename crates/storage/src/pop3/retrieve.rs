use std::io;
use std::sync::Arc;

use bytes::Bytes;
use chasqui_mailstore::{Content, MailError};
use chasqui_pop3::{DotStuffer, ResponseCode, TopCutter, reply};

use super::Connection;
use super::maildrop::{Entry, Maildrop};
use crate::node::Node;

/// Octets read from a message at once; the next ones are read when the client has taken these.
const CHUNK: u64 = 64 * 1024;

/// RETR (RFC 1939 §5).
pub(super) async fn whole(
    connection: &mut Connection,
    maildrop: &Maildrop,
    entry: Entry,
    node: &Arc<Node>,
) -> io::Result<()> {
    let octets = send(connection, maildrop, entry, None).await?;
    node.metrics.retrieved(octets, true);
    Ok(())
}

/// TOP (RFC 1939 §7).
pub(super) async fn top(
    connection: &mut Connection,
    maildrop: &Maildrop,
    entry: Entry,
    lines: u32,
    node: &Arc<Node>,
) -> io::Result<()> {
    let octets = send(connection, maildrop, entry, Some(TopCutter::new(lines))).await?;
    node.metrics.retrieved(octets, false);
    Ok(())
}

/// Streams a message as a multi-line reply; how many octets of it were sent.
///
/// What fails before `+OK` is a `-ERR`. What fails after it can no longer be said: the connection is cut, so that the client
/// cannot take the part for the whole.
async fn send(
    connection: &mut Connection,
    maildrop: &Maildrop,
    entry: Entry,
    mut cutter: Option<TopCutter>,
) -> io::Result<u64> {
    let (content, mut chunk) = match begin(maildrop, entry).await {
        Ok(begun) => begun,
        Err(MailError::Gone) => {
            reply::err(&mut connection.out, "the message was removed by another session");
            return Ok(0);
        }
        Err(error) => {
            tracing::warn!(account = %maildrop.address, uid = entry.uid.get(), %error, "cannot read a message");
            reply::err_code(&mut connection.out, ResponseCode::SysTemp, "the message cannot be read now");
            return Ok(0);
        }
    };
    if cutter.is_none() {
        reply::ok(&mut connection.out, &format!("{} octets", content.size()));
    } else {
        reply::ok(&mut connection.out, "");
    }
    let (mut stuffer, mut at, mut sent) = (DotStuffer::default(), 0, 0);
    loop {
        let wanted = cutter.as_mut().map_or(&chunk[..], |cutter| cutter.cut(&chunk));
        sent += wanted.len() as u64;
        stuffer.push(wanted, &mut connection.out);
        at += chunk.len() as u64;
        if at >= content.size() || cutter.is_some_and(|cutter| cutter.is_done()) {
            break;
        }
        connection.flush_if_much().await?;
        chunk = content.read(at..at + CHUNK).await.map_err(io::Error::other)?;
        if chunk.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a message file is shorter than its size",
            ));
        }
    }
    stuffer.finish(&mut connection.out);
    Ok(sent)
}

async fn begin(maildrop: &Maildrop, entry: Entry) -> Result<(Content, Bytes), MailError> {
    let content = maildrop.content(entry).await?;
    let chunk = content.read(0..CHUNK).await?;
    Ok((content, chunk))
}
