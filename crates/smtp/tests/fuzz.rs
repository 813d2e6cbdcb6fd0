//! Random inputs: no panic, no memory beyond the limits, no standstill.

mod common;

use chasqui_smtp::{
    AUTH_LINE, BareOctets, ClientEvent, ClientLimits, ClientSession, Command, Dialect, Envelope, Limits,
    Mailbox, Offers, Profile, Protocol, Reply, ReplyLimits, Ret, ReversePath,
};
use common::{Driver, lmtp, smtp, submission};

/// xorshift64*: seeded, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Valid pieces in any order, then a few mutations.
    fn input(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..self.below(most) {
            input.extend_from_slice(self.pick(pieces));
        }
        for _ in 0..self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(4) {
                0 => input.insert(at, self.next() as u8),
                1 if at < input.len() => input[at] = self.next() as u8,
                2 if at < input.len() => drop(input.remove(at)),
                _ => {
                    let piece = self.pick(pieces);
                    input.splice(at..at, piece.iter().copied());
                }
            }
        }
        input
    }
}

fn inputs() -> u64 {
    std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

/// Every extension on and off.
fn offers(round: u64) -> Offers {
    let on = |bit: u64| round >> bit & 1 == 1;
    Offers {
        auth: on(1),
        dsn: on(2),
        binary_mime: on(3),
        require_tls: on(4),
        future_release: on(5),
        priority: on(6),
        delivery_id: on(7),
        junk: on(8),
        queued: on(9),
    }
}

const COMMANDS: &[&[u8]] = &[
    b"EHLO client\r\n",
    b"HELO c\r\n",
    b"LHLO c\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"MAIL FROM:<> SIZE=10 BODY=8BITMIME\r\n",
    b"MAIL FROM:<a@b> SMTPUTF8\r\n",
    b"MAIL FROM:<a@b> XDELIVERYID=00000000000000000000000000\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"RCPT TO:<\"a b\"@[127.0.0.1]>\r\n",
    b"RCPT TO:<Postmaster>\r\n",
    b"DATA\r\n",
    b"Subject: x\r\n\r\n",
    b".\r\n",
    b"..\r\n",
    b"text",
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"\0",
    b"BDAT 4\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 7 LAST\r\n",
    b"BDAT 99\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY x\r\n",
    b"STARTTLS\r\n",
    b"QUIT\r\n",
    b"MAIL FROM:<a@b> BODY=BINARYMIME\r\n",
    b"MAIL FROM:<a@b> RET=HDRS ENVID=x+20y\r\n",
    b"RCPT TO:<c@d> NOTIFY=DELAY ORCPT=rfc822;e\r\n",
    b" AUTH=a+2B@b",
    b" HOLDFOR=9",
    b" HOLDUNTIL=2026-11-22T12:00:00Z",
    b" MT-PRIORITY=-9",
    b" REQUIRETLS",
    b" XJUNK XQUEUED=1",
    b" ORCPT=utf-8;\\x{F1}@d",
    b"AUTH PLAIN\r\n",
    b"AUTH LOGIN cmlnaHQ=\r\n",
    b"AUTH PLAIN =\r\n",
    b"d3Jvbmc=\r\n",
    b"bW9yZQ==\r\n",
    b"*\r\n",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "ñ".as_bytes(),
    b"<",
    b">",
    b"@",
    b"\"",
    b"\\",
    b" ",
    b"=",
];

#[test]
fn random_inputs_to_the_server() {
    let limits = Limits { line_length: 60, message_size: 40, recipients: 3, errors: 12, ..Limits::default() };
    let mut random = Random(0x5eed_0001);
    for round in 0..inputs() {
        let base = match round % 4 {
            0 => smtp(),
            1 => submission(),
            _ => lmtp(),
        };
        let bare_octets = if round % 3 == 0 { BareOctets::Accept } else { BareOctets::Refuse };
        let mut driver = Driver::new(Profile { limits: limits.clone(), bare_octets, ..base });
        if round % 5 == 0 {
            driver.session.tls_started();
            driver.session.bind_channel();
        }
        let input = random.input(COMMANDS, 24);
        let mut rest = &input[..];
        let longest = if round % 4 == 1 { AUTH_LINE } else { limits.line_length };
        while !rest.is_empty() && !driver.seen.closed {
            let (part, tail) = rest.split_at(1 + random.below(rest.len()));
            assert!(driver.feed(part) < longest, "buffered too much: {input:?}");
            rest = tail;
        }
        assert!(
            driver.seen.messages.iter().all(|message| message.len() as u64 <= limits.message_size),
            "{input:?}"
        );
        // Progress: whatever state it is in, a session ends when it is pushed.
        for _ in 0..200 {
            if !driver.seen.closed {
                driver.feed(b"\r\n.\r\nQUIT\r\n");
            }
        }
        assert!(driver.seen.closed, "hangs after {input:?}");
    }
}

#[test]
fn random_inputs_give_the_same_events_however_they_are_cut() {
    let mut random = Random(0x5eed_0002);
    for _ in 0..inputs() / 4 {
        let mut input = random.input(COMMANDS, 16);
        // What STARTTLS drops depends on what had arrived.
        while let Some(at) = input.to_ascii_uppercase().windows(8).position(|w| w == b"STARTTLS") {
            input.drain(at..at + 8);
        }
        let whole = common::run(smtp(), &input, usize::MAX);
        let chunk = 1 + random.below(9);
        assert_eq!(whole, common::run(smtp(), &input, chunk), "{input:?} {chunk}");
    }
}

const REPLIES: &[&[u8]] = &[
    b"220 x\r\n",
    b"250 2.0.0 ok\r\n",
    b"250-x\r\n250-PIPELINING\r\n250-SIZE 99\r\n250 CHUNKING\r\n",
    b"250-",
    b"550 5.1.1 no\r\n",
    b"421 bye\r\n",
    b"250\r\n",
    b"354 go on\r\n",
    b"334 bW9yZQ==\r\n",
    b"235 2.7.0 ok\r\n",
    b"220 go on\r\n",
    b"500 what\r\n",
    b"250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
    b"250 x\r\n",
    b"\r\n",
    b"451 4.3.5 owner is now x\r\n",
    b"250-LIMITS RCPTMAX=9\r\n",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    b"\xff",
];

#[test]
fn random_inputs_to_the_client() {
    let limits = ClientLimits { reply: ReplyLimits { line_length: 60, lines: 6 } };
    let mut random = Random(0x5eed_0003);
    for round in 0..inputs() {
        let protocol = if round % 2 == 0 { Protocol::Lmtp } else { Protocol::Smtp };
        let mut client = ClientSession::new(protocol, "mx", limits);
        let mut input = Vec::new();
        if random.below(2) == 0 {
            input.extend_from_slice(b"220 x\r\n250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n");
        }
        input.extend(random.input(REPLIES, 16));
        let mut buffer = Vec::new();
        let mut rest = &input[..];
        'session: while !rest.is_empty() {
            let (part, tail) = rest.split_at(1 + random.below(rest.len()));
            rest = tail;
            buffer.extend_from_slice(part);
            loop {
                let Ok((used, event)) = client.receive(&buffer) else { break 'session };
                buffer.drain(..used);
                if client.is_ready() {
                    let envelope = Envelope {
                        ret: Some(Ret::Full),
                        ..Envelope::new(&ReversePath::Null, &["a@b", "c@d"], 0)
                    };
                    match random.below(4) {
                        0 => drop(client.begin(&envelope, &mut Vec::new())),
                        1 => drop(client.start_tls()),
                        2 => drop(client.authenticate("PLAIN", None)),
                        _ => drop(client.open(&envelope, random.below(2) == 0)),
                    }
                }
                match event {
                    Some(ClientEvent::StartTls) => client.tls_started(),
                    Some(ClientEvent::Challenge(_)) => client.respond(None),
                    None => break,
                    _ => {}
                }
            }
            assert!(buffer.len() < 60 * 6, "{input:?}");
        }
    }
}

#[test]
fn random_inputs_to_the_line_parsers() {
    let mut random = Random(0x5eed_0004);
    for round in 0..inputs() {
        let input = random.input(COMMANDS, 4);
        let dialect = Dialect { lmtp: round % 2 == 0, extended: round % 3 != 0, offers: offers(round) };
        if let Ok(Command::Mail(mail)) = Command::parse(&input, dialect) {
            // What was parsed is written and parsed again unchanged.
            let again: ReversePath = mail.reverse_path.to_string().parse().expect("a path that was parsed");
            assert_eq!(again, mail.reverse_path);
        }
        let _ = Mailbox::parse(&String::from_utf8_lossy(&input));
        let _ = Reply::parse(&input, ReplyLimits::default());
    }
}
