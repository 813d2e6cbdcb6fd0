//! IMAP before the log-in (RFC 3501 §3.1, §6.1, §6.2; RFC 9051 likewise).

use chasqui_base::Secret;
use chasqui_base::net::Endpoint;
use chasqui_directory::{Node, Services};
use chasqui_imap::client::authenticate_external;
use chasqui_imap::{
    CAPABILITIES, Code, Command, CommandBody, CommandReader, Event, Limits as WireLimits, LineEvent, Reply,
    Tag,
};
// The exchanges of SASL are the same in both protocols; only their framing differs.
use chasqui_sasl::scram::Channel;
use chasqui_sasl::{BadCredentials, Credentials, Exchange, Mechanism, Progress, SaslError, encode};

use crate::config::Limits;
use crate::dialogue::{Answer, Dialogue, Farewell, Next, Offer, Refusal, lines};
use crate::metrics::Protocol;

/// An IMAP client that has not logged in.
pub struct Imap {
    reader: CommandReader,
    offer: Offer,
    state: State,
    errors: u32,
    most_errors: u32,
}

enum State {
    /// Between commands.
    Command,
    /// A SASL response is awaited.
    Exchange(Tag, Exchange),
    /// The log-in of this tag is being decided.
    Deciding(Tag),
    /// The stream cannot be understood any more.
    Over,
}

/// The proxy's own tag towards storage nodes, in place of the client's.
const TAG: &str = "P";

impl Dialogue for Imap {
    const PROTOCOL: Protocol = Protocol::Imap;
    const REFUSAL: &'static [u8] = b"* BYE [UNAVAILABLE] Too many connections, try again later\r\n";

    fn new(limits: &Limits, offer: Offer) -> Self {
        let command = limits.command.as_usize();
        let wire = WireLimits { line: command, literal: command, command, ..WireLimits::before_log_in() };
        let reader = CommandReader::new(wire);
        Self { reader, offer, state: State::Command, errors: 0, most_errors: limits.errors }
    }

    fn greet(&self, out: &mut Vec<u8>) {
        Reply::ok("Chasqui IMAP ready").with(Code::Capability(self.capabilities().into())).untagged(out);
    }

    fn input(&mut self) -> (&mut Vec<u8>, usize) {
        let room = self.reader.room();
        (self.reader.input(), room)
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Next {
        let next = match std::mem::replace(&mut self.state, State::Command) {
            State::Exchange(tag, exchange) => self.response(tag, exchange, out),
            State::Over => {
                self.state = State::Over;
                return Next::GiveUp;
            }
            State::Command | State::Deciding(_) => self.command(out),
        };
        if self.errors > self.most_errors && matches!(next, Next::Replied) {
            Reply::bye("Too many errors").with(Code::Limit).untagged(out);
            self.state = State::Over;
            return Next::GiveUp;
        }
        next
    }

    fn tls_started(&mut self) {
        // RFC 9051 §6.2.1: nothing that was said in the clear counts.
        self.reader.discard_input();
        self.state = State::Command;
        self.offer.tls_active = true;
    }

    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        let State::Deciding(tag) = std::mem::replace(&mut self.state, State::Command) else { return };
        // RFC 5530 §3.
        let reply = match refusal {
            Refusal::Bad(BadCredentials::ForAnother) => {
                Reply::no("You may act for yourself only").with(Code::AuthorizationFailed)
            }
            Refusal::Bad(BadCredentials::Malformed) | Refusal::Wrong => {
                Reply::no("Wrong user name or password").with(Code::AuthenticationFailed)
            }
            Refusal::TooMany => Reply::no("Too many failed log-ins, try again later").with(Code::Limit),
            Refusal::Disabled => {
                Reply::no("This account may not log in here, ask your administrator").with(Code::ContactAdmin)
            }
            Refusal::NoDirectory => {
                Reply::no("Log-in is not possible now, try again later").with(Code::Unavailable)
            }
            Refusal::NodeDown => {
                Reply::no("Your mailbox cannot be reached now, try again later").with(Code::Unavailable)
            }
            Refusal::Node(reason) => {
                out.extend_from_slice(format!("{tag} NO {reason}\r\n").as_bytes());
                return;
            }
        };
        reply.tagged(&tag, out);
    }

