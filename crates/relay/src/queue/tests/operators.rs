//! What an operator sees and does, over the socket.

use super::*;
use crate::{
    config::Config,
    control::{
        Control,
        protocol::{Answer, Filter, Request},
    },
    drain::Drain,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

struct Site {
    running: Running,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

async fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(&dir.path().join("queue")));
    let socket = dir.path().join("relay.sock");
    let drain = Drain::new(&Config::default(), Arc::clone(&running.queue), None);
    let control = Control::bind(&socket, Arc::clone(&running.queue), Arc::clone(&drain)).unwrap();
    running.run.spawn(control.serve(running.run.clone()));
    running.run.spawn(drain.work(running.run.clone()));
    running.until("loaded", |running| running.queue.is_loaded()).await;
    Site { running, socket, _dir: dir }
}

impl Site {
    async fn send(&self, line: &[u8]) -> Vec<Answer> {
        let mut stream = tokio::net::UnixStream::connect(&self.socket).await.unwrap();
        let _ = stream.write_all(line).await;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn ask(&self, request: &Request) -> Vec<Answer> {
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        self.send(&line).await
    }

    async fn put(&self, from: &str, to: &str) -> String {
        let one = Envelope { reverse_path: from.parse().unwrap(), ..envelope(&[to]) };
        let id = one.id.to_string();
        self.running.queue.enqueue(one, &text()).await.unwrap();
        id
    }

    async fn listed(&self, filter: Filter) -> Vec<String> {
        let answers = self.ask(&Request::List { filter, limit: 100 }).await;
        let id = |answer: &Answer| match answer {
            Answer::Message(overview) => Some(overview.id.clone()),
            _ => None,
        };
        answers.iter().filter_map(id).collect()
    }
}

fn from(sender: &str) -> Filter {
    Filter { sender: Some(sender.into()), ..Filter::default() }
}

#[tokio::test]
async fn messages_are_listed_by_sender_recipient_domain_and_id() {
    let site = site().await;
    let stuck = |to: &str| site.running.table.says(to, (0..1000).map(|_| deferred(Whose::Message)));
    stuck("x@b.test");
    stuck("y@c.test");
    let first = site.put("ana@example.org", "x@b.test").await;
    let second = site.put("beto@ejemplo.test", "y@c.test").await;
    site.running.until("tried", |running| running.table.carried_to("y@c.test") > 0).await;
    let to = |to: &str| Filter { recipient: Some(to.into()), ..Filter::default() };
    let domain = |name: &str| Filter { domain: Some(name.into()), ..Filter::default() };
    assert_eq!(site.listed(from("Ana@Example.org")).await, std::slice::from_ref(&first));
    assert_eq!(site.listed(from("ejemplo.test")).await, std::slice::from_ref(&second));
    assert_eq!(site.listed(to("y@c.test")).await, std::slice::from_ref(&second));
    assert_eq!(site.listed(domain("b.test")).await, std::slice::from_ref(&first));
    assert_eq!(
        site.listed(Filter { ids: vec![second.clone()], ..Filter::default() }).await,
        std::slice::from_ref(&second)
    );
    assert!(site.listed(domain("else.test")).await.is_empty());
    assert_eq!(site.listed(Filter::default()).await.len(), 2);
    let answers = site.ask(&Request::List { filter: Filter::default(), limit: 1 }).await;
    let Answer::Message(overview) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!((overview.sender.as_str(), overview.waiting), ("ana@example.org", 1));
    assert_eq!(answers[1..], [Answer::End { matched: 2, total: 2, loading: false }]);
}

#[tokio::test]
async fn one_is_shown_with_what_was_said() {
    let site = site().await;
    site.running.table.says("x@b.test", (0..1000).map(|_| deferred(Whose::Message)));
    let id = site.put("ana@example.org", "x@b.test").await;
    site.running.until("tried", |running| running.table.carried_to("x@b.test") > 1).await;
    let answers = site.ask(&Request::Show { id, headers: true }).await;
    let Answer::Details(details) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(details.fates[0].last.as_deref(), Some("mx.example: 451 4.7.1 Greylisted"));
    assert_eq!(details.headers.as_deref(), Some("Subject: hola\r\nMessage-ID: <1@example.org>\r\n"));
    let gone = site.ask(&Request::Show { id: DeliveryId::generate().to_string(), headers: false }).await;
    assert!(matches!(&gone[..], [Answer::Error(reason)] if reason.contains("chasqui trace")), "{gone:?}");
}

#[tokio::test]
async fn what_is_held_stays_over_a_restart_until_it_is_released() {
    let site = site().await;
    let later = Envelope { not_before: Some(now() + 1), ..envelope(&["x@b.test"]) };
    site.running.queue.enqueue(later, &text()).await.unwrap();
    let filter = || from("ana@example.org");
    let answers = site.ask(&Request::Hold { filter: filter() }).await;
    assert!(matches!(answers[..], [Answer::Changed { .. }, Answer::End { matched: 1, .. }]), "{answers:?}");
    let Site { running, _dir: dir, .. } = site;
    let table = running.stop().await;
    let running = start_with(open(&dir.path().join("queue")), table);
    running.until("loaded", |running| running.queue.is_loaded()).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!((running.table.carried_to("x@b.test"), running.queue.len()), (0, 1));
    let found = running.queue.select(&filter()).unwrap().next().await.unwrap();
    running.queue.change(&found, Change::Release).await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.carried_to("x@b.test"), 1);
}

