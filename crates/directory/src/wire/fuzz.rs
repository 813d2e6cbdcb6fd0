//! Random and mutated datagrams through every parser of the protocol. `CHASQUI_FUZZ_INPUTS` says how many; CI runs a million.

use std::sync::Arc;

use chasqui_base::address::EmailAddress;

use super::answers::{Answer, AnswerWriter, Answers, KnownNodes, Reply};
use super::questions::{Question, Questions, put_head};
use super::seal::{self, MAX_ANSWERS_LEN, Nonces, Stamp};
use super::{MAX_DATAGRAM, SIZES};
use crate::keys::{KeyFile, KeyRing};
use crate::record::{AccountState, LookUp, Node, Services, Target};
use crate::resolve::{Destination, Hit};
use crate::snapshot::entry::Account;

/// A small deterministic generator (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Changes a few octets: flips, cuts, doubles, inserts.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.next() as u8),
                _ => {
                    let end = (at + self.below(16)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
    }
}

fn inputs() -> usize {
    std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

fn keys() -> KeyRing {
    let dir = tempfile::tempdir().unwrap();
    KeyFile::create(&dir.path().join("keys")).unwrap();
    KeyFile::load(&dir.path().join("keys")).unwrap()
}

fn node(number: usize) -> Arc<Node> {
    let endpoint = |port: u16| format!("10.0.0.{number}:{port}").parse().unwrap();
    Arc::new(Node {
        name: format!("s{number}"),
        lmtp: endpoint(24),
        imap: endpoint(143),
        pop3: endpoint(110),
    })
}

fn hit<'a>(local: &'a str, tag: Option<&'a str>, quota: Option<u64>, node: &'a Arc<Node>) -> Hit<'a> {
    let account = Account {
        local,
        node: 1,
        state: AccountState::Active,
        services: Services::ALL,
        quota,
        uid: quota.map(|_| 7),
        gid: None,
        hash: &[],
    };
    Hit { account, domain: "ours.test", node, tag }
}

