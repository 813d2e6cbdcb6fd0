//! LIST patterns (RFC 3501 §6.3.8).

/// A pattern joined with its reference.
pub(super) struct Pattern(Vec<char>);

impl Pattern {
    /// A pattern that begins with the separator stands alone, else it continues the reference. INBOX knows no case.
    pub(super) fn new(reference: &str, pattern: &str) -> Self {
        let joined = match pattern.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!("{reference}{pattern}"),
        };
        Self(joined.chars().collect())
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
    fn many_wildcards_do_not_take_for_ever() {
        let pattern = Pattern::new("", &"*a".repeat(2000));
        assert!(!pattern.matches(&"a".repeat(250)));
    }
}
