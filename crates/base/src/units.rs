//! Sizes and durations as an operator writes them: `"50MB"`, `"20ms"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of octets. In configuration: `"50MB"` (powers of ten), `"64KiB"` (powers of two), or an integer of octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The number of octets.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of octets, as far as memory can hold it.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// A length of time. In configuration: `"20ms"`, `"30s"`, `"5m"`, `"2h"`, `"5d"`, or an integer of seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// So many milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// So many seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
}

/// Why a text is no size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No whole number stands first, or it is too large.
    #[error("`{0}` does not start with a whole number in range")]
    Number(String),
    /// The unit is not known.
    #[error("`{0}` has no known unit; write one of {1}")]
    Unit(String, &'static str),
}

// Largest first: what divides evenly names the value.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

fn parse(text: &str, units: &[(&str, u64)], bare: u64, names: &'static str) -> Result<u64, UnitError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| UnitError::Number(text.to_owned()))?;
    let unit = text[digits..].trim();
    let factor = if unit.is_empty() {
        bare
    } else {
        let found = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        found.ok_or_else(|| UnitError::Unit(text.to_owned(), names))?.1
    };
    number.checked_mul(factor).ok_or_else(|| UnitError::Number(text.to_owned()))
}

fn show(value: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // `units` ends or begins with its smallest; zero takes whichever divides, so name it by the smallest.
    let smallest = units.iter().min_by_key(|(_, factor)| *factor);
    let fits = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor)).or(smallest);
    match fits {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "{value}"),
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, &SIZES, 1, "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB").map(Self)
    }
}

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, &SPANS, 1_000, "ms, s, m, h, d").map(|ms| Self(Duration::from_millis(ms)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, &SIZES, f)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &SPANS, f)
    }
}

/// What TOML may hold for a unit: a text, or a bare integer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Integer(u64),
    Text(String),
}

macro_rules! unit_type {
    ($name:ident, $bare:expr, $description:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match Given::deserialize(deserializer).map_err(|_| serde::de::Error::custom(concat!("expected ", $description)))? {
                    Given::Integer(n) => Ok($bare(n)),
                    Given::Text(text) => text.parse().map_err(serde::de::Error::custom),
                }
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": ["string", "integer"], "description": $description })
            }
        }
    };
}
unit_type!(ByteSize, ByteSize, "a size such as \"50MB\" or \"64KiB\", or an integer of octets");
unit_type!(
    Span,
    Span::secs,
    "a duration such as \"20ms\", \"30s\", \"5m\", \"2h\" or \"5d\", or an integer of seconds"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_read_as_an_operator_writes_them() {
        assert_eq!("50MB".parse(), Ok(ByteSize(50_000_000)));
        assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
        assert_eq!("7 GB".parse(), Ok(ByteSize(7_000_000_000)));
        assert_eq!("20ms".parse(), Ok(Span::millis(20)));
        assert_eq!("5d".parse(), Ok(Span::secs(432_000)));
        assert_eq!("90".parse(), Ok(Span::secs(90)));
        assert!("5 parsecs".parse::<Span>().is_err());
        assert!("99999999999TB".parse::<ByteSize>().is_err());
        assert!("-1s".parse::<Span>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(n: u64, ms in 0u64..1 << 50) {
            prop_assert_eq!(ByteSize(n).to_string().parse(), Ok(ByteSize(n)));
            prop_assert_eq!(Span::millis(ms).to_string().parse(), Ok(Span::millis(ms)));
        }

        #[test]
        fn other_text_is_refused_without_panic(text in "\\PC{0,20}") {
            let _ = (text.parse::<ByteSize>(), text.parse::<Span>());
        }
    }
}
