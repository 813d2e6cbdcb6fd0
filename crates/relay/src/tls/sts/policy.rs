//! The two texts of MTA-STS: the TXT record (RFC 8461 §3.1) and the policy (§3.2).

use serde::{Deserialize, Serialize};

use super::super::dane::is_directly_below;

/// Octets of a policy (§3.2 recommends to read no more).
pub(super) const MAX_POLICY: usize = 64 * 1024;
/// MX patterns of a policy.
const MAX_PATTERNS: usize = 1000;
/// §3.2: a policy's longest life, in seconds.
const MAX_AGE: u64 = 31_557_600;

/// What hosts that do not fit the policy mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No delivery to them.
    Enforce,
    /// A report.
    Testing,
    /// The domain has no policy any more.
    None,
}

/// A domain's policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What it is about hosts that do not fit.
    pub mode: Mode,
    /// Host names, lower case; `*.example.org` is any host directly below.
    pub mx: Vec<String>,
    /// How long it may be kept, in seconds.
    pub max_age: u64,
}

/// Why a text is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A field that must be there is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("`{0}` has a value that it cannot have")]
    Value(&'static str),
    /// A line is no field.
    #[error("a line is no field")]
    Line,
    /// It is too long, or has too many patterns.
    #[error("the policy is too long")]
    TooLong,
}

impl Policy {
    /// Parses the text of a policy. Of a field that stands twice the first counts, `mx` aside; fields that are not known are passed over.
    ///
    /// # Errors
    /// What makes it none.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            return Err(PolicyError::TooLong);
        }
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        for line in text.split('\n') {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once(':').ok_or(PolicyError::Line)?;
            let (key, value) = (key.trim_end(), value.trim_start());
            match key {
                "version" => drop(version.get_or_insert(value)),
                "mode" => drop(mode.get_or_insert(value)),
                "max_age" => drop(max_age.get_or_insert(value)),
                "mx" if mx.len() == MAX_PATTERNS => return Err(PolicyError::TooLong),
                "mx" => mx.push(pattern(value).ok_or(PolicyError::Value("mx"))?),
                _ => {}
            }
        }
        if version.ok_or(PolicyError::Missing("version"))? != "STSv1" {
            return Err(PolicyError::Value("version"));
        }
        let mode = match mode.ok_or(PolicyError::Missing("mode"))? {
            "enforce" => Mode::Enforce,
            "testing" => Mode::Testing,
            "none" => Mode::None,
            _ => return Err(PolicyError::Value("mode")),
        };
        let max_age = max_age.ok_or(PolicyError::Missing("max_age"))?;
        let digits = (1..=10).contains(&max_age.len()) && max_age.bytes().all(|octet| octet.is_ascii_digit());
        let max_age = max_age.parse().ok().filter(|_| digits).ok_or(PolicyError::Value("max_age"))?;
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::Missing("mx"));
        }
        Ok(Self { mode, mx, max_age: MAX_AGE.min(max_age) })
    }

    /// Whether the host is one of the policy's (§4.1).
    pub fn admits(&self, host: &str) -> bool {
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(above) => is_directly_below(host, above),
            None => pattern.eq_ignore_ascii_case(host),
        })
    }

    /// Its lines, for reports (RFC 8460 §4.4).
    pub fn lines(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
        lines.extend(self.mx.iter().map(|pattern| format!("mx: {pattern}")));
        lines.push(format!("max_age: {}", self.max_age));
        lines
    }
}

/// The id in the TXT records of `_mta-sts.`: none unless exactly one is of this version and whole (§3.1).
pub fn announced(records: &[String]) -> Option<String> {
    let mut ours = records.iter().filter_map(|record| version_and_rest(record));
    let (Some(fields), None) = (ours.next(), ours.next()) else { return None };
    let mut id = None;
    for field in fields.split(';').map(str::trim).filter(|field| !field.is_empty()) {
        let (key, value) = field.split_once('=')?;
        if key.trim_end() == "id" && id.is_none() {
            id = Some(value.trim_start());
        }
    }
    id.filter(|id| (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric()))
        .map(str::to_owned)
}

fn version_and_rest(record: &str) -> Option<&str> {
    let rest = record.strip_prefix("v=STSv1")?.trim_start_matches([' ', '\t']);
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(';') }
}