fn read_all(content: &[u8], asked: &EmailAddress) -> Vec<Result<Reply, super::Malformed>> {
    match Answers::read(content) {
        Ok(Answers::Answers(mut answers)) => {
            let mut known = KnownNodes::default();
            (0..answers.count).map(|_| answers.next(asked, &mut known)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn random_inputs_as_questions_are_read_or_refused() {
    let mut random = Random(3);
    for _ in 0..inputs() {
        let mut content = Vec::new();
        let count = 1 + random.below(5);
        put_head(&mut content, random.next(), count as u8);
        let words: Vec<String> =
            (0..3).map(|_| String::from_utf8_lossy(&random.bytes(40)).into_owned()).collect();
        for _ in 0..count {
            let question = match random.below(7) {
                4 => Question::ScramBegin(&words[0]),
                5 => Question::ScramFinish { login: &words[0], auth_message: &words[1], proof: &[7; 32] },
                6 => Question::MaySendAs { account: &words[1], sender: &words[2] },
                0 => Question::LookUp(&words[0]),
                1 => Question::Verify { login: &words[1], password: &words[2] },
                2 => Question::OverQuota { account: &words[0], over: true },
                _ => Question::Ping,
            };
            question.put(&mut content);
        }
        random.mutate(&mut content);
        if random.below(8) == 0 {
            content = random.bytes(200);
        }
        if let Ok(questions) = Questions::read(&content) {
            let expected = usize::from(questions.count);
            assert_eq!(questions.count(), expected, "each question gets its answer");
        }
    }
}

#[test]
fn random_inputs_as_answers_are_read_or_refused() {
    let mut random = Random(4);
    let asked: EmailAddress = "ana@ours.test".parse().unwrap();
    let nodes = [node(1), node(2)];
    let mut writer = AnswerWriter::new();
    for _ in 0..inputs() {
        let count = 1 + random.below(6) as u8;
        writer.begin(random.next(), count, MAX_ANSWERS_LEN);
        for _ in 0..count {
            let quota = (random.below(2) == 0).then(|| random.next());
            let hit = hit(
                ["ana", "beto"][random.below(2)],
                (random.below(3) == 0).then_some("tag"),
                quota,
                &nodes[random.below(2)],
            );
            let targets = [Destination::Remote("x@theirs.test")];
            let answer = match random.below(10) {
                7 => Answer::ScramSalt { salt: b"salt", iterations: 4096 },
                8 => Answer::Proved(&hit, [9; 32]),
                9 => Answer::Permitted(true),
                0 => Answer::Account(&hit),
                1 => Answer::Targets(&targets),
                2 => Answer::Yes(&hit),
                3 => Answer::NotOurs,
                4 => Answer::No,
                5 => Answer::Done,
                _ => Answer::Unknown,
            };
            writer.put(&answer, "ana@ours.test", &|_| false);
        }
        let mut content = writer.content().to_vec();
        assert!(read_all(&content, &asked).iter().all(Result::is_ok));
        random.mutate(&mut content);
        if random.below(8) == 0 {
            content = random.bytes(300);
        }
        for reply in read_all(&content, &asked).into_iter().flatten() {
            if let Reply::LookUp(LookUp::Found(targets)) = reply {
                assert!(targets.len() <= content.len(), "an answer cannot hold more than was sent");
            }
        }
    }
}

#[test]
fn random_inputs_as_datagrams_open_only_when_they_are_what_was_sealed() {
    let (ours, theirs) = (keys(), keys());
    let nonces = Nonces::new().unwrap();
    let mut random = Random(5);
    let mut datagram = Vec::new();
    for _ in 0..inputs() / 4 {
        let content = random.bytes(seal::MAX_ANSWERS_LEN);
        let stamp = nonces.next();
        seal::seal_request(&ours, stamp, &content, &mut datagram);
        assert!(SIZES.contains(&datagram.len()));
        assert!(seal::open_request(&theirs, &mut datagram.clone()).is_none());
        let mut changed = datagram.clone();
        random.mutate(&mut changed);
        let same = changed == datagram;
        assert_eq!(seal::open_request(&ours, &mut changed).is_some(), same);
        let (opened, read) = seal::open_request(&ours, &mut datagram).unwrap();
        assert_eq!(opened, stamp);
        assert_eq!(&read[..content.len()], content);

        seal::seal_reply(&ours, nonces.next(), stamp, &content, &mut datagram);
        assert!(SIZES.contains(&datagram.len()));
        let mut changed = datagram.clone();
        random.mutate(&mut changed);
        let same = changed == datagram;
        assert_eq!(seal::open_reply(&ours, stamp, &mut changed).is_some(), same);
        let other = Stamp { counter: stamp.counter + 1, ..stamp };
        assert!(
            seal::open_reply(&ours, other, &mut datagram.clone()).is_none(),
            "a reply fits one request only"
        );
        let other = Stamp { session: [9; 16], ..stamp };
        assert!(
            seal::open_reply(&ours, other, &mut datagram.clone()).is_none(),
            "a reply fits one session only"
        );
        assert!(seal::open_request(&ours, &mut datagram.clone()).is_none(), "a reply is no request");
        let read = seal::open_reply(&ours, stamp, &mut datagram).unwrap();
        assert_eq!(&read[..content.len()], content);
    }
    for _ in 0..inputs() {
        let mut noise = random.bytes(MAX_DATAGRAM + 100);
        assert!(seal::open_request(&ours, &mut noise).is_none());
        assert!(seal::open_reply(&ours, nonces.session(), &mut noise).is_none());
    }
}

#[test]
fn one_question_takes_the_smallest_datagram_whoever_is_asked_for() {
    let ours = keys();
    let nonces = Nonces::new().unwrap();
    let stamp = nonces.next();
    let node = node(1);
    let known = hit("ana", Some("a-tag-of-some-length"), Some(u64::MAX), &node);
    let mut datagram = Vec::new();
    let mut writer = AnswerWriter::new();
    for answer in [
        Answer::Account(&known),
        Answer::Unknown,
        Answer::NotOurs,
        Answer::Yes(&known),
        Answer::No,
        Answer::Unavailable,
        Answer::ScramSalt { salt: &[7; 16], iterations: u32::MAX },
        Answer::Proved(&known, [9; 32]),
        Answer::Permitted(true),
    ] {
        writer.begin(1, 1, MAX_ANSWERS_LEN);
        writer.put(&answer, "ana@ours.test", &|_| true);
        seal::seal_reply(&ours, nonces.next(), stamp, writer.content(), &mut datagram);
        assert_eq!(datagram.len(), SIZES[0]);
    }
}

#[test]
fn what_does_not_fit_is_said_to_be_truncated_and_its_neighbours_are_whole() {
    let nodes: Vec<Arc<Node>> = (1..=30).map(node).collect();
    let many: Vec<Destination<'_>> =
        nodes.iter().map(|node| Destination::Account(hit("beto", None, None, node))).collect();
    let few = hit("ana", None, None, &nodes[0]);
    let mut writer = AnswerWriter::new();
    writer.begin(1, 3, MAX_ANSWERS_LEN);
    writer.put(&Answer::Account(&few), "ana@ours.test", &|_| false);
    writer.put(&Answer::Targets(&many), "ana@ours.test", &|_| false);
    writer.put(&Answer::Account(&few), "ana@ours.test", &|_| false);
    assert!(writer.content().len() <= MAX_ANSWERS_LEN);
    let asked = "ana@ours.test".parse().unwrap();
    let replies: Vec<Reply> = read_all(writer.content(), &asked).into_iter().map(Result::unwrap).collect();
    assert_eq!(replies[1], Reply::Truncated);
    assert_eq!(replies[0], replies[2]);
    let Reply::LookUp(LookUp::Found(found)) = &replies[0] else { panic!() };
    let [Target::Account(record)] = &found[..] else { panic!() };
    assert_eq!((record.account.as_str(), record.node.name.as_str()), ("ana@ours.test", "s1"));
}
