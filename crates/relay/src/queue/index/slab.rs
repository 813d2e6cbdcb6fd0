//! A table that grows in pieces, so that growing never copies it and leaves no second half unused.

const PIECE: usize = 4096;

/// Values by number. Numbers of values that were removed are used again.
#[derive(Debug)]
pub struct Slab<T> {
    pieces: Vec<Vec<T>>,
    free: Vec<u32>,
    used: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new(), used: 0 }
    }
}

impl<T> Slab<T> {
    /// Values that are there.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Numbers that have ever been given.
    pub fn end(&self) -> u32 {
        self.pieces.last().map_or(0, |last| ((self.pieces.len() - 1) * PIECE + last.len()) as u32)
    }

    /// Puts a value; `over` says what stays of the one that had its number before.
    pub fn insert(&mut self, mut value: T, over: impl FnOnce(&T, &mut T)) -> u32 {
        self.used += 1;
        if let Some(number) = self.free.pop()
            && let Some(slot) = self.get_mut(number)
        {
            over(slot, &mut value);
            *slot = value;
            return number;
        }
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(value),
            _ => {
                // The first piece grows by itself: most queues are short.
                let mut piece = if self.pieces.is_empty() { Vec::new() } else { Vec::with_capacity(PIECE) };
                piece.push(value);
                self.pieces.push(piece);
            }
        }
        self.end() - 1
    }

    /// Gives a number free. The value stays readable until the number is used again.
    pub fn remove(&mut self, number: u32) {
        self.used = self.used.saturating_sub(1);
        self.free.push(number);
    }

    /// The value of a number.
    pub fn get(&self, number: u32) -> Option<&T> {
        self.pieces.get(number as usize / PIECE)?.get(number as usize % PIECE)
    }

    /// The value of a number, to change it.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.pieces.get_mut(number as usize / PIECE)?.get_mut(number as usize % PIECE)
    }
}
