//! The TCP side: for the rare answer that fits in no datagram. The same questions and answers, behind a length.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chasqui_base::net::{Peer, Stream};
use chasqui_base::tls::RoleTls;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::desk::Desk;
use super::verify::Checked;
use crate::wire::answers::AnswerWriter;
use crate::wire::questions::{Question, Questions};
use crate::wire::{self, MAX_MESSAGE};

/// Longest message of questions: a datagram's worth is all a client ever sends.
const MAX_QUESTIONS_MESSAGE: usize = 64 * 1024;

/// Serves one connection until it ends or stays idle. With `tls` any role's certificate will do: whoever has one may ask.
pub(crate) async fn serve(desk: Arc<Desk>, tls: Option<RoleTls>, stream: Stream, peer: Peer) {
    let idle = desk.limits.load().tcp_idle.get();
    let stream = match tls {
        Some(tls) => match tokio::time::timeout(idle, tls.accept(stream)).await {
            Ok(Ok((stream, _))) => stream,
            Ok(Err(error)) => return tracing::info!(peer = %peer.ip(), %error, "refused a connection"),
            Err(_) => return,
        },
        None => stream,
    };
    desk.metrics.connections.inc();
    if let Err(error) = Box::pin(converse(&desk, stream, idle)).await {
        tracing::debug!(peer = %peer.ip(), %error, "a connection ended");
    }
}

async fn converse(desk: &Arc<Desk>, mut stream: Stream, idle: Duration) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        let reading = wire::stream::read_message(&mut stream, &mut received, MAX_QUESTIONS_MESSAGE);
        let Ok(message) = tokio::time::timeout(idle, reading).await else { return Ok(()) };
        let Some(message) = message? else { return Ok(()) };
        let answers = answer(desk, &message).await?;
        let sending = async {
            stream.write_all(&wire::stream::length(&answers)).await?;
            stream.write_all(&answers).await?;
            stream.flush().await
        };
        tokio::time::timeout(idle, sending).await??;
    }
}

async fn answer(desk: &Arc<Desk>, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut questions =
        Questions::read(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let count = questions.count;
    let first = questions.next();
    if let (1, Some(Question::Verify { login, password })) = (count, first) {
        let (done, checked) = oneshot::channel();
        desk.verify(login, password, Box::new(move |checked| _ = done.send(checked)));
        let checked = checked.await.unwrap_or(Checked::Dropped);
        let mut writer = AnswerWriter::new();
        writer.begin(wire::now(), 1, MAX_MESSAGE);
        desk.verdict(login, checked, &mut writer);
        return Ok(writer.content().to_vec());
    }
    let mut writer = AnswerWriter::new();
    writer.begin(wire::now(), count, MAX_MESSAGE);
    let (view, limits) = (desk.view(), desk.limits.load());
    for question in first.into_iter().chain(questions) {
        desk.answer(&view, &limits, question, &mut writer);
    }
    Ok(writer.content().to_vec())
}
