//! What the index holds, takes and gives.

use super::Marks;
use crate::message::Destination;
use chasqui_base::DeliveryId;

/// A message in memory: 48 octets.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id, and the name of its file.
    pub id: DeliveryId,
    /// Which addresses may be in its envelope.
    pub marks: Marks,
    /// Octets of the text.
    pub size: u32,
    /// Seconds since 1970 when it was acknowledged.
    pub received: u32,
    /// Seconds since 1970 at which it has failed.
    pub expires: u32,
    pub(super) first: u32,
    /// Counts the uses of this number, for timers.
    pub(super) generation: u16,
    /// From -9 to 9.
    pub priority: i8,
    pub(super) flags: u8,
}

/// An operator holds it back.
pub(super) const HELD: u8 = 1;
/// The sender was told that it is late, or need not be.
pub(super) const DELAY_SAID: u8 = 2;
/// It is not a message any more.
pub(super) const GONE: u8 = 4;
/// Its text was not compared with its seal since the start.
pub(super) const UNVERIFIED: u8 = 8;
/// Something else than a job works on its file.
pub(super) const BUSY: u8 = 16;
/// It is on its way to another relay, which cannot be stopped.
pub(super) const LEAVING: u8 = 32;

/// A message on its way to one destination: 28 octets.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Its message.
    pub message: u32,
    pub(super) place: u32,
    pub(super) next: u32,
    /// The first recipient that this round of attempts has not come to.
    pub cursor: u32,
    /// Seconds since 1970 when it is due; only while it waits.
    pub(super) due: u32,
    /// Rounds of attempts that were made.
    pub attempts: u16,
    pub(super) generation: u16,
    pub(super) state: State,
}

/// What a leg does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is due later.
    Waiting,
    /// It waits for a place.
    Ready,
    /// It is carried out.
    Running,
    /// An operator holds it back.
    Held,
}

/// What is put into the queue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: DeliveryId,
    /// Which addresses are in its envelope.
    pub marks: Marks,
    /// Octets of the text.
    pub size: u64,
    /// Seconds since 1970 when it was acknowledged.
    pub received: u64,
    /// Seconds since 1970 at which it has failed.
    pub expires: u64,
    /// From -9 to 9.
    pub priority: i8,
    /// An operator holds it back.
    pub held: bool,
    /// The sender was told that it is late, or need not be.
    pub delay_said: bool,
    /// Its text was not compared with its seal since the start.
    pub unverified: bool,
    /// Milliseconds since 1970 when its sender is to be told or it expires.
    pub alarm: u64,
    /// Destination, attempts made, and milliseconds since 1970 when it is due.
    pub legs: Vec<(Destination, u16, u64)>,
}

/// A job to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The message's number.
    pub message: u32,
    /// The leg's number.
    pub leg: u32,
    /// The message's id.
    pub id: DeliveryId,
    /// Where to.
    pub destination: Destination,
    /// Rounds of attempts that were made before.
    pub attempts: u16,
    /// The first recipient to take.
    pub cursor: u32,
    /// The text is to be compared with its seal first.
    pub verify: bool,
}

/// What becomes of a leg whose job has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has no recipients any more.
    Done,
    /// The round goes on at this recipient.
    Continue(u32),
    /// It is due again at this time in milliseconds; an attempt was made.
    Wait(u64),
}

/// Numbers of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub messages: usize,
    /// Octets of their texts.
    pub octets: u64,
    /// Messages that an operator holds back.
    pub held: usize,
    /// Legs that wait for their time.
    pub waiting: usize,
    /// Legs that wait for a place.
    pub ready: usize,
    /// Jobs.
    pub running: usize,
    /// Destinations.
    pub destinations: usize,
    /// Destinations in trouble.
    pub troubled: usize,
}

/// A leg, to be shown.
#[derive(Debug)]
pub struct LegView<'a> {
    pub(super) number: u32,
    /// Where to.
    pub destination: &'a Destination,
    /// What it does.
    pub state: State,
    /// Rounds of attempts that were made.
    pub attempts: u16,
    /// Seconds since 1970 when it is due, while it waits.
    pub due: Option<u64>,
}
