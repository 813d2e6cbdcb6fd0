//! `chasqui trace`: follows a message through the logs of all roles (S2).
//!
//! The role that receives a message logs its Message-ID beside the delivery id under which all roles know it from there on; a notice about
//! it is named with its own delivery id. So the logs are read until no further id is found, then once more for the entries.

mod line;
mod source;

use std::collections::BTreeSet;

use anyhow::bail;
use chasqui_base::DeliveryId;
use chrono::DateTime;
use serde::Serialize;

use self::line::Entry;
use self::source::Logs;
use crate::admin::output;
use crate::cli::TraceArguments;

/// How often the logs are read for further ids: a message, its notice, and what became of that.
const ROUNDS: usize = 4;
/// Entries that are shown of one message.
const MOST: usize = 100_000;

/// `chasqui trace`
pub fn trace(arguments: TraceArguments) -> anyhow::Result<()> {
    let TraceArguments { id, logs, json } = arguments;
    let mut logs = Logs::open(&logs)?;
    let found = follow(&mut logs, &id)?;
    if found.timeline.is_empty() {
        bail!(
            "nothing about {} in {} entries: are these the logs of that time and of every host, at level info?",
            id,
            logs.entries
        );
    }
    if json {
        return output::line(&serde_json::to_string(&found)?);
    }
    let mut table = output::table(&["time (UTC)", "host", "role", "event", "particulars"]);
    for step in &found.timeline {
        table.add_row(vec![
            step.time.clone(),
            step.host.clone().unwrap_or_default(),
            step.role.clone(),
            step.event.clone(),
            particulars(step, found.deliveries.len() > 1),
        ]);
    }
    output::line(&table.trim_fmt())?;
    let deliveries: Vec<&str> = found.deliveries.iter().map(String::as_str).collect();
    output::line(&format!("Delivery ids: {}", deliveries.join(", ")))
}

/// What the logs tell of a message.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// The ids under which roles know it and what was sent about it.
    deliveries: BTreeSet<String>,
    timeline: Vec<Step>,
}

/// One entry of the timeline.
#[derive(Debug, Serialize)]
struct Step {
    time: String,
    host: Option<String>,
    role: String,
    event: String,
    /// The file that says so.
    file: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

fn follow(logs: &mut Logs, id: &str) -> anyhow::Result<Found> {
    let wanted = id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
    if wanted.is_empty() {
        bail!("a Message-ID or a delivery id is expected");
    }
    let mut deliveries = BTreeSet::new();
    let mut needles = vec![escaped(&wanted)];
    if wanted.parse::<DeliveryId>().is_ok() {
        deliveries.insert(wanted.clone());
    }
    for _ in 0..ROUNDS {
        let before = deliveries.len();
        let known = deliveries.clone();
        logs.each(&needles, |entry, _| {
            if is_of(&entry, &wanted, &known) {
                deliveries.extend(["delivery", "notice"].iter().filter_map(|name| delivery(&entry, name)));
            }
        })?;
        needles = std::iter::once(escaped(&wanted)).chain(deliveries.iter().cloned()).collect();
        if deliveries.len() == before {
            break;
        }
    }
    let mut steps: Vec<(Option<i64>, Step)> = Vec::new();
    logs.each(&needles, |entry, path| {
        if is_of(&entry, &wanted, &deliveries) && steps.len() < MOST {
            steps.push((entry.at, step(entry, &path.display().to_string())));
        }
    })?;
    // What says no time stays behind what stood before it.
    let mut last = None;
    for (at, _) in &mut steps {
        last = at.or(last);
        *at = last;
    }
    steps.sort_by_key(|(at, _)| *at);
    Ok(Found { deliveries, timeline: steps.into_iter().map(|(_, step)| step).collect() })
}

/// As a log in JSON or with quotes has it.
fn escaped(id: &str) -> String {
    id.replace('\\', "\\\\").replace('"', "\\\"")
}

fn delivery(entry: &Entry, name: &str) -> Option<String> {
    entry.field(name).filter(|id| id.parse::<DeliveryId>().is_ok()).map(str::to_owned)
}

fn is_of(entry: &Entry, wanted: &str, deliveries: &BTreeSet<String>) -> bool {
    entry.field("message_id").is_some_and(|id| id.trim_start_matches('<').trim_end_matches('>') == wanted)
        || entry.field("delivery").is_some_and(|id| deliveries.contains(id))
}

fn step(entry: Entry, file: &str) -> Step {
    let Entry { at, host, role, event, fields } = entry;
    let at = at.and_then(DateTime::from_timestamp_micros);
    let mut map = serde_json::Map::new();
    for (name, value) in fields {
        map.entry(name).or_insert(value.into());
    }
    Step {
        time: at.map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string()).unwrap_or_default(),
        host,
        role,
        event,
        file: file.to_owned(),
        fields: map,
    }
}

