//! What senders are told.

use super::*;
use crate::message::Returns;

fn notify(success: bool, failure: bool, delay: bool) -> Notify {
    Notify { success, failure, delay, explicit: true }
}

fn wanting(to: &str, notify: Notify) -> Envelope {
    let mut envelope = envelope(&[to]);
    envelope.recipients[0].notify = notify;
    envelope
}

#[tokio::test]
async fn a_failure_is_told_once_with_what_was_said_and_the_original_header() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("b@b.test", [failed()]);
    let one = Envelope { envelope_id: Some("QQ314".into()), ..envelope(&["b@b.test", "c@b.test"]) };
    running.queue.enqueue(one, &text()).await.unwrap();
    running.until_empty().await;
    let notice = running.table.text_to("ana@example.org");
    for part in [
        "From: Mail Delivery System <MAILER-DAEMON@relay.example>\r\n",
        "To: <ana@example.org>\r\n",
        "Subject: Mensaje no entregado / Undelivered message\r\n",
        "In-Reply-To: <1@example.org>\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "multipart/report; report-type=delivery-status",
        "Original-Envelope-Id: QQ314\r\n",
        "Reporting-MTA: dns; relay.example\r\n",
        "Final-Recipient: rfc822; b@b.test\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        "Remote-MTA: dns; mx.example\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user\r\n",
        "Content-Type: text/rfc822-headers\r\n",
        "Subject: hola\r\n",
    ] {
        assert!(notice.contains(part), "{part:?} in {notice}");
    }
    assert!(!notice.contains("c@b.test") && !notice.contains("text\r\n--"), "{notice}");
    let parsed = mail_parser::MessageParser::default().parse(notice.as_bytes()).unwrap();
    let person = parsed.body_text(0).unwrap();
    assert!(person.contains("NO pudo entregarse") && person.contains("could NOT be delivered"), "{person}");
    assert_eq!(running.table.carried_to("ana@example.org"), 1);
}

#[tokio::test]
async fn the_whole_message_returns_only_where_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("b@b.test", [failed()]);
    let one = Envelope { returns: Some(Returns::Full), ..envelope(&["b@b.test"]) };
    running.queue.enqueue(one, &text()).await.unwrap();
    running.until_empty().await;
    let notice = running.table.text_to("ana@example.org");
    assert!(
        notice.contains("Content-Type: message/rfc822\r\n") && notice.contains("\r\n\r\ntext\r\n--"),
        "{notice}"
    );
}

#[tokio::test]
async fn nothing_is_told_of_a_notice_and_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("b@b.test", [failed()]);
    let one = Envelope { reverse_path: chasqui_smtp::ReversePath::Null, ..envelope(&["b@b.test"]) };
    running.queue.enqueue(one, &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!(lock(&running.table.carried).len(), 1);
    assert_eq!(files(&dir.path().join("failed")).len(), 1);
}

#[tokio::test]
async fn who_wants_to_hear_nothing_hears_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("b@b.test", [failed()]);
    running.queue.enqueue(wanting("b@b.test", notify(false, false, false)), &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!((lock(&running.table.carried).len(), files(dir.path()).len()), (1, 0));
}

#[tokio::test]
async fn success_is_told_to_who_asked_and_not_when_it_was_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let kind = |kind| Fate::Delivered {
        remote: "mx.example".into(),
        reply: Reply::fixed(250, (2, 0, 0), "Ok"),
        kind,
    };
    running.table.says("on@b.test", [kind(DeliveredKind::PassedOn)]);
    running.table.says("relayed@b.test", [kind(DeliveredKind::Relayed)]);
    running.queue.enqueue(wanting("on@b.test", notify(true, true, false)), &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.carried_to("ana@example.org"), 0);
    running.queue.enqueue(wanting("relayed@b.test", notify(true, true, false)), &text()).await.unwrap();
    running.until_empty().await;
    let notice = running.table.text_to("ana@example.org");
    assert!(notice.contains("Action: relayed\r\nStatus: 2.0.0\r\n"), "{notice}");
}

#[tokio::test]
async fn a_list_that_is_expanded_is_told_as_such_and_its_members_say_no_more_of_success() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("list@b.test", [Fate::Expanded { to: vec!["x@b.test".into(), "y@b.test".into()] }]);
    running.queue.enqueue(wanting("list@b.test", notify(true, true, false)), &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.carried_to("ana@example.org"), 1);
    assert!(running.table.text_to("ana@example.org").contains("Action: expanded\r\n"));
}

