//! The MTA's side against a milter that does what it is told; real ones are in `tests/e2e/test_filters.py`.

use super::{
    codec::{put, steps},
    *,
};
use chasqui_base::{net::Endpoint, units::Span};
use prometheus_client::registry::Registry;
use std::collections::VecDeque;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// A milter that answers each command as the script says, `c` where it says nothing, and tells what it was sent.
struct Scripted {
    endpoint: Endpoint,
    seen: mpsc::UnboundedReceiver<(u8, Vec<u8>)>,
}

/// A command, and the packets to answer it with.
type Step = (u8, Vec<(u8, Vec<u8>)>);
type Script = Vec<Step>;

impl Scripted {
    async fn start(steps: u32, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, steps, script.clone().into(), sender.clone()));
            }
        });
        Self { endpoint, seen }
    }

    /// What was sent so far, macros left out.
    fn commands(&mut self) -> String {
        let mut text = String::new();
        while let Ok((command, data)) = self.seen.try_recv() {
            if command != b'D' {
                let data = String::from_utf8_lossy(&data).replace('\0', "|").replace('\n', "/");
                text += &format!("{}{}\n", char::from(command), data);
            }
        }
        text
    }
}

async fn serve(
    mut stream: TcpStream,
    steps: u32,
    mut script: VecDeque<Step>,
    seen: mpsc::UnboundedSender<(u8, Vec<u8>)>,
) {
    while let Ok(length) = stream.read_u32().await {
        let mut packet = vec![0; length as usize];
        if stream.read_exact(&mut packet).await.is_err() {
            return;
        }
        let (command, data) = (packet[0], packet[1..].to_vec());
        let mut out = Vec::new();
        if command == b'O' {
            let agreed: Vec<u8> = [6, 0x1ff, steps].iter().flat_map(|n: &u32| n.to_be_bytes()).collect();
            put(&mut out, b'O', &agreed);
        } else {
            seen.send((command, data)).unwrap();
            if script.front().is_some_and(|(on, _)| *on == command) {
                for (answer, data) in script.pop_front().unwrap().1 {
                    match answer {
                        b'!' => return,
                        b'#' => tokio::time::sleep(Duration::from_secs(30)).await,
                        answer => put(&mut out, answer, &data),
                    }
                }
            } else if !matches!(command, b'D' | b'A' | b'Q') {
                put(&mut out, b'c', b"");
            }
        }
        if stream.write_all(&out).await.is_err() {
            return;
        }
    }
}

fn chain(milter: &Scripted, change: impl FnOnce(&mut MilterConfig)) -> Chain {
    let mut config: MilterConfig =
        chasqui_base::config::parse(&format!("name = 'test'\naddress = '{}'\n", milter.endpoint), "test")
            .unwrap();
    config.command_deadline = Span::millis(400);
    config.message_deadline = Span::secs(5);
    change(&mut config);
    let metrics = Metrics::register(&mut Registry::default());
    let peer = Peer { ip: [192, 0, 2, 1].into(), port: 4711, name: None, hostname: "mx.test".into() };
    Chain::new(&[Milter::new(&config, &metrics)], peer)
}

fn mail() -> Mail {
    let mut session = chasqui_smtp::ServerSession::new(Arc::new(chasqui_smtp::Profile::new(
        chasqui_smtp::Protocol::Smtp,
        "mx.test",
    )));
    session.next(b"EHLO c.test\r\n");
    session.accept();
    match session.next(b"MAIL FROM:<ana@example.org> SIZE=99\r\n").event {
        Some(chasqui_smtp::Event::Mail(mail)) => mail,
        other => panic!("{other:?}"),
    }
}

fn greeting() -> Greeting {
    Greeting { hello: "c.test".into(), tls: None }
}

fn to(text: &str) -> Recipient {
    Recipient::Mailbox(text.parse().unwrap())
}

fn id() -> DeliveryId {
    DeliveryId::from_bytes([0; 16])
}

