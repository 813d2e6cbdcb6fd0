//! Junk training: a message that a user moves into Junk or out of it is told to a spam filter.
//!
//! A session only puts a [`Lesson`] into a bounded queue and goes on; the message itself stays in the store and is read when its turn comes.
//! A command that fails, hangs or is killed costs a log line and a count, nothing else. What waits when the node ends is not learnt.

mod config;
mod learner;

use std::sync::{Arc, Mutex, PoisonError};

use chasqui_base::{EmailAddress, Lifecycle};
use chasqui_mailstore::{Account, FolderName, SpecialUse, Store, Uid};
pub use config::TrainingConfig;
use tokio::sync::{Semaphore, mpsc};

use crate::metrics::Metrics;

/// Messages of one command that are learnt: who moves a thousand at once tells little more by the rest.
const OF_ONE_COMMAND: usize = 100;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Spam,
    Ham,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Spam => "spam",
            Self::Ham => "ham",
        }
    }
}

/// One message to be learnt, where it lies now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lesson {
    kind: Kind,
    account: EmailAddress,
    folder: FolderName,
    uid: Uid,
}

/// What takes lessons.
pub(crate) struct Training {
    queue: mpsc::Sender<Lesson>,
    /// Until the role starts.
    waiting: Mutex<Option<mpsc::Receiver<Lesson>>>,
    config: Arc<TrainingConfig>,
    metrics: Metrics,
}

impl Training {
    /// `None` when nothing is to be learnt.
    pub(crate) fn new(config: &TrainingConfig, metrics: &Metrics) -> Option<Self> {
        config.is_on().then(|| {
            let (queue, waiting) = mpsc::channel(config.queue);
            Self {
                queue,
                waiting: Mutex::new(Some(waiting)),
                config: Arc::new(config.clone()),
                metrics: metrics.clone(),
            }
        })
    }

    /// Messages came into `to`, from a folder of the account or from outside: queues what is to be learnt of it.
    pub(crate) async fn moved(
        &self,
        account: &Account,
        from: Option<&FolderName>,
        to: &FolderName,
        uids: &[Uid],
    ) {
        // Who cannot list the folders cannot say which is Junk, and a lesson is not worth an error.
        let Ok(folders) = account.folders().await else { return };
        let use_of = |name: &FolderName| {
            folders.iter().find(|folder| folder.name == *name).and_then(|folder| folder.special_use)
        };
        let Some(kind) = judge(from.and_then(use_of), use_of(to)) else { return };
        let wanted = match kind {
            Kind::Spam => &self.config.spam,
            Kind::Ham => &self.config.ham,
        };
        if wanted.is_empty() {
            return;
        }
        for (index, uid) in uids.iter().enumerate() {
            let lesson = Lesson { kind, account: account.address().clone(), folder: to.clone(), uid: *uid };
            if index >= OF_ONE_COMMAND || self.queue.try_send(lesson).is_err() {
                self.metrics.trained(kind.as_str(), "dropped");
                tracing::info!(account = %account.address(), kind = kind.as_str(), "too much to learn, passed over");
            }
        }
    }

    /// The worker: runs until the role ends.
    pub(crate) async fn work(self: Arc<Self>, store: Store, run: Lifecycle) {
        let taken = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = taken else { return };
        let places = Arc::new(Semaphore::new(self.config.at_once));
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((waiting.recv().await?, place))
            };
            let (lesson, place) = tokio::select! {
                next = next => match next {
                    Some(next) => next,
                    None => return,
                },
                () = run.stopped() => return,
            };
            let (training, store, stop) = (Arc::clone(&self), store.clone(), run.clone());
            run.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = training.learn(&store, &lesson) => {}
                    () = stop.stopped() => {}
                }
            });
        }
    }

    async fn learn(&self, store: &Store, lesson: &Lesson) {
        let command = match lesson.kind {
            Kind::Spam => &self.config.spam,
            Kind::Ham => &self.config.ham,
        };
        let account = store.account(&lesson.account);
        let learnt = learner::learn(command, &self.config, &account, &lesson.folder, lesson.uid).await;
        let (account, kind) = (&lesson.account, lesson.kind.as_str());
        match learnt {
            Ok(()) => tracing::debug!(%account, kind, "learnt"),
            Err(learner::Failure::Gone | learner::Failure::TooLarge) => {
                tracing::debug!(%account, kind, "not learnt")
            }
            Err(ref error) => tracing::warn!(%account, kind, %error, "not learnt"),
        }
        self.metrics.trained(kind, learnt.map_or_else(|error| error.name(), |()| "learnt"));
    }
}