    fn farewell(&self, farewell: Farewell, out: &mut Vec<u8>) {
        let reply = match farewell {
            Farewell::Slow => Reply::bye("Too slow to log in"),
            Farewell::LogIns => Reply::bye("Too many failed log-ins").with(Code::Limit),
            Farewell::Stopping => Reply::bye("Shutting down, connect again").with(Code::Unavailable),
        };
        reply.untagged(out);
    }

    fn take_input(&mut self) -> Vec<u8> {
        self.reader.take_input()
    }

    fn endpoint(node: &Node) -> &Endpoint {
        &node.imap
    }

    fn permitted(services: Services) -> bool {
        services.imap()
    }

    fn open(account: &str, out: &mut Vec<u8>) {
        // RFC 4959: with the initial response it is one command, so it can go out before the greeting.
        out.extend_from_slice(&authenticate_external(TAG, account));
    }

    fn answer(&self, received: &[u8]) -> Answer {
        let State::Deciding(tag) = &self.state else { return Answer::Nonsense };
        let mut lines = lines(received);
        let Some((greeting, mut from)) = lines.next() else { return Answer::Incomplete { greeted: false } };
        match greeting.strip_prefix(b"* ").map(condition) {
            Some((b"OK", _)) => {}
            // Too many connections, or it shuts down.
            Some((b"BYE", text)) => return Answer::Refused(reason(text)),
            _ => return Answer::Nonsense,
        }
        let mut shown = Vec::new();
        for (line, end) in lines {
            if let Some(untagged) = line.strip_prefix(b"* ") {
                if let (b"BYE", text) = condition(untagged) {
                    return Answer::Refused(reason(text));
                }
                shown.extend_from_slice(&received[from..end]);
            } else if let Some(tagged) =
                line.strip_prefix(TAG.as_bytes()).and_then(|line| line.strip_prefix(b" "))
            {
                return match condition(tagged) {
                    (b"OK", _) => {
                        shown.extend_from_slice(tag.as_str().as_bytes());
                        shown.extend_from_slice(&received[from + TAG.len()..]);
                        Answer::Opened(shown)
                    }
                    (b"NO", text) => Answer::Refused(reason(text)),
                    _ => Answer::Nonsense,
                };
            } else {
                return Answer::Nonsense;
            }
            from = end;
        }
        Answer::Incomplete { greeted: true }
    }
}

impl Imap {
    fn command(&mut self, out: &mut Vec<u8>) -> Next {
        match self.reader.next_event() {
            Event::NeedInput => return Next::NeedInput,
            Event::Continue => out.extend_from_slice(b"+ OK\r\n"),
            Event::Command(command) => return self.execute(command, out),
            Event::Append { tag, .. } => {
                self.reader.refuse();
                self.wrong(Some(&tag), "Log in first", out);
            }
            Event::Refused { tag, reply } => {
                self.errors += 1;
                reply.answer(tag.as_ref(), out);
            }
            Event::Fatal { tag, reply } => {
                reply.answer(tag.as_ref(), out);
                Reply::bye("Cannot go on").untagged(out);
                self.state = State::Over;
                return Next::GiveUp;
            }
            // Only after an APPEND was accepted, which never happens here.
            Event::AppendNext(_) | Event::Chunk(_) | Event::AppendEnd => {}
        }
        Next::Replied
    }

    fn execute(&mut self, Command { tag, body }: Command, out: &mut Vec<u8>) -> Next {
        match body {
            CommandBody::Capability => {
                out.extend_from_slice(format!("* CAPABILITY {}\r\n", self.capabilities()).as_bytes());
                Reply::ok("Done").tagged(&tag, out);
            }
            CommandBody::Noop => Reply::ok("Done").tagged(&tag, out),
            CommandBody::Id(_) => {
                // RFC 2971 §3.2; no version: it helps only those who look for old ones.
                out.extend_from_slice(b"* ID (\"name\" \"Chasqui\")\r\n");
                Reply::ok("Done").tagged(&tag, out);
            }
            CommandBody::Logout => {
                Reply::bye("Good-bye").untagged(out);
                Reply::ok("Done").tagged(&tag, out);
                return Next::Quit;
            }
            CommandBody::StartTls if self.offer.tls_active => {
                self.wrong(Some(&tag), "TLS is active already", out)
            }
            CommandBody::StartTls if !self.offer.start_tls => {
                self.wrong(Some(&tag), "TLS is not available", out)
            }
            CommandBody::StartTls => {
                self.reader.discard_input();
                Reply::ok("Begin TLS").tagged(&tag, out);
                return Next::StartTls;
            }
            CommandBody::Login { .. } | CommandBody::Authenticate { .. } if !self.passwords_taken() => {
                self.errors += 1;
                Reply::no("Start TLS first").with(Code::PrivacyRequired).tagged(&tag, out);
            }
            CommandBody::Login { user, password } => {
                self.state = State::Deciding(tag);
                return Next::LogIn(Credentials::new(&user, password.expose()));
            }
            CommandBody::Authenticate { mechanism, initial } => {
                let mechanism = Mechanism::parse(&mechanism);
                if !matches!(mechanism, Mechanism::Plain | Mechanism::Login) {
                    return self.progress(tag, Err(SaslError::Unsupported), out);
                }
                let initial = match initial {
                    Some(octets) => match String::from_utf8(octets.expose().to_vec()) {
                        Ok(text) => Some(Secret::new(text)),
                        Err(_) => return self.progress(tag, Err(SaslError::Encoding), out),
                    },
                    None => None,
                };
                return self.progress(tag, Exchange::begin(mechanism, initial, &Channel::default()), out);
            }
            _ => self.wrong(Some(&tag), "Log in first", out),
        }
        Next::Replied
    }

