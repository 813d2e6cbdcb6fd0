//! Several sessions of one mailbox do random things; each client believes only what it is told, and must be right.
//!
//! `CHASQUI_MODEL_RUNS` conversations (default 2).

use std::collections::HashMap;

use super::*;

/// A client that keeps its own list of the mailbox, as real ones do.
struct Believer {
    client: Client,
    /// UID by sequence number, as far as told.
    uids: Vec<Option<u32>>,
    flags: HashMap<u32, String>,
}

impl Believer {
    async fn new(site: &Site) -> Self {
        let mut believer = Self { client: site.session(), uids: Vec::new(), flags: HashMap::new() };
        believer.say("SELECT INBOX").await;
        believer.say("FETCH 1:* (UID FLAGS)").await;
        believer
    }

    async fn say(&mut self, command: &str) {
        let text = self.client.say(command).await;
        for line in text.lines() {
            self.hear(command, line);
        }
    }

    fn hear(&mut self, command: &str, line: &str) {
        let Some(rest) = line.strip_prefix("* ") else { return };
        let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let Ok(number) = number.parse::<usize>() else { return };
        if rest == "EXISTS" {
            assert!(number >= self.uids.len(), "{command}: EXISTS may not shrink: {line}");
            self.uids.resize(number, None);
        } else if rest == "EXPUNGE" {
            let by_number = ["FETCH", "STORE", "SEARCH"].iter().any(|verb| command.starts_with(verb));
            assert!(!by_number, "{command}: {line}");
            assert!((1..=self.uids.len()).contains(&number), "{command}: {line}");
            if let Some(uid) = self.uids.remove(number - 1) {
                self.flags.remove(&uid);
            }
        } else if let Some(data) = rest.strip_prefix("FETCH (") {
            let known = self.uids.get_mut(number - 1).unwrap_or_else(|| panic!("{command}: {line}"));
            let uid = data.split_once("UID ").map(|(_, rest)| {
                rest.split([' ', ')']).next().and_then(|uid| uid.parse::<u32>().ok()).expect("a UID")
            });
            match (*known, uid) {
                (Some(known), Some(uid)) => assert_eq!(known, uid, "{command}: {line}"),
                (None, Some(uid)) => *known = Some(uid),
                _ => {}
            }
            if let (Some(uid), Some((_, flags))) = (*known, data.split_once("FLAGS (")) {
                self.flags.insert(uid, normal(flags));
            }
        }
    }

    /// What it believes, once it knows every UID.
    fn belief(&self) -> Vec<(u32, String)> {
        let uids = self.uids.iter().map(|uid| uid.expect("every UID was asked for"));
        uids.map(|uid| (uid, self.flags.get(&uid).cloned().unwrap_or_default())).collect()
    }
}

/// Flags in one order, without `\Recent`, which only one session has.
fn normal(flags: &str) -> String {
    let mut flags: Vec<&str> =
        flags.split(')').next().unwrap_or_default().split(' ').filter(|f| *f != "\\Recent").collect();
    flags.sort_unstable();
    flags.join(" ")
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[tokio::test]
async fn what_clients_are_told_is_what_is_there() {
    let runs = std::env::var("CHASQUI_MODEL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(2);
    for seed in 0..runs {
        let site = Site::new();
        let mut random = Random(seed);
        for n in 0..5 {
            site.deliver(plain("start", &n.to_string()).as_bytes()).await;
        }
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Believer::new(&site).await);
        }
        for step in 0..120 {
            let believer = &mut clients[random.below(3) as usize];
            let exists = believer.uids.len() as u64;
            let number = random.below(exists.max(1)) + 1;
            let uid = random.below(40) + 1;
            let flag = ["\\Seen", "\\Flagged", "\\Deleted", "$Uno"][random.below(4) as usize];
            let mode = ["", "+", "-"][random.below(3) as usize];
            match random.below(12) {
                0 | 1 => site.deliver(plain("more", &step.to_string()).as_bytes()).await,
                2 if exists > 0 => believer.say(&format!("STORE {number} {mode}FLAGS ({flag})")).await,
                3 => {
                    // .SILENT tells nothing of its own change: the client works it out, as far as it knows the message.
                    believer.say(&format!("UID STORE {uid}:* +FLAGS.SILENT ({flag})")).await;
                    believer.say(&format!("UID FETCH {uid}:* (FLAGS)")).await;
                }
                4 => believer.say(&format!("UID STORE {uid} {mode}FLAGS ({flag})")).await,
                5 => believer.say("EXPUNGE").await,
                6 => believer.say(&format!("UID EXPUNGE {uid}:*")).await,
                7 => believer.say(&format!("UID MOVE {uid} Trash")).await,
                8 if exists > 0 => believer.say(&format!("FETCH {number} (UID FLAGS BODY[TEXT])")).await,
                9 => believer.say("SEARCH UNSEEN").await,
                10 => believer.say("UID COPY 1:* INBOX").await,
                _ => believer.say("NOOP").await,
            }
        }
        let mut fresh = Believer::new(&site).await;
        fresh.say("NOOP").await;
        let truth = fresh.belief();
        for believer in &mut clients {
            believer.say("NOOP").await;
            // Only the UIDs that came with EXISTS are asked for; flags must have been told.
            let asked = believer.flags.clone();
            believer.say("FETCH 1:* (UID)").await;
            let unknown = |uid: &u32| !asked.contains_key(uid);
            if believer.uids.iter().flatten().any(unknown) {
                believer.say("FETCH 1:* (UID FLAGS)").await;
            }
            assert_eq!(believer.belief(), truth, "seed {seed}");
            for (uid, flags) in &asked {
                assert_eq!(
                    truth.iter().find(|(u, _)| u == uid).map(|(_, f)| f),
                    Some(flags),
                    "seed {seed}, UID {uid}"
                );
            }
        }
    }
}
