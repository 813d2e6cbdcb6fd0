//! A message from memory to its file.

use super::{EnqueueError, Queue, open::Open};
use crate::message::Envelope;
use chasqui_base::DeliveryId;
use chasqui_courier::{Content, blocking};
use std::{io, sync::Arc, time::Instant};

/// The mark of a message that is being written; it goes also when who writes it is broken off.
struct Arriving<'a> {
    queue: &'a Queue,
    id: DeliveryId,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.queue.arriving().remove(&self.id);
        self.queue.written.notify_waiters();
    }
}

impl Queue {
    /// The same for our own notices too, which are not refused while the queue is drained, nor when it is full: without them
    /// nothing fails, and a queue that is full of what fails would stay so. They end at twice its limit.
    pub(super) async fn put(
        &self,
        envelope: Envelope,
        content: &Arc<Content>,
        is_notice: bool,
    ) -> Result<(), EnqueueError> {
        let id = envelope.id;
        let arriving = loop {
            let written = self.written.notified();
            if self.remembered().has(id) {
                return Ok(());
            }
            let found = {
                let index = self.index();
                index.find(id).map(|number| index.is_unverified(number))
            };
            match found {
                Some(true) => return self.confirm(id, None).await,
                Some(false) => return Ok(()),
                None => {}
            }
            if is_notice {
                self.places(2)?;
            } else {
                self.room(content.len())?;
            }
            if self.arriving().insert(id) {
                break Arriving { queue: self, id };
            }
            // Another writes the same: whether that succeeds is known soon.
            written.await;
        };
        self.write(envelope, content, arriving).await
    }

    async fn write(
        &self,
        envelope: Envelope,
        content: &Arc<Content>,
        arriving: Arriving<'_>,
    ) -> Result<(), EnqueueError> {
        let (id, envelope) = (envelope.id, Arc::new(envelope));
        let folder = Arc::clone(&self.folder);
        let (writing, text) = (Arc::clone(&envelope), Arc::clone(content));
        let began = Instant::now();
        let written = blocking(move || folder.write(&writing, &text)).await.map_err(full_or_failed)?;
        let Some(offset) = written else {
            return self.confirm(id, Some(arriving)).await;
        };
        if let Err(error) = self.syncer.sync(began).await {
            // Nothing is acknowledged, so nothing must be delivered.
            let folder = Arc::clone(&self.folder);
            let _ = blocking(move || folder.remove(id)).await;
            return Err(full_or_failed(error));
        }
        self.metrics.enqueued();
        self.announce(&envelope, content.len());
        // Before it is looked whether work has begun: from here either we put it into the index, or who reads the folder does.
        drop(arriving);
        if let Some(route) = self.route.get() {
            let open = Open::fresh(envelope, content, || self.folder.message(id), offset);
            self.take_up(route, open, false);
        }
        Ok(())
    }

    /// A message that comes again, and whose file was there before: it is whole, in the index, and on disk when this returns. What a
    /// power cut left of a message that was never acknowledged is none of that.
    async fn confirm(&self, id: DeliveryId, arriving: Option<Arriving<'_>>) -> Result<(), EnqueueError> {
        let folder = Arc::clone(&self.folder);
        let read = blocking(move || {
            let whole = folder.read(id).and_then(|stored| folder.verify(id, &stored).map(|()| stored));
            Ok(whole.map(|stored| Open::stored(&folder.message(id), stored)))
        });
        let open = match read.await? {
            Ok(open) => open,
            Err(error) => {
                // One that is in the index already is set aside by its job.
                if error.is_damage() && arriving.is_some() {
                    self.set_aside(id, &error);
                }
                return Err(io::Error::other(error).into());
            }
        };
        if arriving.is_some() {
            // Who reads the folder has passed over it for our mark.
            drop(arriving);
            if let Some(route) = self.route.get().filter(|_| !open.state().is_done()) {
                self.take_up(route, open, true);
            }
        }
        // When it was written is not known.
        Ok(self.syncer.sync(self.clock.from).await?)
    }

    fn announce(&self, envelope: &Envelope, size: u64) {
        tracing::info!(
            delivery = %envelope.id,
            message_id = envelope.message_id.as_deref().unwrap_or_default(),
            sender = %envelope.reverse_path,
            recipients = envelope.recipients.len(),
            size,
            "message queued"
        );
    }
}

fn full_or_failed(error: io::Error) -> EnqueueError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => EnqueueError::Full,
        _ => EnqueueError::Io(error),
    }
}
