//! The command grammar of RFC 5321 §4.1 and of the extensions that are offered.

use crate::{
    mailbox::{Mailbox, ReversePath, domain},
    notification::{EnvelopeId, RecipientParameters, Ret},
    parameters::{self, number},
    reply::{Reply, replies},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::{DeliveryId, Secret};

/// Which commands and parameters a line may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// LMTP: LHLO in place of EHLO and HELO (RFC 2033 §4.1).
    pub lmtp: bool,
    /// Extensions are in use: the greeting was EHLO or LHLO, so MAIL and RCPT may carry parameters.
    pub extended: bool,
    /// The extensions that were offered beside those that always are.
    pub offers: Offers,
}

/// Extensions that a listener may offer or not. What is not offered is refused when it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// AUTH (RFC 4954): the command, and the parameter of MAIL.
    pub auth: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// BODY=BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// FUTURERELEASE (RFC 4865).
    pub future_release: bool,
    /// MT-PRIORITY (RFC 6710).
    pub priority: bool,
    /// XDELIVERYID: a link between our own roles.
    pub delivery_id: bool,
    /// XJUNK: a link between our own roles.
    pub junk: bool,
    /// XQUEUED: a relay that takes over another one's queue.
    pub queued: bool,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO, HELO or LHLO.
    Hello(Hello<'a>),
    /// MAIL.
    Mail(Mail),
    /// RCPT.
    Recipient(Recipient, RecipientParameters),
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Chunk {
        /// Octets that follow the line.
        size: u64,
        /// The message ends with them.
        last: bool,
    },
    /// RSET.
    Reset,
    /// NOOP, with or without an argument.
    Noop,
    /// VRFY.
    Verify,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Authenticate {
        /// The mechanism, as it was spelt.
        mechanism: &'a str,
        /// The initial response, decoded; empty for `=`.
        initial: Option<Secret>,
    },
}

/// The client's greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// What the client calls itself: printable, without spaces, brackets other than of a literal, or quotes; otherwise its own claim.
    pub name: &'a str,
    /// EHLO or LHLO, not HELO.
    pub extended: bool,
}

/// The arguments of MAIL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where bounces go.
    pub reverse_path: ReversePath,
    /// Octets that the client announces (RFC 1870), not to be trusted.
    pub size: Option<u64>,
    /// BODY (RFC 6152, RFC 3030).
    pub body: Body,
    /// SMTPUTF8 (RFC 6531): addresses and header may be UTF-8.
    pub smtputf8: bool,
    /// AUTH (RFC 4954 §5): who submitted the message, says the client. Nothing here believes it.
    pub auth: Option<ReversePath>,
    /// RET (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// ENVID (RFC 3461 §4.4).
    pub envelope_id: Option<EnvelopeId>,
    /// REQUIRETLS (RFC 8689): the message goes over TLS to servers that offer the same, or not at all.
    pub require_tls: bool,
    /// HOLDFOR or HOLDUNTIL (RFC 4865), within the limit that was offered.
    pub hold: Option<Hold>,
    /// MT-PRIORITY (RFC 6710): -9 to 9, more is more urgent.
    pub priority: Option<i8>,
    /// XDELIVERYID: the id under which our exchanger may send this message again.
    pub delivery_id: Option<DeliveryId>,
    /// XJUNK: the message goes into the mailbox for unwanted mail.
    pub junk: bool,
    /// XQUEUED: when the message came into the first queue, in seconds since 1970: its age goes on counting.
    pub queued: Option<u64>,
}

impl Mail {
    /// MAIL without parameters.
    #[must_use]
    pub fn new(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            size: None,
            body: Body::default(),
            smtputf8: false,
            auth: None,
            ret: None,
            envelope_id: None,
            require_tls: false,
            hold: None,
            priority: None,
            delivery_id: None,
            junk: false,
            queued: None,
        }
    }
}

/// The value of BODY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// 7BIT, also when not said.
    #[default]
    SevenBit,
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// BINARYMIME (RFC 3030): any octets in any order, by BDAT only.
    BinaryMime,
}

/// How long a message is to be kept back (RFC 4865).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So many seconds from now on.
    For(u64),
    /// Until this time, in seconds since 1970.
    Until(u64),
}

impl Hold {
    /// When the message may go, in seconds since 1970; maybe in the past.
    #[must_use]
    pub const fn release_at(self, now: u64) -> u64 {
        match self {
            Self::For(seconds) => now.saturating_add(seconds),
            Self::Until(time) => time,
        }
    }
}

/// The argument of RCPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// `<Postmaster>` without a domain (RFC 5321 §4.1.1.3).
    Postmaster,
    /// An address.
    Mailbox(Mailbox),
}