fn pattern(text: &str) -> Option<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let valid = chasqui_base::DomainName::parse(name).ok()?;
    Some(if name.len() == text.len() { valid.as_str().to_owned() } else { format!("*.{}", valid.as_str()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_standards_example_is_read() {
        let text = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!((policy.mode, policy.max_age, policy.mx.len()), (Mode::Enforce, 604_800, 3));
        for (host, admitted) in [
            ("mail.example.com", true),
            ("MAIL.example.com", true),
            ("x.example.net", true),
            ("x.y.example.net", false),
            ("example.net", false),
            (".example.net", false),
            ("other.example.com", false),
        ] {
            assert_eq!(policy.admits(host), admitted, "{host}");
        }
        assert_eq!(Policy::parse(&policy.lines().join("\n")), Ok(policy));
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        use PolicyError::*;
        for (text, error) in [
            ("", Missing("version")),
            ("version: STSv2\nmode: none\nmax_age: 1", Value("version")),
            ("version: STSv1\nmax_age: 1", Missing("mode")),
            ("version: STSv1\nmode: maybe\nmax_age: 1", Value("mode")),
            ("version: STSv1\nmode: none", Missing("max_age")),
            ("version: STSv1\nmode: none\nmax_age: -1", Value("max_age")),
            ("version: STSv1\nmode: none\nmax_age: 12345678901", Value("max_age")),
            ("version: STSv1\nmode: enforce\nmax_age: 1", Missing("mx")),
            ("version: STSv1\nmode: enforce\nmax_age: 1\nmx: *", Value("mx")),
            ("version: STSv1\nmode: enforce\nmax_age: 1\nmx: a.*.example.org", Value("mx")),
            ("<html>", Line),
        ] {
            assert_eq!(Policy::parse(text), Err(error), "{text}");
        }
        let long = format!("version: STSv1\nmode: none\nmax_age: 1\nx: {}", "x".repeat(MAX_POLICY));
        assert_eq!(Policy::parse(&long), Err(TooLong));
        let many = format!("version: STSv1\nmode: enforce\nmax_age: 1\n{}", "mx: a.test\n".repeat(1001));
        assert_eq!(Policy::parse(&many), Err(TooLong));
    }

    #[test]
    fn the_first_of_a_field_counts_and_a_life_has_an_end() {
        let text = "version: STSv1\nmode: none\nmode: enforce\nmax_age: 9999999999\nfuture: x";
        let policy = Policy::parse(text).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::None, MAX_AGE));
    }

    #[test]
    fn one_whole_record_announces_a_policy() {
        let id = |records: &[&str]| announced(&records.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>());
        assert_eq!(id(&["v=STSv1; id=20160831085700Z;"]), Some("20160831085700Z".to_owned()));
        assert_eq!(id(&["v=STSv1 ;id = a1", "v=spf1 -all"]), Some("a1".to_owned()));
        for none in [
            &["v=STSv1; id=1", "v=STSv1; id=2"][..],
            &["v=STSv1;"],
            &["v=STSv1"],
            &["v=STSv2; id=1"],
            &["v=STSv1x; id=1"],
            &["id=1; v=STSv1"],
            &["v=STSv1; id=has-hyphen"],
            &["v=STSv1; id=123456789012345678901234567890123"],
            &["v=STSv1; id=1; nonsense"],
            &[],
        ] {
            assert_eq!(id(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text in "\\PC{0,200}", host in "\\PC{0,40}") {
            if let Ok(policy) = Policy::parse(&text) {
                let _ = policy.admits(&host);
                prop_assert_eq!(Policy::parse(&policy.lines().join("\r\n")), Ok(policy));
            }
            let _ = announced(&[text]);
        }

        #[test]
        fn what_is_made_of_fields_is_read_or_refused_without_panic(
            lines in proptest::collection::vec(("(version|mode|mx|max_age|x)", ": ?", "[a-zA-Z0-9.*-]{0,20}"), 0..12),
            record in "v=STSv1 ?;? ?(id ?= ?[a-z0-9;=]{0,40})?",
        ) {
            let text: String = lines.iter().map(|(key, colon, value)| format!("{key}{colon}{value}\r\n")).collect();
            if let Ok(policy) = Policy::parse(&text) {
                prop_assert_eq!(Policy::parse(&policy.lines().join("\n")), Ok(policy));
            }
            if let Some(id) = announced(&[record]) {
                prop_assert!(id.len() <= 32);
            }
        }
    }
}
