//! Names of message files: `<seconds>.<unique>.<host>,S=<size>,U=<uid>` in `new/`, and with `:2,<letters>` in `cur/`.
//!
//! Everything that a listing needs is in the name, so that the tree alone is the truth: the internal date in seconds since 1970, the
//! size in octets, the UID, the flags, and keywords as letters `a` to `z` whose meaning is in the folder's state file. `unique`
//! of a delivery is its id, by which a retry is recognised.

use chasqui_base::DeliveryId;

use crate::uid::Uid;

/// Letters of the info part: flags as bits (those of [`Flags`](crate::Flags), then [`PASSED`]) and keywords as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Letters {
    pub(crate) system: u8,
    pub(crate) keywords: u32,
}

/// Maildir's `P` (passed on), which IMAP has no flag for; kept when others change.
pub(crate) const PASSED: u8 = 32;
// In the order in which they must stand, with their bits.
const SYSTEM: [(char, u8); 6] = [('D', 16), ('F', 4), ('P', PASSED), ('R', 2), ('S', 1), ('T', 8)];

impl Letters {
    pub(crate) fn parse(info: &str) -> Letters {
        let mut letters = Letters::default();
        for c in info.chars() {
            if let Some((_, bit)) = SYSTEM.iter().find(|(letter, _)| *letter == c) {
                letters.system |= bit;
            } else if c.is_ascii_lowercase() {
                letters.keywords |= 1 << (c as u32 - 'a' as u32);
            }
        }
        letters
    }

    pub(crate) fn write(self, out: &mut String) {
        out.extend(SYSTEM.iter().filter(|(_, bit)| self.system & bit != 0).map(|(letter, _)| *letter));
        out.extend(
            ('a'..='z')
                .enumerate()
                .filter(|(bit, _)| self.keywords & (1 << bit) != 0)
                .map(|(_, letter)| letter),
        );
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Letters::default()
    }
}

/// The part of a name before the info, kept as small as can be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Base {
    /// One that this store made: all else is in the entry.
    Own(DeliveryId),
    /// Another program's.
    Foreign(Box<str>),
}

/// What a file's name says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ParsedName<'a> {
    /// All before the info.
    pub(crate) base: &'a str,
    /// Seconds since 1970.
    pub(crate) time: Option<u64>,
    /// The part between the first two dots, if it is an id.
    pub(crate) id: Option<DeliveryId>,
    pub(crate) host: &'a str,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<Uid>,
    pub(crate) letters: Letters,
}

impl ParsedName<'_> {
    /// Reads any name; none for one that no message can have (a leading dot, control characters).
    pub(crate) fn parse(name: &str) -> Option<ParsedName<'_>> {
        if name.is_empty() || name.starts_with('.') || name.contains(|c: char| c == '/' || c.is_control()) {
            return None;
        }
        let (base, info) = name.split_once(':').unwrap_or((name, ""));
        let letters = info.strip_prefix("2,").map(Letters::parse).unwrap_or_default();
        let mut fields = base.split(',');
        let unique = fields.next().unwrap_or_default();
        let (mut size, mut uid) = (None, None);
        for field in fields {
            match field.split_once('=') {
                Some(("S", value)) => size = size.or(number(value)),
                Some(("U", value)) => {
                    uid = uid.or(number(value).and_then(|n| u32::try_from(n).ok()).and_then(Uid::new))
                }
                _ => {}
            }
        }
        let mut dots = unique.splitn(3, '.');
        let time = dots.next().and_then(number);
        let id = dots.next().and_then(|text| text.parse().ok());
        Some(ParsedName { base, time, id, host: dots.next().unwrap_or_default(), size, uid, letters })
    }
}

