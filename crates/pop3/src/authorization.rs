use chasqui_base::Secret;

use crate::capability::Capabilities;
use crate::command::{AuthCommand, Command, CommandError};
use crate::reader::Reader;
use crate::reply::{self, ResponseCode};
use chasqui_sasl::scram::Channel;
use chasqui_sasl::{Claim, Exchange, Mechanism, Progress, SaslError, encode};

/// The server's side of the AUTHORIZATION state (RFC 1939 §4): everything up to the moment when somebody else has to
/// decide whether the credentials are good.
///
/// The driver writes [`Authorization::greeting`], then calls [`Authorization::next`] until it returns `None`, sends
/// what was appended to `out`, reads more into the [`Reader`], and so on. After [`Event::LogIn`] it either leaves the
/// state for good or writes a `-ERR` of its own and goes on calling `next`.
#[derive(Debug)]
pub struct Authorization {
    offer: Offer,
    state: State,
    errors: u32,
}

/// What a server offers before log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The connection is encrypted already.
    pub tls_active: bool,
    /// `STLS` is available while the connection is not encrypted.
    pub start_tls: bool,
    /// When USER/PASS, PLAIN and LOGIN are available.
    pub passwords: Passwords,
    /// EXTERNAL is available (a storage node towards its proxies).
    pub external: bool,
}

/// When a client may send a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passwords {
    /// Never: passwords do not belong here.
    Never,
    /// Only over TLS (RFC 2595 §2.2).
    WithTls,
    /// On any connection.
    Always,
}

/// What [`Authorization::next`] came to.
#[derive(Debug)]
pub enum Event {
    /// A reply was appended. The driver may send now or go on: it should send when `out` grows past a few KiB.
    Replied,
    /// `+OK` was appended: send it, then start TLS and call [`Authorization::tls_started`].
    StartTls,
    /// The client gave these credentials. Nothing was appended.
    LogIn(Claim),
    /// The client said QUIT; `+OK` was appended: send it and close.
    Quit,
    /// Too many errors, or octets after STLS; `-ERR` was appended: send it and close.
    Close,
}

#[derive(Debug)]
enum State {
    Command,
    /// USER came, PASS is expected next.
    Named(String),
    Exchange(Exchange),
}

impl Authorization {
    /// A fresh session.
    #[must_use]
    pub fn new(offer: Offer) -> Self {
        Self { offer, state: State::Command, errors: 0 }
    }

    /// Appends the greeting (RFC 1939 §4). It carries no APOP timestamp: APOP is not offered.
    pub fn greeting(&self, out: &mut Vec<u8>, name: &str) {
        if name.is_empty() {
            reply::ok(out, "Chasqui POP3 ready");
        } else {
            reply::ok(out, &format!("{name} Chasqui POP3 ready"));
        }
    }

    /// What is offered now.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Whether a SASL answer or a PASS is awaited, so that the driver can choose a shorter deadline.
    #[must_use]
    pub fn is_in_exchange(&self) -> bool {
        !matches!(self.state, State::Command)
    }

    /// TLS is up: everything said before is forgotten (RFC 2595 §4).
    pub fn tls_started(&mut self) {
        self.offer.tls_active = true;
        self.state = State::Command;
    }

    /// Takes one line from `reader`, or `None` until one is complete.
    pub fn next(&mut self, reader: &mut Reader, out: &mut Vec<u8>) -> Option<Event> {
        let limits = reader.limits();
        let event = match std::mem::replace(&mut self.state, State::Command) {
            State::Exchange(exchange) => {
                let Some(line) = reader.next_line(limits.sasl) else {
                    self.state = State::Exchange(exchange);
                    return None;
                };
                match line {
                    Ok(line) => self.progress(exchange.answer(&line), out),
                    Err(error) => self.refuse(&error.into(), out),
                }
            }
            state => {
                let Some(command) = reader.next_command() else {
                    self.state = state;
                    return None;
                };
                let named = if let State::Named(name) = state { Some(name) } else { None };
                match command {
                    Ok(command) => self.command(command, named, reader, out),
                    Err(error) => self.refuse(&error, out),
                }
            }
        };
        if self.errors > limits.errors && matches!(event, Event::Replied) {
            reply::err_code(out, ResponseCode::SysPerm, "too many errors, good-bye");
            return Some(Event::Close);
        }
        Some(event)
    }

