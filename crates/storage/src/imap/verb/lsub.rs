//! LSUB (RFC 3501 §6.3.9).

use std::collections::BTreeSet;

use super::super::defaults;
use super::super::pattern::Pattern;
use super::super::refusal::Outcome;
use super::super::session::Session;
use super::{done, list};

pub(super) async fn run(session: &mut Session, reference: &str, pattern: &str) -> Outcome {
    let folders = defaults::folders(session.account()).await?;
    let matching = Pattern::new(reference, pattern);
    let subscribed: BTreeSet<&str> =
        folders.iter().filter(|f| f.subscribed).map(|f| f.name.as_str()).collect();
    let mut parents = BTreeSet::new();
    for name in &subscribed {
        if matching.matches(name) {
            list::line(&mut session.out, "LSUB", &[], name, b"");
            continue;
        }
        // §6.3.9: with `%`, a parent that is not subscribed is told as \Noselect if a name under it is.
        if pattern.contains('%') {
            let levels = name.match_indices('/').map(|(at, _)| &name[..at]);
            parents.extend(levels.filter(|parent| !subscribed.contains(*parent) && matching.matches(parent)));
        }
    }
    for parent in parents {
        list::line(&mut session.out, "LSUB", &["\\Noselect"], parent, b"");
    }
    done("LSUB")
}
