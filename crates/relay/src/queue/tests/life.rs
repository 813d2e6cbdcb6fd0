//! From `enqueue` to the end.

use super::*;

#[tokio::test]
async fn a_message_is_delivered_and_its_file_goes() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.queue.enqueue(envelope(&["b@b.test", "c@c.test"]), &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.text_to("b@b.test").as_bytes(), TEXT);
    assert_eq!((running.table.carried_to("c@c.test"), files(dir.path()).len()), (1, 0));
}

#[tokio::test]
async fn what_was_acknowledged_before_work_began_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let one = envelope(&["b@b.test"]);
    queue.enqueue(one.clone(), &text()).await.unwrap();
    queue.enqueue(one, &text()).await.unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    let running = start(queue);
    running.until_empty().await;
    assert_eq!(running.table.carried_to("b@b.test"), 1);
}

#[tokio::test]
async fn the_same_id_again_is_no_second_copy_whenever_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let (one, text) = (envelope(&["b@b.test"]), text());
    let (first, second) =
        tokio::join!(running.queue.enqueue(one.clone(), &text), running.queue.enqueue(one.clone(), &text));
    assert!(first.is_ok() && second.is_ok());
    running.until_empty().await;
    running.queue.enqueue(one, &text).await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.carried_to("b@b.test"), 1);
}

#[tokio::test]
async fn what_is_put_off_is_tried_again_and_only_for_those_who_lack_it() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("c@b.test", [deferred(Whose::Message), deferred(Whose::Message)]);
    running.queue.enqueue(envelope(&["b@b.test", "c@b.test"]), &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!((running.table.carried_to("b@b.test"), running.table.carried_to("c@b.test")), (1, 3));
}

#[tokio::test]
async fn a_message_with_a_time_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let later = Envelope { not_before: Some(now() + 2), ..envelope(&["b@b.test"]) };
    running.queue.enqueue(later, &text()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.table.carried_to("b@b.test"), 0);
    running.until_empty().await;
    assert_eq!(running.table.carried_to("b@b.test"), 1);
}

#[tokio::test]
async fn one_slow_destination_slows_no_other_and_keeps_to_its_places() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    lock(&running.table.slow).insert("slow.test".into(), Duration::from_millis(700));
    for number in 0..8 {
        running.queue.enqueue(envelope(&[&format!("{number}@slow.test")]), &text()).await.unwrap();
    }
    let began = Instant::now();
    for number in 0..20 {
        running.queue.enqueue(envelope(&[&format!("{number}@fast.test")]), &text()).await.unwrap();
    }
    running.until("the fast ones are done", |running| lock(&running.table.carried).len() >= 20).await;
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    running.until_empty().await;
    assert_eq!(lock(&running.table.running)["slow.test"].1, 3);
}

#[tokio::test]
async fn a_message_with_many_recipients_goes_in_several_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let many: Vec<String> = (0..250).map(|number| format!("{number}@b.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    running.table.says("120@b.test", [deferred(Whose::Message)]);
    running.queue.enqueue(envelope(&many), &text()).await.unwrap();
    running.until_empty().await;
    let carried = lock(&running.table.carried).len();
    assert_eq!((carried, running.table.carried_to("120@b.test")), (251, 2));
}

#[tokio::test]
async fn the_bounds_on_messages_and_on_free_space_refuse_with_452() {
    let dir = tempfile::tempdir().unwrap();
    let (config, notice) = settings(dir.path());
    let config = config::Queue { entries: 1, ..config };
    let queue = Queue::open(&config, &notice, "relay.example", &mut Registry::default()).unwrap();
    let running = start(queue);
    running.table.says("b@b.test", (0..1000).map(|_| deferred(Whose::Message)));
    running.queue.enqueue(envelope(&["b@b.test"]), &text()).await.unwrap();
    let refused = running.queue.enqueue(envelope(&["b@b.test"]), &text()).await.unwrap_err();
    assert_eq!(refused.reply().code(), 452);

    let roomy = config::Queue { entries: 10, free_space: chasqui_base::ByteSize(u64::MAX / 2), ..config };
    running.queue.reload(&roomy, &notice, "relay.example");
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(matches!(running.queue.enqueue(envelope(&["b@b.test"]), &text()).await, Err(EnqueueError::Full)));
    assert!(matches!(running.queue.check_room(1), Err(EnqueueError::Full)));
}

#[tokio::test]
async fn an_alias_is_replaced_by_those_it_stands_for_and_a_loop_fails() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let to = |to: &[&str]| Fate::Expanded { to: to.iter().map(|to| (*to).to_owned()).collect() };
    running.table.says("all@b.test", [to(&["x@b.test", "y@c.test", "b@b.test", "more@b.test"])]);
    running.table.says("more@b.test", [to(&["ALL@b.test", "z@c.test"])]);
    running.table.says("loop@b.test", [to(&["loop@B.test"])]);
    running.queue.enqueue(envelope(&["all@b.test", "b@b.test", "loop@b.test"]), &text()).await.unwrap();
    running.until_empty().await;
    let times = |address: &str| running.table.carried_to(address);
    assert_eq!([times("x@b.test"), times("y@c.test"), times("z@c.test"), times("b@b.test")], [1, 1, 1, 1]);
    assert_eq!([times("all@b.test"), times("more@b.test"), times("loop@b.test")], [1, 1, 1]);
    let notice = running.table.text_to("ana@example.org");
    assert!(notice.contains("leads back to itself") && notice.contains("loop@b.test"), "{notice}");
}

