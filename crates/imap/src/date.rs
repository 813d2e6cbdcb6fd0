//! Dates as IMAP writes them.

use crate::write;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day of the calendar, compared in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day if the calendar has it; months and days count from 1.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            1..=12 => 31,
            _ => return None,
        };
        (1..=last).contains(&day).then_some(Self { year, month, day })
    }

    /// `date-text` of RFC 3501 §9: `1-Feb-1994`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.split(|&b| b == b'-');
        let day = digits(parts.next()?, 1, 2)?;
        let month = month(parts.next()?)?;
        let year = digits(parts.next()?, 4, 4)?;
        if parts.next().is_some() {
            return None;
        }
        Self::new(u16::try_from(year).ok()?, month, u8::try_from(day).ok()?)
    }

    /// The UTC day that holds a moment, in seconds since 1970.
    pub fn of_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400).clamp(-719_162, 2_932_896);
        // Days from civil, Howard Hinnant's algorithm, with the era from 0000-03-01.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        Self { year: year as u16, month: month as u8, day: day as u8 }
    }

    /// Days since 1970-01-01.
    pub fn unix_days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let yoe = year.rem_euclid(400);
        let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        era * 146_097 + doe - 719_468
    }
}

/// A moment with the zone in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix: i64,
    /// Minutes east of UTC.
    pub zone: i16,
}

impl DateTime {
    /// A moment in UTC.
    pub fn utc(unix: i64) -> Self {
        Self { unix, zone: 0 }
    }

    /// The inside of `date-time` of RFC 3501 §9: `17-Jul-1996 02:44:25 -0700`, the day perhaps with a space before it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != 26 || text[11] != b' ' || text[20] != b' ' || text[14] != b':' || text[17] != b':' {
            return None;
        }
        let date = Date::parse(if text[0] == b' ' { &text[1..11] } else { &text[..11] })?;
        let (hour, minute, second) =
            (digits(&text[12..14], 2, 2)?, digits(&text[15..17], 2, 2)?, digits(&text[18..20], 2, 2)?);
        let (zone_hour, zone_minute) = (digits(&text[22..24], 2, 2)?, digits(&text[24..26], 2, 2)?);
        // A leap second (60) is allowed and falls on the next minute.
        if hour > 23 || minute > 59 || second > 60 || zone_minute > 59 {
            return None;
        }
        let east = i64::from(zone_hour * 60 + zone_minute);
        let zone = match text[21] {
            b'+' => east,
            b'-' => -east,
            _ => return None,
        };
        let local = date.unix_days() * 86_400 + i64::from(hour * 3_600 + minute * 60 + second);
        Some(Self { unix: local - zone * 60, zone: zone as i16 })
    }

    /// The day in its own zone (RFC 3501 §6.4.4: "disregarding time and timezone").
    pub fn date(self) -> Date {
        Date::of_unix(self.unix.saturating_add(i64::from(self.zone) * 60))
    }

    /// Appends the quoted wire form, the day as two characters.
    pub fn write(self, out: &mut Vec<u8>) {
        let local = self.unix.saturating_add(i64::from(self.zone) * 60);
        let date = Date::of_unix(local);
        let time = local.rem_euclid(86_400);
        out.push(b'"');
        out.extend_from_slice(&two(i64::from(date.day)));
        out.push(b'-');
        out.extend_from_slice(MONTHS[usize::from(date.month - 1)].as_bytes());
        out.push(b'-');
        out.extend_from_slice(&two(i64::from(date.year) / 100));
        out.extend_from_slice(&two(i64::from(date.year) % 100));
        for (before, value) in [(b' ', time / 3_600), (b':', time / 60 % 60), (b':', time % 60)] {
            out.push(before);
            out.extend_from_slice(&two(value));
        }
        out.extend_from_slice(if self.zone < 0 { b" -" } else { b" +" });
        let zone = i64::from(self.zone.unsigned_abs());
        out.extend_from_slice(&two(zone / 60));
        out.extend_from_slice(&two(zone % 60));
        out.push(b'"');
    }
}

impl Date {
    /// Appends `date-text`.
    pub fn write(self, out: &mut Vec<u8>) {
        write::number(out, u64::from(self.day));
        out.push(b'-');
        out.extend_from_slice(MONTHS[usize::from(self.month - 1)].as_bytes());
        out.push(b'-');
        out.extend_from_slice(&two(i64::from(self.year) / 100));
        out.extend_from_slice(&two(i64::from(self.year) % 100));
    }
}

fn two(value: i64) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

fn digits(text: &[u8], least: usize, most: usize) -> Option<u32> {
    if text.len() < least || text.len() > most || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
}

fn month(text: &[u8]) -> Option<u8> {
    MONTHS.iter().position(|m| m.as_bytes().eq_ignore_ascii_case(text)).map(|i| i as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_the_wire() {
        for text in [
            "17-Jul-1996 02:44:25 -0700",
            "01-Jan-1970 00:00:00 +0000",
            "29-Feb-2024 23:59:59 +0530",
            "31-Dec-9999 23:59:59 +0000",
        ] {
            let moment = DateTime::parse(text.as_bytes()).unwrap();
            let mut out = Vec::new();
            moment.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{text}\""));
        }
        assert_eq!(DateTime::parse(b" 1-Jan-1970 00:00:10 +0000"), Some(DateTime::utc(10)));
        assert_eq!(DateTime::parse(b"17-Jul-1996 02:44:25 -0700").unwrap().unix, 837_596_665);
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in
            ["29-Feb-2023", "31-Apr-2024", "0-Jan-2024", "1-Foo-2024", "1-Jan-24", "1-Jan-2024-1", "", "1"]
        {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(DateTime::parse(b"17-Jul-1996 24:44:25 -0700"), None);
    }

    #[test]
    fn every_day_counts_back_to_itself() {
        for day in (-719_162..2_932_896).step_by(97) {
            assert_eq!(Date::of_unix(day * 86_400).unix_days(), day);
        }
        Date::of_unix(i64::MAX);
        Date::of_unix(i64::MIN);
        let mut out = Vec::new();
        DateTime { unix: i64::MAX, zone: i16::MAX }.write(&mut out);
        DateTime { unix: i64::MIN, zone: i16::MIN }.write(&mut out);
    }
}