/// What a move says of a message. What goes from Junk to Trash was spam all the same.
fn judge(from: Option<SpecialUse>, to: Option<SpecialUse>) -> Option<Kind> {
    match (from, to) {
        (Some(SpecialUse::Junk), Some(SpecialUse::Junk | SpecialUse::Trash)) => None,
        (_, Some(SpecialUse::Junk)) => Some(Kind::Spam),
        (Some(SpecialUse::Junk), _) => Some(Kind::Ham),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::{ByteSize, Span};
    use chasqui_mailstore::{Append, Flags, Quota, StoreConfig};
    use prometheus_client::registry::Registry;
    use std::path::Path;
    use std::time::{Duration, Instant};

    struct Site {
        store: Store,
        training: Arc<Training>,
        registry: Registry,
        run: Lifecycle,
        folder: tempfile::TempDir,
    }

    async fn site(change: impl FnOnce(&mut TrainingConfig, &Path)) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(&StoreConfig { root: folder.path().join("mail"), ..StoreConfig::default() }).unwrap();
        let script = |kind: &str| {
            let out = folder.path().join("learnt").display().to_string();
            vec!["sh".into(), "-c".into(), format!("(echo {kind} $0; cat) >> {out}"), "{user}".into()]
        };
        let mut config =
            TrainingConfig { spam: script("spam"), ham: script("ham"), ..TrainingConfig::default() };
        config.at_once = 1;
        change(&mut config, folder.path());
        config.check().unwrap();
        let mut registry = Registry::default();
        let training = Arc::new(Training::new(&config, &Metrics::register(&mut registry)).unwrap());
        let run = Lifecycle::new();
        run.spawn(Arc::clone(&training).work(store.clone(), run.clone()));
        Site { store, training, registry, run, folder }
    }

    impl Site {
        async fn account(&self) -> Account {
            let account = self.store.account(&"ana@ejemplo.test".parse().unwrap());
            for (name, special) in [("Junk", SpecialUse::Junk), ("Trash", SpecialUse::Trash)] {
                account.create(&name_of(name), Some(special)).await.unwrap();
            }
            account
        }

        async fn put(&self, account: &Account, folder: &str, text: &str) -> Uid {
            let mut message = self.store.incoming();
            message.write(text.as_bytes()).await.unwrap();
            let append = Append { message, flags: Flags::default(), internal_date: None };
            account.append(&name_of(folder), vec![append], Quota::default()).await.unwrap().uids[0]
        }

        fn learnt(&self) -> String {
            std::fs::read_to_string(self.folder.path().join("learnt")).unwrap_or_default()
        }

        async fn counted(&self, line: &str) {
            let started = Instant::now();
            loop {
                let mut page = String::new();
                prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
                if page.contains(line) {
                    return;
                }
                assert!(started.elapsed() < Duration::from_secs(10), "never {line} in\n{page}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn name_of(name: &str) -> FolderName {
        FolderName::parse(name).unwrap()
    }

    fn counter(kind: &str, outcome: &str, count: u32) -> String {
        format!("junk_training_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} {count}")
    }

    #[test]
    fn only_moves_into_and_out_of_junk_say_something() {
        use SpecialUse::{Junk, Sent, Trash};
        for (from, to, kind) in [
            (None, Some(Junk), Some(Kind::Spam)),
            (Some(Sent), Some(Junk), Some(Kind::Spam)),
            (Some(Junk), None, Some(Kind::Ham)),
            (Some(Junk), Some(Trash), None),
            (Some(Junk), Some(Junk), None),
            (None, None, None),
            (None, Some(Trash), None),
        ] {
            assert_eq!(judge(from, to), kind, "{from:?} {to:?}");
        }
    }

    #[tokio::test]
    async fn a_move_into_junk_and_out_of_it_is_told_with_the_message_and_the_user() {
        let site = site(|_, _| {}).await;
        let account = site.account().await;
        let uid = site.put(&account, "Junk", "Subject: buy\r\n\r\nnow\r\n").await;
        site.training.moved(&account, Some(&FolderName::inbox()), &name_of("Junk"), &[uid]).await;
        site.counted(&counter("spam", "learnt", 1)).await;
        let uid = site.put(&account, "INBOX", "Subject: hola\r\n\r\nana\r\n").await;
        site.training.moved(&account, Some(&name_of("Junk")), &FolderName::inbox(), &[uid]).await;
        site.counted(&counter("ham", "learnt", 1)).await;
        assert_eq!(
            site.learnt().replace('\r', ""),
            "spam ana@ejemplo.test\nSubject: buy\n\nnow\nham ana@ejemplo.test\nSubject: hola\n\nana\n"
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_hangs_or_is_missing_is_counted_and_others_follow() {
        for (command, outcome) in [
            (vec!["sh", "-c", "cat >/dev/null; echo broken >&2; exit 3"], "failed"),
            (vec!["sh", "-c", "exit 0"], "learnt"),
            (vec!["sleep", "60"], "late"),
            (vec!["/nonexistent/learner"], "failed"),
        ] {
            let site = site(|config, _| {
                config.spam = command.iter().map(|word| (*word).to_owned()).collect();
                config.deadline = Span::millis(300);
            })
            .await;
            let account = site.account().await;
            let uid = site.put(&account, "Junk", &"Subject: buy\r\n".repeat(20_000)).await;
            site.training.moved(&account, None, &name_of("Junk"), &[uid, uid]).await;
            site.counted(&counter("spam", outcome, 2)).await;
        }
    }

    #[tokio::test]
    async fn messages_that_are_gone_or_too_large_are_passed_over() {
        let site = site(|config, _| config.max_size = ByteSize(10)).await;
        let account = site.account().await;
        let uid = site.put(&account, "Junk", "Subject: buy\r\n\r\nnow\r\n").await;
        site.training.moved(&account, None, &name_of("Junk"), &[uid]).await;
        site.counted(&counter("spam", "too_large", 1)).await;
        let gone = site.put(&account, "INBOX", "Subject: x\r\n\r\n").await;
        site.training
            .moved(&account, Some(&FolderName::inbox()), &name_of("Junk"), &[gone.next().unwrap_or(gone)])
            .await;
        site.counted(&counter("spam", "gone", 1)).await;
        assert_eq!(site.learnt(), "");
    }

    #[tokio::test]
    async fn more_than_may_wait_is_dropped_without_waiting() {
        let site = site(|config, _| {
            config.spam = vec!["sleep".into(), "60".into()];
            config.queue = 2;
        })
        .await;
        let account = site.account().await;
        let uid = site.put(&account, "Junk", "Subject: buy\r\n\r\nnow\r\n").await;
        let started = Instant::now();
        site.training.moved(&account, None, &name_of("Junk"), &[uid; 10]).await;
        assert!(started.elapsed() < Duration::from_secs(1));
        site.counted("outcome=\"dropped\"").await;
        // Ending does not wait for the command.
        assert_eq!(site.run.drain(Duration::from_secs(5)).await, 0);
    }
}