#[tokio::test]
async fn a_big_message_is_read_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let id = DeliveryId::generate();
    let mut incoming = chasqui_courier::Incoming::new(1000, None);
    for _ in 0..100 {
        incoming.push(&[b'x'; 2000]);
        incoming.spill(&running.queue.tmp(), id).await.unwrap();
    }
    let content = Arc::new(incoming.finish(&running.queue.tmp(), id).await.unwrap());
    running.table.says("b@b.test", [deferred(Whose::Message)]);
    running.queue.enqueue(Envelope { id, ..envelope(&["b@b.test"]) }, &content).await.unwrap();
    drop(content);
    running.until_empty().await;
    assert_eq!(running.table.text_to("b@b.test").len(), 200_000);
    assert_eq!(std::fs::read_dir(running.queue.tmp()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_message_that_waits_follows_when_its_route_changes() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("x@b.test", [deferred(Whose::Message)]);
    running.table.says("y@c.test", [deferred(Whose::Message)]);
    let later = Envelope { not_before: Some(now() + 1), ..envelope(&["z@d.test"]) };
    running.queue.enqueue(later, &text()).await.unwrap();
    running.queue.enqueue(envelope(&["x@b.test", "y@c.test"]), &text()).await.unwrap();
    running.until("both were tried", |running| lock(&running.table.carried).len() >= 2).await;
    *lock(&running.table.smarthost) = Some("smarthost.example".into());
    running.until_empty().await;
    let times = |address: &str| running.table.carried_to(address);
    assert_eq!([times("x@b.test"), times("y@c.test"), times("z@d.test")], [2, 2, 1]);
    assert!(lock(&running.table.running).contains_key("smarthost.example"));
}

#[tokio::test]
async fn a_message_whose_route_changes_during_its_attempt_stays_in_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.table.says("x@b.test", [deferred(Whose::Message)]);
    lock(&running.table.slow).insert("b.test".into(), Duration::from_millis(200));
    running.queue.enqueue(envelope(&["x@b.test"]), &text()).await.unwrap();
    running.until("it is tried", |running| lock(&running.table.running).contains_key("b.test")).await;
    *lock(&running.table.smarthost) = Some("smarthost.example".into());
    running.until_empty().await;
    assert_eq!((running.table.carried_to("x@b.test"), files(dir.path()).len()), (2, 0));
}

#[tokio::test]
async fn nothing_of_a_message_that_has_ended_hangs_on_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let queue = &running.queue;
    let later = Envelope { not_before: Some(now() + 3600), ..envelope(&["x@b.test"]) };
    let id = later.id;
    queue.enqueue(later, &text()).await.unwrap();
    let number = queue.index().find(id).unwrap();
    let (ended, gone) = (envelope(&["y@b.test"]), envelope(&["z@b.test"]).id);
    queue.folder.write(&ended, &text()).unwrap();
    for former in [ended.id, gone] {
        assert!(queue.open_any(number, former).await.is_none());
        Arc::clone(queue).alarm(number, former).await;
        let opened = queue.opened();
        assert!(opened.by_number.is_empty() && opened.doomed.is_empty(), "{former}");
    }
    let found = queue.open_any(number, id).await.unwrap();
    assert_eq!(found.state().envelope.id, id);
}
