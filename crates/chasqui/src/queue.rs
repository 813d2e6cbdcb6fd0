//! `chasqui queue …`: asks a relay over its control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use chasqui_base::{ByteSize, Span};
use chasqui_relay::control::protocol::{Answer, Details, Filter, Overview, Progress, Request, Stats};
use chrono::DateTime;

use crate::admin::output;
use crate::cli::{DrainOptions, FilterOptions, QueueArguments, QueueCommand};

/// How long the relay may be silent: a filter over a million messages reads files of those that it may find.
const SILENCE: Duration = Duration::from_secs(300);

/// `chasqui queue …`
pub fn queue(arguments: QueueArguments) -> anyhow::Result<()> {
    let QueueArguments { command, socket, json } = arguments;
    let ask = |request: &Request| Answers::ask(&socket, request, json);
    match command {
        QueueCommand::List { filter, limit } => list(ask(&Request::List { filter: filter.into(), limit })?),
        QueueCommand::Show { id, headers } => show(ask(&Request::Show { id, headers })?),
        QueueCommand::Hold(filter) => change(ask(&Request::Hold { filter: filter.into() })?, "held"),
        QueueCommand::Release(filter) => {
            change(ask(&Request::Release { filter: filter.into() })?, "released")
        }
        QueueCommand::Retry(filter) => change(ask(&Request::Retry { filter: filter.into() })?, "tried now"),
        QueueCommand::Fail(filter) => change(ask(&Request::Fail { filter: filter.into() })?, "given up"),
        QueueCommand::Stats => stats(ask(&Request::Stats)?),
        QueueCommand::Drain(options) => drain(&socket, json, options),
    }
}

impl From<FilterOptions> for Filter {
    fn from(options: FilterOptions) -> Self {
        let FilterOptions { ids, sender, recipient, domain, held, all } = options;
        Self { ids, sender, recipient, domain, held, all }
    }
}

/// The relay's answers to one request.
struct Answers {
    lines: std::io::Lines<BufReader<UnixStream>>,
    /// They are printed as they come.
    json: bool,
}

impl Answers {
    fn ask(socket: &Path, request: &Request, json: bool) -> anyhow::Result<Self> {
        let mut stream = UnixStream::connect(socket).with_context(|| {
            format!(
                "{}: no relay answers there; is it running on this host, may you open its socket, and is this the `control` of its configuration (--socket)?",
                socket.display()
            )
        })?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).context("the relay does not take the request")?;
        Ok(Self { lines: BufReader::new(stream).lines(), json })
    }

    /// The next answer, printed already with `--json`; `None` behind the last.
    fn next(&mut self) -> anyhow::Result<Option<Answer>> {
        let Some(line) = self.lines.next() else {
            bail!("the relay ended the connection in the middle of its answer")
        };
        let line = line.context("the relay's answer")?;
        let answer: Answer =
            serde_json::from_str(&line).context("the relay's answer; is it of another version?")?;
        match answer {
            Answer::Error(reason) => bail!("{reason}"),
            answer => {
                if self.json {
                    output::line(&line)?;
                }
                Ok(Some(answer))
            }
        }
    }
}