    fn command(
        &mut self,
        command: Command,
        named: Option<String>,
        reader: &Reader,
        out: &mut Vec<u8>,
    ) -> Event {
        match command {
            Command::Capa => {
                // RFC 2449 §5: CAPA changes nothing, so it may stand between USER and PASS.
                if let Some(name) = named {
                    self.state = State::Named(name);
                }
                Capabilities::authorization(&self.offer).write(out);
                Event::Replied
            }
            Command::Stls => self.start_tls(reader, out),
            Command::User(name) => {
                if self.refuses_passwords(out) {
                    return Event::Replied;
                }
                self.state = State::Named(name);
                // The same answer for every name: nobody learns here who exists.
                reply::ok(out, "send PASS");
                Event::Replied
            }
            Command::Pass(password) => self.pass(password, named, out),
            Command::Auth(auth) => self.auth(auth, out),
            Command::AuthList => {
                reply::ok(out, "mechanisms follow");
                for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::External] {
                    if self.offers(&mechanism) {
                        reply::line(out, format_args!("{}", mechanism.name()));
                    }
                }
                reply::end(out);
                Event::Replied
            }
            Command::Quit => {
                reply::ok(out, "good-bye");
                Event::Quit
            }
            Command::Apop => self.wrong(out, "APOP is not available"),
            Command::Utf8 => self.wrong(out, "UTF8 is not available"),
            Command::Noop
            | Command::Stat
            | Command::List(_)
            | Command::Retr(_)
            | Command::Dele(_)
            | Command::Rset
            | Command::Top(..)
            | Command::Uidl(_) => self.wrong(out, "log in first"),
        }
    }

    fn start_tls(&mut self, reader: &Reader, out: &mut Vec<u8>) -> Event {
        if self.offer.tls_active {
            // RFC 2595 §4: only once.
            return self.wrong(out, "TLS is active already");
        }
        if !self.offer.start_tls {
            return self.wrong(out, "STLS is not available");
        }
        if !reader.is_empty() {
            // Octets sent in the clear must never be taken for octets sent under TLS.
            reply::err_code(out, ResponseCode::SysPerm, "nothing may follow STLS before its reply, good-bye");
            return Event::Close;
        }
        reply::ok(out, "begin TLS");
        Event::StartTls
    }

    fn pass(&mut self, password: Secret, named: Option<String>, out: &mut Vec<u8>) -> Event {
        if self.refuses_passwords(out) {
            return Event::Replied;
        }
        match named {
            Some(login) => Event::LogIn(Claim::Password { authorize: None, login, password }),
            None => self.wrong(out, "send USER first"),
        }
    }

    fn auth(&mut self, auth: AuthCommand, out: &mut Vec<u8>) -> Event {
        if matches!(auth.mechanism, Mechanism::Plain | Mechanism::Login) && self.refuses_passwords(out) {
            return Event::Replied;
        }
        if !self.offers(&auth.mechanism) {
            return self.progress(Err(SaslError::Unsupported), out);
        }
        self.progress(Exchange::begin(auth.mechanism, auth.initial, &Channel::default()), out)
    }

    fn progress(&mut self, progress: Result<Progress, SaslError>, out: &mut Vec<u8>) -> Event {
        match progress {
            Ok(Progress::Challenge(exchange, text)) => {
                self.state = State::Exchange(exchange);
                reply::challenge(out, &encode(&text));
                Event::Replied
            }
            Ok(Progress::Done(claim)) => Event::LogIn(claim),
            // SCRAM is not offered here, so it does not begin.
            Ok(Progress::Salt(_) | Progress::Proof(_)) => self.progress(Err(SaslError::Unsupported), out),
            Err(error) => {
                self.errors = self.errors.saturating_add(1);
                reply::err(out, &error.to_string());
                Event::Replied
            }
        }
    }

    fn offers(&self, mechanism: &Mechanism) -> bool {
        match mechanism {
            Mechanism::Plain | Mechanism::Login => self.offer.passwords_now(),
            Mechanism::External => self.offer.external,
            _ => false,
        }
    }

    fn refuses_passwords(&mut self, out: &mut Vec<u8>) -> bool {
        if self.offer.passwords_now() {
            return false;
        }
        let message = match self.offer.passwords {
            Passwords::WithTls => "passwords are taken only over TLS: send STLS first",
            Passwords::Never | Passwords::Always => "passwords are not taken here",
        };
        self.wrong(out, message);
        true
    }

    fn wrong(&mut self, out: &mut Vec<u8>, message: &str) -> Event {
        self.errors = self.errors.saturating_add(1);
        reply::err(out, message);
        Event::Replied
    }

    fn refuse(&mut self, error: &CommandError, out: &mut Vec<u8>) -> Event {
        self.wrong(out, &error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    const PROXY: Offer =
        Offer { tls_active: false, start_tls: true, passwords: Passwords::WithTls, external: false };
    const STORAGE: Offer =
        Offer { tls_active: true, start_tls: false, passwords: Passwords::Never, external: true };

    /// Feeds `input` and returns the last event with everything that was answered.
    fn talk(session: &mut Authorization, input: &str) -> (Option<Event>, String) {
        let mut reader = Reader::new(Limits { errors: 3, ..Limits::default() });
        reader.feed(input.as_bytes());
        let mut out = Vec::new();
        let mut last = None;
        while let Some(event) = session.next(&mut reader, &mut out) {
            let over = !matches!(event, Event::Replied);
            last = Some(event);
            if over {
                break;
            }
        }
        (last, String::from_utf8(out).unwrap_or_default())
    }

    #[test]
    fn user_and_pass_give_the_credentials() {
        let mut session = Authorization::new(Offer { tls_active: true, ..PROXY });
        let (event, out) = talk(&mut session, "USER ana@ejemplo.test\r\nCAPA\r\nPASS se cret\r\n");
        let Some(Event::LogIn(Claim::Password { login, password, .. })) = event else { panic!("{event:?}") };
        assert_eq!((login.as_str(), password.expose()), ("ana@ejemplo.test", "se cret"));
        assert!(out.contains("SASL PLAIN LOGIN\r\n") && !out.contains("STLS"));
    }

    #[test]
    fn no_password_is_taken_in_the_clear() {
        let mut session = Authorization::new(PROXY);
        let (event, out) = talk(&mut session, "USER ana\r\nAUTH PLAIN AGFuYQBhbmE=\r\n");
        assert!(matches!(event, Some(Event::Replied)));
        assert_eq!(out.matches("-ERR passwords are taken only over TLS").count(), 2);
    }

    #[test]
    fn octets_behind_stls_close_the_connection() {
        let mut session = Authorization::new(PROXY);
        let (event, _) = talk(&mut session, "STLS\r\n");
        assert!(matches!(event, Some(Event::StartTls)));
        let mut session = Authorization::new(PROXY);
        let (event, out) = talk(&mut session, "STLS\r\nUSER x\r\n");
        assert!(matches!(event, Some(Event::Close)));
        assert!(out.starts_with("-ERR [SYS/PERM]"));
    }

    #[test]
    fn stls_is_taken_once() {
        let mut session = Authorization::new(PROXY);
        session.tls_started();
        let (_, out) = talk(&mut session, "STLS\r\n");
        assert!(out.starts_with("-ERR TLS is active"));
    }

    #[test]
    fn a_storage_node_takes_external_and_nothing_else() {
        let mut session = Authorization::new(STORAGE);
        let (event, _) = talk(&mut session, "AUTH EXTERNAL YW5hQGVqZW1wbG8udGVzdA==\r\n");
        assert!(
            matches!(event, Some(Event::LogIn(Claim::External { authorize })) if authorize == "ana@ejemplo.test")
        );
        let mut session = Authorization::new(STORAGE);
        let (_, out) = talk(&mut session, "CAPA\r\nUSER ana\r\n");
        assert!(out.contains("SASL EXTERNAL\r\n") && !out.contains("\r\nUSER\r\n"));
        assert!(out.ends_with("-ERR passwords are not taken here\r\n"));
    }

    #[test]
    fn an_exchange_can_be_cancelled_and_repeated() {
        let mut session = Authorization::new(Offer { tls_active: true, ..PROXY });
        let (_, out) = talk(&mut session, "AUTH LOGIN\r\n*\r\nAUTH LOGIN\r\nYW5h\r\n");
        assert_eq!(
            out,
            "+ VXNlcm5hbWU6\r\n-ERR authentication cancelled\r\n+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"
        );
        assert!(session.is_in_exchange());
    }

    #[test]
    fn too_many_errors_close_the_session() {
        let mut session = Authorization::new(PROXY);
        let (event, out) = talk(&mut session, "A\r\nB\r\nC\r\nSTAT\r\nNOOP\r\n");
        assert!(matches!(event, Some(Event::Close)));
        assert!(out.ends_with("-ERR [SYS/PERM] too many errors, good-bye\r\n"));
        assert_eq!(out.matches("-ERR").count(), 5);
    }
}
