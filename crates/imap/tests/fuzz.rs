//! Random inputs: no panic, bounded memory, progress.
//!
//! `CHASQUI_FUZZ_INPUTS` inputs (default 20000) from a fixed seed, `CHASQUI_FUZZ_SEED` for another.

mod common;

use chasqui_imap::client::ResponseReader;
use chasqui_imap::{CommandReader, Event, Limits, LineEvent};
use common::Random;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

const LIMITS: Limits =
    Limits { line: 200, literal: 100, command: 400, nesting: 5, elements: 20, message: 1000 };
const PIECE: usize = 64;

/// A conversation: valid commands, some of them damaged, or noise.
fn input(r: &mut Random) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..r.below(4) + 1 {
        match r.below(8) {
            0 => octets.extend((0..r.below(120)).map(|_| r.next() as u8)),
            1 => {
                for _ in 0..r.below(40) {
                    octets.extend_from_slice(
                        r.one(&[
                            "(",
                            ")",
                            "{5}\r\n",
                            "{3+}\r\n",
                            "\"",
                            "\\",
                            " ",
                            "a",
                            "UID ",
                            "FETCH ",
                            "1:*",
                            ",",
                            "\r\n",
                            "\n",
                            "NIL",
                            "[",
                            "]",
                            "<0.1>",
                            "APPEND x ",
                            "{99999999999999999999}\r\n",
                            "NOT ",
                            "OR ",
                            "&",
                            "SEARCH ",
                        ])
                        .as_bytes(),
                    );
                }
            }
            2 | 3 => octets.extend_from_slice(common::append(r).as_bytes()),
            _ => octets.extend_from_slice(common::command(r).as_bytes()),
        }
    }
    for _ in 0..r.below(4) {
        if octets.is_empty() {
            break;
        }
        let at = r.below(octets.len());
        match r.below(4) {
            0 => octets[at] = r.next() as u8,
            1 => {
                octets.remove(at);
            }
            2 => octets.insert(
                at,
                *r.one(&[b"(", b")", b"\"", b"{", b"}", b"\r", b"\n", b"\0", b"9", b"+"])
                    .first()
                    .unwrap_or(&b' '),
            ),
            _ => {
                let end = (at + r.below(30)).min(octets.len());
                let copy = octets[at..end].to_vec();
                octets.splice(at..at, copy);
            }
        }
    }
    octets
}

/// Feeds the reader and drives it as a server would. Gives the number of events.
fn drive(octets: &[u8], r: &mut Random) -> usize {
    let mut reader = CommandReader::new(LIMITS);
    let mut events = 0;
    let mut at = 0;
    let mut lines = 0;
    while at < octets.len() {
        let end = (at + 1 + r.below(PIECE)).min(octets.len());
        reader.input().extend_from_slice(&octets[at..end]);
        at = end;
        loop {
            events += 1;
            // Every event but NeedInput uses up input or follows one that did.
            assert!(events <= 4 * octets.len() + 16, "no progress in {:?}", String::from_utf8_lossy(octets));
            if lines > 0 {
                lines -= 1;
                match reader.next_line() {
                    LineEvent::NeedInput => {
                        lines += 1;
                        break;
                    }
                    LineEvent::Line(line) => assert!(line.len() <= LIMITS.line + 2),
                    LineEvent::TooLong => return events,
                }
                continue;
            }
            match reader.next_event() {
                Event::NeedInput => break,
                Event::Continue | Event::Refused { .. } | Event::AppendEnd => {}
                Event::Command(command) => {
                    use chasqui_imap::CommandBody::{Authenticate, Idle};
                    lines = usize::from(matches!(command.body, Idle | Authenticate { initial: None, .. }));
                }
                Event::Append { message, .. } => {
                    assert!(message.size <= LIMITS.message);
                    if r.below(3) > 0 { reader.accept() } else { reader.refuse() }
                }
                Event::AppendNext(_) => {
                    if r.below(3) > 0 {
                        reader.accept()
                    } else {
                        reader.refuse()
                    }
                }
                Event::Chunk(chunk) => assert!(!chunk.is_empty() && chunk.len() <= LIMITS.command + PIECE),
                Event::Fatal { .. } => return events,
            }
        }
        let bound = LIMITS.command + 2 * LIMITS.line + PIECE;
        assert!(reader.buffered() <= bound, "{} octets kept", reader.buffered());
    }
    events
}

#[test]
fn random_inputs_neither_panic_nor_grow_nor_hang() {
    let seed = number("CHASQUI_FUZZ_SEED", 1);
    let mut events = 0;
    for n in 0..number("CHASQUI_FUZZ_INPUTS", 20_000) {
        let mut r = Random(seed.wrapping_mul(0x1000_0000_01b3).wrapping_add(n));
        let octets = input(&mut r);
        events += drive(&octets, &mut r);
    }
    assert!(events > 0);
}

#[test]
fn random_inputs_in_any_pieces_give_the_same_commands() {
    for n in 0..number("CHASQUI_FUZZ_INPUTS", 20_000) / 10 {
        let mut r = Random(n);
        let octets = input(&mut r);
        let all = |step: usize| {
            let mut reader = CommandReader::new(LIMITS);
            let mut found = Vec::new();
            for piece in octets.chunks(step) {
                reader.input().extend_from_slice(piece);
                loop {
                    match reader.next_event() {
                        Event::NeedInput => break,
                        Event::Append { tag, mailbox, message } => {
                            reader.accept();
                            found.push(format!("{tag} {mailbox} {message:?}"));
                        }
                        Event::AppendNext(message) => {
                            reader.accept();
                            found.push(format!("{message:?}"));
                        }
                        Event::Chunk(_) => {}
                        Event::Fatal { tag, reply } => {
                            found.push(format!("fatal {tag:?} {reply:?}"));
                            return found;
                        }
                        event => found.push(format!("{event:?}")),
                    }
                }
            }
            found
        };
        assert_eq!(all(1), all(octets.len().max(1)), "{:?}", String::from_utf8_lossy(&octets));
    }
}

#[test]
fn random_responses_of_a_server_neither_panic_nor_grow() {
    for n in 0..number("CHASQUI_FUZZ_INPUTS", 20_000) {
        let mut r = Random(!n);
        let mut octets = Vec::new();
        for _ in 0..r.below(12) {
            match r.below(5) {
                0 => octets.extend((0..r.below(30)).map(|_| r.next() as u8)),
                _ => octets.extend_from_slice(
                    r.one(&[
                        "* ",
                        "OK ",
                        "a1 ",
                        "NO [UNAVAILABLE] x",
                        "\r\n",
                        "{5}\r\n",
                        "+ ",
                        "[",
                        "]",
                        "BYE",
                        "{",
                        "}",
                        "CAPABILITY IMAP4rev1",
                    ])
                    .as_bytes(),
                ),
            }
        }
        let mut reader = ResponseReader::new(256);
        'input: for piece in octets.chunks(r.below(20) + 1) {
            reader.input().extend_from_slice(piece);
            loop {
                match reader.next_response() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'input,
                }
            }
            assert!(reader.input().len() <= 256 + 20);
        }
    }
}
