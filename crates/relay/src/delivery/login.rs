//! Authentication at a smarthost (RFC 4954): SCRAM-SHA-256 where it is offered, which shows the host no password, bound to the TLS
//! connection where that is offered too; else PLAIN.

use super::{
    connection::{Broken, Connection, Patience},
    routes::Login,
};
use chasqui_base::Secret;
use chasqui_sasl::scram::{Channel, Client};
use chasqui_smtp::{ClientEvent, Reply};

/// Why there is no authentication.
#[derive(Debug)]
pub(super) enum NotLoggedIn {
    /// The host said so, or we in its place. Never for ever: the configuration is wrong, not the message.
    Refused(Reply),
    /// The connection broke.
    Broken(Broken),
}

impl From<Broken> for NotLoggedIn {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

const NO_MECHANISM: Reply =
    Reply::fixed(451, (4, 7, 0), "The smarthost offers neither SCRAM-SHA-256 nor PLAIN, or offers no AUTH");
const NO_RANDOMNESS: Reply = Reply::fixed(451, (4, 3, 0), "The system has no random octets now");
const IMPOSTOR: Reply = Reply::fixed(451, (4, 7, 0), "The smarthost does not know the password itself");

/// Logs in over a connection whose TLS the route allows a password on.
pub(super) async fn log_in(
    connection: &mut Connection,
    login: &Login,
    patience: &Patience<'_>,
) -> Result<(), NotLoggedIn> {
    let offers = |name: &str| connection.offers().auth.iter().any(|offered| &**offered == name);
    let plus_offered = offers("SCRAM-SHA-256-PLUS");
    if plus_offered || offers("SCRAM-SHA-256") {
        let channel = Channel { binding: connection.channel_binding(), plus_offered };
        return by_scram(connection, login, &channel, patience).await;
    }
    if !offers("PLAIN") {
        return Err(NotLoggedIn::Refused(NO_MECHANISM));
    }
    // RFC 4616 §2.
    let message = Secret::new(format!("\0{}\0{}", login.user, login.password.expose()));
    connection.client().authenticate("PLAIN", Some(&message)).map_err(Broken::from)?;
    match connection.next(patience.timeouts.hello, patience).await? {
        ClientEvent::Authenticated => Ok(()),
        ClientEvent::AuthRefused(reply) => Err(NotLoggedIn::Refused(later(&reply))),
        _ => Err(give_up(connection, patience).await),
    }
}

async fn by_scram(
    connection: &mut Connection,
    login: &Login,
    channel: &Channel,
    patience: &Patience<'_>,
) -> Result<(), NotLoggedIn> {
    let plus = channel.plus_offered && channel.binding.is_some();
    let Ok(mut scram) = Client::new(&login.user, login.password.clone(), channel, plus) else {
        return Err(NotLoggedIn::Refused(NO_RANDOMNESS));
    };
    let mechanism = if plus { "SCRAM-SHA-256-PLUS" } else { "SCRAM-SHA-256" };
    connection.client().authenticate(mechanism, Some(&scram.first())).map_err(Broken::from)?;
    loop {
        match connection.next(patience.timeouts.hello, patience).await? {
            ClientEvent::Challenge(challenge) => match scram.answer(challenge.expose()) {
                Ok(answer) => connection.client().respond(Some(&answer)),
                Err(error) => {
                    tracing::error!(remote = %connection.remote.name, %error, "the smarthost's SCRAM is wrong");
                    return Err(give_up(connection, patience).await);
                }
            },
            // The host must have shown that it knows the password too (RFC 5802 §3).
            ClientEvent::Authenticated if scram.is_confirmed() => return Ok(()),
            ClientEvent::AuthRefused(reply) => return Err(NotLoggedIn::Refused(later(&reply))),
            _ => return Err(NotLoggedIn::Refused(IMPOSTOR)),
        }
    }
}

async fn give_up(connection: &mut Connection, patience: &Patience<'_>) -> NotLoggedIn {
    connection.client().respond(None);
    match connection.next(patience.timeouts.hello, patience).await {
        Ok(_) => NotLoggedIn::Refused(IMPOSTOR),
        Err(broken) => NotLoggedIn::Broken(broken),
    }
}

/// A refused password is the operator's trouble, and mended: messages wait for it.
fn later(reply: &Reply) -> Reply {
    let words: Vec<&str> = reply.lines().collect();
    Reply::new(
        451,
        (4, 7, 8),
        format!("The smarthost refused our password: {} {}", reply.code(), words.join(" ")),
    )
}
