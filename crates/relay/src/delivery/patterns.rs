//! Domains by pattern: `example.org`, `*.example.org`, `*`; the most exact one decides.

use chasqui_base::DomainName;
use std::collections::HashMap;

/// What is known of domains by pattern.
#[derive(Debug)]
pub(super) struct Patterns<T> {
    exact: HashMap<String, T>,
    below: HashMap<String, T>,
    others: Option<T>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new(), others: None }
    }
}

impl<T: Default> Patterns<T> {
    /// The place of a pattern; none when it is no pattern.
    pub(super) fn place(&mut self, pattern: &str) -> Option<&mut T> {
        if pattern == "*" {
            return Some(self.others.get_or_insert_default());
        }
        let (names, name) = match pattern.strip_prefix("*.") {
            Some(name) => (&mut self.below, name),
            None => (&mut self.exact, pattern),
        };
        let name = DomainName::parse(name).ok()?;
        Some(names.entry(name.as_str().to_owned()).or_default())
    }

    /// What is known of a canonical domain. An address literal is only ever known as `*`.
    pub(super) fn find(&self, domain: &str) -> Option<&T> {
        if let Some(found) = self.exact.get(domain) {
            return Some(found);
        }
        let mut rest = domain;
        while let Some((_, parent)) = rest.split_once('.').filter(|_| !domain.starts_with('[')) {
            if let Some(found) = self.below.get(parent) {
                return Some(found);
            }
            rest = parent;
        }
        self.others.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &[&'static str]) -> Patterns<&'static str> {
        let mut patterns = Patterns::default();
        for pattern in list {
            *patterns.place(pattern).unwrap() = *pattern;
        }
        patterns
    }

    #[test]
    fn the_most_exact_pattern_decides() {
        let known = patterns(&["*", "*.example.org", "*.sub.example.org", "example.org", "Ñandú.example"]);
        for (domain, expected) in [
            ("example.org", "example.org"),
            ("mail.example.org", "*.example.org"),
            ("a.b.example.org", "*.example.org"),
            ("sub.example.org", "*.example.org"),
            ("x.sub.example.org", "*.sub.example.org"),
            ("notexample.org", "*"),
            ("org", "*"),
            ("[192.0.2.1]", "*"),
            ("xn--and-6ma2c.example", "Ñandú.example"),
        ] {
            assert_eq!(known.find(domain), Some(&expected), "{domain}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_domain_and_any_pattern_are_taken(domain in "\\PC{0,40}", pattern in "\\PC{0,40}") {
            let mut known = Patterns::<u8>::default();
            let _ = known.place(&pattern);
            let _ = known.find(&domain);
        }
    }
}
