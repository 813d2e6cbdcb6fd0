//! From credentials to an open mailbox: standing → password → owner node → mailbox.

use std::time::{Duration, Instant};

use chasqui_base::Lifecycle;
use chasqui_base::net::{Endpoint, Stream};
use chasqui_directory::{AccountRecord, Verdict};
use tokio::io::AsyncWriteExt;
use tracing::{error, info, warn};

use crate::dialogue::{Answer, Dialogue, MAX_ANSWER, Refusal};
use crate::metrics::{Outcome, Step};
use crate::session::{Opened, Session};
use crate::shared::{Settings, Shared};
use chasqui_sasl::Credentials;
use chasqui_sasl::guessing::Standing;

/// Decides a log-in. On success the mailbox is open at its owner.
pub async fn log_in<D: Dialogue>(
    shared: &Shared,
    settings: &Settings,
    run: &Lifecycle,
    session: Session,
    dialogue: &mut D,
    credentials: Credentials,
) -> Result<Opened, Refusal> {
    let attempt = Attempt { shared, settings, run, session, credentials };
    let decided = attempt.decide(dialogue).await;
    attempt.report(&decided);
    decided
}

struct Attempt<'a> {
    shared: &'a Shared,
    settings: &'a Settings,
    run: &'a Lifecycle,
    session: Session,
    credentials: Credentials,
}

impl Attempt<'_> {
    async fn decide<D: Dialogue>(&self, dialogue: &mut D) -> Result<Opened, Refusal> {
        self.standing().await?;
        let record = self.verify::<D>().await?;
        let _waiting = self.shared.metrics.waiting();
        let endpoint = D::endpoint(&record.node);
        let storage = self.connect(endpoint).await?;
        let (storage, to_client) = self.open(dialogue, &record, endpoint, storage).await?;
        Ok(Opened { record, storage, to_client })
    }

    /// Refuses who has failed too often.
    async fn standing(&self) -> Result<(), Refusal> {
        match self.shared.guessing.standing(Instant::now(), self.session.ip, self.credentials.login()) {
            Standing::Allowed => Ok(()),
            Standing::Refused(delay) => {
                self.hold_back(delay).await;
                Err(Refusal::TooMany)
            }
        }
    }

    async fn verify<D: Dialogue>(&self) -> Result<AccountRecord, Refusal> {
        let (login, ip) = (self.credentials.login(), self.session.ip);
        let begun = Instant::now();
        let verdict = {
            let _waiting = self.shared.metrics.waiting();
            self.shared.directory.verify(login, self.credentials.password()).await
        };
        self.shared.metrics.step(Step::Verify, begun.elapsed());
        match verdict {
            Err(_) => Err(Refusal::NoDirectory),
            Ok(Verdict::No) => {
                let delay = self.shared.guessing.failed(Instant::now(), ip, login);
                // As for the right password below: among guesses sent at once no answer may stand out.
                self.standing().await?;
                self.hold_back(delay).await;
                Err(Refusal::Wrong)
            }
            Ok(Verdict::Disabled) => {
                self.standing().await?;
                Err(Refusal::Disabled)
            }
            Ok(Verdict::Yes(record)) => {
                // Guesses sent at once are charged by now: the right one among them gains nothing.
                self.standing().await?;
                if !D::permitted(record.services) {
                    return Err(Refusal::Disabled);
                }
                self.shared.guessing.succeeded(Instant::now(), ip, login);
                Ok(record)
            }
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Stream, Refusal> {
        let begun = Instant::now();
        let connected = self.shared.nodes.connect(endpoint, &self.settings.timeouts).await;
        self.shared.metrics.step(Step::Connect, begun.elapsed());
        connected.map_err(|error| {
            warn!(session = format_args!("{:x}", self.session.id), node = %endpoint, %error, "storage node unreachable");
            Refusal::NodeDown
        })
    }

    /// Says who the session is for, and reads until the node has opened the mailbox or refused to.
    async fn open<D: Dialogue>(
        &self,
        dialogue: &D,
        record: &AccountRecord,
        endpoint: &Endpoint,
        mut storage: Stream,
    ) -> Result<(Stream, Vec<u8>), Refusal> {
        let begun = Instant::now();
        let mut received = Vec::new();
        let timeouts = &self.settings.timeouts;
        let opening = self.exchange(dialogue, record, &mut storage, &mut received);
        let answer = tokio::time::timeout(timeouts.open_mailbox.get(), opening).await;
        self.shared.metrics.step(Step::Open, begun.elapsed());
        let broken = match answer {
            Ok(Ok(Answer::Opened(to_client))) => return Ok((storage, to_client)),
            Ok(Ok(Answer::Refused(reason))) => return Err(Refusal::Node(reason)),
            Ok(Ok(_)) => "it does not speak as a storage node does".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        error!(
            session = format_args!("{:x}", self.session.id), node = %endpoint, account = %record.account, broken,
            "storage node opened no session"
        );
        // A node that greets is alive, and it may be this one mailbox that is slow.
        if matches!(dialogue.answer(&received), Answer::Incomplete { greeted: false } | Answer::Nonsense) {
            self.shared.nodes.failed(endpoint, Instant::now(), timeouts);
        }
        Err(Refusal::NodeDown)
    }

    async fn exchange<D: Dialogue>(
        &self,
        dialogue: &D,
        record: &AccountRecord,
        storage: &mut Stream,
        received: &mut Vec<u8>,
    ) -> std::io::Result<Answer> {
        let mut command = Vec::new();
        D::open(record.account.as_str(), &mut command);
        storage.write_all(&command).await?;
        storage.flush().await?;
        loop {
            if storage.read_more(received, MAX_ANSWER).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match dialogue.answer(received) {
                Answer::Incomplete { .. } if received.len() <= MAX_ANSWER => {}
                answer => return Ok(answer),
            }
        }
    }

    /// Keeps an answer from a guesser for a while; not beyond the end of the proxy.
    async fn hold_back(&self, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        let _delayed = self.shared.metrics.delayed();
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.run.stopped() => {}
        }
    }

    fn report(&self, decided: &Result<Opened, Refusal>) {
        let Session { id, ip, protocol, tls } = self.session;
        let result = match decided {
            Ok(_) => Outcome::Ok,
            Err(Refusal::Bad(_) | Refusal::Wrong) => Outcome::Wrong,
            Err(Refusal::TooMany) => Outcome::Refused,
            Err(Refusal::Disabled) => Outcome::Disabled,
            Err(Refusal::NoDirectory) => Outcome::NoDirectory,
            Err(Refusal::NodeDown) => Outcome::NodeDown,
            Err(Refusal::Node(_)) => Outcome::NodeRefused,
        };
        self.shared.metrics.log_in(protocol, result);
        let (protocol, user) = (protocol.as_str(), self.credentials.login());
        let session = format_args!("{id:x}");
        match decided {
            Ok(Opened { record, .. }) => {
                let (account, node) = (&record.account, &record.node.name);
                info!(session, protocol, peer = %ip, tls, user, ?result, %account, node, "log-in");
            }
            Err(_) => info!(session, protocol, peer = %ip, tls, user, ?result, "log-in"),
        }
    }
}
