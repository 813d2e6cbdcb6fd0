use std::io;
use std::sync::Arc;

use chasqui_base::Lifecycle;
use chasqui_base::tls::PeerRoles;
use chasqui_pop3::{Authorization, Event, Offer, Passwords, ResponseCode, reply};
use chasqui_sasl::Claim;

use super::Connection;
use super::maildrop::Maildrop;
use crate::connection::in_time;
use crate::node::{LogInError, Node, Protocol};

/// The AUTHORIZATION state: CAPA, AUTH EXTERNAL, QUIT. `None` when the peer left or was sent away.
pub(super) async fn run(
    connection: &mut Connection,
    roles: PeerRoles,
    node: &Arc<Node>,
    run: &Lifecycle,
) -> io::Result<Option<Maildrop>> {
    let deadline = connection.settings.timeouts.log_in.get();
    // TLS is implicit, or this is loopback: there is nothing to start, and no password belongs here.
    let mut state = Authorization::new(Offer {
        tls_active: connection.stream.is_tls(),
        start_tls: false,
        passwords: Passwords::Never,
        external: true,
    });
    state.greeting(&mut connection.out, &node.name);
    loop {
        match state.next(&mut connection.reader, &mut connection.out) {
            None => {
                connection.flush().await?;
                let read = tokio::select! {
                    read = in_time(deadline, connection.read()) => read?,
                    () = run.stopped() => return shutting_down(connection).await,
                };
                if read == 0 {
                    return Ok(None);
                }
            }
            Some(Event::Replied) => connection.flush_if_much().await?,
            Some(Event::LogIn(claim)) => {
                if let Some(maildrop) = log_in(claim, &mut connection.out, roles, node).await {
                    return Ok(Some(maildrop));
                }
            }
            Some(Event::Quit | Event::Close | Event::StartTls) => {
                connection.flush().await?;
                return Ok(None);
            }
        }
    }
}

async fn shutting_down(connection: &mut Connection) -> io::Result<Option<Maildrop>> {
    reply::err_code(&mut connection.out, ResponseCode::SysTemp, "shutting down, try again soon");
    connection.flush().await?;
    Ok(None)
}

/// Opens the maildrop and answers `+OK`, or answers `-ERR`.
async fn log_in(claim: Claim, out: &mut Vec<u8>, roles: PeerRoles, node: &Arc<Node>) -> Option<Maildrop> {
    let Claim::External { authorize } = claim else {
        reply::err_code(out, ResponseCode::Auth, "passwords are not taken here");
        return None;
    };
    let log_in = match node.log_in(roles, &authorize, Protocol::Pop3).await {
        Ok(log_in) => log_in,
        Err(error) => {
            reply::err_code(out, code(&error), &error.to_string());
            return None;
        }
    };
    match Maildrop::open(&log_in).await {
        Ok(maildrop) => {
            let (count, octets) = maildrop.totals();
            reply::ok(out, &format!("maildrop has {count} messages ({octets} octets)"));
            Some(maildrop)
        }
        Err(error) => {
            tracing::warn!(account = %log_in.address, %error, "the maildrop cannot be opened");
            reply::err_code(out, ResponseCode::SysTemp, "the maildrop cannot be opened now, try again later");
            None
        }
    }
}

/// RFC 3206: `[AUTH]` only where the credentials themselves are at fault.
fn code(error: &LogInError) -> ResponseCode {
    match error {
        LogInError::NotAllowed | LogInError::Unknown | LogInError::Disabled => ResponseCode::Auth,
        LogInError::NotOwner(_) | LogInError::NoDirectory => ResponseCode::SysTemp,
    }
}
