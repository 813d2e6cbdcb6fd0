//! Random inputs to everything here that reads what strangers wrote: no panic, no standstill. `CHASQUI_FUZZ_INPUTS` sets how many.

use super::{
    arc, author,
    dkim::{self, canonical::BodyHashes, key::Key},
    dmarc,
    header::{self, Header, Tags},
    keys::Keys,
    results, spf,
};
use std::time::{Duration, Instant};

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

    /// Valid pieces in any order, then a few octets changed.
    fn input(&mut self, pieces: &[&str]) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..self.below(24) {
            input.extend_from_slice(pieces[self.below(pieces.len())].as_bytes());
        }
        for _ in 0..self.below(4) {
            let at = self.below(input.len() + 1);
            let octet = self.next() as u8;
            match self.below(3) {
                0 => input.insert(at, octet),
                1 if at < input.len() => input[at] = octet,
                _ => input.truncate(at.max(input.len() / 2)),
            }
        }
        input
    }
}

const HEADER: &[&str] = &[
    "From: ",
    "DKIM-Signature: ",
    "ARC-Seal: ",
    "ARC-Message-Signature: ",
    "ARC-Authentication-Results: ",
    "Authentication-Results: ",
    "v=1; ",
    "i=1; ",
    "i=2; ",
    "a=rsa-sha256; ",
    "a=ed25519-sha256; ",
    "c=relaxed/simple; ",
    "d=example.org; ",
    "s=s; ",
    "h=from:to:from; ",
    "bh=AAAA; ",
    "b=AAAA; ",
    "cv=none; ",
    "cv=pass; ",
    "l=5; ",
    "x=1; ",
    "mx.test; dmarc=pass header.from=example.org",
    "Ana <ana@example.org>",
    "\"a\\\"b\"",
    "(c (d))",
    "<",
    ">",
    ",",
    ":",
    ";",
    "@",
    "\r\n",
    "\r\n\t",
    "\r",
    "\n",
    "\u{f1}",
];

const RECORD: &[&str] = &[
    "v=spf1 ",
    "v=DMARC1; ",
    "v=DKIM1; ",
    "p=reject; ",
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ; ",
    "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; ",
    "k=ed25519; ",
    "sp=none; ",
    "pct=50; ",
    "rua=mailto:a%40b@example.org!10m,mailto:c@d.test; ",
    "adkim=s; ",
    "a ",
    "mx",
    "-all ",
    "include:",
    "exists:",
    "ptr ",
    "ip4:192.0.2.0/24 ",
    "ip6:2001:db8::/32 ",
    "redirect=",
    "exp=",
    "%{",
    "ir",
    "d2",
    "}",
    "%%",
    "/24",
    "//64",
    ".example.org ",
    ":",
    "=",
    "/",
    "\u{f1}",
];

#[test]
fn random_inputs_are_read_or_refused() {
    let inputs: u64 =
        std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut random = Random(0x5eed_0001);
    let begin = Instant::now();
    for _ in 0..inputs {
        let text = random.input(HEADER);
        let _ = (header::end(&text, true), results::is_foreign(&text, "mx.test", false));
        let header = Header::new(text);
        let _ = author::domains(&header);
        for candidate in dkim::candidates(&header, 8, |_| true).into_iter().flatten() {
            let _ = dkim::verify(&candidate, &header, &BodyHashes::default(), &Keys::default(), 0);
        }
        if let Ok(Some(chain)) = arc::Chain::read(&header, 50) {
            let _ = chain.verify(&header, &BodyHashes::default(), &Keys::default(), 0);
            let _ = chain.vouches(&header, "example.org", |_| true);
        }
        let text = random.input(RECORD);
        spf::read_record(&text);
        let text = String::from_utf8_lossy(&text);
        let _ =
            (Tags::parse(&text).is_some(), Key::parse(&text).is_ok(), dmarc::Record::parse(&text).is_some());
    }
    // A standstill would show: this is hundreds of times what it takes.
    assert!(begin.elapsed() < Duration::from_millis(20 * inputs.max(1000)), "{:?}", begin.elapsed());
}
