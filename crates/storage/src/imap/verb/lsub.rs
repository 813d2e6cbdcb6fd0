//! LSUB (RFC 3501 §6.3.9).

use std::collections::BTreeSet;

use super::super::defaults;
use super::super::pattern::{Pattern, TURN};
use super::super::refusal::Outcome;
use super::super::session::Session;
use super::{done, list};

pub(super) async fn run(session: &mut Session, reference: &str, pattern: &String) -> Outcome {
    let matching = Pattern::all(reference, std::slice::from_ref(pattern))?;
    let matches = |name: &str| matching.iter().any(|pattern| pattern.matches(name));
    let folders = defaults::folders(session.account()).await?;
    let subscribed: BTreeSet<&str> =
        folders.iter().filter(|f| f.subscribed).map(|f| f.name.as_str()).collect();
    let mut parents = BTreeSet::new();
    for (i, name) in subscribed.iter().enumerate() {
        if i % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        if matches(name) {
            list::line(&mut session.out, "LSUB", &[], name, b"");
            continue;
        }
        // §6.3.9: with `%`, a parent that is not subscribed is told as \Noselect if a name under it is.
        if pattern.contains('%') {
            let levels = name.match_indices('/').map(|(at, _)| &name[..at]);
            parents.extend(levels.filter(|parent| !subscribed.contains(*parent) && matches(parent)));
        }
    }
    for parent in parents {
        list::line(&mut session.out, "LSUB", &["\\Noselect"], parent, b"");
    }
    done("LSUB")
}