#[tokio::test]
async fn a_retry_comes_at_once_and_a_failure_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (config, notice) = settings(dir.path());
    let config = config::Queue { first_pause: Span::secs(3600), longest_pause: Span::secs(3600), ..config };
    let running = start(Queue::open(&config, &notice, "relay.example", &mut Registry::default()).unwrap());
    running.table.says("x@b.test", (0..3).map(|_| deferred(Whose::Destination)));
    running.queue.enqueue(envelope(&["x@b.test"]), &text()).await.unwrap();
    running.until("tried", |running| running.table.carried_to("x@b.test") == 1).await;
    let found = || async { running.queue.select(&from("ana@example.org")).unwrap().next().await.unwrap() };
    running.until("put off", |running| running.queue.running() == 0).await;
    running.queue.change(&found().await, Change::Retry).await.unwrap();
    running.until("tried again", |running| running.table.carried_to("x@b.test") == 2).await;
    running.until("put off", |running| running.queue.running() == 0).await;
    running.queue.change(&found().await, Change::Fail).await.unwrap();
    running.until_empty().await;
    let told = running.table.text_to("ana@example.org");
    assert!(told.contains("Status: 5.7.0\r\n") && told.contains("Withdrawn"), "{told}");
}

#[tokio::test]
async fn a_change_of_everything_is_never_by_omission_and_nonsense_is_answered() {
    let site = site().await;
    let refused = site.ask(&Request::Fail { filter: Filter::default() }).await;
    assert!(matches!(refused[..], [Answer::Error(_)]), "{refused:?}");
    for line in
        [&b"nonsense\n"[..], b"{\"verb\":\"explode\"}\n", b"{\"verb\":\"list\",\"limit\":1,\"more\":2}\n"]
    {
        let answers = site.send(line).await;
        assert!(matches!(&answers[..], [Answer::Error(reason)] if reason.contains("request")), "{answers:?}");
    }
    let long = site.send(&[b'x'; 100 << 10]).await;
    assert!(matches!(&long[..], [Answer::Error(reason)] if reason.contains("too long")), "{long:?}");
}

#[tokio::test]
async fn numbers_and_the_socket_are_for_its_group_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = site().await;
    assert_eq!(std::fs::metadata(&site.socket).unwrap().permissions().mode() & 0o777, 0o660);
    site.running.table.says("x@b.test", (0..1000).map(|_| deferred(Whose::Message)));
    site.put("ana@example.org", "x@b.test").await;
    let answers = site.ask(&Request::Stats).await;
    let Answer::Stats(stats) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!((stats.messages, stats.destinations, stats.draining), (1, 1, false));
    assert_eq!(stats.largest[0].name, "b.test");
}

#[tokio::test]
async fn a_relay_that_drains_takes_nothing_and_delivers_nothing_also_after_a_restart() {
    let site = site().await;
    let none = site.ask(&Request::Drain { to: Vec::new() }).await;
    assert!(matches!(&none[..], [Answer::Error(reason)] if reason.contains("--to")), "{none:?}");
    let later = Envelope { not_before: Some(now() + 1), ..envelope(&["x@b.test"]) };
    site.running.queue.enqueue(later, &text()).await.unwrap();
    // Nobody listens there.
    let peer = format!("unix:{}", site._dir.path().join("peer.sock").display());
    let begun = site.ask(&Request::Drain { to: vec![peer.clone()] }).await;
    assert!(
        matches!(&begun[0], Answer::Draining(progress) if progress.draining && !progress.done),
        "{begun:?}"
    );
    let refused = site.running.queue.enqueue(envelope(&["x@b.test"]), &text()).await.unwrap_err();
    assert_eq!(refused.reply().to_string(), "451 4.3.2 This relay is being emptied, use another");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let status = site.ask(&Request::DrainStatus { follow: false }).await;
    let Answer::Draining(progress) = &status[0] else { panic!("{status:?}") };
    assert!(progress.left == 1 && progress.trouble.as_deref().is_some_and(|why| why.contains("peer.sock")));

    let Site { running, _dir: dir, .. } = site;
    let table = running.stop().await;
    let queue = open(&dir.path().join("queue"));
    assert!(!queue.is_accepting());
    let drain = Drain::new(&Config::default(), Arc::clone(&queue), None);
    assert_eq!(drain.progress().to, [peer]);
    let running = start_with(queue, table);
    running.until("loaded", |running| running.queue.is_loaded()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(running.table.carried_to("x@b.test"), 0);
    drain.cancel().await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.carried_to("x@b.test"), 1);
}
