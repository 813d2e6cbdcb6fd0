//! Asking over TCP what fits in no datagram.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chasqui_base::address::EmailAddress;
use chasqui_base::net::Endpoint;
use chasqui_base::tls::Role;
use tokio::io::AsyncWriteExt;

use super::{DirectoryUnavailable, Job, Shared};
use crate::wire::answers::{Answers, KnownNodes, Reply};
use crate::wire::{self, MAX_MESSAGE};

/// Asks the servers one after the other until the question is given up, and tells the asker.
pub(super) async fn ask(shared: Arc<Shared>, servers: Vec<(Endpoint, SocketAddr)>, job: Job) {
    let mut content = Vec::new();
    let address = job.put_alone(wire::now(), &mut content);
    let left = shared.config.give_up.get().saturating_sub(job.begun.elapsed());
    let asking = async {
        // Each server gets its share of the time, so that a silent one leaves some for the next.
        let share = left / u32::try_from(servers.len()).unwrap_or(1).max(1);
        for (endpoint, server) in servers {
            let asking = ask_one(&shared, &endpoint, server, &content, &address, share);
            match tokio::time::timeout(share, asking)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            {
                Ok(Reply::Unavailable | Reply::Truncated | Reply::NotUnderstood) => {}
                Ok(reply) => return Ok(reply),
                Err(error) => {
                    tracing::warn!(server = %endpoint, %error, "a directory server does not answer over TCP")
                }
            }
        }
        Err(DirectoryUnavailable)
    };
    let answer = tokio::time::timeout(left, asking).await.unwrap_or(Err(DirectoryUnavailable));
    zeroize::Zeroize::zeroize(&mut content);
    let _ = job.asker.send(answer);
}

async fn ask_one(
    shared: &Shared,
    endpoint: &Endpoint,
    server: SocketAddr,
    content: &[u8],
    asked: &EmailAddress,
    left: Duration,
) -> io::Result<Reply> {
    let mut stream = endpoint.connect(left).await?;
    match &shared.tls {
        Some(tls) => {
            let secured = tls.connect(stream, endpoint.host(), Role::Directory).await;
            stream = secured.map_err(|error| io::Error::other(error.to_string()))?;
        }
        None if server.ip().is_loopback() => {}
        // E19: nothing in clear between hosts.
        None => return Err(io::Error::other("this role has no certificate to ask another host with")),
    }
    stream.write_all(&wire::stream::length(content)).await?;
    stream.write_all(content).await?;
    stream.flush().await?;
    let message = wire::stream::read_message(&mut stream, &mut Vec::new(), MAX_MESSAGE).await?;
    let message = message.ok_or(io::ErrorKind::UnexpectedEof)?;
    let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    match Answers::read(&message).map_err(malformed)? {
        Answers::Answers(mut answers) => answers.next(asked, &mut KnownNodes::default()).map_err(malformed),
        Answers::Stale(_) => Err(malformed(wire::Malformed)),
    }
}
