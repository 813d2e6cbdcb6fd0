//! From a recipient to its destinations, over one [`View`].
//!
//! The order in which an address is tried: as it stands; without its tag (`user+tag`, RFC 5233); the domain's catch-all. An alias leads
//! to other addresses, which are tried in the same way, each once: that ends loops and removes doubles. Depth and number of
//! destinations are bounded; a list over the bounds fails as a whole, since mail to a part of it would be lost mail for the rest.

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::LimitsConfig;
use crate::record::Node;
use crate::snapshot::entry::{Account, Alias, Entry, Key};
use crate::snapshot::{Domain, View};

/// What a recipient resolves to, borrowing from the view.
pub(crate) enum Resolution<'v> {
    NotOurs,
    Unknown,
    /// The commonest answer by far, so it needs no allocation.
    Account(Hit<'v>),
    /// What an alias led to; not empty.
    Targets(Vec<Destination<'v>>),
    /// It cannot be answered now; why, for the log.
    Failing(&'static str),
}

pub(crate) enum Destination<'v> {
    Account(Hit<'v>),
    Remote(&'v str),
}

/// An account that was found.
pub(crate) struct Hit<'v> {
    pub(crate) account: Account<'v>,
    /// The domain's name: with `account.local` it is the canonical address.
    pub(crate) domain: &'v str,
    pub(crate) node: &'v Arc<Node>,
    pub(crate) tag: Option<&'v str>,
}

/// Resolves a canonical address.
pub(crate) fn resolve<'v>(view: &'v View, address: &'v str, limits: &LimitsConfig) -> Resolution<'v> {
    match step(view, address) {
        Step::NotOurs => Resolution::NotOurs,
        Step::Unknown => Resolution::Unknown,
        Step::Account(hit) => Resolution::Account(hit),
        Step::Failing(reason) => Resolution::Failing(reason),
        Step::Alias(..) | Step::CatchAll(_) => expand(view, address, limits),
    }
}

/// The account with exactly this canonical address; no alias, no tag, no catch-all. For log-in.
pub(crate) fn exact<'v>(view: &'v View, address: &'v str) -> Option<Hit<'v>> {
    let (local, domain) = address.rsplit_once('@')?;
    match view.find(Key { domain: view.domains.get(domain)?.id, local })? {
        Entry::Account(account) => {
            Some(Hit { account, domain, node: view.nodes.get(&account.node)?, tag: None })
        }
        _ => None,
    }
}

/// Whether an account may send as `sender`: as itself, with a tag or without; as an alias that leads to it alone; as an address that was
/// delegated to it. `None` when it cannot be said now.
pub(crate) fn may_send_as(view: &View, account: &str, sender: &str, limits: &LimitsConfig) -> Option<bool> {
    let is_it = |hit: &Hit<'_>| {
        account.strip_suffix(hit.domain).and_then(|rest| rest.strip_suffix('@')) == Some(hit.account.local)
    };
    let own = match step(view, sender) {
        Step::Account(hit) => is_it(&hit),
        Step::Alias(..) => match expand(view, sender, limits) {
            // One that also leads out of the site has others behind it.
            Resolution::Targets(targets) => {
                matches!(targets.as_slice(), [Destination::Account(hit)] if is_it(hit))
            }
            Resolution::Failing(reason) => {
                tracing::warn!(account, sender, reason, "whether somebody may send as an alias is not known");
                return None;
            }
            _ => false,
        },
        // What falls to the catch-all is nobody's own.
        Step::CatchAll(_) | Step::NotOurs | Step::Unknown => false,
        Step::Failing(_) => return None,
    };
    let delegated = |sender: &str| {
        let given = view.delegations.get(account);
        given.is_some_and(|given| given.iter().any(|address| **address == *sender))
    };
    let without_tag = || {
        let (local, domain) = sender.rsplit_once('@')?;
        let (user, _) = split_tag(local)?;
        // An address of its own is not the tagged form of another.
        let domain_id = view.domains.get(domain)?.id;
        view.find(Key { domain: domain_id, local }).is_none().then(|| format!("{user}@{domain}"))
    };
    Some(own || delegated(sender) || without_tag().is_some_and(|sender| delegated(&sender)))
}

enum Step<'v> {
    NotOurs,
    Unknown,
    Account(Hit<'v>),
    Alias(Alias<'v>, Option<&'v str>),
    CatchAll(&'v str),
    Failing(&'static str),
}

fn step<'v>(view: &'v View, address: &'v str) -> Step<'v> {
    let Some((local, domain_name)) = address.rsplit_once('@') else { return Step::NotOurs };
    let Some(domain) = view.domains.get(domain_name) else { return Step::NotOurs };
    if let Some(found) = entry(view, domain, domain_name, local, None) {
        return found;
    }
    if let Some((user, tag)) = split_tag(local)
        && let Some(found) = entry(view, domain, domain_name, user, Some(tag))
    {
        return found;
    }
    match &domain.catch_all {
        Some(catch_all) => Step::CatchAll(catch_all.as_str()),
        None => Step::Unknown,
    }
}

fn entry<'v>(
    view: &'v View,
    domain: &Domain,
    name: &'v str,
    local: &'v str,
    tag: Option<&'v str>,
) -> Option<Step<'v>> {
    match view.find(Key { domain: domain.id, local })? {
        Entry::Account(account) => match view.nodes.get(&account.node) {
            Some(node) => Some(Step::Account(Hit { account, domain: name, node, tag })),
            None => Some(Step::Failing("the account's node is not in the directory")),
        },
        Entry::Alias(alias) => Some(Step::Alias(alias, tag)),
        Entry::Removed => None,
    }
}

fn split_tag(local: &str) -> Option<(&str, &str)> {
    if local.starts_with('"') {
        return None;
    }
    local.split_once('+').filter(|(user, _)| !user.is_empty())
}

fn expand<'v>(view: &'v View, address: &'v str, limits: &LimitsConfig) -> Resolution<'v> {
    let mut found = Vec::new();
    let mut tried = HashSet::from([address]);
    let mut accounts = HashSet::new();
    // What is still to be tried: address, the tag it inherits, how deep it stands.
    let mut pending = vec![(address, None, 0_usize)];
    while let Some((address, inherited, depth)) = pending.pop() {
        if depth > limits.depth {
            return Resolution::Failing("aliases of aliases are nested too deeply");
        }
        let mut follow = |target: &'v str, tag| {
            if tried.insert(target) {
                pending.push((target, tag, depth + 1));
            }
        };
        match step(view, address) {
            Step::NotOurs => found.push(Destination::Remote(address)),
            // A dangling target does not keep the others from their mail.
            Step::Unknown => {}
            Step::Account(mut hit) => {
                hit.tag = hit.tag.or(inherited);
                if accounts.insert((hit.account.local, hit.domain)) {
                    found.push(Destination::Account(hit));
                }
            }
            Step::Alias(alias, tag) => {
                // The last pending is tried first, so they go in backwards and come out as the operator wrote them.
                let mut targets: Vec<&str> =
                    alias.targets().take(limits.expansion.saturating_add(1)).collect();
                targets.reverse();
                targets.into_iter().for_each(|target| follow(target, tag.or(inherited)));
            }
            Step::CatchAll(target) => follow(target, inherited),
            Step::Failing(reason) => return Resolution::Failing(reason),
        }
        if found.len() > limits.expansion || tried.len() > limits.expansion.saturating_mul(4) {
            return Resolution::Failing("an alias expands to too many destinations");
        }
    }
    if found.is_empty() { Resolution::Unknown } else { Resolution::Targets(found) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::record::{AccountState, Services};
    use crate::snapshot::{Builder, Nodes, entry};

    /// A view of `ours.test` (id 1), with the given accounts and aliases.
    fn view(accounts: &[&str], aliases: &[(&str, &[&str])], catch_all: Option<&str>) -> View {
        let mut builder = Builder::with_capacity(accounts.len() + aliases.len(), 0);
        let mut packed = Vec::new();
        for local in accounts {
            packed.clear();
            let account = Account {
                local,
                node: 7,
                state: AccountState::Active,
                services: Services::ALL,
                quota: None,
                uid: None,
                gid: None,
                hash: &[],
            };
            entry::pack_account(&mut packed, 1, &account, None);
            builder.insert(&packed).unwrap();
        }
        for (local, targets) in aliases {
            packed.clear();
            entry::pack_alias(&mut packed, Key { domain: 1, local }, targets);
            builder.insert(&packed).unwrap();
        }
        let node = Node {
            name: "s1".into(),
            lmtp: "h:1".parse().unwrap(),
            imap: "h:2".parse().unwrap(),
            pop3: "h:3".parse().unwrap(),
        };
        View {
            base: Arc::new(builder.finish()),
            domains: Arc::new(
                [("ours.test".into(), Domain { id: 1, catch_all: catch_all.map(|a| a.parse().unwrap()) })]
                    .into_iter()
                    .collect(),
            ),
            nodes: Arc::new(Nodes::from_iter([(7, Arc::new(node))])),
            ..View::default()
        }
    }

    fn show(view: &View, address: &str) -> String {
        let hit = |hit: &Hit<'_>| {
            let tag = hit.tag.map(|tag| format!("[{tag}]")).unwrap_or_default();
            format!("{}@{}{tag}", hit.account.local, hit.domain)
        };
        match resolve(view, address, &LimitsConfig::default()) {
            Resolution::NotOurs => "not ours".into(),
            Resolution::Unknown => "unknown".into(),
            Resolution::Account(found) => hit(&found),
            Resolution::Targets(targets) => targets.iter().fold(String::new(), |mut text, target| {
                match target {
                    Destination::Account(found) => write!(text, "{} ", hit(found)),
                    Destination::Remote(address) => write!(text, "→{address} "),
                }
                .unwrap();
                text
            }),
            Resolution::Failing(reason) => reason.into(),
        }
    }

    #[test]
    fn an_address_is_tried_as_it_stands_then_without_tag_then_by_catch_all() {
        let with = view(
            &["ana", "beto", "c+d"],
            &[("team", &["ana@ours.test", "beto@ours.test"])],
            Some("beto@ours.test"),
        );
        let without = view(&["ana"], &[], None);
        for (address, expected) in [
            ("ana@ours.test", "ana@ours.test"),
            ("ana+x+y@ours.test", "ana@ours.test[x+y]"),
            ("c+d@ours.test", "c+d@ours.test"),
            ("team@ours.test", "ana@ours.test beto@ours.test "),
            ("team+x@ours.test", "ana@ours.test[x] beto@ours.test[x] "),
            ("nobody@ours.test", "beto@ours.test "),
            ("+x@ours.test", "beto@ours.test "),
            ("ana@theirs.test", "not ours"),
            ("no-at", "not ours"),
        ] {
            assert_eq!(show(&with, address), expected, "{address}");
        }
        assert_eq!(show(&without, "nobody@ours.test"), "unknown");
        assert_eq!(show(&without, "\"ana+x\"@ours.test"), "unknown");
    }

    #[test]
    fn aliases_nest_without_loops_or_doubles() {
        let view = view(
            &["ana", "beto"],
            &[
                ("all", &["team@ours.test", "ana@ours.test", "friend@theirs.test", "gone@ours.test"]),
                ("team", &["beto@ours.test", "all@ours.test", "ana@ours.test", "friend@theirs.test"]),
                ("self", &["self@ours.test"]),
                ("dangling", &["gone@ours.test"]),
            ],
            None,
        );
        assert_eq!(show(&view, "all@ours.test"), "beto@ours.test ana@ours.test →friend@theirs.test ");
        assert_eq!(show(&view, "self@ours.test"), "unknown");
        assert_eq!(show(&view, "dangling@ours.test"), "unknown");
    }

    #[test]
    fn expansion_and_depth_are_bounded() {
        let many: Vec<String> = (0..1001).map(|n| format!("{n}@theirs.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let chain: Vec<(String, [String; 1])> =
            (0..20).map(|n| (format!("c{n}"), [format!("c{}@ours.test", n + 1)])).collect();
        let chain: Vec<(&str, [&str; 1])> =
            chain.iter().map(|(from, to)| (from.as_str(), [to[0].as_str()])).collect();
        let mut aliases: Vec<(&str, &[&str])> = chain.iter().map(|(from, to)| (*from, &to[..])).collect();
        aliases.push(("many", &many));
        aliases.push(("fits", &many[1..]));
        let view = view(&["c20"], &aliases, None);
        assert!(show(&view, "many@ours.test").contains("too many"));
        assert_eq!(show(&view, "fits@ours.test").split_whitespace().count(), 1000);
        assert!(show(&view, "c0@ours.test").contains("deeply"));
        assert_eq!(show(&view, "c10@ours.test"), "c20@ours.test ");
    }

    proptest! {
        #[test]
        fn any_graph_of_aliases_resolves_to_each_target_once(edges in proptest::collection::vec((0_u8..12, 0_u8..16), 0..60), from in 0_u8..16) {
            let names: Vec<String> = (0..16).map(|n| format!("n{n}")).collect();
            let addresses: Vec<String> = names.iter().map(|n| format!("{n}@ours.test")).collect();
            let accounts: Vec<&str> = names[12..].iter().map(String::as_str).collect();
            let targets: Vec<Vec<&str>> = (0..12).map(|n| {
                edges.iter().filter(|(f, _)| *f == n).map(|(_, t)| addresses[usize::from(*t)].as_str()).collect()
            }).collect();
            let aliases: Vec<(&str, &[&str])> = (0..12).map(|n| (names[n].as_str(), targets[n].as_slice())).collect();
            let view = view(&accounts, &aliases, None);
            let shown = show(&view, &addresses[usize::from(from)]);
            let mut reached: Vec<&str> = shown.split_whitespace().filter(|word| word.contains('@')).collect();
            reached.sort_unstable();
            let mut expected = HashSet::new();
            let mut open = vec![from];
            let mut seen = HashSet::new();
            while let Some(n) = open.pop() {
                if !seen.insert(n) { continue }
                if n >= 12 { expected.insert(addresses[usize::from(n)].as_str()); }
                open.extend(edges.iter().filter(|(f, _)| *f == n && n < 12).map(|(_, t)| *t));
            }
            let mut expected: Vec<&str> = expected.into_iter().collect();
            expected.sort_unstable();
            if !shown.contains("deeply") { prop_assert_eq!(reached, expected); }
        }
    }
}