    fn response(&mut self, tag: Tag, exchange: Exchange, out: &mut Vec<u8>) -> Next {
        match self.reader.next_line() {
            LineEvent::NeedInput => {
                self.state = State::Exchange(tag, exchange);
                Next::NeedInput
            }
            LineEvent::Line(line) => self.progress(tag, exchange.answer(&line), out),
            LineEvent::TooLong => {
                Reply::bad("Line is too long").with(Code::Limit).tagged(&tag, out);
                Reply::bye("Cannot go on").untagged(out);
                self.state = State::Over;
                Next::GiveUp
            }
        }
    }

    fn progress(&mut self, tag: Tag, progress: Result<Progress, SaslError>, out: &mut Vec<u8>) -> Next {
        match progress {
            Ok(Progress::Challenge(exchange, challenge)) => {
                out.extend_from_slice(format!("+ {}\r\n", encode(&challenge)).as_bytes());
                self.state = State::Exchange(tag, exchange);
                Next::Replied
            }
            Ok(Progress::Done(claim)) => {
                self.state = State::Deciding(tag);
                Next::LogIn(Credentials::of(claim))
            }
            // SCRAM is not offered here, so it does not begin.
            Ok(Progress::Salt(_) | Progress::Proof(_)) => {
                self.progress(tag, Err(SaslError::Unsupported), out)
            }
            Err(error) => {
                self.errors += 1;
                let reply = match error {
                    // RFC 9051 §6.2.2: `*` is answered by BAD.
                    SaslError::Cancelled => Reply::bad("Cancelled"),
                    SaslError::Encoding | SaslError::Malformed => Reply::bad("Malformed response"),
                    _ => Reply::no("Unknown mechanism").with(Code::Cannot),
                };
                reply.tagged(&tag, out);
                Next::Replied
            }
        }
    }

    fn wrong(&mut self, tag: Option<&Tag>, text: &'static str, out: &mut Vec<u8>) {
        self.errors += 1;
        Reply::bad(text).answer(tag, out);
    }

    fn passwords_taken(&self) -> bool {
        self.offer.tls_active || self.offer.plaintext
    }

    fn capabilities(&self) -> String {
        // What the nodes will offer, so that a client which asks only once knows everything.
        let mut list = CAPABILITIES.to_owned();
        if self.offer.start_tls && !self.offer.tls_active {
            list.push_str(" STARTTLS");
        }
        list.push_str(if self.passwords_taken() { " AUTH=PLAIN AUTH=LOGIN" } else { " LOGINDISABLED" });
        list
    }
}

/// The word at the start and what follows it.
fn condition(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&octet| octet == b' ').unwrap_or(text.len());
    (&text[..end], text[end..].strip_prefix(b" ").unwrap_or_default())
}

/// A node's reason as the client may see it. Doubts of the node about *us* are no fault of the user's password.
fn reason(text: &[u8]) -> String {
    const PASSED_ON: [&[u8]; 5] =
        [b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]", b"[CONTACTADMIN]", b"[SERVERBUG]"];
    if PASSED_ON.iter().any(|code| text.starts_with(code)) {
        return String::from_utf8_lossy(text).replace(|c: char| c.is_control() || !c.is_ascii(), " ");
    }
    "[UNAVAILABLE] Your mailbox cannot be opened now, try again later".to_owned()
}
