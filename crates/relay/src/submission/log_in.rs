//! AUTH: from a mechanism to an account (RFC 4954), with the directory between the steps.

use super::Shared;
use chasqui_base::{Lifecycle, Secret};
use chasqui_directory::{AccountRecord, DirectoryUnavailable, ScramSalt, Services, Verdict};
use chasqui_sasl::{
    Claim, Credentials, Exchange, MAX_LOGIN, Mechanism, Progress, SaslError,
    guessing::Standing,
    scram::{Channel, ClientFinal, ClientFirst},
};
use chasqui_smtp::{Reply, replies};
use std::{
    borrow::Cow,
    net::IpAddr,
    time::{Duration, Instant},
};

const MALFORMED: Reply = Reply::fixed(501, (5, 5, 2), "The response is malformed");
const FOR_ANOTHER: Reply = Reply::fixed(535, (5, 7, 8), "Authenticate as yourself");
const CHANNEL: Reply = Reply::fixed(535, (5, 7, 8), "The channel binding is not that of this connection");
const NO_SENDER: Reply = Reply::fixed(535, (5, 7, 13), "This account may not send mail");
const TOO_MANY: Reply = Reply::fixed(454, (4, 7, 0), "Too many failed log-ins, try again later");

/// An exchange that waits for the client's answer.
#[derive(Debug)]
pub(crate) struct LogIn {
    mechanism: &'static str,
    exchange: Exchange,
    /// Whose proof was right (SCRAM), until the client has confirmed that it has heard ours.
    proved: Option<Box<AccountRecord>>,
}

/// What is to be said to the client.
#[derive(Debug)]
pub(crate) enum Turn {
    /// This challenge, not encoded yet.
    Challenge(LogIn, Cow<'static, str>),
    /// It is this account.
    Yes(Box<AccountRecord>),
    /// It is nobody.
    No(Reply),
}

/// Whom a client talks to, and who it is so far.
pub(crate) struct Desk<'a> {
    pub shared: &'a Shared,
    pub ip: IpAddr,
    pub run: &'a Lifecycle,
}

