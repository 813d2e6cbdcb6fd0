//! Greylisting: a stranger is told to come back, which programs that only send once do not.
//!
//! The store is a file that survives restarts ([`store`]); its thread takes questions from a bounded queue. When the queue is full, the
//! answer late or the disk broken, the stranger is let in: a filter must not stop the mail.

mod store;

use super::{config::GreylistConfig, network};
use chasqui_base::StartError;
use chasqui_smtp::Recipient;
use std::{
    net::IpAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::{Duration, Instant},
};
pub(crate) use store::Standing;
use store::{Key, Question, Store};
use tokio::sync::oneshot;

/// Questions that may wait, and those that one transaction takes.
const QUEUE: usize = 4096;
const BATCH: usize = 256;

/// How long a recipient waits for the store.
const DEADLINE: Duration = Duration::from_secs(2);

/// Pauses between two cleanings.
const CLEANING: Duration = Duration::from_secs(60);

/// Seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    delay: i64,
    retry_window: i64,
    lifetime: i64,
    exempt_after: i64,
}

pub(crate) struct Greylist {
    questions: SyncSender<Asked>,
    prefixes: (u8, u8),
    exempt: Vec<chasqui_base::EmailAddress>,
}

struct Asked {
    question: Question,
    answer: oneshot::Sender<Standing>,
}

impl Greylist {
    /// Opens the store and starts its thread, which ends when the greylist is dropped.
    pub(crate) fn open(config: &GreylistConfig) -> Result<Self, StartError> {
        let seconds = |span: chasqui_base::Span| i64::try_from(span.get().as_secs()).unwrap_or(i64::MAX / 4);
        let times = Times {
            delay: seconds(config.delay),
            retry_window: seconds(config.retry_window),
            lifetime: seconds(config.lifetime),
            exempt_after: config.exempt_after.into(),
        };
        if let Some(folder) = config.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| StartError::open(folder, error))?;
        }
        let store = Store::open(&config.path, times, config.entries)
            .map_err(|error| StartError::open(&config.path, error))?;
        let (questions, queue) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("greylist".into())
            .spawn(move || work(store, &queue))
            .map_err(|error| StartError::open(&config.path, error))?;
        Ok(Self {
            questions,
            prefixes: (config.ipv4_prefix, config.ipv6_prefix),
            exempt: config.exempt_recipients.clone(),
        })
    }

    /// Where this attempt stands; `None` when the store does not say.
    pub(crate) async fn ask(&self, ip: IpAddr, sender: &str, recipient: &Recipient) -> Option<Standing> {
        let recipient = match recipient {
            Recipient::Postmaster => "postmaster",
            Recipient::Mailbox(mailbox) => mailbox.as_str(),
        };
        if let Ok(address) = chasqui_base::EmailAddress::parse(recipient)
            && self.exempt.contains(&address)
        {
            return Some(Standing::Known);
        }
        let network = network::of(ip, self.prefixes.0, self.prefixes.1).to_string();
        let question = Question {
            network: key(&[&network]),
            triple: key(&[&network, &stable(sender).to_lowercase(), &recipient.to_lowercase()]),
            now: chrono::Utc::now().timestamp(),
        };
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Asked { question, answer }).ok()?;
        tokio::time::timeout(DEADLINE, answered).await.ok()?.ok()
    }
}

/// A sender without what changes at each attempt: the serial numbers of list software and the tags of SRS or BATV, all of
/// which have digits in them.
fn stable(sender: &str) -> String {
    let Some((local, domain)) = sender.rsplit_once('@') else { return sender.to_owned() };
    let mut stable = String::with_capacity(sender.len());
    let mut digits = false;
    for c in local.chars() {
        if !c.is_ascii_digit() {
            stable.push(c);
        } else if !digits {
            stable.push('#');
        }
        digits = c.is_ascii_digit();
    }
    stable.push('@');
    stable + domain
}

fn key(parts: &[&str]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut key = Key::default();
    hasher.finalize_xof().fill(&mut key);
    key
}

fn work(mut store: Store, queue: &Receiver<Asked>) {
    let mut clean_at = Instant::now();
    loop {
        if clean_at <= Instant::now() {
            let more = store.clean(chrono::Utc::now().timestamp()).unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot clean the greylist");
                false
            });
            clean_at = Instant::now() + if more { Duration::from_millis(100) } else { CLEANING };
        }
        let first = match queue.recv_timeout(clean_at.saturating_duration_since(Instant::now())) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut asked = vec![first];
        asked.extend(queue.try_iter().take(BATCH - 1));
        let questions: Vec<_> = asked.iter().map(|asked| asked.question).collect();
        match store.answer(&questions) {
            Ok(standings) => {
                for (asked, standing) in asked.into_iter().zip(standings) {
                    // Whoever asked may have gone.
                    let _ = asked.answer.send(standing);
                }
            }
            // The answers are dropped, and who asked is let in.
            Err(error) => tracing::error!(%error, "the greylist cannot be read or written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> Recipient {
        Recipient::Mailbox(text.parse().unwrap())
    }

    #[tokio::test]
    async fn the_second_attempt_from_the_same_network_passes() {
        let folder = tempfile::tempdir().unwrap();
        let config = GreylistConfig {
            enabled: true,
            path: folder.path().join("mx/g.db"),
            delay: chasqui_base::Span::secs(1),
            exempt_recipients: vec!["all@example.org".parse().unwrap()],
            ..GreylistConfig::default()
        };
        let list = Greylist::open(&config).unwrap();
        let ask = async |ip: &str, to: &Recipient| {
            list.ask(ip.parse().unwrap(), "bounce-17=x@example.com", to).await
        };
        let ana = to("ana@example.org");
        assert_eq!(ask("192.0.2.1", &ana).await, Some(Standing::Wait(1)));
        assert_eq!(ask("192.0.2.1", &to("All@Example.org")).await, Some(Standing::Known));
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let again = list.ask("192.0.2.200".parse().unwrap(), "BOUNCE-18=x@example.com", &ana).await;
        assert_eq!(again, Some(Standing::Passed));
        assert_eq!(ask("198.51.100.1", &ana).await, Some(Standing::Wait(1)));
        drop(list);
        let list = Greylist::open(&config).unwrap();
        let known = list.ask("192.0.2.3".parse().unwrap(), "bounce-9=x@example.com", &ana).await;
        assert_eq!(known, Some(Standing::Known));
    }

    #[test]
    fn keys_do_not_run_into_each_other() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(stable("prvs=1234abc=ana@example.org"), "prvs=#abc=ana@example.org");
        assert_eq!(stable(""), "");
    }
}
