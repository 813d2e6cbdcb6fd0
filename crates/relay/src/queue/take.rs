//! Messages that are taken out of the rounds to be handed to another relay.

use super::{
    Queue,
    open::Open,
    record::{Record, reply_text},
};
use crate::message::{Envelope, Recipient};
use chasqui_base::DeliveryId;
use chasqui_courier::{Content, blocking};
use chasqui_smtp::Reply;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

/// A message that was taken: nothing else works on it until it is removed or given back, which its end does too.
pub struct Taken {
    queue: Arc<Queue>,
    number: u32,
    id: DeliveryId,
    open: Arc<Open>,
    envelope: Arc<Envelope>,
    over: bool,
}

/// Goes over all messages once.
pub struct TakeAll {
    queue: Arc<Queue>,
    from: u32,
}

impl Queue {
    /// Takes all messages, one after the other, but those that are held or under way.
    #[must_use]
    pub fn take_all(self: &Arc<Self>) -> TakeAll {
        TakeAll { queue: Arc::clone(self), from: 0 }
    }

    /// Jobs that are carried out.
    #[must_use]
    pub fn running(&self) -> usize {
        self.index().totals().running
    }

    /// Messages that an operator holds back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.index().totals().held
    }

    /// Files and sub-folders of its folder that could not be read at the start; what they hold waits for the next one.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }

    /// Whether messages are being written that were accepted before.
    #[must_use]
    pub fn is_arriving(&self) -> bool {
        !self.arriving().is_empty()
    }

    /// What stands in the file that says that the queue is drained.
    #[must_use]
    pub fn draining_to(&self) -> Option<Vec<u8>> {
        std::fs::read(self.folder.draining()).ok()
    }

    /// Drains, as `content` says, or no longer. Durable when it returns.
    ///
    /// # Errors
    /// When it cannot be written down; then nothing has changed.
    pub async fn set_draining(&self, content: Option<Vec<u8>>) -> io::Result<()> {
        let folder = Arc::clone(&self.folder);
        let draining = content.is_some();
        blocking(move || match content {
            Some(content) => folder.replace(&folder.draining(), &content),
            None => folder.withdraw(&folder.draining()),
        })
        .await?;
        self.draining.store(draining, Ordering::Relaxed);
        self.wake.notify_one();
        Ok(())
    }
}

impl TakeAll {
    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<Taken> {
        loop {
            let (number, id) = self.next_free()?;
            // Verified: a peer shall not sign for what has rotted here.
            let Some(open) = self.queue.open_taken(number, id).await else { continue };
            let envelope = Arc::clone(&open.state().envelope);
            return Some(Taken { queue: Arc::clone(&self.queue), number, id, open, envelope, over: false });
        }
    }

    fn next_free(&mut self) -> Option<(u32, DeliveryId)> {
        let mut index = self.queue.index();
        while self.from < index.end() {
            let number = self.from;
            self.from += 1;
            let Some(id) = index.message(number).map(|message| message.id) else { continue };
            if !index.is_held(number) && index.take(number) {
                return Some((number, id));
            }
        }
        None
    }
}

impl Taken {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> DeliveryId {
        self.id
    }

    /// Its envelope, whether its sender was told that it is late, and the time in seconds since 1970.
    #[must_use]
    pub fn facts(&self) -> (&Envelope, bool, u64) {
        (&self.envelope, self.open.state().delay_said, self.queue.clock.seconds())
    }

    /// Its text.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.open.content
    }

    /// Those who do not have it, with their index in the envelope, which they keep.
    #[must_use]
    pub fn recipients(&self) -> Vec<(u32, Recipient)> {
        let state = self.open.state();
        let all = (0..).zip(self.envelope.recipients.iter().zip(&state.pending));
        all.filter(|(_, (_, pending))| pending.is_some())
            .map(|(index, (to, _))| (index, to.clone()))
            .collect()
    }

    /// It goes to another relay now, and can be held back no more. False when an operator holds it back already.
    #[must_use]
    pub fn leave(&self) -> bool {
        self.queue.index().leave_for_peer(self.number)
    }

    /// Another relay has it for some of its recipients. Says whether nobody is left.
    pub async fn passed_on(&self, recipients: Vec<u32>, reply: &Reply) -> bool {
        {
            let mut state = self.open.state();
            for recipient in &recipients {
                state.done(*recipient);
            }
            if state.is_done() {
                // Its file is removed next.
                return true;
            }
        }
        let at = self.queue.clock.seconds();
        let done = Record::Done { at, recipients, reply: reply_text(reply) };
        self.queue.write_down(self.id, vec![done]).await;
        false
    }

    /// Somebody else has it.
    pub async fn remove(mut self) {
        let (folder, id) = (Arc::clone(&self.queue.folder), self.id);
        let removed = blocking(move || folder.remove(id).map(|()| None)).await;
        self.queue.file_ended(id, removed);
        self.queue.syncer.soon();
        let mut index = self.queue.index();
        index.remove(self.number);
        self.queue.opened().forget(self.number);
        drop(index);
        self.over = true;
    }

    /// Nobody took it: it is due again.
    pub fn give_back(self) {
        drop(self);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.over {
            let now = self.queue.clock.now();
            let mut index = self.queue.index();
            index.give_back(self.number, self.envelope.not_before.map_or(now, |at| (at * 1000).max(now)));
            self.queue.opened().forget(self.number);
            drop(index);
            self.queue.wake.notify_one();
        }
    }
}
