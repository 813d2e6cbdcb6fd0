//! Random inputs to every parser of this crate: no panic, bounded memory, always an end.
//!
//! The number of inputs is `CHASQUI_FUZZ_INPUTS` (default 20000), the seed `CHASQUI_FUZZ_SEED`.

use chasqui_mailstore::mime::{Limits, Scanner};
use chasqui_mailstore::{BodyPart, Flags, FolderName};

/// xorshift64*: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn new(stream: u64) -> Random {
        let seed = std::env::var("CHASQUI_FUZZ_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(0x9e37_79b9_7f4a_7c15u64);
        Random((seed ^ stream.wrapping_mul(0xbf58_476d_1ce4_e5b9)) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of the valid texts with some octets changed, doubled, cut, or mixed with another; or noise.
    fn mutated(&mut self, valid: &[&[u8]], tokens: &[&[u8]]) -> Vec<u8> {
        let mut input = self.pick(valid).to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(input.len() + 1);
            match self.below(7) {
                0 => input.insert(at, self.next() as u8),
                1 => drop(input.splice(at..at, self.pick(tokens).iter().copied())),
                2 if at < input.len() => input[at] ^= 1 << self.below(8),
                3 => input.truncate(at),
                4 => {
                    let end = (at + self.below(30)).min(input.len());
                    let piece = input[at..end].to_vec();
                    drop(input.splice(at..at, piece));
                }
                5 => {
                    let end = (at + self.below(30)).min(input.len());
                    drop(input.drain(at..end));
                }
                _ => {
                    let other = self.pick(valid);
                    let from = self.below(other.len() + 1);
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
        if self.below(20) == 0 {
            input = (0..self.below(200)).map(|_| self.next() as u8).collect();
        }
        input
    }
}

fn inputs() -> u64 {
    std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

const MESSAGES: [&[u8]; 6] = [
    b"From: a@b\r\nSubject: x\r\n\r\nbody\r\n",
    b"Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n--b--\r\npost\r\n",
    b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: y\r\n\r\nz\r\n--b\r\n\r\nTo: l: a@b, \"c d\" <e@f>;\r\n\r\n--b--",
    b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n",
    b"From: \"A \\\" B\" (c (d)) <@r,@s:\"x y\"@[IPv6:::1]>, undisclosed: ;\r\nContent-Disposition: attachment; filename*0=\"a;\"; b=(c)d\r\n\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\n--bb--\r\n--b--",
];
const TOKENS: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"--b",
    b"--b--",
    b"\r\n--b\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"(",
    b"\"",
    b"<",
    b";",
    b":",
    b"\0",
    b"\xc3\xb1\xff",
];

fn count(part: &BodyPart, depth: usize, length: u64) -> usize {
    assert!(
        depth <= 200
            && part.header_start <= part.body_start
            && part.body_start <= part.body_end
            && part.body_end <= length
    );
    assert!(part.lines <= part.size());
    let inner = part.parts.iter().chain(part.message.iter().map(|nested| &nested.body));
    1 + inner.map(|inner| count(inner, depth + 1, length)).sum::<usize>()
}

#[test]
fn random_inputs_to_the_message_scanner() {
    let mut random = Random::new(1);
    let limits = Limits { header: 4096, depth: 10, parts: 20 };
    for _ in 0..inputs() {
        let message = random.mutated(&MESSAGES, &TOKENS);
        let mut whole = Scanner::new(limits);
        whole.feed(&message);
        let expected = whole.finish();
        // A multipart without parts gets an empty one: at most as many again.
        assert!(count(&expected.1, 0, message.len() as u64) <= 2 * limits.parts + 2 * limits.depth);
        let mut pieces = Scanner::new(limits);
        let mut rest = message.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.below(rest.len()).min(random.below(40)));
            pieces.feed(piece);
            rest = after;
        }
        assert_eq!(pieces.finish(), expected);
    }
}

#[test]
fn random_inputs_as_file_names() {
    let valid: [&[u8]; 5] = [
        b"1700000000.01hf0000000000000000000000.mail.ejemplo.test,S=10240,U=17:2,FSac",
        b"1276528487.M364837P9451.kurkku,S=1355,W=1394:2,",
        b"1.2.h",
        b"0.x.h,U=4294967295,S=18446744073709551615",
        b"name:1,a:2,S",
    ];
    let tokens: [&[u8]; 10] =
        [b",S=", b",U=", b":2,", b":", b",", b".", b"=", b"00", b"99999999999999999999", b"\xc3\xb1"];
    let mut random = Random::new(2);
    for _ in 0..inputs() {
        let name = String::from_utf8_lossy(&random.mutated(&valid, &tokens)).into_owned();
        if let Some(Some(uid)) = chasqui_mailstore::message_file_name(&name) {
            assert!(uid > 0 && name.contains(&format!("U={uid}")));
        }
    }
}

#[test]
fn random_inputs_as_folder_names_and_keywords() {
    let valid: [&[u8]; 5] =
        [b"INBOX/a/b", b"Enviados/A\xc3\xb1o", b"A & B.c", b"\xe5\x8f\xb0\xe5\x8c\x97", b"$Forwarded"];
    let tokens: [&[u8]; 8] = [b"/", b"//", b".", b"&", b"&-", b"INBOX", b"\0", b"\xf0\x9f\x90\xab"];
    let mut random = Random::new(3);
    for _ in 0..inputs() {
        let text = String::from_utf8_lossy(&random.mutated(&valid, &tokens)).into_owned();
        if let Ok(name) = FolderName::parse(&text) {
            assert_eq!(FolderName::parse(name.as_str()), Ok(name));
        }
        if let Ok(flags) = Flags::keyword(&text) {
            assert!(flags.has_keyword(&text));
        }
    }
}
