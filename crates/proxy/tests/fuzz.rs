//! Random conversations: valid ones, mutated, in random chunks. `CHASQUI_FUZZ_INPUTS` says how many.

use base64::Engine;
use chasqui_base::ByteSize;
use chasqui_proxy::config::Limits;
use chasqui_proxy::dialogue::{Answer, Dialogue, Next, Offer, Refusal};
use chasqui_proxy::imap::Imap;
use chasqui_proxy::pop3::Pop3;

const PASSWORD: &str = "chasqui-demo";

fn plain(login: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("\0{login}\0{password}"))
}

/// A small generator of its own, so that a seed means the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn inputs() -> u64 {
    std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

const COMMAND: usize = 600;

/// Valid pieces in random order, with random damage.
fn conversation(random: &mut Random, pieces: &[String]) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.below(6) {
        text.extend_from_slice(pieces[random.below(pieces.len())].as_bytes());
    }
    for _ in 0..random.below(4) {
        let at = random.below(text.len() + 1);
        match random.below(4) {
            0 => text.truncate(at),
            1 => text.insert(at, random.next() as u8),
            2 if at < text.len() => text[at] = random.next() as u8,
            _ => drop(text.splice(at..at, (0..random.below(900)).map(|n| n as u8))),
        }
    }
    text
}

fn talk<D: Dialogue>(random: &mut Random, pieces: &[String]) {
    let limits = Limits { command: ByteSize(COMMAND as u64), errors: 3, ..Limits::default() };
    let offer = Offer {
        tls_active: random.below(2) == 0,
        start_tls: random.below(2) == 0,
        plaintext: random.below(2) == 0,
    };
    let mut dialogue = D::new(&limits, offer);
    let mut out = Vec::new();
    dialogue.greet(&mut out);
    let text = conversation(random, pieces);
    let mut rest = text.as_slice();
    loop {
        // Every step must use something up: a bound on steps between two reads shows that none runs for ever.
        for step in 0.. {
            assert!(step <= 2 * text.len() + 8, "no progress on {text:?}");
            match dialogue.next(&mut out) {
                Next::NeedInput => break,
                Next::Replied => {}
                Next::StartTls => dialogue.tls_started(),
                Next::LogIn(_) => dialogue.refuse(&Refusal::Wrong, &mut out),
                Next::Quit | Next::GiveUp => return,
            }
        }
        let (buffer, room) = dialogue.input();
        assert!(buffer.len() <= 2 * COMMAND + 32, "{} octets are held", buffer.len());
        assert!(room > 0);
        if rest.is_empty() {
            return;
        }
        let taken = (1 + random.below(80)).min(room).min(rest.len());
        buffer.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
    }
}

#[test]
fn random_inputs_of_imap_clients() {
    let pieces = [
        "a CAPABILITY\r\n".to_owned(),
        "b NOOP\r\n".into(),
        "c STARTTLS\r\n".into(),
        format!("d LOGIN ana@ejemplo.test {PASSWORD}\r\n"),
        "e LOGIN \"ana\" {5}\r\nllave\r\n".into(),
        "f LOGIN {3+}\r\nana {5+}\r\nllave\r\n".into(),
        format!("g AUTHENTICATE PLAIN {}\r\n", plain("ana", "llave")),
        "h AUTHENTICATE LOGIN\r\nYW5h\r\nbGxhdmU=\r\n".into(),
        "i AUTHENTICATE PLAIN\r\n*\r\n".into(),
        "j ID (\"name\" {3}\r\nabc)\r\n".into(),
        "k APPEND INBOX (\\Seen) {3+}\r\nabc\r\n".into(),
        "l LOGOUT\r\n".into(),
    ];
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..inputs() {
        talk::<Imap>(&mut random, &pieces);
    }
}

#[test]
fn random_inputs_of_pop3_clients() {
    let pieces = [
        "CAPA\r\n".to_owned(),
        "STLS\r\n".into(),
        "USER ana@ejemplo.test\r\n".into(),
        format!("PASS {PASSWORD}\r\n"),
        format!("AUTH PLAIN {}\r\n", plain("ana", "llave")),
        "AUTH LOGIN\r\nYW5h\r\nbGxhdmU=\r\n".into(),
        "AUTH PLAIN\r\n*\r\n".into(),
        "NOOP\r\n".into(),
        "QUIT\r\n".into(),
    ];
    let mut random = Random(0xfedc_ba98_7654_3211);
    for _ in 0..inputs() {
        talk::<Pop3>(&mut random, &pieces);
    }
}

#[test]
fn random_inputs_of_storage_nodes() {
    let pieces = [
        "* OK ready\r\n".to_owned(),
        "* CAPABILITY IMAP4rev1\r\n".into(),
        "P OK [CAPABILITY IMAP4rev1] open\r\n".into(),
        "P NO [INUSE] busy\r\n".into(),
        "* BYE [UNAVAILABLE] full\r\n".into(),
        "+OK ready\r\n".into(),
        "-ERR [SYS/TEMP] later\r\n".into(),
    ];
    let mut random = Random(0x0f0f_1234_4321_f0f1);
    for _ in 0..inputs() {
        let text = conversation(&mut random, &pieces);
        hear::<Imap>("tag LOGIN ana llave\r\n", &text);
        hear::<Pop3>("USER ana\r\nPASS llave\r\n", &text);
    }
}

/// Whatever a node answers, the client gets it once, or one line.
fn hear<D: Dialogue>(log_in: &str, answer: &[u8]) {
    let offer = Offer { tls_active: true, start_tls: false, plaintext: false };
    let mut dialogue = D::new(&Limits::default(), offer);
    dialogue.input().0.extend_from_slice(log_in.as_bytes());
    let mut out = Vec::new();
    while !matches!(dialogue.next(&mut out), Next::LogIn(Ok(_))) {}
    match dialogue.answer(answer) {
        Answer::Opened(shown) => assert!(shown.len() <= answer.len() + 8),
        Answer::Refused(reason) => {
            out.clear();
            dialogue.refuse(&Refusal::Node(reason), &mut out);
            assert!(
                out.ends_with(b"\r\n")
                    && out.iter().filter(|octet| matches!(octet, b'\r' | b'\n')).count() == 2
            );
        }
        Answer::Incomplete { .. } | Answer::Nonsense => {}
    }
}
