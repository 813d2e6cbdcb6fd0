//! The command grammar of RFC 5321 §4.1 and of the extensions that are offered.

use crate::{
    mailbox::{Mailbox, ReversePath, domain},
    reply::{Reply, replies},
};
use chasqui_base::DeliveryId;

/// Which commands and parameters a line may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// LMTP: LHLO in place of EHLO and HELO (RFC 2033 §4.1).
    pub lmtp: bool,
    /// Extensions are in use: the greeting was EHLO or LHLO, so MAIL may carry parameters.
    pub extended: bool,
    /// MAIL may carry XDELIVERYID: a link between our own roles.
    pub delivery_id: bool,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO, HELO or LHLO.
    Hello(Hello<'a>),
    /// MAIL.
    Mail(Mail),
    /// RCPT.
    Recipient(Recipient),
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
    /// BODY (RFC 6152).
    pub body: Body,
    /// SMTPUTF8 (RFC 6531): addresses and header may be UTF-8.
    pub smtputf8: bool,
    /// XDELIVERYID: the id under which our exchanger may send this message again.
    pub delivery_id: Option<DeliveryId>,
}

/// The value of BODY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// 7BIT, also when not said.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
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
            b"RCPT" => recipient(arguments).map(Command::Recipient),
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
    let (path, parameters) = bracketed(path).ok_or(replies::BAD_SENDER)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(mailbox(path).ok_or(replies::BAD_SENDER)?),
    };
    let mut mail =
        Mail { reverse_path, size: None, body: Body::default(), smtputf8: false, delivery_id: None };
    let mut body = None;
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (parameter, None),
        };
        let is = |expected: &str| name.eq_ignore_ascii_case(expected);
        // RFC 5321 §4.1.1.11: 555 for what is not implemented, which includes everything after HELO.
        if !dialect.extended {
            return Err(replies::UNKNOWN_PARAMETER);
        } else if is("SIZE") {
            let size = value.and_then(number).ok_or(replies::BAD_PARAMETER)?;
            once(&mut mail.size, size)?;
        } else if is("BODY") {
            let value = value.ok_or(replies::BAD_PARAMETER)?;
            let kind = if value.eq_ignore_ascii_case("8BITMIME") {
                Body::EightBitMime
            } else if value.eq_ignore_ascii_case("7BIT") {
                Body::SevenBit
            } else {
                return Err(replies::BAD_PARAMETER);
            };
            once(&mut body, kind)?;
        } else if is("SMTPUTF8") {
            if value.is_some() || mail.smtputf8 {
                return Err(replies::BAD_PARAMETER);
            }
            mail.smtputf8 = true;
        } else if dialect.delivery_id && is("XDELIVERYID") {
            let id = value.and_then(|value| value.parse().ok()).ok_or(replies::BAD_PARAMETER)?;
            once(&mut mail.delivery_id, id)?;
        } else {
            return Err(replies::UNKNOWN_PARAMETER);
        }
    }
    mail.body = body.unwrap_or_default();
    if !mail.smtputf8 && !mail.reverse_path.is_ascii() {
        return Err(replies::NEEDS_SMTPUTF8);
    }
    Ok(mail)
}

/// RFC 5321 §4.1.1.11: a parameter is given at most once.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Reply> {
    if place.replace(value).is_some() { Err(replies::BAD_PARAMETER) } else { Ok(()) }
}

