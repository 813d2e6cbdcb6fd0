//! What the queue asks of delivery.

use crate::{
    fate::Fate,
    message::{Destination, Job},
};
use std::sync::Arc;

/// Carries jobs out. Implemented by delivery; by tables in tests.
pub trait Carrier: Send + Sync + 'static {
    /// Where a recipient's copy goes. Says it by the address and the configuration alone, without asking anyone.
    fn destination(&self, address: &str) -> Destination;

    /// How many jobs of a destination may be carried out at once.
    fn places(&self, destination: &Destination) -> usize;

    /// Makes one attempt: for each recipient of the job, by its index in the envelope, what became of it. Has a deadline of its own.
    fn carry(self: Arc<Self>, job: Job) -> impl Future<Output = Vec<(u32, Fate)>> + Send;
}
