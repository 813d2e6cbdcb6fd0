//! Macros: what milters are told beside the commands (`i`, `{client_addr}`, …), by the names that Sendmail and Postfix use.

use super::codec::{Negotiated, put};

/// Stages at which macros are sent, as libmilter numbers them (`SMFIM_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connect = 0,
    Hello = 1,
    Mail = 2,
    Recipient = 3,
    Data = 4,
    EndOfMessage = 5,
    EndOfHeaders = 6,
}

impl Stage {
    /// The command that the macros precede.
    pub(super) const fn command(self) -> u8 {
        match self {
            Self::Connect => b'C',
            Self::Hello => b'H',
            Self::Mail => b'M',
            Self::Recipient => b'R',
            Self::Data => b'T',
            Self::EndOfMessage => b'E',
            Self::EndOfHeaders => b'N',
        }
    }
}

/// Appends the macros of a stage, those only that the milter wants if it said which. Empty values are left out.
pub(super) fn put_macros(out: &mut Vec<u8>, agreed: &Negotiated, stage: Stage, values: &[(&str, &str)]) {
    let wanted = agreed.macros.get(stage as usize).and_then(Option::as_ref);
    let mut data = vec![stage.command()];
    for (name, value) in values {
        let bare = name.trim_matches(['{', '}']);
        let is_wanted =
            wanted.is_none_or(|names| names.iter().any(|name| name.trim_matches(['{', '}']) == bare));
        if !value.is_empty() && is_wanted {
            for text in [name, value] {
                data.extend(text.bytes().filter(|&b| b != 0));
                data.push(0);
            }
        }
    }
    put(out, b'D', &data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_macros_with_a_value_are_sent() {
        let values = [("i", "id1"), ("{mail_addr}", "a@b"), ("{auth_type}", "")];
        let mut out = Vec::new();
        put_macros(&mut out, &Negotiated::default(), Stage::Mail, &values);
        assert_eq!(out, b"\0\0\0\x18DMi\0id1\0{mail_addr}\0a@b\0");
        let mut agreed = Negotiated::default();
        agreed.macros[2] = Some(vec!["mail_addr".into()]);
        out.clear();
        put_macros(&mut out, &agreed, Stage::Mail, &values);
        assert_eq!(out, b"\0\0\0\x12DM{mail_addr}\0a@b\0");
    }
}
