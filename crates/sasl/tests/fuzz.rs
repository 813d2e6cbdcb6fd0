//! Random inputs: no panic, and nobody is let in who has proved nothing.

use chasqui_base::Secret;
use chasqui_sasl::scram::{Channel, Client, Verifier};
use chasqui_sasl::{Claim, Credentials, Exchange, Mechanism, Progress, decode};

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
    fn input(&mut self, most: usize) -> String {
        let mut input: Vec<char> = Vec::new();
        for _ in 0..self.below(most) {
            input.extend(PIECES[self.below(PIECES.len())].chars());
        }
        for _ in 0..self.below(4) {
            let at = self.below(input.len() + 1);
            let c = char::from_u32(self.below(0x180) as u32).unwrap_or('x');
            match self.below(3) {
                0 => input.insert(at, c),
                1 if at < input.len() => input[at] = c,
                _ if at < input.len() => drop(input.remove(at)),
                _ => {}
            }
        }
        input.into_iter().collect()
    }
}

fn inputs() -> u64 {
    std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

const PIECES: &[&str] = &[
    "\0",
    "ana",
    "llave",
    "n,,",
    "y,,",
    "p=tls-exporter,,",
    "n,a=ana,",
    "n=ana",
    ",",
    "r=nonce",
    "=2C",
    "=3D",
    "m=x",
    "c=biws",
    "c=eSws",
    "c=cD10bHMtZXhwb3J0ZXIsLAcH",
    "r=nonceserver",
    "s=c2FsdA==",
    "i=4096",
    "i=99999999999",
    "p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "v=AAAA",
    "\u{1}",
    "auth=Bearer dG9r",
    "host=mail",
    "\u{1}\u{1}",
    "ñ",
    "=",
];

const MECHANISMS: [&str; 7] =
    ["PLAIN", "login", "EXTERNAL", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "X"];

#[test]
fn random_inputs_to_the_servers_side() {
    let mut random = Random(0x5eed_0001);
    let secret = |random: &mut Random| Secret::new(random.input(8));
    for _ in 0..inputs() {
        let mechanism = Mechanism::parse(MECHANISMS[random.below(MECHANISMS.len())]);
        let channel = Channel {
            binding: (random.below(2) == 0).then(|| vec![7, 7]),
            plus_offered: random.below(2) == 0,
        };
        let initial = (random.below(3) > 0).then(|| secret(&mut random));
        let mut progress = Exchange::begin(mechanism, initial, &channel);
        for step in 0.. {
            assert!(step < 4, "an exchange ends: {mechanism:?}");
            progress = match progress {
                Err(_) => break,
                Ok(Progress::Challenge(exchange, _)) => exchange.respond(&secret(&mut random)),
                Ok(Progress::Salt(first)) => {
                    assert!(!first.login().is_empty());
                    let (exchange, text) = first.challenge(b"salt", 4096).expect("random octets");
                    assert!(text.starts_with("r=") && text.ends_with(",s=c2FsdA==,i=4096"));
                    exchange.respond(&secret(&mut random))
                }
                Ok(Progress::Proof(last)) => {
                    let verifier = Verifier::of_nobody(b"salt");
                    assert_eq!(verifier.verify(last.auth_message(), last.proof()), None);
                    break;
                }
                Ok(Progress::Done(claim)) => {
                    assert!(!matches!(claim, Claim::Proved { .. }), "nobody has proved anything");
                    let _ = Credentials::of(claim);
                    break;
                }
            };
        }
    }
}

#[test]
fn random_inputs_to_the_clients_side() {
    let mut random = Random(0x5eed_0002);
    // Each answer that is understood costs 4096 iterations.
    for _ in 0..inputs() / 20 {
        let password = Secret::new("llave".to_owned());
        let mut client =
            Client::new(&random.input(3), password, &Channel::default(), false).expect("randomness");
        let nonce = client.first().expose().rsplit_once("r=").expect("a nonce").1.to_owned();
        let challenge = match random.below(2) {
            0 => format!("r={nonce}x,{}", random.input(6)),
            _ => random.input(8),
        };
        if client.answer(&challenge).is_ok() {
            assert!(client.answer(&random.input(4)).is_err(), "a signature cannot be guessed");
        }
    }
}

#[test]
fn random_inputs_to_the_decoders() {
    let mut random = Random(0x5eed_0003);
    for _ in 0..inputs() {
        let input = random.input(6);
        let _ = decode(input.as_bytes());
        if let Ok(verifier) = input.parse::<Verifier>() {
            assert_eq!(verifier.to_string().parse(), Ok(verifier));
        }
    }
}