fn recipient(arguments: &str) -> Result<Recipient, Reply> {
    let path = keyword(arguments, "TO:").ok_or(replies::BAD_ARGUMENTS)?;
    let (path, parameters) = bracketed(path).ok_or(replies::BAD_RECIPIENT)?;
    if !parameters.trim_ascii().is_empty() {
        return Err(replies::UNKNOWN_PARAMETER);
    }
    if path.eq_ignore_ascii_case("postmaster") {
        return Ok(Recipient::Postmaster);
    }
    mailbox(path).map(Recipient::Mailbox).ok_or(replies::BAD_RECIPIENT)
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

/// RFC 1870 §4: one to twenty digits; RFC 3030 §2 the same. A number beyond `u64` is no size of anything.
fn number(text: &str) -> Option<u64> {
    if text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
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
mod tests {
    use super::*;

    const SMTP: Dialect = Dialect { lmtp: false, extended: true, delivery_id: false };

    fn parse(line: &str) -> Result<Command<'_>, u16> {
        Command::parse(line.as_bytes(), SMTP).map_err(|reply| reply.code())
    }

    fn sender(line: &str) -> Result<String, u16> {
        match parse(line)? {
            Command::Mail(mail) => Ok(mail.reverse_path.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reverse_paths_are_taken_from_every_usual_spelling() {
        assert_eq!(sender("MAIL FROM:<>"), Ok(String::new()));
        assert_eq!(sender("mail from:<A@b>"), Ok("A@b".into()));
        assert_eq!(sender("MAIL FROM: <a@b> SIZE=3"), Ok("a@b".into()));
        assert_eq!(sender("MAIL FROM:<@x,@y.z:a@b>"), Ok("a@b".into()));
        assert_eq!(sender(r#"MAIL FROM:<"a>b"@c>"#), Ok(r#""a>b"@c"#.into()));
        assert_eq!(sender("MAIL FROM:<ñ@b> SMTPUTF8"), Ok("ñ@b".into()));
    }

    #[test]
    fn malformed_commands_get_the_code_of_the_rfc() {
        for (line, code) in [
            ("", 500),
            ("MAIL", 501),
            ("MAIL FROM", 501),
            ("MAIL FROM:", 501),
            ("MAIL FROM:a@b", 501),
            ("MAIL FROM:<a@b", 501),
            ("MAIL FROM:<a@b>x", 501),
            ("MAIL FROM:<a@b> SIZE=", 501),
            ("MAIL FROM:<a@b> SIZE=-1", 501),
            ("MAIL FROM:<a@b> SIZE=99999999999999999999", 501),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=1", 501),
            ("MAIL FROM:<a@b> BODY=BINARYMIME", 501),
            ("MAIL FROM:<a@b> SMTPUTF8=1", 501),
            ("MAIL FROM:<a@b> RET=HDRS", 555),
            ("MAIL FROM:<a@b> XDELIVERYID=0", 555),
            ("MAIL FROM:<ñ@b>", 553),
            ("RCPT TO:<>", 501),
            ("RCPT TO:<a@b> NOTIFY=NEVER", 555),
            ("RCPT FROM:<a@b>", 501),
            ("BDAT", 501),
            ("BDAT x", 501),
            ("BDAT 1 FIRST", 501),
            ("BDAT 1 LAST x", 501),
            ("DATA x", 501),
            ("VRFY", 501),
            ("EHLO", 501),
            ("EHLO a b", 501),
            ("EHLO a(b)", 501),
            ("LHLO a", 500),
            ("EXPN x", 502),
            ("GET / HTTP/1.1", 500),
            ("STARTTLSX", 500),
            ("NOOP \u{7}", 500),
            ("NOOP \r", 500),
            ("NOOP \nRSET", 500),
        ] {
            assert_eq!(parse(line), Err(code), "{line:?}");
        }
        assert_eq!(Command::parse(b"NOOP \xff", SMTP).map_err(|reply| reply.code()), Err(500));
    }

    #[test]
    fn parameters_are_refused_after_helo() {
        let plain = Dialect { extended: false, ..SMTP };
        assert_eq!(Command::parse(b"MAIL FROM:<a@b> SIZE=1", plain).map_err(|reply| reply.code()), Err(555));
    }

    #[test]
    fn postmaster_needs_no_domain() {
        assert_eq!(parse("RCPT TO:<PostMaster>"), Ok(Command::Recipient(Recipient::Postmaster)));
    }

    #[test]
    fn a_delivery_id_is_read_on_our_own_links_only() {
        let id = DeliveryId::generate();
        let line = format!("MAIL FROM:<> XDELIVERYID={id}");
        let lmtp = Dialect { lmtp: true, extended: true, delivery_id: true };
        match Command::parse(line.as_bytes(), lmtp) {
            Ok(Command::Mail(mail)) => assert_eq!(mail.delivery_id, Some(id)),
            other => panic!("{other:?}"),
        }
        assert_eq!(parse(&line), Err(555));
    }
}