/// The particulars for people: what a person looks for first, without what the heading says.
fn particulars(step: &Step, several: bool) -> String {
    const FIRST: [&str; 12] = [
        "peer",
        "from",
        "sender",
        "account",
        "recipient",
        "recipients",
        "node",
        "destination",
        "remote",
        "tls",
        "reply",
        "outcome",
    ];
    const LEFT_OUT: [&str; 2] = ["message_id", "milliseconds"];
    let shown = |name: &str| !LEFT_OUT.contains(&name) && (several || name != "delivery");
    let first = FIRST.into_iter().filter_map(|name| step.fields.get_key_value(name));
    let rest = step.fields.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    first
        .chain(rest)
        .filter(|(name, _)| shown(name))
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const ONE: &str = "00000000000000000000000001";
    const NOTICE: &str = "00000000000000000000000002";
    const OTHER: &str = "00000000000000000000000003";

    #[test]
    fn a_message_is_followed_over_roles_formats_and_its_notice() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put(
            "relay.log",
            &format!(
                "2026-11-22T11:00:00.5Z  INFO chasqui_relay::queue: message queued delivery={ONE} message_id=\"1@example.org\" sender=a@example.org\n\
             2026-11-22T11:00:02Z  INFO chasqui_relay::queue::settle: failed delivery={ONE} recipient=\"x@example.net\" remote=\"mx.example.net\" reply=550 5.1.1 No\n\
             2026-11-22T11:00:03Z  INFO chasqui_relay::queue::settle: notice queued delivery={ONE} notice={NOTICE} kind=\"failure\"\n\
             2026-11-22T11:00:03Z  INFO chasqui_relay::queue: message queued delivery={OTHER} message_id=\"11@example.org\"\n"
            ),
        );
        put(
            "storage.json",
            &format!(
                "{{\"timestamp\":\"2026-11-22T11:00:04Z\",\"level\":\"INFO\",\"message\":\"stored\",\"delivery\":\"{NOTICE}\",\"account\":\"a@example.org\",\"target\":\"chasqui_storage::lmtp\"}}\n"
            ),
        );
        let gz = std::fs::File::create(dir.path().join("old.gz")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
        writeln!(gz, "__CURSOR=x\n__REALTIME_TIMESTAMP=1795345201000000\n_HOSTNAME=r1\nTARGET=chasqui_relay\nMESSAGE=transaction\nDELIVERY={ONE}\n").unwrap();
        gz.finish().unwrap();
        for id in ["1@example.org", "<1@example.org>", ONE] {
            let mut logs = Logs::open(&[dir.path().to_owned()]).unwrap();
            let found = follow(&mut logs, id).unwrap();
            let events: Vec<&str> = found.timeline.iter().map(|step| step.event.as_str()).collect();
            assert_eq!(
                events,
                ["message queued", "transaction", "failed", "notice queued", "stored"],
                "{id}"
            );
            assert_eq!(found.deliveries.into_iter().collect::<Vec<_>>(), [ONE, NOTICE]);
            assert_eq!(logs.entries, 6);
        }
    }

    #[test]
    fn what_is_no_log_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("system.journal"), b"LPKSHHRH\0\0").unwrap();
        let mut logs = Logs::open(&[dir.path().to_owned()]).unwrap();
        assert!(follow(&mut logs, "x@y").unwrap_err().to_string().contains("journalctl -o export"));
        assert!(Logs::open(&[dir.path().join("none")]).is_err());
    }
}
