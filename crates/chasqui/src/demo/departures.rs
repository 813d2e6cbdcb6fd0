//! What would have left the site, a line each on standard output.
//!
//! Who started the demo may never read its output again, and a full pipe must not stop a site: the lines are written by a thread of
//! their own, and what does not fit its queue is not printed. The messages themselves stay in the folder.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::json;
use tracing::debug;

use super::sink::{Departure, Listening};
use crate::admin::output;

/// Lines that wait for a reader.
const WAITING: usize = 1000;

/// The lines that are to be printed, from the start of the sink on.
pub struct Departures {
    receiver: Receiver<Departure>,
}

impl Departures {
    /// Where the sink reports to, and what is reported there.
    pub fn channel() -> (Listening, Self) {
        let (sender, receiver): (SyncSender<Departure>, _) = sync_channel(WAITING);
        let listening = Arc::new(move |departure| {
            if sender.try_send(departure).is_err() {
                debug!("nobody reads what the demo prints");
            }
        });
        (listening, Self { receiver })
    }

    /// Prints from now on: what the demo says when it is ready is always its first line.
    pub fn print(self, json: bool) {
        std::thread::spawn(move || {
            for departure in self.receiver {
                let line = if json { json!({ "left": departure }).to_string() } else { sentence(&departure) };
                if output::line(&line).is_err() {
                    return;
                }
            }
        });
    }
}

/// A line for people.
fn sentence(departure: &Departure) -> String {
    let Departure { from, to, subject, size, tls, file } = departure;
    let from = if from.is_empty() { "<>" } else { from };
    let way = if *tls { "TLS" } else { "clear text" };
    let line = format!("left: {from} → {}: “{subject}”, {size} octets, {way}, {file}", to.join(", "));
    // Subjects and addresses come from outside: a line break there must not look like another line.
    output::plain(&line.replace(['\n', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departure(subject: &str) -> Departure {
        Departure {
            from: String::new(),
            to: vec!["x@otro.test".into(), "y@otro.test".into()],
            subject: subject.into(),
            size: 7,
            tls: true,
            file: "/srv/demo/sink/0.eml".into(),
        }
    }

    #[test]
    fn a_departure_is_one_harmless_line() {
        let line = sentence(&departure("hola\n\u{1b}]0;x\u{7}"));
        assert_eq!(line.lines().count(), 1);
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.starts_with("left: <> → x@otro.test, y@otro.test: “hola "), "{line}");
    }

    #[test]
    fn a_demo_whose_output_nobody_reads_goes_on() {
        let (listening, departures) = Departures::channel();
        for _ in 0..2 * WAITING {
            listening(departure("uno"));
        }
        assert_eq!(departures.receiver.try_iter().count(), WAITING);
    }
}
