use super::*;
use crate::{CommandBody, Condition};

/// Everything the reader says for a text fed in pieces, messages as strings.
fn said(text: &[u8], step: usize, limits: Limits, take: bool) -> Vec<String> {
    let mut reader = CommandReader::new(limits);
    let mut found: Vec<String> = Vec::new();
    for piece in text.chunks(step) {
        reader.input().extend_from_slice(piece);
        loop {
            let line = match reader.next_event() {
                Event::NeedInput => break,
                Event::Continue => "+".to_owned(),
                Event::Command(command) => format!("{} {:?}", command.tag, command.body),
                Event::Chunk(octets) => {
                    let more = String::from_utf8_lossy(octets).into_owned();
                    match found.last_mut() {
                        Some(last) if last.starts_with("< ") => last.push_str(&more),
                        _ => found.push(format!("< {more}")),
                    }
                    continue;
                }
                Event::Append { tag, mailbox, message } => {
                    if take {
                        reader.accept()
                    } else {
                        reader.refuse()
                    }
                    format!("{tag} APPEND {mailbox} {}", message.size)
                }
                Event::AppendNext(message) => {
                    if take {
                        reader.accept()
                    } else {
                        reader.refuse()
                    }
                    format!("next {}", message.size)
                }
                Event::AppendEnd => "end".to_owned(),
                Event::Refused { tag, reply } => {
                    format!("{tag:?} {} {}", reply.condition.as_str(), reply.text)
                }
                Event::Fatal { tag, reply } => {
                    found.push(format!("{tag:?} fatal {}", reply.text));
                    return found;
                }
            };
            found.push(line);
        }
    }
    if reader.buffered() == 0 {
        assert_eq!(reader.buffer.capacity(), 0, "an idle reader holds no buffer");
    }
    found
}

fn in_every_step(text: &[u8], take: bool, want: &[&str]) {
    for step in [1, 2, 3, 7, 1000] {
        assert_eq!(said(text, step, Limits::default(), take), want, "step {step}");
    }
}

#[test]
fn commands_come_out_of_any_pieces() {
    in_every_step(
        b"a NOOP\r\nb LOGIN {3}\r\nana {5+}\r\nse}\"1\r\nc CHECK\n",
        true,
        &["a Noop", "+", "b Login { user: [97, 110, 97], password: … }", "c Check"],
    );
}

#[test]
fn the_message_of_append_is_streamed() {
    in_every_step(
        b"a APPEND Sent (\\Seen) \" 1-Jan-2020 00:00:00 +0000\" {12}\r\nHello\r\nworld\r\nb NOOP\r\n",
        true,
        &["a APPEND Sent 12", "+", "< Hello\r\nworld", "end", "b Noop"],
    );
    in_every_step(
        b"a APPEND {4+}\r\nSent {2+}\r\nab (\\Seen) {1+}\r\nc\r\nb NOOP\r\n",
        true,
        &["a APPEND Sent 2", "< ab", "next 1", "< c", "end", "b Noop"],
    );
}

#[test]
fn a_refused_message_is_dropped_and_the_stream_stays_in_step() {
    in_every_step(
        b"a APPEND x {9+}\r\nb LOGOUT\r {1+}\r\nx\r\nc NOOP\r\n",
        false,
        &["a APPEND x 9", "c Noop"],
    );
    // The client waits and then knows from the tagged reply not to send it.
    in_every_step(b"a APPEND x {9}\r\nc NOOP\r\n", false, &["a APPEND x 9", "c Noop"]);
}

#[test]
fn what_is_no_command_is_refused_before_its_literal() {
    in_every_step(b"a FOO {5}\r\nb NOOP\r\n", true, &["Some(\"a\") BAD Unknown command", "b Noop"]);
    in_every_step(
        b"a FOO {8+}\r\nb NOOP\r\n x\r\nc NOOP\r\n",
        true,
        &["Some(\"a\") BAD Unknown command", "c Noop"],
    );
    in_every_step(
        b"a SELECT {99999999999999999999999}\r\nb NOOP\r\n",
        true,
        &["Some(\"a\") BAD Literal is too large", "b Noop"],
    );
    in_every_step(
        b"a APPEND x (\\Foo) {5}\r\nb APPEND x {99999999999}\r\nb NOOP\r\n",
        true,
        &["Some(\"a\") BAD Unknown system flag", "Some(\"b\") NO Message is too large", "b Noop"],
    );
    in_every_step(
        b"a APPEND x {1+}\r\ny z\r\nb NOOP\r\n",
        true,
        &["a APPEND x 1", "< y", "Some(\"a\") BAD Expected the end of APPEND after the message", "b Noop"],
    );
}

#[test]
fn every_limit_is_a_reply() {
    let limits = Limits { line: 20, literal: 10, command: 30, ..Limits::default() };
    let endless = [b"a LOGIN ".to_vec(), vec![b'x'; 100]].concat();
    assert_eq!(said(&endless, 9, limits, true), ["Some(\"a\") fatal Line is too long"]);
    assert_eq!(said(b"a LOGIN {11}\r\n", 9, limits, true), ["Some(\"a\") BAD Literal is too large"]);
    let many = b"a LOGIN {9+}\r\n123456789 {9+}\r\n123456789\r\nb NOOP\r\n";
    assert_eq!(said(many, 9, limits, true), ["Some(\"a\") BAD Literal is too large", "b Noop"]);
    let limits = Limits { message: 5, ..limits };
    assert_eq!(said(b"a APPEND x {6}\r\n", 9, limits, true), ["Some(\"a\") NO Message is too large"]);
}

#[test]
fn lines_between_commands_and_what_was_read_early() {
    let mut reader = CommandReader::new(Limits::before_log_in());
    reader.input().extend_from_slice(b"a AUTHENTICATE PLAIN\r\nAHQ");
    assert!(matches!(
        reader.next_event(),
        Event::Command(Command { body: CommandBody::Authenticate { .. }, .. })
    ));
    assert_eq!(reader.next_line(), LineEvent::NeedInput);
    reader.input().extend_from_slice(b"AcA==\r\nb SELECT x\r\n");
    assert_eq!(reader.next_line(), LineEvent::Line(b"AHQAcA==".to_vec()));
    assert!(reader.has_input());
    assert_eq!(reader.take_input(), b"b SELECT x\r\n");
    assert!(!reader.has_input());
    reader.input().extend_from_slice(&[b'x'; 10_000]);
    assert_eq!(reader.next_line(), LineEvent::TooLong);
}

#[test]
fn starttls_forgets_what_came_in_the_clear() {
    let mut reader = CommandReader::new(Limits::before_log_in());
    reader.input().extend_from_slice(b"a STARTTLS\r\nb LOGIN evil x\r\n");
    assert!(matches!(reader.next_event(), Event::Command(_)));
    reader.discard_input();
    assert_eq!(reader.next_event(), Event::NeedInput);
}

#[test]
fn condition_words() {
    assert_eq!(Condition::Bad.as_str(), "BAD");
}
