//! POP3 before the log-in: the state machine is [`chasqui_pop3::Authorization`], which storage nodes use too, so what a
//! client is offered before and after its log-in comes from one place.

use chasqui_base::net::Endpoint;
use chasqui_directory::{Node, Services};
use chasqui_pop3::client::{Status, auth_external};
use chasqui_pop3::reply::{err, err_code};
use chasqui_pop3::{Authorization, Event, Limits as WireLimits, Passwords, Reader, ResponseCode};

use crate::config::Limits;
use crate::dialogue::{Answer, Dialogue, Farewell, Next, Offer, Refusal, lines};
use crate::metrics::Protocol;
use chasqui_sasl::Credentials;

/// A POP3 client that has not logged in.
pub struct Pop3 {
    reader: Reader,
    state: Authorization,
}

impl Dialogue for Pop3 {
    const PROTOCOL: Protocol = Protocol::Pop3;
    const REFUSAL: &'static [u8] = b"-ERR [SYS/TEMP] too many connections, try again later\r\n";

    fn new(limits: &Limits, offer: Offer) -> Self {
        let line = limits.command.as_usize();
        let reader = Reader::new(WireLimits { command: line, sasl: line, errors: limits.errors });
        let passwords = if offer.plaintext { Passwords::Always } else { Passwords::WithTls };
        let Offer { tls_active, start_tls, .. } = offer;
        let state =
            Authorization::new(chasqui_pop3::Offer { tls_active, start_tls, passwords, external: false });
        Self { reader, state }
    }

    fn greet(&self, out: &mut Vec<u8>) {
        self.state.greeting(out, "");
    }

    fn input(&mut self) -> (&mut Vec<u8>, usize) {
        let space = self.reader.space();
        (self.reader.buffer_mut(), space)
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Next {
        match self.state.next(&mut self.reader, out) {
            None => Next::NeedInput,
            Some(Event::Replied) => Next::Replied,
            Some(Event::StartTls) => Next::StartTls,
            Some(Event::Quit) => Next::Quit,
            Some(Event::Close) => Next::GiveUp,
            Some(Event::LogIn(spoken)) => Next::LogIn(Credentials::of(spoken)),
        }
    }

    fn tls_started(&mut self) {
        self.reader = Reader::new(self.reader.limits());
        self.state.tls_started();
    }

    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        // RFC 3206: AUTH is for the user to mend, SYS/TEMP mends itself.
        let (code, text) = match refusal {
            Refusal::Bad(bad) => return err_code(out, ResponseCode::Auth, &bad.to_string()),
            Refusal::Wrong => (ResponseCode::Auth, "wrong user name or password"),
            Refusal::TooMany => (ResponseCode::SysTemp, "too many failed log-ins, try again later"),
            Refusal::Disabled => {
                (ResponseCode::Auth, "this account may not log in here, ask your administrator")
            }
            Refusal::NoDirectory => (ResponseCode::SysTemp, "log-in is not possible now, try again later"),
            Refusal::NodeDown => {
                (ResponseCode::SysTemp, "your mailbox cannot be reached now, try again later")
            }
            Refusal::Node(reason) => return err(out, reason),
        };
        err_code(out, code, text);
    }

    fn farewell(&self, farewell: Farewell, out: &mut Vec<u8>) {
        let text = match farewell {
            Farewell::Slow => "too slow, good-bye",
            Farewell::LogIns => "too many failed log-ins, good-bye",
            Farewell::Stopping => "shutting down, connect again",
        };
        err_code(out, ResponseCode::SysTemp, text);
    }

    fn take_input(&mut self) -> Vec<u8> {
        self.reader.take_rest()
    }

    fn endpoint(node: &Node) -> &Endpoint {
        &node.pop3
    }

    fn permitted(services: Services) -> bool {
        services.pop3()
    }

    fn open(account: &str, out: &mut Vec<u8>) {
        auth_external(out, account);
    }

    fn answer(&self, received: &[u8]) -> Answer {
        let mut lines = lines(received);
        let Some((greeting, _)) = lines.next() else { return Answer::Incomplete { greeted: false } };
        match Status::parse(greeting) {
            Ok(greeting) if greeting.ok => {}
            // Too many connections, or it shuts down.
            Ok(greeting) => return Answer::Refused(reason(&greeting)),
            Err(_) => return Answer::Nonsense,
        }
        let Some((line, end)) = lines.next() else { return Answer::Incomplete { greeted: true } };
        match Status::parse(line) {
            Ok(status) if status.ok => {
                let mut shown = Vec::with_capacity(line.len() + 2 + received.len() - end);
                shown.extend_from_slice(line);
                shown.extend_from_slice(b"\r\n");
                shown.extend_from_slice(&received[end..]);
                Answer::Opened(shown)
            }
            Ok(status) => Answer::Refused(reason(&status)),
            Err(_) => Answer::Nonsense,
        }
    }
}

/// A node's reason as the client may see it. Doubts of the node about *us* are no fault of the user's password.
fn reason(status: &Status) -> String {
    match status.code {
        Some(
            code @ (ResponseCode::InUse
            | ResponseCode::LoginDelay
            | ResponseCode::SysTemp
            | ResponseCode::SysPerm),
        ) => {
            format!("[{}] {}", code.as_str(), status.text)
        }
        Some(ResponseCode::Auth) | None => {
            "[SYS/TEMP] your mailbox cannot be opened now, try again later".to_owned()
        }
    }
}