#[tokio::test]
async fn what_waits_too_long_is_told_once_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let late = |path: &Path| {
        let (queue, notice) = settings(path);
        let notice = config::Notice { delay_after: Span::secs(0), ..notice };
        Queue::open(&queue, &notice, "relay.example", &mut Registry::default()).unwrap()
    };
    let table: Arc<Table> = Arc::default();
    table.says("b@b.test", (0..1000).map(|_| deferred(Whose::Message)));
    let running = start_with(late(dir.path()), table);
    running.queue.enqueue(envelope(&["b@b.test"]), &text()).await.unwrap();
    running.until("the notice", |running| running.table.carried_to("ana@example.org") == 1).await;
    let table = running.stop().await;
    let notice = table.text_to("ana@example.org");
    assert!(
        notice.contains("Action: delayed\r\nStatus: 4.") && notice.contains("Will-Retry-Until: "),
        "{notice}"
    );
    let running = start_with(late(dir.path()), table);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!((running.table.carried_to("ana@example.org"), running.queue.len()), (1, 1));
}

#[tokio::test]
async fn what_has_expired_gets_one_attempt_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("b@b.test", [deferred(Whose::Destination)]);
    let old = Envelope { received: now() - 500_000, expires: now() - 1, ..envelope(&["b@b.test"]) };
    running.queue.enqueue(old, &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.carried_to("b@b.test"), 1);
    let notice = running.table.text_to("ana@example.org");
    assert!(notice.contains("Status: 5.4.7\r\n") && notice.contains("451 4.7.1 Greylisted"), "{notice}");
}

#[tokio::test]
async fn addresses_in_utf_8_are_told_as_they_are_or_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("ñandú@b.test", [failed(), failed()]);
    let international = Envelope { smtputf8: true, ..envelope(&["ñandú@b.test"]) };
    running.queue.enqueue(international, &text()).await.unwrap();
    running.until_empty().await;
    let notice = running.table.text_to("ana@example.org");
    assert!(
        notice.contains("message/global-delivery-status") && notice.contains("utf-8; ñandú@b.test"),
        "{notice}"
    );
    lock(&running.table.carried).clear();
    running.queue.enqueue(envelope(&["ñandú@b.test"]), &text()).await.unwrap();
    running.until_empty().await;
    let notice = running.table.text_to("ana@example.org");
    assert!(notice.contains("utf-8; \\x{F1}and\\x{FA}@b.test") && notice.is_ascii(), "{notice}");
}

#[tokio::test]
async fn a_queue_that_is_full_of_what_fails_empties() {
    let dir = tempfile::tempdir().unwrap();
    let (config, notice) = settings(dir.path());
    let config = config::Queue { entries: 3, ..config };
    let queue = Queue::open(&config, &notice, "relay.example", &mut Registry::default()).unwrap();
    for _ in 0..3 {
        queue.enqueue(envelope(&["b@b.test"]), &text()).await.unwrap();
    }
    let running = start(queue);
    running.table.says("b@b.test", [failed(), failed(), failed()]);
    running.until_empty().await;
    let times = |address: &str| running.table.carried_to(address);
    assert_eq!((times("b@b.test"), times("ana@example.org")), (3, 3));
}

#[tokio::test]
async fn many_that_are_late_together_are_told_of_a_few_at_a_time() {
    const MANY: usize = 500;
    let dir = tempfile::tempdir().unwrap();
    let (config, notice) = settings(dir.path());
    let (config, notice) =
        (config::Queue { jobs: 0, ..config }, config::Notice { delay_after: Span::secs(0), ..notice });
    let queue = Queue::open(&config, &notice, "relay.example", &mut Registry::default()).unwrap();
    for _ in 0..MANY {
        queue.folder.write(&envelope(&["b@b.test"]), &text()).unwrap();
    }
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let most = std::sync::atomic::AtomicUsize::new(0);
    let running = start(queue);
    let told = |running: &Running| {
        most.fetch_max(tasks(), Ordering::Relaxed);
        running.queue.len() == 2 * MANY
    };
    running.until("all notices", told).await;
    assert!(most.load(Ordering::Relaxed) < 100, "{most:?}");
}
