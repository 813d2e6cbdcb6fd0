//! What the filters' verdicts amount to, with daemons that say what they are told; real ones are in `tests/e2e/test_filters.py`.

use super::*;
use chasqui_base::{ByteSize, Span, net::Endpoint};
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A daemon that answers each connection by `answer`.
async fn daemon<F: Future<Output = ()> + Send>(
    answer: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move { answer(stream).await });
        }
    });
    endpoint
}

/// A spamd that gives this score.
async fn spamd(score: &'static str) -> Endpoint {
    daemon(move |mut stream| async move {
        let mut question = String::new();
        stream.read_to_string(&mut question).await.unwrap();
        let user = question.lines().find_map(|line| line.strip_prefix("User: ")).unwrap_or("none");
        let spam = if score.parse::<f64>().unwrap() >= 5.0 { "True" } else { "False" };
        let tests = format!("GTUBE,USER_{}", user.split('@').next().unwrap().to_uppercase());
        let answer = format!(
            "SPAMD/1.1 0 EX_OK\r\nContent-length: {}\r\nSpam: {spam} ; {score} / 5.0\r\n\r\n{tests}",
            tests.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await
}

/// A clamd that finds a virus in texts with `EICAR`, and ends a session after two messages.
async fn clamd() -> Endpoint {
    daemon(|mut stream| async move {
        let mut session = [0; 11];
        stream.read_exact(&mut session).await.unwrap();
        assert_eq!(session, super::clamd::SESSION);
        for id in 1..=2 {
            let mut command = [0; 10];
            if stream.read_exact(&mut command).await.is_err() {
                return;
            }
            assert_eq!(command, super::clamd::STREAM);
            let mut text = Vec::new();
            loop {
                let length = stream.read_u32().await.unwrap();
                if length == 0 {
                    break;
                }
                let mut chunk = vec![0; length as usize];
                stream.read_exact(&mut chunk).await.unwrap();
                text.extend(chunk);
            }
            let found = memchr::memmem::find(&text, b"EICAR").is_some();
            let answer = if found { "Eicar-Test FOUND" } else { "OK" };
            stream.write_all(format!("{id}: stream: {answer}\0").as_bytes()).await.unwrap();
        }
    })
    .await
}

async fn hanging() -> Endpoint {
    daemon(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await
}

fn nobody() -> Endpoint {
    "127.0.0.1:1".parse().unwrap()
}

async fn judge(config: &ContentConfig, text: &str) -> Verdict {
    let metrics = Metrics::register(&mut Registry::default());
    let scanners = Scanners::new(config, "mx.test", &metrics).unwrap();
    judge_by(&scanners, text).await
}

async fn judge_by(scanners: &Arc<Scanners>, text: &str) -> Verdict {
    let peer = Peer { ip: [192, 0, 2, 1].into(), port: 1, name: None, hostname: "mx.test".into() };
    let mut session = scanners.session(peer);
    let content = Content::Memory(text.as_bytes().to_vec());
    let mut draft = Draft::read(&content, 10_000).await.unwrap().unwrap();
    session.content(DeliveryId::from_bytes([0; 16]), Some("ana@example.org"), &content, &mut draft).await
}

fn with(spamd: Option<Endpoint>, clamd: Option<Endpoint>) -> ContentConfig {
    let mut config = ContentConfig::default();
    config.spamassassin.address = spamd;
    config.spamassassin.deadline = Span::millis(500);
    config.clamav.address = clamd;
    config.clamav.deadline = Span::millis(500);
    config
}

const TEXT: &str = "Subject: a\r\n\r\nbody\r\n";

#[tokio::test]
async fn spam_is_marked_goes_to_junk_and_is_refused_above_a_second_score() {
    let ham = judge(&with(Some(spamd("1.5").await), None), TEXT).await;
    assert_eq!((ham.action, ham.outcome), (Action::Accept, "clean"));
    assert_eq!(
        ham.headers,
        "X-Spam-Flag: NO\r\nX-Spam-Score: 1.5\r\nX-Spam-Status: No, score=1.5 required=5.0\r\n\ttests=GTUBE,USER_ANA\r\n"
    );
    let spam = judge(&with(Some(spamd("7").await), None), TEXT).await;
    assert_eq!((spam.action, spam.outcome), (Action::Junk, "spam"));
    assert!(spam.headers.starts_with("X-Spam-Flag: YES\r\n"), "{}", spam.headers);
    let mut config = with(Some(spamd("7").await), None);
    config.spamassassin.reject_score = Some(6.5);
    config.spamassassin.per_user = false;
    let refused = judge(&config, TEXT).await;
    assert_eq!(refused.action, Action::Refuse(SPAM));
    assert!(refused.headers.contains("USER_NONE"));
    config.spamassassin.reject_score = None;
    config.spamassassin.junk_score = Some(7.5);
    let mild = judge(&config, TEXT).await;
    assert!(mild.action == Action::Accept && mild.headers.contains("No, score=7.0 required=7.5"));
    config.spamassassin.max_size = ByteSize(5);
    assert_eq!(judge(&config, TEXT).await.headers, "", "too large to be asked about");
}

#[tokio::test]
async fn a_virus_is_refused_or_goes_to_junk() {
    let mut config = with(Some(spamd("1000").await), Some(clamd().await));
    let refused = judge(&config, "Subject: a\r\n\r\nEICAR\r\n").await;
    let Action::Refuse(reply) = refused.action else { panic!("{refused:?}") };
    assert_eq!(reply.to_string(), "550 5.7.1 Refused: the message has a virus, Eicar-Test");
    config.clamav.infected = Infected::Junk;
    let junk = judge(&config, "Subject: a\r\n\r\nEICAR\r\n").await;
    assert_eq!((junk.action, junk.outcome), (Action::Junk, "infected"));
    assert!(junk.headers.contains("X-Virus-Status: Infected (Eicar-Test)\r\n"));
}

#[tokio::test]
async fn sessions_with_clamd_are_used_again_and_renewed_when_they_are_dead() {
    let metrics = Metrics::register(&mut Registry::default());
    let scanners = Scanners::new(&with(None, Some(clamd().await)), "mx.test", &metrics).unwrap();
    for _ in 0..5 {
        let verdict = judge_by(&scanners, TEXT).await;
        assert_eq!(verdict.headers, "X-Virus-Scanned: ClamAV at mx.test\r\n");
    }
}

#[tokio::test]
async fn a_filter_that_is_away_or_hangs_marks_or_defers_within_its_deadline() {
    for away in [nobody(), hanging().await] {
        let started = Instant::now();
        let mut config = with(Some(away.clone()), Some(away));
        let marked = judge(&config, TEXT).await;
        assert_eq!(marked.action, Action::Accept);
        assert_eq!(marked.headers, "X-Chasqui-Unfiltered: spamassassin, clamav\r\n");
        config.clamav.when_away = WhenAway::Defer;
        assert_eq!(judge(&config, TEXT).await.action, Action::Refuse(UNJUDGED));
        assert!(started.elapsed() < Duration::from_secs(3));
    }
    let mut config = with(None, Some(clamd().await));
    config.clamav.max_size = ByteSize(5);
    assert_eq!(judge(&config, TEXT).await.headers, "X-Chasqui-Unfiltered: clamav\r\n", "too large");
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_put_off_because_another_filter_is_away() {
    let mut config = with(Some(nobody()), Some(clamd().await));
    config.spamassassin.when_away = WhenAway::Defer;
    let Action::Refuse(reply) = judge(&config, "Subject: a\r\n\r\nEICAR\r\n").await.action else {
        panic!("accepted")
    };
    assert!(reply.is_permanent());
}

#[tokio::test]
async fn no_more_messages_are_judged_at_once_than_the_operator_lets() {
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let slow = daemon(|mut stream| async move {
        MOST.fetch_max(OPEN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let mut question = Vec::new();
        stream.read_to_end(&mut question).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        OPEN.fetch_sub(1, Ordering::SeqCst);
        stream.write_all(b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1 / 5\r\n\r\nX").await.unwrap();
    })
    .await;
    let mut config = with(Some(slow), None);
    config.spamassassin.connections = 2;
    config.spamassassin.deadline = Span::secs(10);
    let metrics = Metrics::register(&mut Registry::default());
    let scanners = Scanners::new(&config, "mx.test", &metrics).unwrap();
    let mut judging = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let scanners = Arc::clone(&scanners);
        judging.spawn(async move { judge_by(&scanners, TEXT).await });
    }
    while let Some(verdict) = judging.join_next().await {
        assert!(verdict.unwrap().headers.contains("X-Spam-Flag: NO"));
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_full_filter_puts_messages_off_whatever_is_done_without_it() {
    let mut config = with(Some(hanging().await), Some(hanging().await));
    config.spamassassin.connections = 1;
    config.clamav.connections = 1;
    let metrics = Metrics::register(&mut Registry::default());
    let scanners = Scanners::new(&config, "mx.test", &metrics).unwrap();
    for held in ["spamassassin", "clamav"] {
        let places = match held {
            "clamav" => &scanners.clamd.as_ref().unwrap().places,
            _ => &scanners.spamd.as_ref().unwrap().places,
        };
        let place = places.acquire().await.unwrap();
        let full = judge_by(&scanners, TEXT).await;
        assert_eq!((full.action, full.outcome), (Action::Refuse(UNJUDGED), "unjudged"), "{held}");
        drop(place);
        let late = judge_by(&scanners, TEXT).await;
        assert_eq!(late.headers, "X-Chasqui-Unfiltered: spamassassin, clamav\r\n");
    }
}

#[tokio::test]
async fn the_time_that_a_message_waits_for_its_place_is_not_taken_from_its_verdict() {
    let slow = daemon(|mut stream| async move {
        let mut question = Vec::new();
        stream.read_to_end(&mut question).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        let _ = stream.write_all(b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1 / 5\r\n\r\nX").await;
    })
    .await;
    let mut config = with(Some(slow), None);
    config.spamassassin.connections = 1;
    config.spamassassin.deadline = Span::secs(1);
    let metrics = Metrics::register(&mut Registry::default());
    let scanners = Scanners::new(&config, "mx.test", &metrics).unwrap();
    let (first, second) = tokio::join!(judge_by(&scanners, TEXT), judge_by(&scanners, TEXT));
    assert!(first.headers.contains("X-Spam-Flag: NO") && second.headers.contains("X-Spam-Flag: NO"));
}

#[test]
fn long_lists_of_rules_are_folded() {
    let tests = (0..60).map(|n| format!("RULE_NUMBER_{n}")).collect();
    let mut out = String::new();
    write_report(&mut out, &Report { spam: true, score: 9.0, required: 5.0, tests }, true, 5.0);
    assert!(out.lines().all(|line| line.len() <= 78) && out.ends_with("RULE_NUMBER_59\r\n"), "{out}");
}

#[test]
fn filters_elsewhere_and_scores_upside_down_are_refused() {
    let mut config = with(Some("192.0.2.1:783".parse().unwrap()), None);
    assert!(config.check().unwrap_err().to_string().contains("loopback"));
    config.spamassassin.address = Some(nobody());
    config.check().unwrap();
    config.spamassassin.junk_score = Some(8.0);
    config.spamassassin.reject_score = Some(7.0);
    assert!(config.check().unwrap_err().to_string().contains("reject_score"));
    let far = "[[milter]]\nname = 'a'\naddress = '192.0.2.1:8891'\n";
    let config: ContentConfig = chasqui_base::config::parse(far, "test").unwrap();
    assert!(config.check().is_err());
    let twice = "[[milter]]\nname = 'a'\naddress = 'unix:/run/a'\n".repeat(2);
    let config: ContentConfig = chasqui_base::config::parse(&twice, "test").unwrap();
    assert!(config.check().unwrap_err().to_string().contains("same name"));
}

#[test]
fn only_fields_of_our_filters_are_ours() {
    let (head, _) = head::Head::parse(
        b"X-SPAM-Flag: NO\r\nX-Spam: a\r\nX-Chasqui-Marks: b\r\nX-Virus-x: c\r\nSubject: d\r\n\r\n",
        true,
    )
    .unwrap();
    let ours: Vec<bool> = head.fields.iter().map(is_ours).collect();
    assert_eq!(ours, [true, false, true, true, false]);
}
