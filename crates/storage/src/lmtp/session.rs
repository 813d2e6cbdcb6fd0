use std::io;
use std::sync::Arc;

use chasqui_base::Lifecycle;
use chasqui_base::net::Stream;
use chasqui_smtp::{Event, ServerSession, replies};

use super::transaction::Transaction;
use crate::config::TimeoutsConfig;
use crate::connection::{in_time, send};
use crate::node::Node;

/// Octets asked of the connection at once.
const READ: usize = 64 * 1024;

/// Drives the session from the greeting to its end.
pub(super) async fn run(
    stream: &mut Stream,
    mut session: ServerSession,
    node: &Arc<Node>,
    timeouts: &TimeoutsConfig,
    run: &Lifecycle,
) -> io::Result<()> {
    let mut transaction = None;
    let mut input = Vec::new();
    session.greet();
    loop {
        let mut out = session.take_output();
        send(stream, &mut out, timeouts.write.get()).await?;
        match wait(stream, &mut input, &session, timeouts, run).await {
            Waited::More => {}
            Waited::End => return Ok(()),
            Waited::Failed(error) => return Err(error),
            Waited::Stopping => session.end(&replies::SHUTTING_DOWN),
            Waited::TooLong => session.end(&replies::TIMED_OUT),
        }
        let mut used = 0;
        loop {
            let step = session.next(&input[used..]);
            used += step.consumed;
            let Some(event) = step.event else { break };
            if event == Event::Close {
                let mut out = session.take_output();
                return send(stream, &mut out, timeouts.write.get()).await;
            }
            // Boxed, so that waiting for the disk does not add to the size of every idle session.
            Box::pin(answer(event, &mut session, &mut transaction, node)).await;
        }
        input.drain(..used);
        if input.is_empty() {
            // Idle connections hold no buffer.
            input = Vec::new();
        }
    }
}

enum Waited {
    More,
    End,
    Failed(io::Error),
    Stopping,
    TooLong,
}

async fn wait(
    stream: &mut Stream,
    input: &mut Vec<u8>,
    session: &ServerSession,
    timeouts: &TimeoutsConfig,
    run: &Lifecycle,
) -> Waited {
    let idle = !session.in_transaction() && !session.reads_text() && input.is_empty();
    let deadline = if idle { timeouts.lmtp_idle } else { timeouts.data };
    let read = in_time(deadline.get(), stream.read_more(input, READ));
    let read = if idle {
        // Only between transactions: one that is open is finished first.
        tokio::select! {
            read = read => read,
            () = run.stopped() => return Waited::Stopping,
        }
    } else {
        read.await
    };
    match read {
        Ok(0) => Waited::End,
        Ok(_) => Waited::More,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Waited::TooLong,
        Err(error) => Waited::Failed(error),
    }
}

async fn answer(
    event: Event<'_>,
    session: &mut ServerSession,
    open: &mut Option<Transaction>,
    node: &Arc<Node>,
) {
    match event {
        Event::Hello(_) => {
            *open = None;
            session.accept();
        }
        Event::Mail(mail) => {
            *open = Some(Transaction::begin(mail));
            session.accept();
        }
        Event::Recipient(recipient, _) => {
            let result = match open {
                Some(transaction) => transaction.add(node, recipient).await,
                None => Err(replies::MAIL_FIRST),
            };
            match result {
                Ok(()) => session.accept(),
                Err(refusal) => session.reply(&refusal),
            }
        }
        Event::MessageStart => {
            if let Some(transaction) = open {
                transaction.start_message(node).await;
            }
            session.accept();
        }
        Event::Text(text) => {
            if let Some(transaction) = open {
                transaction.write(text).await;
            }
        }
        Event::MessageEnd => match open.take() {
            Some(transaction) => {
                for reply in transaction.deliver(node).await {
                    session.reply(&reply);
                }
            }
            None => session.reply_all(&replies::MAIL_FIRST),
        },
        Event::Dropped(_) => *open = None,
        // TLS is implicit here, AUTH is not offered, and `Close` ended the loop: none of them comes.
        Event::StartTls { .. } | Event::Authenticate { .. } | Event::AuthResponse(_) | Event::Close => {
            session.reply(&replies::NOT_IMPLEMENTED)
        }
    }
}
