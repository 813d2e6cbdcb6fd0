//! LIST patterns (RFC 3501 §6.3.8).

use chasqui_imap::{Code, Reply};

/// Octets of all patterns of a command, joined with their reference: each is compared with every name of the account.
const PATTERNS: usize = 1 << 10;

/// Names compared with the patterns before other tasks get their turn.
pub(super) const TURN: usize = 16;

/// A pattern joined with its reference.
pub(super) struct Pattern(Vec<char>);

impl Pattern {
    /// The patterns of a command; NO if they are too large together.
    pub(super) fn all(reference: &str, patterns: &[String]) -> Result<Vec<Self>, Reply> {
        // An empty pattern is work too.
        let size: usize = patterns.iter().map(|pattern| reference.len() + pattern.len().max(1)).sum();
        if size > PATTERNS {
            return Err(Reply::no("The patterns are too long").with(Code::Limit));
        }
        Ok(patterns.iter().map(|pattern| Self::new(reference, pattern)).collect())
    }

    /// A pattern that begins with the separator stands alone, else it continues the reference. INBOX knows no case.
    fn new(reference: &str, pattern: &str) -> Self {
        let joined = match pattern.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!("{reference}{pattern}"),
        };
        let mut pattern: Vec<char> = Vec::with_capacity(joined.len());
        for c in joined.chars() {
            // A run of wildcards stands for what its widest does.
            match (pattern.last_mut(), c) {
                (Some(last @ ('*' | '%')), '*') => *last = '*',
                (Some('*' | '%'), '%') => {}
                _ => pattern.push(c),
            }
        }
        Self(pattern)
    }

    /// Whether a name matches as a whole: `*` stands for anything, `%` for anything within a level.
    pub(super) fn matches(&self, name: &str) -> bool {
        let inbox = name == "INBOX" || name.starts_with("INBOX/");
        let name: Vec<char> = name.chars().collect();
        // `reached[i]`: the pattern so far can stand for the first i characters. Linear in both, whatever the wildcards.
        let mut reached = vec![false; name.len() + 1];
        reached[0] = true;
        for (at, &wanted) in self.0.iter().enumerate() {
            match wanted {
                '*' | '%' => {
                    for i in 1..reached.len() {
                        reached[i] |= reached[i - 1] && (wanted == '*' || name[i - 1] != '/');
                    }
                }
                _ => {
                    for i in (1..reached.len()).rev() {
                        let caseless = inbox && at < 5 && i <= 5;
                        let same =
                            name[i - 1] == wanted || (caseless && name[i - 1].eq_ignore_ascii_case(&wanted));
                        reached[i] = reached[i - 1] && same;
                    }
                    reached[0] = false;
                }
            }
            if !reached.contains(&true) {
                return false;
            }
        }
        reached[name.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stop_where_they_must() {
        let table = [
            ("", "*", "a/b/c", true),
            ("", "%", "a", true),
            ("", "%", "a/b", false),
            ("", "%/%", "a/b", true),
            ("a/", "%", "a/b", true),
            ("a/", "%", "a/b/c", false),
            ("a/", "*", "a/b/c", true),
            ("a", "*", "ab", true),
            ("", "inbox", "INBOX", true),
            ("", "InB%", "INBOX", true),
            ("", "sent", "Sent", false),
            ("x/", "/a", "a", true),
            ("", "a*c", "a/b/c", true),
            ("", "a%c", "a/b/c", false),
            ("", "", "a", false),
            ("", "*ñ", "mañ", true),
            ("", "%%", "a/b", false),
            ("", "%*%", "a/b", true),
            ("", "a%%/**c", "ab/x/c", true),
        ];
        for (reference, pattern, name, want) in table {
            assert_eq!(
                Pattern::new(reference, pattern).matches(name),
                want,
                "{reference:?} {pattern:?} {name:?}"
            );
        }
    }

    #[test]
    fn patterns_of_a_command_are_bounded_together() {
        let of = |count, octets| vec!["a".repeat(octets); count];
        assert!(Pattern::all("", &of(1, 1024)).is_ok());
        assert!(Pattern::all("", &of(2, 513)).is_err());
        assert!(Pattern::all("x", &of(1, 1024)).is_err());
        assert!(Pattern::all("", &of(1025, 0)).is_err());
        assert_eq!(Pattern::new("", &"*%".repeat(500)).0.len(), 1);
    }

    #[test]
    fn many_wildcards_do_not_take_for_ever() {
        let pattern = Pattern::new("", &"*a".repeat(2000));
        assert!(!pattern.matches(&"a".repeat(250)));
    }
}
