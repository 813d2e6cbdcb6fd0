use std::num::NonZeroU32;

use chasqui_base::Secret;

use crate::reader::LineTooLong;
use chasqui_sasl::{self as sasl, Mechanism};

/// One POP3 command, parsed.
#[derive(Debug)]
pub enum Command {
    /// `CAPA` (RFC 2449 §5).
    Capa,
    /// `STLS` (RFC 2595 §4).
    Stls,
    /// `AUTH` with a mechanism (RFC 5034 §4).
    Auth(AuthCommand),
    /// `AUTH` alone: some old clients ask for the list of mechanisms this way (RFC 1734's drafts).
    AuthList,
    /// `USER name` (RFC 1939 §7).
    User(String),
    /// `PASS string` (RFC 1939 §7): everything after the first space, spaces included.
    Pass(Secret),
    /// `APOP name digest` (RFC 1939 §7): parsed so that it can be refused clearly; it needs clear-text passwords.
    Apop,
    /// `UTF8` (RFC 6856 §2.1).
    Utf8,
    /// `QUIT` (RFC 1939 §4, §6).
    Quit,
    /// `STAT` (RFC 1939 §5).
    Stat,
    /// `LIST [msg]` (RFC 1939 §5).
    List(Option<MessageNumber>),
    /// `RETR msg` (RFC 1939 §5).
    Retr(MessageNumber),
    /// `DELE msg` (RFC 1939 §5).
    Dele(MessageNumber),
    /// `NOOP` (RFC 1939 §5).
    Noop,
    /// `RSET` (RFC 1939 §5).
    Rset,
    /// `TOP msg n` (RFC 1939 §7): the header and the first `n` lines of the body.
    Top(MessageNumber, u32),
    /// `UIDL [msg]` (RFC 1939 §7).
    Uidl(Option<MessageNumber>),
}

/// The arguments of `AUTH`.
#[derive(Debug)]
pub struct AuthCommand {
    /// The mechanism named.
    pub mechanism: Mechanism,
    /// The initial response (SASL-IR), decoded; `=` is an empty one (RFC 5034 §4).
    pub initial: Option<Secret>,
}

/// A message's number in the maildrop, from 1 (RFC 1939 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(NonZeroU32);

/// Why a line is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The line was over the limit.
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    /// No such command.
    #[error("unknown command")]
    Unknown,
    /// The command is known; its arguments are not what it takes.
    #[error("expected: {0}")]
    Syntax(&'static str),
    /// The line holds octets that are not UTF-8, or control characters.
    #[error("the line holds characters that a command may not have")]
    Characters,
}

impl Command {
    /// Parses one line without its line end.
    ///
    /// # Errors
    /// [`CommandError`] says what was expected; its text is fit for a `-ERR`.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        if line.iter().any(|octet| octet.is_ascii_control()) {
            return Err(CommandError::Characters);
        }
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Characters)?;
        let (verb, rest) = match line.split_once(' ') {
            Some((verb, rest)) => (verb, Some(rest)),
            None => (line, None),
        };
        let arguments = Arguments(rest.unwrap_or_default());
        // RFC 1939 §3: keywords are case-insensitive and three or four characters long.
        let mut upper = [0_u8; 4];
        let keyword = upper.get_mut(..verb.len()).ok_or(CommandError::Unknown)?;
        keyword.copy_from_slice(verb.as_bytes());
        keyword.make_ascii_uppercase();
        match &*keyword {
            b"CAPA" => arguments.none("CAPA").map(|()| Self::Capa),
            b"STLS" => arguments.none("STLS").map(|()| Self::Stls),
            b"AUTH" => arguments.auth(),
            b"USER" => match rest.map(str::trim) {
                Some(name) if !name.is_empty() => Ok(Self::User(name.to_owned())),
                _ => Err(CommandError::Syntax("USER name")),
            },
            // RFC 1939 §7: "a server may treat spaces in the argument as part of the password".
            b"PASS" => match rest {
                Some(password) => Ok(Self::Pass(Secret::from(password.to_owned()))),
                None => Err(CommandError::Syntax("PASS password")),
            },
            b"APOP" => Ok(Self::Apop),
            b"UTF8" => arguments.none("UTF8").map(|()| Self::Utf8),
            b"QUIT" => arguments.none("QUIT").map(|()| Self::Quit),
            b"STAT" => arguments.none("STAT").map(|()| Self::Stat),
            b"LIST" => arguments.optional_number("LIST [message]").map(Self::List),
            b"RETR" => arguments.number("RETR message").map(Self::Retr),
            b"DELE" => arguments.number("DELE message").map(Self::Dele),
            b"NOOP" => arguments.none("NOOP").map(|()| Self::Noop),
            b"RSET" => arguments.none("RSET").map(|()| Self::Rset),
            b"TOP" => arguments.top(),
            b"UIDL" => arguments.optional_number("UIDL [message]").map(Self::Uidl),
            _ => Err(CommandError::Unknown),
        }
    }
}

