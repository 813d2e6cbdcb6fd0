//! The pieces that a notice is made of.

use super::Action;
use chasqui_courier::Content;
use chasqui_smtp::{OriginalRecipient, Reply};
use chrono::DateTime;
use std::{fmt::Write as _, io};

/// Octets of an original's header that are returned.
const LONGEST_HEADER: usize = 64 << 10;
/// Octets of a line of quoted-printable with its soft break (RFC 2045 §6.7).
const LINE: usize = 76;
/// Characters of what another server said that are passed on.
const LONGEST_DIAGNOSTIC: usize = 800;

/// The message's header with its last CR LF, at most [`LONGEST_HEADER`], cut at a line.
pub(super) async fn header(content: &Content) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    let mut blocks = content.blocks();
    while let Some(block) = blocks.next().await? {
        // The end may lie across two blocks.
        let from = header.len().saturating_sub(3);
        header.extend_from_slice(block);
        if let Some(end) = memchr::memmem::find(header.get(from..).unwrap_or_default(), b"\r\n\r\n") {
            header.truncate(from + end + 2);
            break;
        }
        if header.len() > LONGEST_HEADER {
            break;
        }
    }
    if header.len() > LONGEST_HEADER {
        header.truncate(LONGEST_HEADER);
        let end = memchr::memrchr(b'\n', &header).map_or(0, |end| end + 1);
        header.truncate(end);
    }
    Ok(header)
}

/// The whole message. Its caller knows that it is short.
pub(super) async fn whole(content: &Content) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    let mut blocks = content.blocks();
    while let Some(block) = blocks.next().await? {
        whole.extend_from_slice(block);
    }
    Ok(whole)
}

/// `Sun, 09 Sep 2001 01:46:40 +0000` (RFC 5322 §3.3).
pub(super) fn date(seconds: u64) -> String {
    let at = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .unwrap_or_default();
    at.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// What can stand between the brackets of In-Reply-To and break out of nothing.
pub(super) fn is_message_id(id: &str) -> bool {
    id.len() <= 900 && id.contains('@') && id.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b))
}

/// Without line ends and other control characters, and ASCII.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// `type;address` as a field has it: an address that is not ASCII is escaped where the report is ASCII (RFC 6533 §3).
pub(super) fn typed_address(typed: &str, utf8: bool) -> String {
    let (kind, address) = typed.split_once(';').unwrap_or(("rfc822", typed));
    if address.is_ascii() {
        return format!("{}; {}", one_line(kind), one_line(address));
    }
    let shown = if utf8 {
        address.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    } else {
        OriginalRecipient::of(address).map_or_else(
            || one_line(address),
            |escaped| {
                escaped.to_string().split_once(';').map_or_else(String::new, |(_, text)| text.to_owned())
            },
        )
    };
    format!("utf-8; {shown}")
}

/// The reply's enhanced code in the class that the action has (RFC 3464 §2.3.4).
pub(super) fn status(reply: &Reply, action: Action) -> String {
    let class = match action {
        Action::Failed => 5,
        Action::Delayed => 4,
        Action::Delivered | Action::Relayed | Action::Expanded => 2,
    };
    match reply.enhanced() {
        // 4.4.1 of an attempt is 5.4.1 of what is given up.
        Some(code) => format!("{class}.{}.{}", code.subject, code.detail),
        None => format!("{class}.0.0"),
    }
}

/// What the other side said, in lines that are folded.
pub(super) fn diagnostic(reply: &Reply, utf8: bool) -> String {
    let text = reply.to_string();
    let text: String = text.chars().take(LONGEST_DIAGNOSTIC).collect();
    let text = if utf8 { text.replace(char::is_control, "?") } else { one_line(&text) };
    let mut folded = String::with_capacity(text.len() + 16);
    let mut column = 23;
    for word in text.split(' ') {
        if column + word.len() > LINE && column > 1 {
            folded.push_str("\r\n\t");
            column = 1;
        } else if !folded.is_empty() {
            folded.push(' ');
            column += 1;
        }
        // Writing to a String cannot fail.
        let _ = folded.write_str(word);
        column += word.len();
    }
    folded
}

/// Octets that are not ASCII as `?`.
pub(super) fn to_ascii(mut text: Vec<u8>) -> Vec<u8> {
    text.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
    text
}

/// Text with LF between lines as quoted-printable (RFC 2045 §6.7).
pub(super) fn quoted_printable(text: &str, out: &mut Vec<u8>) {
    for line in text.split('\n') {
        let mut column = 0;
        let octets = line.as_bytes();
        for (at, &byte) in octets.iter().enumerate() {
            let last = at + 1 == octets.len();
            let plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || matches!(byte, b' ' | b'\t') && !last;
            let width = if plain { 1 } else { 3 };
            if column + width > LINE - 1 {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            // A lone dot or `From ` at the front of a line is altered by some programs.
            let plain = plain && !(column == 0 && matches!(byte, b'.' | b'F'));
            if plain {
                out.push(byte);
                column += 1;
            } else {
                out.extend_from_slice(format!("={byte:02X}").as_bytes());
                column += 3;
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}
