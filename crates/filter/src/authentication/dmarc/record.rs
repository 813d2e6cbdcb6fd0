//! DMARC records (RFC 7489 §6.3).

use crate::authentication::header::is_space;
use chasqui_smtp::Mailbox;
use std::fmt;

/// What a domain asks to be done with mail that fails (§6.3 p).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// Nothing.
    None,
    /// To treat it as suspicious.
    Quarantine,
    /// To refuse it.
    Reject,
}

impl Disposition {
    fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Quarantine, Self::Reject]
            .into_iter()
            .find(|disposition| text.eq_ignore_ascii_case(disposition.as_str()))
    }

    /// The word of the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// One step milder (§6.6.4).
    #[must_use]
    pub const fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where aggregate reports go (§6.2, §6.3 rua).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The address of a `mailto:`.
    pub address: String,
    /// Octets of a report that it takes at most.
    pub limit: Option<u64>,
}

/// A domain's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `p=`. `None` also where it is missing or unknown and there is somewhere to report to (§6.6.3 step 6).
    pub policy: Disposition,
    /// `sp=`.
    pub subdomain_policy: Option<Disposition>,
    /// `adkim=s`.
    pub strict_dkim: bool,
    /// `aspf=s`.
    pub strict_spf: bool,
    /// `pct=`, 0 to 100; 0 for a domain that says `t=y`.
    pub percent: u8,
    /// `fo=`, as written.
    pub failure_options: Option<String>,
    /// `rua=`, those that are `mailto:`, at most ten.
    pub reports: Vec<Destination>,
}

impl Record {
    /// Parses a TXT record; `None` when it is none of DMARC, or one that means nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut tags = text.split(';').filter_map(|tag| {
            let (name, value) = tag.split_once('=')?;
            Some((name.trim_matches(is_space), value.trim_matches(is_space)))
        });
        // §6.3 v: first, and exactly this.
        if tags.next() != Some(("v", "DMARC1")) {
            return None;
        }
        // §6.3: what cannot be read counts as absent; of two, the first.
        let tags: Vec<(&str, &str)> = tags.take(64).collect();
        let get = |wanted: &str| {
            tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
        };
        let strict = |tag| get(tag).is_some_and(|value| value.eq_ignore_ascii_case("s"));
        let reports: Vec<Destination> =
            get("rua").unwrap_or_default().split(',').filter_map(destination).take(10).collect();
        let policy = match get("p").and_then(Disposition::parse) {
            Some(policy) => policy,
            None if reports.is_empty() => return None,
            None => Disposition::None,
        };
        let testing = get("t").is_some_and(|value| value.eq_ignore_ascii_case("y"));
        let percent = get("pct").and_then(|value| value.parse().ok()).filter(|percent| *percent <= 100);
        Some(Self {
            policy,
            subdomain_policy: get("sp").and_then(Disposition::parse),
            strict_dkim: strict("adkim"),
            strict_spf: strict("aspf"),
            percent: if testing { 0 } else { percent.unwrap_or(100) },
            failure_options: get("fo")
                .filter(|value| {
                    value.len() <= 16 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':')
                })
                .map(str::to_owned),
            reports,
        })
    }

    /// What is asked for mail of a sub-domain without a record of its own.
    #[must_use]
    pub fn for_subdomains(&self) -> Disposition {
        self.subdomain_policy.unwrap_or(self.policy)
    }
}

/// `mailto:address`, maybe with `!10m` (§6.2).
fn destination(uri: &str) -> Option<Destination> {
    let uri = uri.trim_matches(is_space);
    let address = uri.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).and(uri.get(7..))?;
    let (address, limit) = match address.rsplit_once('!') {
        Some((address, limit)) => (address, Some(size(limit)?)),
        None => (address, None),
    };
    let address = percent_decode(address.split('?').next()?)?;
    Mailbox::parse(&address).ok().map(|mailbox| Destination { address: mailbox.as_str().to_owned(), limit })
}

fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1u64 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// RFC 6068 §2.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_record_is_read() {
        let record = Record::parse(
            "v=DMARC1; p=Reject ; sp=quarantine; adkim=s; aspf=r; pct=50; fo=1:d; rua=mailto:a@example.org!10m, MAILTO:b%2Bc@example.net, https://x.test; x=y",
        )
        .unwrap();
        assert_eq!((record.policy, record.for_subdomains()), (Disposition::Reject, Disposition::Quarantine));
        assert_eq!((record.strict_dkim, record.strict_spf, record.percent), (true, false, 50));
        let to: Vec<_> = record.reports.iter().map(|to| (to.address.as_str(), to.limit)).collect();
        assert_eq!(to, [("a@example.org", Some(10 << 20)), ("b+c@example.net", None)]);
    }

    #[test]
    fn what_cannot_be_read_counts_as_absent() {
        let record = Record::parse("v=DMARC1;p=quarantine;pct=101;sp=x;adkim=;fo=<>;rua=mailto:@!x").unwrap();
        assert_eq!((record.percent, record.subdomain_policy, record.failure_options), (100, None, None));
        assert!(record.reports.is_empty());
        assert_eq!(Record::parse("v=DMARC1; t=y; p=reject").unwrap().percent, 0);
    }

    #[test]
    fn a_record_without_a_policy_only_reports() {
        assert_eq!(Record::parse("v=DMARC1; rua=mailto:a@b.test").unwrap().policy, Disposition::None);
        for text in [
            "v=DMARC1",
            "v=DMARC1; p=x",
            "p=reject; v=DMARC1",
            "v=DMARC2; p=none",
            "v=dmarc1; p=none",
            "",
            "v=spf1 -all",
        ] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_step_is_milder() {
        assert_eq!(Disposition::Reject.milder().milder(), Disposition::None);
        assert!(Disposition::Reject > Disposition::Quarantine);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_record_or_not(text in "(v=DMARC1;)?[ -~\u{f1}]{0,80}") {
            if let Some(record) = Record::parse(&text) {
                proptest::prop_assert!(record.percent <= 100 && record.reports.len() <= 10);
            }
        }

        #[test]
        fn any_uri_is_a_destination_or_not(text in "mailto:[a-z@.%!0-9kmgt\u{f1}]{0,40}") {
            let _ = destination(&text);
        }
    }
}
