//! Random inputs to what strangers write: no panic, nothing without bound, and what is read is written and read again the same.

use chasqui_relay::tls::report::{Report, Rua, parse_rua};
use chasqui_relay::tls::{Policy, announced};

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
    fn input(&mut self, pieces: &[&str], most: usize) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..self.below(most) {
            input.extend_from_slice(pieces[self.below(pieces.len())].as_bytes());
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
fn mta_sts_policies_and_records() {
    let pieces = [
        "version: STSv1\r\n",
        "mode: enforce\n",
        "mode: testing\r\n",
        "mode: none\r\n",
        "max_age: 604800\r\n",
        "mx: mail.example.org\r\n",
        "mx: *.example.net\r\n",
        "mx:",
        " ",
        "x: y\n",
        "v=STSv1",
        ";",
        "id=",
        "20160831",
        "*.",
        "\0",
        "ñ",
    ];
    let mut random = Random(0x5157_0001);
    for _ in 0..inputs() {
        let input = random.input(&pieces, 10);
        let text = String::from_utf8_lossy(&input).into_owned();
        if let Ok(policy) = Policy::parse(&text) {
            let _ = (policy.admits("mail.example.org"), policy.admits(&text));
            assert_eq!(Policy::parse(&policy.lines().join("\r\n")), Ok(policy), "{text:?}");
        }
        if let Some(id) = announced(&[text]) {
            assert!((1..=32).contains(&id.len()));
        }
    }
}

#[test]
fn places_for_reports() {
    let pieces = [
        "v=TLSRPTv1",
        ";",
        " ",
        "rua=",
        "mailto:",
        "a@example.org",
        "%2C",
        "%",
        ",",
        "https://",
        "example.org",
        ":8443",
        "/v1?x=1",
        "#",
        "!",
    ];
    let mut random = Random(0x5157_0002);
    for _ in 0..inputs() {
        let input = random.input(&pieces, 12);
        for place in parse_rua(&[String::from_utf8_lossy(&input).into_owned()]) {
            if let Rua::Https { host, path, .. } = place {
                assert!(!host.is_empty() && path.starts_with('/') && !path.contains(['\r', '\n', ' ']));
            }
        }
    }
}

#[test]
fn tls_reports_and_the_mails_that_carry_them() {
    let report = r#"{"organization-name":"x","date-range":{"start-datetime":"2016-04-01T00:00:00Z","end-datetime":"2016-04-01T23:59:59Z"},"report-id":"1","policies":[{"policy":{"policy-type":"sts","policy-string":["a"],"policy-domain":"d","mx-host":"m"},"summary":{"total-successful-session-count":1},"failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.1","failed-session-count":1}]}]}"#;
    let pieces = [
        "Content-Type: application/tlsrpt+json\r\n\r\n",
        "Content-Type: application/tlsrpt+gzip\r\n",
        "Content-Transfer-Encoding: base64\r\n\r\n",
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n",
        "--b--\r\n",
        report,
        "\u{1f}\u{8b}",
        "{",
        "[",
        "\"policies\":",
        "H4sI",
    ];
    let whole = Report::unpack(report.as_bytes()).unwrap();
    let packed = whole.pack().unwrap();
    let mut random = Random(0x5157_0003);
    for round in 0..inputs() / 4 {
        let input = random.input(&pieces, 6);
        if let Ok(read) = Report::unpack(&input) {
            assert_eq!(Report::unpack(&read.pack().unwrap()).unwrap(), read);
        }
        let _ = Report::from_mail(&input);
        let mut broken = packed.clone();
        let at = random.below(broken.len());
        broken[at] = random.next() as u8;
        broken.truncate(random.below(broken.len() + 1).max(usize::from(round % 2 == 0) * packed.len()));
        let _ = Report::unpack(&broken);
    }
}