impl MessageNumber {
    /// The number `value`, or `None` for zero.
    #[must_use]
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value).map(Self)
    }

    /// The number, from 1.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The place in a list that starts at 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0.get() - 1).unwrap_or(usize::MAX)
    }
}

impl std::fmt::Display for MessageNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What follows the keyword. Surplus spaces are forgiven, surplus words are not.
struct Arguments<'a>(&'a str);

impl Arguments<'_> {
    fn none(&self, expected: &'static str) -> Result<(), CommandError> {
        if self.0.trim().is_empty() { Ok(()) } else { Err(CommandError::Syntax(expected)) }
    }

    fn optional_number(&self, expected: &'static str) -> Result<Option<MessageNumber>, CommandError> {
        if self.0.trim().is_empty() { Ok(None) } else { self.number(expected).map(Some) }
    }

    fn number(&self, expected: &'static str) -> Result<MessageNumber, CommandError> {
        decimal(self.0.trim()).and_then(MessageNumber::new).ok_or(CommandError::Syntax(expected))
    }

    fn top(&self) -> Result<Command, CommandError> {
        let mut words = self.0.split_ascii_whitespace();
        let number = words.next().and_then(decimal).and_then(MessageNumber::new);
        let lines = words.next().and_then(decimal);
        match (number, lines, words.next()) {
            (Some(number), Some(lines), None) => Ok(Command::Top(number, lines)),
            _ => Err(CommandError::Syntax("TOP message lines")),
        }
    }

    fn auth(&self) -> Result<Command, CommandError> {
        const EXPECTED: CommandError = CommandError::Syntax("AUTH mechanism [initial-response]");
        let mut words = self.0.split_ascii_whitespace();
        let Some(mechanism) = words.next() else { return Ok(Command::AuthList) };
        let initial = match words.next() {
            None => None,
            Some("=") => Some(Secret::from(String::new())),
            Some(text) => Some(sasl::decode(text.as_bytes()).map_err(|_| EXPECTED)?),
        };
        if words.next().is_some() {
            return Err(EXPECTED);
        }
        Ok(Command::Auth(AuthCommand { mechanism: Mechanism::parse(mechanism), initial }))
    }
}

/// Digits only: Rust's own parser would also take a leading plus sign.
fn decimal(text: &str) -> Option<u32> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes())
    }

    #[test]
    fn keywords_are_recognised_in_any_case() {
        assert!(matches!(parse("capa"), Ok(Command::Capa)));
        assert!(matches!(parse("Stat "), Ok(Command::Stat)));
        assert!(matches!(parse("tOp 3 0"), Ok(Command::Top(number, 0)) if number.get() == 3));
        assert!(matches!(parse("LIST"), Ok(Command::List(None))));
        assert!(matches!(parse("UIDL 7"), Ok(Command::Uidl(Some(number))) if number.index() == 6));
        assert!(matches!(parse("APOP a b"), Ok(Command::Apop)));
    }

    #[test]
    fn a_password_keeps_its_spaces() {
        let Ok(Command::Pass(password)) = parse("PASS  two words ") else { panic!("not PASS") };
        assert_eq!(password.expose(), " two words ");
    }

    #[test]
    fn numbers_that_are_no_message_numbers_are_refused() {
        for line in ["RETR", "RETR 0", "RETR -1", "RETR +1", "RETR 4294967296", "RETR 1 2", "DELE x", "TOP 1"]
        {
            assert!(matches!(parse(line), Err(CommandError::Syntax(_))), "{line}");
        }
    }

    #[test]
    fn unknown_commands_and_wrong_characters_are_told_apart() {
        assert_eq!(parse("XTND LIST").err(), Some(CommandError::Unknown));
        assert_eq!(parse("").err(), Some(CommandError::Unknown));
        assert_eq!(parse("QUITS").err(), Some(CommandError::Unknown));
        assert_eq!(parse("USER a\rb").err(), Some(CommandError::Characters));
        assert_eq!(Command::parse(b"USER \xff").err(), Some(CommandError::Characters));
    }

    #[test]
    fn auth_takes_an_initial_response_and_an_equals_sign_means_empty() {
        let Ok(Command::Auth(auth)) = parse("AUTH external YW5hQGVqZW1wbG8udGVzdA==") else {
            panic!("not AUTH")
        };
        assert_eq!(auth.mechanism, Mechanism::External);
        assert_eq!(auth.initial.as_ref().map(Secret::expose), Some("ana@ejemplo.test"));
        let Ok(Command::Auth(auth)) = parse("AUTH EXTERNAL =") else { panic!("not AUTH") };
        assert_eq!(auth.initial.as_ref().map(Secret::expose), Some(""));
        assert!(matches!(parse("AUTH"), Ok(Command::AuthList)));
        assert!(matches!(parse("AUTH PLAIN !"), Err(CommandError::Syntax(_))));
    }
}
