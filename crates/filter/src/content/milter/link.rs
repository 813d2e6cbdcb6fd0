//! One connection to a milter.

use super::codec::{self, ACTIONS, Answer, CodecError, Negotiated};
use chasqui_base::net::{Endpoint, Stream};
use std::{io, time::Duration};
use tokio::{io::AsyncWriteExt as _, sync::OwnedSemaphorePermit};

/// What one read takes at most.
const READ: usize = 16 * 1024;

/// Progress reports that a milter may give to one command.
const PROGRESS: usize = 10_000;

/// Why a milter is of no more use for this session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MilterError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("no answer in time")]
    Late,
    #[error("it closed the connection")]
    Closed,
    #[error("as many sessions as it may have are open")]
    Busy,
    #[error("an answer that nothing asked for: {0:?}")]
    Unexpected(Answer),
    #[error("it wants to be left alone")]
    Shutdown,
    #[error("it put a body of more than {0} octets in place of the message's")]
    Body(u64),
    #[error("it failed a moment ago and is left alone for another")]
    Resting,
}

pub(crate) struct Link {
    stream: Stream,
    input: Vec<u8>,
    /// What is agreed on.
    pub agreed: Negotiated,
    _place: OwnedSemaphorePermit,
}

impl Link {
    /// Connects and negotiates.
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        place: OwnedSemaphorePermit,
        deadline: Duration,
    ) -> Result<Self, MilterError> {
        let connecting = async {
            let stream = endpoint.connect(deadline).await?;
            let mut link = Self { stream, input: Vec::new(), agreed: Negotiated::default(), _place: place };
            let mut offer = Vec::new();
            codec::put_offer(&mut offer);
            match link.ask(&offer, deadline).await? {
                Answer::Negotiated(agreed) if agreed.actions & !ACTIONS == 0 => link.agreed = agreed,
                other => return Err(MilterError::Unexpected(other)),
            }
            Ok(link)
        };
        tokio::time::timeout(deadline, connecting).await.unwrap_or(Err(MilterError::Late))
    }

    /// Whether it does without one of these steps, or without answering it.
    pub(crate) fn without(&self, step: u32) -> bool {
        self.agreed.steps & step != 0
    }

    /// Writes packets that have no answer.
    pub(crate) async fn tell(&mut self, packets: &[u8], deadline: Duration) -> Result<(), MilterError> {
        match tokio::time::timeout(deadline, self.stream.write_all(packets)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(MilterError::Late),
        }
    }

    /// Writes packets of which the last has an answer, and waits for it. A progress report gives the milter its time anew; the caller
    /// has a deadline for the whole.
    pub(crate) async fn ask(&mut self, packets: &[u8], deadline: Duration) -> Result<Answer, MilterError> {
        self.tell(packets, deadline).await?;
        self.answer(deadline).await
    }

    /// Waits for an answer.
    pub(crate) async fn answer(&mut self, deadline: Duration) -> Result<Answer, MilterError> {
        for _ in 0..PROGRESS {
            match tokio::time::timeout(deadline, self.next()).await {
                Ok(Ok(Answer::Progress)) => {}
                Ok(Ok(Answer::Shutdown)) => return Err(MilterError::Shutdown),
                Ok(answer) => return answer,
                Err(_) => return Err(MilterError::Late),
            }
        }
        Err(MilterError::Late)
    }

    async fn next(&mut self) -> Result<Answer, MilterError> {
        loop {
            if let Some((answer, used)) = codec::answer(&self.input)? {
                self.input.drain(..used);
                return Ok(answer);
            }
            if self.stream.read_more(&mut self.input, READ).await? == 0 {
                return Err(MilterError::Closed);
            }
        }
    }

    /// Says goodbye; the milter does not answer.
    pub(crate) async fn quit(mut self) {
        let mut packet = Vec::new();
        codec::put(&mut packet, b'Q', b"");
        let _ = self.tell(&packet, Duration::from_secs(1)).await;
    }
}