impl<'a> Command<'a> {
    /// Parses a line without its CR LF.
    ///
    /// # Errors
    /// The reply to give: 500 for no command, 501 for bad arguments, 502 for one that is not offered, 555 for a parameter that is
    /// not offered.
    pub fn parse(line: &'a [u8], dialect: Dialect) -> Result<Self, Reply> {
        let text = std::str::from_utf8(line).map_err(|_| replies::BAD_OCTETS)?;
        if text.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
            return Err(replies::BAD_OCTETS);
        }
        let (verb, arguments) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
        let arguments = arguments.trim_matches([' ', '\t']);
        let alone = |command| if arguments.is_empty() { Ok(command) } else { Err(replies::BAD_ARGUMENTS) };
        let mut upper = [0; 8];
        let Some(upper) = upper.get_mut(..verb.len()) else {
            return Err(replies::UNKNOWN_COMMAND);
        };
        upper.copy_from_slice(verb.as_bytes());
        upper.make_ascii_uppercase();
        match &*upper {
            b"EHLO" if !dialect.lmtp => hello(arguments, true),
            b"HELO" if !dialect.lmtp => hello(arguments, false),
            b"LHLO" if dialect.lmtp => hello(arguments, true),
            b"MAIL" => mail(arguments, dialect).map(Command::Mail),
            b"RCPT" => recipient(arguments, dialect),
            b"DATA" => alone(Command::Data),
            b"BDAT" if dialect.extended => chunk(arguments),
            b"BDAT" => Err(replies::HELLO_FIRST),
            b"RSET" => alone(Command::Reset),
            b"NOOP" => Ok(Command::Noop),
            b"VRFY" => {
                if arguments.is_empty() {
                    Err(replies::BAD_ARGUMENTS)
                } else {
                    Ok(Command::Verify)
                }
            }
            b"HELP" => Ok(Command::Help),
            b"QUIT" => alone(Command::Quit),
            b"STARTTLS" => alone(Command::StartTls),
            b"AUTH" if dialect.offers.auth => authenticate(arguments),
            b"EXPN" | b"TURN" | b"ETRN" | b"AUTH" | b"SEND" | b"SOML" | b"SAML" => {
                Err(replies::NOT_IMPLEMENTED)
            }
            _ => Err(replies::UNKNOWN_COMMAND),
        }
    }
}

fn hello(name: &str, extended: bool) -> Result<Command<'_>, Reply> {
    // RFC 5321 §4.1.4 lets a server not refuse for a wrong name, and many names are wrong (underscores, say); but what is
    // written into Received must be one word that cannot be taken for anything else.
    let word = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c) || !c.is_ascii();
    let literal = name.starts_with('[') && domain(name).is_ok();
    if name.is_empty() || name.len() > 255 || !(literal || name.chars().all(word)) {
        return Err(replies::BAD_ARGUMENTS);
    }
    Ok(Command::Hello(Hello { name, extended }))
}

fn mail(arguments: &str, dialect: Dialect) -> Result<Mail, Reply> {
    let path = keyword(arguments, "FROM:").ok_or(replies::BAD_ARGUMENTS)?;
    let (path, rest) = bracketed(path).ok_or(replies::BAD_SENDER)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(mailbox(path).ok_or(replies::BAD_SENDER)?),
    };
    let mut mail = Mail::new(reverse_path);
    parameters::of_mail(rest, dialect, &mut mail)?;
    if !mail.smtputf8 && !mail.reverse_path.is_ascii() {
        return Err(replies::NEEDS_SMTPUTF8);
    }
    Ok(mail)
}

fn recipient<'a>(arguments: &str, dialect: Dialect) -> Result<Command<'a>, Reply> {
    let path = keyword(arguments, "TO:").ok_or(replies::BAD_ARGUMENTS)?;
    let (path, rest) = bracketed(path).ok_or(replies::BAD_RECIPIENT)?;
    let parameters = parameters::of_recipient(rest, dialect)?;
    let recipient = if path.eq_ignore_ascii_case("postmaster") {
        Recipient::Postmaster
    } else {
        Recipient::Mailbox(mailbox(path).ok_or(replies::BAD_RECIPIENT)?)
    };
    Ok(Command::Recipient(recipient, parameters))
}

/// RFC 4954 §4: a mechanism, and maybe an initial response; `=` is an empty one.
fn authenticate(arguments: &str) -> Result<Command<'_>, Reply> {
    let mut words = arguments.split_ascii_whitespace();
    let mechanism = words.next().ok_or(replies::BAD_ARGUMENTS)?;
    let initial = match words.next() {
        None => None,
        Some("=") => Some(Secret::new(String::new())),
        Some(encoded) => Some(response(encoded.as_bytes()).ok_or(replies::BAD_RESPONSE)?),
    };
    if words.next().is_some() {
        return Err(replies::BAD_ARGUMENTS);
    }
    Ok(Command::Authenticate { mechanism, initial })
}

/// Decodes a response of SASL: base64 of UTF-8, which all mechanisms that we know speak.
pub(crate) fn response(encoded: &[u8]) -> Option<Secret> {
    let octets = STANDARD.decode(encoded).ok()?;
    match String::from_utf8(octets) {
        Ok(text) => Some(Secret::new(text)),
        Err(error) => {
            zeroize::Zeroize::zeroize(&mut error.into_bytes());
            None
        }
    }
}

fn chunk<'a>(arguments: &str) -> Result<Command<'a>, Reply> {
    let mut words = arguments.split_ascii_whitespace();
    let size = words.next().and_then(number).ok_or(replies::BAD_ARGUMENTS)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(replies::BAD_ARGUMENTS),
    };
    if words.next().is_some() { Err(replies::BAD_ARGUMENTS) } else { Ok(Command::Chunk { size, last }) }
}

fn keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = arguments.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// `<path> parameters` → (path, parameters). A `>` inside a quoted local part does not close the path.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let rest = &inner[index + 1..];
                return (rest.is_empty() || rest.starts_with(' ')).then(|| (&inner[..index], rest));
            }
            _ => {}
        }
    }
    None
}

fn mailbox(path: &str) -> Option<Mailbox> {
    let path = match path.strip_prefix('@') {
        // RFC 5321 §3.3, appendix C: a source route `@a,@b:` is recognised and ignored.
        Some(route) => {
            let (route, rest) = route.split_once(':')?;
            route.split(',').enumerate().try_for_each(|(index, hop)| {
                let hop = if index == 0 { hop } else { hop.strip_prefix('@')? };
                domain(hop).ok()
            })?;
            rest
        }
        None => path,
    };
    Mailbox::parse(path).ok()
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