/// One message from MAIL to the verdict, and its text afterwards.
async fn message(chain: &mut Chain) -> (Result<ChainVerdict, Reply>, String) {
    let content = Content::Memory(b"Received: ours\r\nSubject: a\r\n b\r\n\r\nbody\r\n".to_vec());
    if let Err(reply) = chain.mail(Some("mail.example.com"), &greeting(), id(), &mail()).await {
        return (Err(reply), String::new());
    }
    if let Err(reply) = chain.recipient(&to("luis@example.net")).await {
        return (Err(reply), String::new());
    }
    let mut draft = Draft::read(&content, 1000).await.unwrap().unwrap();
    let verdict = chain.content(id(), &mut draft, &content).await;
    let folder = tempfile::tempdir().unwrap();
    let Content::Memory(text) = draft.finish(content, b"", 1000, folder.path()).await.unwrap() else {
        panic!("in a file")
    };
    (Ok(verdict), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn every_step_is_told_in_its_order_and_a_connection_serves_many_messages() {
    let mut milter = Scripted::start(0, Vec::new()).await;
    let mut chain = chain(&milter, |_| {});
    for _ in 0..2 {
        let (verdict, text) = message(&mut chain).await;
        assert!(verdict.unwrap().refusal.is_none());
        assert!(text.starts_with("Received: ours\r\nSubject: a"));
    }
    chain.mail(Some("mail.example.com"), &greeting(), id(), &mail()).await.unwrap();
    chain.reset().await;
    chain.close().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let one = "M<ana@example.org>|SIZE=99|\nR<luis@example.net>|\nT\nLSubject|a/ b|\nN\nBbody\r/\nE\n";
    let expected = format!(
        "Cmail.example.com|4\u{12}g192.0.2.1|\nHc.test|\n{one}{one}M<ana@example.org>|SIZE=99|\nA\nQ\n"
    );
    assert_eq!(milter.commands(), expected);
}

#[tokio::test]
async fn steps_that_it_does_without_are_left_out_and_those_it_does_not_answer_are_not_waited_for() {
    let without = steps::NO_CONNECT | steps::NO_HELO | steps::NO_BODY | steps::NO_DATA | steps::LEADING_SPACE;
    let mute = steps::MUTE_MAIL | steps::MUTE_RCPT | steps::MUTE_HEADER | steps::MUTE_END_OF_HEADERS;
    let silent = |command| (command, Vec::new());
    let mut milter =
        Scripted::start(without | mute, vec![silent(b'M'), silent(b'R'), silent(b'L'), silent(b'N')]).await;
    let mut chain = chain(&milter, |_| {});
    assert!(message(&mut chain).await.0.unwrap().refusal.is_none());
    assert_eq!(
        milter.commands(),
        "M<ana@example.org>|SIZE=99|\nR<luis@example.net>|\nLSubject| a/ b|\nN\nE\n"
    );
}

#[tokio::test]
async fn refusals_reach_the_command_that_they_are_for() {
    let custom = |text: &str| vec![(b'y', format!("{text}\0").into_bytes())];
    for (at, answer, expected) in [
        (b'C', vec![(b'r', Vec::new())], "550 5.7.1 Refused by a filter"),
        (b'H', vec![(b't', Vec::new())], "451 4.7.1 A filter asks to try again later"),
        (b'M', custom("554 5.1.8 100%% no"), "554 5.1.8 100% no"),
        (b'R', custom("250 2.0.0 odd"), "550 5.7.1 Refused by a filter"),
    ] {
        let milter = Scripted::start(0, vec![(at, answer.clone())]).await;
        let mut chain = chain(&milter, |_| {});
        assert_eq!(message(&mut chain).await.0.unwrap_err().to_string(), expected);
        // What was said of the connection stays, what was said of a command does not.
        let again = message(&mut chain).await.0;
        assert_eq!(again.is_err(), matches!(at, b'C' | b'H'), "{}", char::from(at));
    }
    for (at, answer, expected) in [
        (b'T', vec![(b'r', Vec::new())], "550 5.7.1 Refused by a filter"),
        (b'L', vec![(b't', Vec::new())], "451 4.7.1 A filter asks to try again later"),
        (b'E', custom("550-5.7.1 one\r\n550 5.7.1 two"), "550 5.7.1 one / 5.7.1 two"),
    ] {
        let milter = Scripted::start(0, vec![(at, answer)]).await;
        let verdict = message(&mut chain(&milter, |_| {})).await.0.unwrap();
        assert!(verdict.refusal.unwrap().to_string().starts_with(&expected[..13]), "{expected}");
    }
}

#[tokio::test]
async fn changes_come_after_progress_and_only_with_the_verdict() {
    let changes = vec![
        (b'p', Vec::new()),
        (b'h', b"X-Filtered\0yes\0".to_vec()),
        (b'b', b"new\r\n".to_vec()),
        (b'q', b"odd\0".to_vec()),
        (b'c', Vec::new()),
    ];
    let milter = Scripted::start(0, vec![(b'B', vec![(b's', Vec::new())]), (b'E', changes.clone())]).await;
    let (verdict, text) = message(&mut chain(&milter, |_| {})).await;
    assert_eq!(verdict.unwrap().quarantine.as_deref(), Some("odd"));
    assert_eq!(text, "Received: ours\r\nSubject: a\r\n b\r\nX-Filtered: yes\r\n\r\nnew\r\n");

    // One that fails half-way has changed nothing.
    let half = [&changes[..3], &[(b'!', Vec::new())]].concat();
    let milter = Scripted::start(0, vec![(b'E', half)]).await;
    let (verdict, text) = message(&mut chain(&milter, |_| {})).await;
    assert_eq!(verdict.unwrap().away, ["test"]);
    assert!(text.ends_with("\r\n\r\nbody\r\n") && !text.contains("X-Filtered"));
}

#[tokio::test]
async fn a_milter_that_hangs_breaks_or_is_not_there_is_marked_or_defers() {
    let failures: Vec<Script> = vec![
        vec![(b'M', vec![(b'#', Vec::new())])],
        vec![(b'R', vec![(b'!', Vec::new())])],
        vec![(b'E', vec![(b'4', Vec::new())])],
        vec![(b'E', vec![(b'?', Vec::new())])],
        vec![(b'E', vec![(b'b', vec![0; 2000]), (b'c', Vec::new())])],
    ];
    for script in failures {
        let milter = Scripted::start(0, script.clone()).await;
        let verdict = message(&mut chain(&milter, |config| config.body_size.0 = 1000)).await.0.unwrap();
        assert_eq!(
            (verdict.away.as_slice(), verdict.refusal),
            (&["test".to_owned()][..], None),
            "{script:?}"
        );
        let milter = Scripted::start(0, script).await;
        let mut defers = chain(&milter, |config| {
            config.body_size.0 = 1000;
            config.when_away = WhenAway::Defer;
        });
        let refusal =
            message(&mut defers).await.0.map_or_else(|reply| reply, |verdict| verdict.refusal.unwrap());
        assert_eq!(refusal, AWAY);
    }
    let mut milter = Scripted::start(0, Vec::new()).await;
    milter.endpoint = "127.0.0.1:1".parse().unwrap();
    let mut chain = chain(&milter, |_| {});
    assert_eq!(message(&mut chain).await.0.unwrap().away, ["test"]);
    let started = Instant::now();
    assert_eq!(message(&mut chain).await.0.unwrap().away, ["test"]);
    assert!(started.elapsed() < Duration::from_millis(200), "it rests");
}

#[tokio::test]
async fn what_it_discards_goes_to_junk_unless_the_operator_lets_it_be_dropped() {
    for at in [b'C', b'M', b'R', b'E'] {
        let script: Script = vec![(at, vec![(b'd', Vec::new())])];
        let milter = Scripted::start(0, script.clone()).await;
        let verdict = message(&mut chain(&milter, |_| {})).await.0.unwrap();
        assert_eq!((verdict.drop, verdict.quarantine.as_deref()), (false, Some("discarded by test")));
        let milter = Scripted::start(0, script).await;
        let verdict =
            message(&mut chain(&milter, |config| config.discarded = Discarded::Drop)).await.0.unwrap();
        assert!(verdict.drop);
    }
}

#[tokio::test]
async fn a_header_field_beyond_the_packets_of_the_protocol_does_not_get_past_a_milter() {
    let mut milter = Scripted::start(0, vec![(b'E', vec![(b'r', Vec::new())])]).await;
    let mut chain = chain(&milter, |_| {});
    let content = Content::Memory(format!("X-Long: {}\r\n\r\nbody\r\n", "x".repeat(100_000)).into_bytes());
    chain.mail(None, &greeting(), id(), &mail()).await.unwrap();
    let mut draft = Draft::read(&content, 200_000).await.unwrap().unwrap();
    let verdict = chain.content(id(), &mut draft, &content).await;
    assert_eq!(verdict.refusal.unwrap().to_string(), "550 5.7.1 Refused by a filter");
    let told = milter.commands();
    let long = told.lines().find(|line| line.starts_with("LX-Long|")).unwrap();
    assert!(long.len() == 65_536 && long.ends_with("x|"), "{}", long.len());
}

#[tokio::test]
async fn one_that_accepts_early_is_asked_no_more() {
    let mut milter = Scripted::start(0, vec![(b'H', vec![(b'a', Vec::new())])]).await;
    let mut chain = chain(&milter, |_| {});
    for _ in 0..2 {
        assert!(message(&mut chain).await.0.unwrap().away.is_empty());
    }
    assert_eq!(milter.commands().lines().count(), 2, "CONNECT and HELO");
}

#[tokio::test]
async fn sessions_above_the_bound_wait_and_are_then_put_off() {
    let milter = Scripted::start(0, Vec::new()).await;
    let mut first = chain(&milter, |config| {
        config.connections = 1;
        config.connect_deadline = Span::millis(200);
    });
    assert!(message(&mut first).await.0.unwrap().away.is_empty());
    let peer = first.peer.clone();
    let mut second = Chain::new(&[Arc::clone(&first.stages[0].milter)], peer);
    assert_eq!(message(&mut second).await.0.unwrap_err(), AWAY);
    first.close().await;
    assert!(message(&mut second).await.0.unwrap().away.is_empty());
}
