//! Sets of message numbers.

/// A sequence set (RFC 3501 §9): ranges of numbers from 1, in which `*` is the largest number in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(Vec<(u32, u32)>);

/// How `*` is kept: zero is no message number.
const STAR: u32 = 0;

impl SequenceSet {
    /// Parses; `None` if it is not a set or has more than `elements` ranges.
    pub fn parse(text: &[u8], elements: usize) -> Option<Self> {
        let mut ranges = Vec::new();
        for range in text.split(|&b| b == b',') {
            if ranges.len() == elements {
                return None;
            }
            let mut ends = range.splitn(2, |&b| b == b':');
            let first = number(ends.next()?)?;
            let last = match ends.next() {
                Some(text) => number(text)?,
                None => first,
            };
            ranges.push((first, last));
        }
        Some(Self(ranges))
    }

    /// One number.
    pub fn single(number: u32) -> Self {
        Self(vec![(number, number)])
    }

    /// Its ranges, sorted, without overlap, `*` replaced by `largest` (zero: nothing is there, so `*` matches nothing).
    /// `9:*` with a largest number of 5 is 5:9, as RFC 3501 §9 wants it.
    pub fn resolve(&self, largest: u32) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for &(first, last) in &self.0 {
            let (first, last) = match (first, last) {
                (STAR, STAR) => (largest, largest),
                (STAR, other) | (other, STAR) => (other, largest),
                both => both,
            };
            if first == 0 || last == 0 {
                continue;
            }
            ranges.push((first.min(last), first.max(last)));
        }
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1.saturating_add(1);
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        ranges
    }

    /// The largest number in ranges without `*`, if any. A sequence number beyond the mailbox is an error of the client
    /// (RFC 3501 §9 `seq-number`); a range with `*` always ends at what is there.
    pub fn largest_written(&self) -> Option<u32> {
        let written = self.0.iter().filter(|&&(first, last)| first != STAR && last != STAR);
        written.map(|&(first, last)| first.max(last)).max()
    }

    /// Whether `*` is in it: with an empty mailbox it names no message.
    pub fn has_star(&self) -> bool {
        self.0.iter().any(|&(first, last)| first == STAR || last == STAR)
    }

    /// Appends the wire form.
    pub fn write(&self, out: &mut Vec<u8>) {
        let one = |out: &mut Vec<u8>, n: u32| {
            if n == STAR { out.push(b'*') } else { crate::write::number(out, u64::from(n)) }
        };
        for (i, &(first, last)) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            one(out, first);
            if first != last {
                out.push(b':');
                one(out, last);
            }
        }
    }
}

/// nz-number or `*`.
fn number(text: &[u8]) -> Option<u32> {
    if text == b"*" {
        return Some(STAR);
    }
    if text.is_empty() || text.len() > 10 || text[0] == b'0' || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Appends numbers in their order, runs that rise by one as ranges: `4,7:9`. For COPYUID the order of both lists must
/// be kept, so nothing is sorted.
pub fn compact(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut run: Option<(u32, u32)> = None;
    let mut first = true;
    let mut print = |out: &mut Vec<u8>, (from, to): (u32, u32)| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        crate::write::number(out, u64::from(from));
        if from != to {
            out.push(b':');
            crate::write::number(out, u64::from(to));
        }
    };
    for n in numbers {
        match &mut run {
            Some((_, to)) if to.checked_add(1) == Some(n) => *to = n,
            _ => {
                if let Some(done) = run.replace((n, n)) {
                    print(out, done);
                }
            }
        }
    }
    if let Some(done) = run {
        print(out, done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_resolve_sorted_and_joined() {
        type Case = (&'static str, u32, &'static [(u32, u32)]);
        let table: &[Case] = &[
            ("1", 9, &[(1, 1)]),
            ("*", 9, &[(9, 9)]),
            ("*", 0, &[]),
            ("5:*", 9, &[(5, 9)]),
            ("9:*", 5, &[(5, 9)]),
            ("4,2,3,9:7,8", 10, &[(2, 4), (7, 9)]),
            ("4294967295,1:4294967294", 1, &[(1, u32::MAX)]),
            ("3:1,*", 2, &[(1, 3)]),
        ];
        for (text, largest, want) in table {
            assert_eq!(SequenceSet::parse(text.as_bytes(), 100).unwrap().resolve(*largest), *want, "{text}");
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "0", "01", "1,", ",1", "1:", ":1", "1:2:3", "a", "4294967296", "-1", "1 ", "**"] {
            assert_eq!(SequenceSet::parse(text.as_bytes(), 100), None, "{text}");
        }
        assert_eq!(SequenceSet::parse(b"1,2,3", 2), None);
    }

    #[test]
    fn uid_lists_are_printed_compactly_in_their_order() {
        let mut out = Vec::new();
        compact(&mut out, [4, 7, 8, 9, 3, 2, 1]);
        assert_eq!(out, b"4,7:9,3,2,1");
    }
}