fn list(mut answers: Answers) -> anyhow::Result<()> {
    let mut table = output::table(&["id", "age", "size", "from", "to", "state", "said last"]);
    let mut shown = 0;
    while let Some(answer) = answers.next()? {
        match answer {
            Answer::Message(overview) => {
                shown += 1;
                table.add_row(row(&overview));
            }
            Answer::End { matched, total, loading } => {
                if answers.json {
                    return Ok(());
                }
                if shown > 0 {
                    output::line(&table.trim_fmt())?;
                }
                let more = if loading { "; the queue is still being read, there may be more" } else { "" };
                let rest =
                    if matched > shown { format!(" ({shown} shown, see --limit)") } else { String::new() };
                return output::line(&format!("{matched} of {total} messages{rest}{more}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn row(overview: &Overview) -> Vec<String> {
    let mut to = overview.recipients.join(", ");
    if overview.waiting > overview.recipients.len() {
        to.push_str(&format!(" and {} more", overview.waiting - overview.recipients.len()));
    }
    let state = if overview.held {
        "held".to_owned()
    } else {
        let mut states: Vec<String> = overview.destinations.iter().map(leg_state).collect();
        states.dedup();
        states.join(", ")
    };
    let sender = if overview.sender.is_empty() { "<>" } else { &overview.sender };
    vec![
        overview.id.clone(),
        span(now().saturating_sub(overview.received)),
        size(overview.size),
        sender.to_owned(),
        to,
        state,
        overview.last.clone().unwrap_or_default(),
    ]
}

fn leg_state(leg: &chasqui_relay::control::protocol::Leg) -> String {
    match (leg.due, &leg.trouble) {
        (Some(due), _) => format!("tried {}, next in {}", leg.attempts, span(due.saturating_sub(now()))),
        (None, Some(_)) => "destination in trouble".to_owned(),
        (None, None) => leg.state.clone(),
    }
}

fn show(mut answers: Answers) -> anyhow::Result<()> {
    while let Some(answer) = answers.next()? {
        match answer {
            Answer::Details(details) if !answers.json => print_details(&details)?,
            Answer::End { .. } => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn print_details(details: &Details) -> anyhow::Result<()> {
    let overview = &details.overview;
    let sender = if overview.sender.is_empty() { "<>" } else { &overview.sender };
    let mut facts = vec![
        ("id", overview.id.clone()),
        ("from", sender.to_owned()),
        ("handed in by", details.source.clone()),
        (
            "received",
            format!("{}, {} ago", date(overview.received), span(now().saturating_sub(overview.received))),
        ),
        ("expires", date(details.expires)),
        ("size", size(overview.size)),
        ("file", details.file.clone()),
    ];
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    fact("Message-ID", details.message_id.as_ref().map(|id| format!("<{id}>")));
    fact("ENVID", details.envelope_id.clone());
    fact("priority", (details.priority != 0).then(|| details.priority.to_string()));
    fact("not before", details.not_before.map(date));
    fact("TLS", details.require_tls.then(|| "required (RFC 8689)".to_owned()));
    fact("held", overview.held.then(|| "yes, until `chasqui queue release`".to_owned()));
    fact("late", details.delay_said.then(|| "the sender was told".to_owned()));
    for (name, value) in facts {
        output::line(&format!("{name:<13} {value}"))?;
    }
    output::line("")?;
    let mut table = output::table(&["recipient", "attempts", "last", "said last"]);
    for fate in &details.fates {
        let said = if fate.done {
            "done".to_owned()
        } else {
            fate.last.clone().unwrap_or_else(|| "not tried yet".into())
        };
        table.add_row(vec![
            fate.address.clone(),
            fate.attempts.to_string(),
            fate.last_at.map(date).unwrap_or_default(),
            said,
        ]);
    }
    output::line(&table.trim_fmt())?;
    output::line("")?;
    let mut table = output::table(&["destination", "state", "trouble"]);
    for leg in &overview.destinations {
        table.add_row(vec![leg.destination.clone(), leg_state(leg), leg.trouble.clone().unwrap_or_default()]);
    }
    output::line(&table.trim_fmt())?;
    match &details.headers {
        Some(headers) => output::line(&format!("\n{}", headers.replace("\r\n", "\n"))),
        None => Ok(()),
    }
}

fn change(mut answers: Answers, done: &str) -> anyhow::Result<()> {
    let mut unchanged = 0;
    while let Some(answer) = answers.next()? {
        match answer {
            Answer::Unchanged { id, reason } => {
                unchanged += 1;
                if !answers.json {
                    output::line(&format!("{id}: {reason}"))?;
                }
            }
            Answer::End { matched, .. } => {
                if matched == 0 && unchanged == 0 {
                    bail!("no message in the queue is like that");
                }
                if answers.json {
                    return Ok(());
                }
                return output::line(&format!("{matched} messages {done}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn stats(mut answers: Answers) -> anyhow::Result<()> {
    while let Some(answer) = answers.next()? {
        match answer {
            Answer::Stats(stats) if !answers.json => print_stats(&stats)?,
            Answer::End { .. } => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn print_stats(stats: &Stats) -> anyhow::Result<()> {
    for (name, value) in [
        ("messages", stats.messages.to_string()),
        ("their texts", size(stats.octets)),
        ("oldest", stats.oldest.map_or_else(|| "-".to_owned(), span)),
        ("waiting", stats.waiting.to_string()),
        ("ready", stats.ready.to_string()),
        ("running", stats.running.to_string()),
        ("held", stats.held.to_string()),
        ("destinations", format!("{}, {} of them in trouble", stats.destinations, stats.troubled)),
        ("free on disk", size(stats.free_space)),
    ] {
        output::line(&format!("{name:<13} {value}"))?;
    }
    if stats.draining {
        output::line("The queue is being drained: `chasqui queue drain --status`.")?;
    }
    if stats.loading {
        output::line("The queue is still being read after the start.")?;
    }
    if stats.unread > 0 {
        output::line(&unread(stats.unread))?;
    }
    if !stats.largest.is_empty() {
        output::line("")?;
        let mut table = output::table(&["destination", "messages", "running", "trouble"]);
        for destination in &stats.largest {
            let trouble = destination.trouble.as_ref();
            let trouble =
                trouble.map(|(why, until)| format!("{why}; tried in {}", span(until.saturating_sub(now()))));
            table.add_row(vec![
                destination.name.clone(),
                destination.messages.to_string(),
                destination.running.to_string(),
                trouble.unwrap_or_default(),
            ]);
        }
        output::line(&table.trim_fmt())?;
    }
    Ok(())
}

fn drain(socket: &Path, json: bool, options: DrainOptions) -> anyhow::Result<()> {
    if options.cancel {
        last_progress(Answers::ask(socket, &Request::DrainCancel, json)?)?;
        return if json { Ok(()) } else { output::line("The relay takes messages and delivers again.") };
    }
    if !options.status {
        let to = options.to.iter().map(ToString::to_string).collect();
        last_progress(Answers::ask(socket, &Request::Drain { to }, json)?)?;
    }
    let mut answers = Answers::ask(socket, &Request::DrainStatus { follow: !options.status }, json)?;
    while let Some(answer) = answers.next()? {
        match answer {
            Answer::Draining(progress) if !json => output::line(&say(&progress))?,
            Answer::End { .. } => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn last_progress(mut answers: Answers) -> anyhow::Result<()> {
    while let Some(answer) = answers.next()? {
        if matches!(answer, Answer::End { .. }) {
            break;
        }
    }
    Ok(())
}

fn say(progress: &Progress) -> String {
    if !progress.draining {
        return "The relay is not being drained.".to_owned();
    }
    if progress.done {
        return format!(
            "{} messages handed over. The relay holds none any more: it may be switched off.",
            progress.handed
        );
    }
    let held = if progress.held > 0 {
        format!(" {} are held back: release or fail them.", progress.held)
    } else {
        String::new()
    };
    let unread = if progress.unread > 0 { format!(" {}", unread(progress.unread)) } else { String::new() };
    let trouble = progress.trouble.as_ref().map(|why| format!(" Trouble: {why}.")).unwrap_or_default();
    let running =
        if progress.running > 0 { format!(", {} under way", progress.running) } else { String::new() };
    format!("{} handed over, {} left{running}.{held}{unread}{trouble}", progress.handed, progress.left)
}

fn unread(parts: u64) -> String {
    format!(
        "Files or sub-folders of the queue that could not be read at the start: {parts}. See the log, mend them, and restart the relay."
    )
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

fn date(seconds: u64) -> String {
    let at = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .unwrap_or_default();
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// In its two largest units, as a person says it.
fn span(seconds: u64) -> String {
    let (first, unit) = match seconds {
        0..60 => return format!("{seconds}s"),
        60..3600 => (60, 1),
        3600..86_400 => (3600, 60),
        _ => (86_400, 3600),
    };
    let whole = Span::secs(seconds / first * first);
    let rest = Span::secs(seconds % first / unit * unit);
    if rest == Span::default() { whole.to_string() } else { format!("{whole} {rest}") }
}

fn size(octets: u64) -> String {
    match [1_000_000_000, 1_000_000, 1_000].into_iter().find(|unit| octets >= 10 * unit) {
        Some(unit) => ByteSize(octets / unit * unit).to_string(),
        None => ByteSize(octets).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_people_say_them() {
        assert_eq!([span(5), span(65), span(3600), span(90_061)], ["5s", "1m 5s", "1h", "1d 1h"]);
        assert_eq!([size(999), size(12_345_678), size(5_000)], ["999B", "12MB", "5kB"]);
    }

    #[test]
    fn progress_says_when_the_relay_may_be_switched_off() {
        let progress = Progress { draining: true, handed: 3, left: 2, held: 1, ..Progress::default() };
        assert_eq!(say(&progress), "3 handed over, 2 left. 1 are held back: release or fail them.");
        let unread = Progress { unread: 2, held: 0, left: 0, ..progress.clone() };
        assert!(say(&unread).starts_with("3 handed over, 0 left. Files or sub-folders"), "{}", say(&unread));
        let done = Progress { done: true, left: 0, held: 0, ..progress };
        assert!(say(&done).contains("may be switched off"));
    }
}
