//! Exact numbers: the paper cuts its figures off after two decimals, which binary fractions would get wrong now and then.

use std::fmt;

use serde::{Serialize, Serializer};

/// A fraction of whole numbers.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    over: u128,
    under: u128,
}

impl Ratio {
    /// `over / under`; the demand's bounds keep both far from overflow. `under` of 0 counts as 1.
    pub const fn new(over: u128, under: u128) -> Self {
        Self { over, under: if under == 0 { 1 } else { under } }
    }

    /// A whole number.
    pub const fn whole(number: u128) -> Self {
        Self::new(number, 1)
    }

    /// So many times.
    pub const fn times(self, factor: u128) -> Self {
        Self { over: self.over * factor, under: self.under }
    }

    /// Divided by.
    pub const fn by(self, divisor: u128) -> Self {
        Self::new(self.over, self.under * divisor)
    }

    /// The smallest whole number that is not less.
    pub const fn ceil(self) -> u128 {
        self.over.div_ceil(self.under)
    }

    /// As near as a binary fraction comes.
    pub fn value(self) -> f64 {
        self.over as f64 / self.under as f64
    }

    /// With two decimals, cut off, even when they are zeros: `12.50`.
    pub fn cents(self) -> String {
        format!("{}.{:02}", thousands(self.over / self.under), self.over % self.under * 100 / self.under)
    }
}

impl fmt::Display for Ratio {
    /// With commas, and with two decimals, cut off, unless it is whole: `4,166.66`, `350`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.over.is_multiple_of(self.under) {
            return f.write_str(&thousands(self.over / self.under));
        }
        f.write_str(&self.cents())
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}

/// A whole number with commas: `1,106`.
pub fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Octets of memory in the paper's GB of 1,024 MB, with two decimals.
pub fn gigabytes(octets: u128) -> String {
    Ratio::new(octets, 1 << 30).cents()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_cut_off_not_rounded() {
        assert_eq!(Ratio::new(250_000, 60).to_string(), "4,166.66");
        assert_eq!(Ratio::whole(350).to_string(), "350");
        assert_eq!(Ratio::new(25, 2).cents(), "12.50");
        assert_eq!(Ratio::new(1, 100).to_string(), "0.01");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(gigabytes(12_800 << 20), "12.50");
    }
}
