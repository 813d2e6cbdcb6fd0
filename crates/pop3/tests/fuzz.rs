//! Random and mutated input against everything that parses: no panic, no more memory than the limits say, no standstill.
//!
//! `CHASQUI_FUZZ_INPUTS` is the number of inputs of each test (default 20,000), `CHASQUI_FUZZ_SEED` the first seed.

use chasqui_pop3::{Authorization, Command, Event, Limits, Offer, Passwords, Reader, TopCutter, client};

/// xorshift64*: the same inputs everywhere from the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound.max(1)
    }
}

const VALID: [&[u8]; 26] = [
    b"CAPA\r\n",
    b"STLS\r\n",
    b"AUTH\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH PLAIN AGFuYUBlamVtcGxvLnRlc3QAc2VjcmV0\r\n",
    b"AUTH LOGIN\r\n",
    b"AUTH LOGIN YW5h\r\n",
    b"AUTH EXTERNAL YW5hQGVqZW1wbG8udGVzdA==\r\n",
    b"AUTH EXTERNAL =\r\n",
    b"YW5hQGVqZW1wbG8udGVzdA==\r\n",
    b"*\r\n",
    b"USER ana@ejemplo.test\r\n",
    b"PASS se cret \r\n",
    b"APOP ana c4c9334bac560ecc979e58001b3e22fb\r\n",
    b"UTF8\r\n",
    b"STAT\r\n",
    b"LIST 1\r\n",
    b"RETR 4294967295\r\n",
    b"DELE 1\r\n",
    b"NOOP\r\n",
    b"RSET\r\n",
    b"TOP 1 10\r\n",
    b"UIDL\r\n",
    b"QUIT\r\n",
    b"+OK ready\r\n",
    b"-ERR [SYS/TEMP] later\r\n.\r\n",
];

/// A few valid lines, then a few mutations of them; now and then only noise.
fn input(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(5) {
        bytes.extend_from_slice(VALID[random.below(VALID.len())]);
    }
    match random.below(8) {
        0 => bytes = (0..random.below(200)).map(|_| random.next().to_le_bytes()[0]).collect(),
        1 => {
            let (at, count) = (random.below(bytes.len()), random.below(6000));
            let filler = random.next().to_le_bytes()[0];
            bytes.splice(at..at, std::iter::repeat_n(filler, count));
        }
        _ => {}
    }
    for _ in 0..random.below(6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.next().to_le_bytes()[0],
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *b"\r\n .\0=*[]".get(random.below(9)).unwrap_or(&b' ')),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn each_input(mut test: impl FnMut(&mut Random, &[u8])) {
    let number =
        |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first: u64 = number("CHASQUI_FUZZ_SEED", 1);
    for seed in first..first + number("CHASQUI_FUZZ_INPUTS", 20_000) {
        let mut random = Random::new(seed);
        let bytes = input(&mut random);
        test(&mut random, &bytes);
    }
}

/// Feeds `bytes` in chunks of random size and calls `drain` after each; `drain` must take what is complete.
fn drive(random: &mut Random, reader: &mut Reader, bytes: &[u8], mut drain: impl FnMut(&mut Reader) -> bool) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let chunk = (1 + random.below(40)).min(rest.len());
        let count = reader.feed(&rest[..chunk]);
        assert!(count > 0, "no progress: the reader is full and has no line");
        assert!(reader.len() <= reader.limits().buffered());
        rest = &rest[count..];
        if !drain(reader) {
            return;
        }
    }
}

fn limits(random: &mut Random) -> Limits {
    match random.below(3) {
        0 => Limits::default(),
        1 => Limits { command: 16, sasl: 32, errors: 100 },
        _ => Limits { command: 0, sasl: 1, errors: 0 },
    }
}

#[test]
fn random_inputs_to_the_authorization_state_end_in_an_event() {
    each_input(|random, bytes| {
        let mut reader = Reader::new(limits(random));
        let mut session = Authorization::new(Offer {
            tls_active: random.below(2) == 0,
            start_tls: random.below(2) == 0,
            passwords: [Passwords::Never, Passwords::WithTls, Passwords::Always][random.below(3)],
            external: random.below(2) == 0,
        });
        drive(random, &mut reader, bytes, |reader| {
            let mut out = Vec::new();
            while let Some(event) = session.next(reader, &mut out) {
                assert!(out.len() < 1024, "one command was answered with {} octets", out.len());
                assert!(out.is_empty() || out.ends_with(b"\r\n"));
                out.clear();
                match event {
                    Event::StartTls => session.tls_started(),
                    Event::Quit | Event::Close => return false,
                    Event::Replied | Event::LogIn(_) => {}
                }
            }
            true
        });
    });
}

#[test]
fn random_inputs_as_commands_are_parsed_or_refused() {
    each_input(|random, bytes| {
        let mut reader = Reader::new(limits(random));
        drive(random, &mut reader, bytes, |reader| {
            while let Some(command) = reader.next_command() {
                if let Err(error) = command {
                    assert!(!error.to_string().is_empty());
                }
            }
            true
        });
        for line in bytes.split(|&octet| octet == b'\n') {
            let _ = Command::parse(line);
        }
    });
}

#[test]
fn random_inputs_from_a_server_are_parsed_or_refused() {
    each_input(|random, bytes| {
        let mut reader = Reader::new(limits(random));
        let multi_line = random.below(2) == 0;
        drive(random, &mut reader, bytes, |reader| {
            if multi_line {
                while client::next_line(reader).is_some() {}
            } else {
                while client::next_status(reader).is_some() {}
            }
            true
        });
    });
}

#[test]
fn random_inputs_as_messages_keep_their_framing() {
    each_input(|random, bytes| {
        let mut stuffer = chasqui_pop3::DotStuffer::default();
        let mut cutter = TopCutter::new(u32::try_from(random.below(4)).unwrap_or(0));
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() && !cutter.is_done() {
            let (chunk, after) = rest.split_at((1 + random.below(40)).min(rest.len()));
            stuffer.push(cutter.cut(chunk), &mut out);
            rest = after;
        }
        assert!(out.len() <= bytes.len() * 2);
        stuffer.finish(&mut out);
        // The end appears once, at the end, for a reader that ends lines at LF and for one that wants CRLF.
        let ends =
            out.split_inclusive(|&octet| octet == b'\n').filter(|line| *line == b".\r\n" || *line == b".\n");
        assert_eq!(ends.count(), 1);
        assert!(out.ends_with(b".\r\n"));
    });
}