/// Why it was nobody: the reply, and its name in metrics and logs.
struct Refusal(Reply, &'static str);

impl Desk<'_> {
    /// The client's AUTH.
    pub(crate) async fn begin(
        &self,
        mechanism: &'static str,
        initial: Option<Secret>,
        channel: &Channel,
    ) -> Turn {
        let progress = Exchange::begin(Mechanism::parse(mechanism), initial, channel);
        self.turn(mechanism, None, progress).await
    }

    /// The client's answer to a challenge.
    pub(crate) async fn answer(&self, log_in: LogIn, response: &Secret) -> Turn {
        let LogIn { mechanism, exchange, proved } = log_in;
        self.turn(mechanism, proved, exchange.respond(response)).await
    }

    async fn turn(
        &self,
        mechanism: &'static str,
        proved: Option<Box<AccountRecord>>,
        progress: Result<Progress, SaslError>,
    ) -> Turn {
        let waits = |exchange, proved| LogIn { mechanism, exchange, proved };
        let (login, decided) = match progress {
            Err(error) => (String::new(), Err(of_sasl(error))),
            Ok(Progress::Challenge(exchange, text)) => {
                return Turn::Challenge(waits(exchange, proved), text);
            }
            Ok(Progress::Salt(first)) => {
                let login = first.login().to_owned();
                match self.salt(first).await {
                    Ok((exchange, text)) => return Turn::Challenge(waits(exchange, None), text.into()),
                    Err(refusal) => (login, Err(refusal)),
                }
            }
            Ok(Progress::Proof(last)) => {
                let login = last.login().to_owned();
                match self.proof(last).await {
                    Ok((exchange, text, record)) => {
                        return Turn::Challenge(waits(exchange, Some(record)), text.into());
                    }
                    Err(refusal) => (login, Err(refusal)),
                }
            }
            Ok(Progress::Done(Claim::Proved { login })) => {
                (login, proved.ok_or(Refusal(MALFORMED, "malformed")))
            }
            Ok(Progress::Done(claim)) => match Credentials::of(claim) {
                Ok(credentials) => {
                    (credentials.login().to_owned(), self.password(&credentials).await.map(Box::new))
                }
                Err(_) => (String::new(), Err(Refusal(replies::NOT_AUTHENTICATED, "malformed"))),
            },
        };
        self.report(mechanism, &login, &decided);
        match decided {
            Ok(record) => Turn::Yes(record),
            Err(Refusal(reply, _)) => Turn::No(reply),
        }
    }

    async fn salt(&self, first: ClientFirst) -> Result<(Exchange, String), Refusal> {
        let login = first.login().to_owned();
        // A control character in a name is no name, and would reach the logs.
        if login.len() > MAX_LOGIN || login.chars().any(char::is_control) {
            return Err(Refusal(MALFORMED, "malformed"));
        }
        self.standing(&login).await?;
        let ScramSalt { salt, iterations } = self.shared.users.scram_begin(&login).await.map_err(away)?;
        first.challenge(&salt, iterations).map_err(|error| {
            tracing::error!(%error, "cannot make a challenge");
            Refusal(replies::CANNOT_AUTHENTICATE, "error")
        })
    }

    async fn proof(&self, last: ClientFinal) -> Result<(Exchange, String, Box<AccountRecord>), Refusal> {
        let (login, users) = (last.login().to_owned(), &self.shared.users);
        self.standing(&login).await?;
        let (verdict, signature) =
            users.scram_finish(&login, last.auth_message(), last.proof()).await.map_err(away)?;
        let record = self.judge(&login, verdict).await?;
        let signature = signature.ok_or(Refusal(replies::CANNOT_AUTHENTICATE, "error"))?;
        let (exchange, text) = last.confirm(&signature);
        Ok((exchange, text, Box::new(record)))
    }

    async fn password(&self, credentials: &Credentials) -> Result<AccountRecord, Refusal> {
        self.standing(credentials.login()).await?;
        let verdict = self.shared.users.verify(credentials.login(), credentials.password()).await;
        self.judge(credentials.login(), verdict.map_err(away)?).await
    }

    /// Refuses who has failed too often.
    async fn standing(&self, login: &str) -> Result<(), Refusal> {
        match self.shared.guessing.standing(Instant::now(), self.ip, login) {
            Standing::Allowed => Ok(()),
            Standing::Refused(delay) => {
                self.hold_back(delay).await;
                Err(Refusal(TOO_MANY, "too_many"))
            }
        }
    }

    async fn judge(&self, login: &str, verdict: Verdict) -> Result<AccountRecord, Refusal> {
        let guessing = &self.shared.guessing;
        match verdict {
            Verdict::No => {
                let delay = guessing.failed(Instant::now(), self.ip, login);
                // As for the right password below: among guesses sent at once no answer may stand out.
                self.standing(login).await?;
                self.hold_back(delay).await;
                Err(Refusal(replies::NOT_AUTHENTICATED, "wrong"))
            }
            Verdict::Disabled => {
                self.standing(login).await?;
                Err(Refusal(NO_SENDER, "disabled"))
            }
            Verdict::Yes(record) => {
                // Guesses sent at once are charged by now: the right one among them gains nothing.
                self.standing(login).await?;
                if !record.services.contains(Services::SUBMISSION) {
                    return Err(Refusal(NO_SENDER, "disabled"));
                }
                guessing.succeeded(Instant::now(), self.ip, login);
                Ok(record)
            }
        }
    }

    /// Keeps an answer from a guesser for a while; not beyond the end of the relay.
    async fn hold_back(&self, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.run.stopped() => {}
        }
    }

    fn report(&self, mechanism: &'static str, user: &str, decided: &Result<Box<AccountRecord>, Refusal>) {
        let result = match decided {
            Ok(_) => "ok",
            Err(Refusal(_, result)) => result,
        };
        self.shared.metrics.log_in(mechanism, result);
        tracing::info!(peer = %self.ip, mechanism, user, result, "log-in");
    }
}

fn away(_: DirectoryUnavailable) -> Refusal {
    Refusal(replies::CANNOT_AUTHENTICATE, "no_directory")
}

fn of_sasl(error: SaslError) -> Refusal {
    match error {
        SaslError::Cancelled => Refusal(replies::AUTH_CANCELLED, "cancelled"),
        SaslError::ForAnother => Refusal(FOR_ANOTHER, "for_another"),
        SaslError::ChannelBinding => Refusal(CHANNEL, "channel_binding"),
        SaslError::Unsupported => Refusal(replies::UNKNOWN_MECHANISM, "unknown"),
        SaslError::Encoding | SaslError::Malformed | SaslError::WrongServer => {
            Refusal(MALFORMED, "malformed")
        }
    }
}
