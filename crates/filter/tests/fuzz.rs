//! Random inputs to the parsers of what filters answer and of messages' structure: no panic, no memory beyond the bounds, and what was
//! read in pieces is what was read at once.

use chasqui_filter::content::{
    clamd,
    head::{Field, Head},
    milter::codec,
    spamd,
    structure::Nesting,
};

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

    /// Valid pieces in any order, then a few mutations.
    fn input(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..self.below(most) {
            input.extend_from_slice(pieces[self.below(pieces.len())]);
        }
        for _ in 0..self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(3) {
                0 => input.insert(at, self.next() as u8),
                1 if at < input.len() => input[at] = self.next() as u8,
                _ if at < input.len() => drop(input.remove(at)),
                _ => {}
            }
        }
        input
    }
}

fn inputs() -> u64 {
    std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

#[test]
fn answers_of_milters() {
    const PIECES: &[&[u8]] = &[
        b"\0\0\0\x01c",
        b"\0\0\0\x01a",
        b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xf7\xff",
        b"\0\0\0\x15O\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\x02i j\0",
        b"\0\0\0\x08hX\0value",
        b"\0\0\0\x09hX\0value\0",
        b"\0\0\0\x0bm\0\0\0\x01X\0val\0",
        b"\0\0\0\x0fy550 5.7.1 no%%\0",
        b"\0\0\0\x05bbody",
        b"\0\0\0\x05q",
        b"\0",
        b"\xff",
    ];
    let mut random = Random(0x6d69_6c74);
    for _ in 0..inputs() {
        let input = random.input(PIECES, 6);
        let mut at = 0;
        while let Ok(Some((_, used))) = codec::answer(&input[at..]) {
            assert!((5..=input.len() - at).contains(&used));
            at += used;
        }
    }
}

#[test]
fn answers_of_spamd() {
    const PIECES: &[&[u8]] = &[
        b"SPAMD/1.1 0 EX_OK\r\n",
        b"SPAMD/1.1 74 EX_IOERR\r\n",
        b"Content-length: 5\r\n",
        b"Spam: True ; 15.0 / 5.0\r\n",
        b"Spam: False ; -1 / 5\r\n",
        b"\r\n",
        b"GTUBE,RULE",
        b": ",
        b"\xff",
    ];
    let mut random = Random(0x7370_616d);
    for _ in 0..inputs() {
        let input = random.input(PIECES, 8);
        if let Ok(Some(report)) = spamd::answer(&input, random.below(2) == 0) {
            assert!(report.score.is_finite() && report.required.is_finite());
            let word = |test: &String| test.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            assert!(report.tests.iter().all(word));
        }
    }
}

#[test]
fn answers_of_clamd() {
    const PIECES: &[&[u8]] = &[
        b"1: ",
        b"stream: ",
        b"OK",
        b"Eicar FOUND",
        b" ERROR",
        b"\0",
        b"\xc3",
        b"INSTREAM size limit exceeded.",
    ];
    let mut random = Random(0x636c_616d);
    for _ in 0..inputs() {
        let input = random.input(PIECES, 8);
        if let Ok(Some((finding, used))) = clamd::answer(&input) {
            assert!(used <= input.len());
            if let clamd::Finding::Infected(name) = finding {
                assert!(!name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}

#[test]
fn headers_and_their_parts() {
    const PIECES: &[&[u8]] = &[
        b"Received: x\r\n",
        b"Content-Type: multipart/mixed; boundary=\"b\"\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"\tfolded\r\n",
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"boundary=c",
        b"\n",
        b"\r",
        b"text",
        b":",
    ];
    let mut random = Random(0x6865_6164);
    for _ in 0..inputs() {
        let input = random.input(PIECES, 20);
        if let Some((head, body)) = Head::parse(&input, false) {
            let mut written = Vec::new();
            head.write_to(&mut written);
            assert_eq!(written, &input[..body]);
        }
        let mut whole = Nesting::new(6);
        let shallow = whole.read(&input);
        let mut parts = Nesting::new(6);
        let step = 1 + random.below(9);
        assert_eq!(input.chunks(step).all(|part| parts.read(part)), shallow);
        assert_eq!((parts.depth(), shallow), (whole.depth(), whole.depth() <= 6));
        if let Some(field) = Field::new(b"X-Any", &input, random.below(2) == 0) {
            let text = [field.as_bytes(), b"\r\n"].concat();
            assert_eq!(Head::parse(&text, false).unwrap().0.fields, [field]);
        }
    }
}