// Only the canonical spelling, so that a name has one reading.
fn number(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// The base of a name of ours.
pub(crate) fn own_base(time: u64, id: DeliveryId, host: &str, size: u64, uid: Uid) -> String {
    format!("{time}.{id}.{host},S={size},U={uid}")
}

/// The base of another program's name with size and UID put in.
pub(crate) fn adopted_base(parsed: &ParsedName<'_>, size: u64, uid: Uid) -> String {
    let mut base = String::with_capacity(parsed.base.len() + 24);
    for (n, field) in parsed.base.split(',').enumerate() {
        if n == 0 {
            base.push_str(field);
        } else if !field.starts_with("S=") && !field.starts_with("U=") {
            base.push(',');
            base.push_str(field);
        }
    }
    // A directory entry has at most 255 octets: a name too long to carry more is cut, and keeps apart by its UID.
    let mut keep = base.len().min(180);
    while !base.is_char_boundary(keep) {
        keep -= 1;
    }
    base.truncate(keep);
    format!("{base},S={size},U={uid}")
}

/// The machine's name as it may stand in a file name (cr.yp.to/proto/maildir.html: `/` and `:` in octal; a comma would start a field).
pub(crate) fn safe_host(host: &str) -> String {
    let mut safe = String::new();
    for c in host.chars().take(64) {
        if c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_' {
            safe.push(c);
        } else {
            safe.push_str(&format!("\\{:03o}", u32::from(c) & 0o777));
        }
    }
    if safe.is_empty() { "localhost".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_other_programs_are_read() {
        let dovecot = ParsedName::parse("1276528487.M364837P9451.kurkku,S=1355,W=1394:2,FSac").unwrap();
        assert_eq!((dovecot.time, dovecot.id, dovecot.host), (Some(1276528487), None, "kurkku"));
        assert_eq!((dovecot.size, dovecot.uid), (Some(1355), None));
        assert_eq!(dovecot.letters, Letters { system: 4 | 1, keywords: 0b101 });
        assert_eq!(
            adopted_base(&dovecot, 1355, Uid::MIN),
            "1276528487.M364837P9451.kurkku,W=1394,S=1355,U=1"
        );
        let odd = ParsedName::parse("hello").unwrap();
        assert_eq!((odd.time, odd.size, odd.uid), (None, None, None));
        assert_eq!(ParsedName::parse("1.2.h,S=1,U=0").unwrap().uid, None);
        assert_eq!(ParsedName::parse("1.2.h,S=1,U=4294967296").unwrap().uid, None);
        assert_eq!(ParsedName::parse(".hidden"), None);
    }

    #[test]
    fn a_host_never_breaks_a_name() {
        for host in ["", "a/b", "a:b", "a,b", "..", &"x".repeat(300)] {
            let name = own_base(1, DeliveryId::from_bytes([1; 16]), &safe_host(host), 2, Uid::MIN);
            let parsed = ParsedName::parse(&name).unwrap();
            assert_eq!((parsed.size, parsed.uid, parsed.id.is_some()), (Some(2), Some(Uid::MIN), true));
            assert!(name.len() < 200);
        }
    }

    proptest! {
        #[test]
        fn our_names_round_trip(time in 0u64..1 << 40, id: [u8; 16], size: u64, uid in 1u32.., system in 0u8..64, keywords in 0u32..1 << 26) {
            let (id, uid, letters) = (DeliveryId::from_bytes(id), Uid::new(uid).unwrap(), Letters { system, keywords });
            let base = own_base(time, id, "mail.ejemplo.test", size, uid);
            let mut name = format!("{base}:2,");
            letters.write(&mut name);
            prop_assert!(name.len() <= 255);
            let parsed = ParsedName::parse(&name).unwrap();
            let expected = ParsedName { base: &base, time: Some(time), id: Some(id), host: "mail.ejemplo.test", size: Some(size), uid: Some(uid), letters };
            prop_assert_eq!(parsed, expected);
        }

        #[test]
        fn an_adopted_name_has_its_size_and_uid(name in "[^\\p{C}/.][^\\p{C}/]{0,120}", size: u64, uid in 1u32..) {
            let uid = Uid::new(uid).unwrap();
            let parsed = ParsedName::parse(&name).unwrap();
            let adopted = adopted_base(&parsed, size, uid);
            let again = ParsedName::parse(&adopted).unwrap();
            prop_assert_eq!((again.size, again.uid), (Some(size), Some(uid)));
            prop_assert!(adopted.len() <= 228);
        }
    }
}
