//! What goes wrong on the way: lost datagrams, dead servers, replays, rotated keys, a damaged database.

mod site;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chasqui_base::secret::Secret;
use chasqui_base::service::RoleService;
use chasqui_base::units::Span;
use chasqui_directory::{ClientConfig, DirectoryClient, DirectoryService, KeyFile, LookUp};
use prometheus_client::registry::Registry;
use site::{SOON, Site, accounts, address, hasty, until};
use tokio::net::UdpSocket;

/// Stands between a client and a server, and does with each datagram of the client what `fate` says: how many copies go on.
struct Wire {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Wire {
    async fn new(server: SocketAddr, fate: impl Fn(usize) -> usize + Send + 'static) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        far.connect(server).await.unwrap();
        let address = near.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = seen.clone();
        tokio::spawn(async move {
            let (mut out, mut back) = ([0; 2000], [0; 2000]);
            let mut client = None;
            let mut count = 0;
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut out) => {
                        client = Some(from);
                        record.lock().unwrap().push(out[..length].to_vec());
                        for _ in 0..fate(count) {
                            let _ = far.send(&out[..length]).await;
                        }
                        count += 1;
                    }
                    Ok(length) = far.recv(&mut back) => {
                        if let Some(client) = client {
                            let _ = near.send_to(&back[..length], client).await;
                        }
                    }
                    else => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        });
        Self { address, seen }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_datagram_costs_one_hedge_also_with_a_single_server() {
    let site = Site::new().await;
    site.fill(20).await;
    let server = site.start().await;
    let lossy = Wire::new(server.address(), |n| n % 2).await;
    let client = site.client(&[lossy.address]).await;
    for n in 0..20 {
        let begun = Instant::now();
        assert_eq!(
            accounts(&client.look_up(&address(&format!("user{n}"))).await.unwrap()),
            [format!("user{n}@ours.test")]
        );
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(20) && took < Duration::from_millis(500), "{took:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_primary_costs_one_hedge_a_few_times_and_then_nothing() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = site.start().await;
    let client = site.client(&[silent.local_addr().unwrap(), server.address()]).await;
    let mut slow = 0;
    for _ in 0..50 {
        let begun = Instant::now();
        client.look_up(&address("ana")).await.unwrap();
        slow += u32::from(begun.elapsed() >= Duration::from_millis(20));
    }
    assert!((3..20).contains(&slow), "{slow} of 50 look-ups waited for the silent primary");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_nobody_listens_at_is_passed_at_once_and_taken_back_when_it_returns() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let (first, second) = (site.start().await, site.start().await);
    let (config, secondary) = (first.config.clone(), second.address());
    let client =
        site.client_with(&[first.address(), secondary], |config| config.dead_for = Span::millis(500)).await;
    client.look_up(&address("ana")).await.unwrap();
    let at = first.address();
    first.stop().await;
    for _ in 0..20 {
        client.look_up(&address("ana")).await.unwrap();
    }
    let mut config = config;
    config.listen = at;
    let first = site.start_with(config).await;
    let begun = Instant::now();
    while first.metric("chasqui_directory_look_ups_total{result=\"found\"}") == 0.0 {
        client.look_up(&address("ana")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "the primary is not asked again");
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_server_the_client_gives_up_in_time() {
    let site = Site::new().await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for servers in
        [vec![silent.local_addr().unwrap()], vec![nobody], vec![nobody, silent.local_addr().unwrap()]]
    {
        let client = site.client_with(&servers, hasty).await;
        let begun = Instant::now();
        let (ana, password) = (address("ana"), Secret::new("x".to_owned()));
        let (looked, verified) = tokio::join!(client.look_up(&ana), client.verify(ana.as_str(), &password));
        assert!(looked.is_err() && verified.is_err());
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(700) && took < Duration::from_millis(1500), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_questions_than_may_be_open_wait_and_are_given_up_in_time() {
    let site = Site::new().await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = site
        .client_with(&[silent.local_addr().unwrap()], |config| {
            hasty(config);
            config.in_flight = 10;
        })
        .await;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.look_up(&address(&format!("u{n}"))).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_datagram_is_refused_and_a_doubled_one_is_answered_once() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let server = site.start().await;
    let doubling = Wire::new(server.address(), |_| 2).await;
    let client = site.client(&[doubling.address]).await;
    for _ in 0..10 {
        client.look_up(&address("ana")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let found = "chasqui_directory_look_ups_total{result=\"found\"}";
    let sent = doubling.seen.lock().unwrap().len() as f64;
    assert_eq!(server.metric(found), sent);
    assert_eq!(server.metric("chasqui_directory_datagrams_total{result=\"replayed\"}"), sent);

    // The same from elsewhere, later: refused without an answer.
    let thief = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let recorded = doubling.seen.lock().unwrap().clone();
    for datagram in &recorded {
        thief.send_to(datagram, server.address()).await.unwrap();
    }
    let mut answer = [0; 2000];
    let heard = tokio::time::timeout(Duration::from_millis(200), thief.recv(&mut answer)).await;
    assert!(heard.is_err(), "a replay was answered");
    assert_eq!(server.metric(found), sent);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_before_a_restart_gets_no_answer_to_its_question() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let server = site.start().await;
    let wire = Wire::new(server.address(), |_| 1).await;
    let client = site.client(&[wire.address]).await;
    client.look_up(&address("ana")).await.unwrap();
    let mut config = server.config.clone();
    config.listen = server.address();
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let server = site.start_with(config).await;
    let thief = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in wire.seen.lock().unwrap().iter() {
        thief.send_to(datagram, server.address()).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.metric("chasqui_directory_look_ups_total{result=\"found\"}"), 0.0);
    assert!(server.metric("chasqui_directory_datagrams_total{result=\"stale\"}") >= 1.0);
    assert!(client.look_up(&address("ana")).await.is_ok(), "the client itself goes on");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_without_losing_a_look_up() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let file = std::fs::read_to_string(site.path("keys")).unwrap();
    let keys: Vec<&str> = file.lines().filter(|line| !line.starts_with('#')).collect();
    KeyFile::create(&site.path("more")).unwrap();
    let more = std::fs::read_to_string(site.path("more")).unwrap();
    let fresh: Vec<&str> = more.lines().filter(|line| !line.starts_with('#')).collect();
    // Swap the two everywhere, then replace the second everywhere; at each moment one end is a step ahead.
    for (n, pair) in [[keys[1], keys[0]], [keys[1], fresh[0]], [fresh[0], keys[1]], [fresh[0], fresh[1]]]
        .into_iter()
        .enumerate()
    {
        std::fs::write(site.path("keys"), pair.join("\n")).unwrap();
        if n % 2 == 0 {
            server.service.reload(server.config.clone()).await.unwrap();
            assert!(client.look_up(&address("ana")).await.is_ok(), "server ahead at step {n}");
            client.reload().await.unwrap();
        } else {
            client.reload().await.unwrap();
            assert!(client.look_up(&address("ana")).await.is_ok(), "client ahead at step {n}");
            server.service.reload(server.config.clone()).await.unwrap();
        }
        assert!(client.look_up(&address("ana")).await.is_ok());
    }
    assert_eq!(server.metric("chasqui_directory_datagrams_total{result=\"foreign\"}"), 0.0);

    // Somebody with other keys is not answered.
    KeyFile::create(&site.path("foreign")).unwrap();
    let mut config = ClientConfig {
        servers: vec![server.address().to_string().parse().unwrap()],
        keys: site.path("foreign"),
        ..ClientConfig::default()
    };
    hasty(&mut config);
    let stranger = DirectoryClient::connect(&config, None).await.unwrap();
    assert!(stranger.look_up(&address("ana")).await.is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_stops_no_look_up_and_its_repair_is_noticed() {
    let site = Site::new().await;
    site.fill(2000).await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    client.look_up(&address("user7")).await.unwrap();

    let path = site.path("directory.sqlite");
    // A backup is the file and its write-ahead log, and whoever puts another file there removes the old one's log.
    let wal = site.path("directory.sqlite-wal");
    std::fs::copy(&path, site.path("backup")).unwrap();
    std::fs::copy(&wal, site.path("backup-wal")).unwrap();
    std::fs::remove_file(&wal).unwrap();
    std::fs::remove_file(site.path("directory.sqlite-shm")).unwrap();
    std::fs::write(site.path("broken"), b"this is no database at all, however one looks at it".repeat(100))
        .unwrap();
    std::fs::rename(site.path("broken"), &path).unwrap();
    let begun = Instant::now();
    while server.metric("chasqui_directory_database_failures_total") < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the damage is not noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(accounts(&client.look_up(&address("user7")).await.unwrap()), ["user7@ours.test"]);
    let refused = server.service.reload(server.config.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("damaged") && refused.contains("directory.sqlite"), "{refused}");
    assert_eq!(accounts(&client.look_up(&address("user7")).await.unwrap()), ["user7@ours.test"]);
    let refused =
        DirectoryService::bind(site.config(), &mut Registry::default()).await.err().unwrap().to_string();
    assert!(refused.contains("damaged"), "{refused}");

    for left in ["directory.sqlite-wal", "directory.sqlite-shm"] {
        let _ = std::fs::remove_file(site.path(left));
    }
    std::fs::rename(site.path("backup-wal"), &wal).unwrap();
    std::fs::rename(site.path("backup"), &path).unwrap();
    let repaired = chasqui_directory::admin::Database::open(&path).await.unwrap();
    let nuevo = chasqui_directory::admin::NewUser::new(address("nuevo"), None);
    repaired.add_user(&nuevo).await.unwrap();
    let took = until(&client, &address("nuevo"), |found| matches!(found, LookUp::Found(_))).await;
    assert!(took < SOON * 3, "{took:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_start_says_so_in_one_sentence() {
    let site = Site::new().await;
    let refused = async |config| {
        DirectoryService::bind(config, &mut Registry::default()).await.err().unwrap().to_string()
    };
    let mut config = site.config();
    config.database.path = site.path("missing.sqlite");
    let message = refused(config).await;
    assert!(message.contains("missing.sqlite") && message.contains("chasqui domain add"), "{message}");

    let mut config = site.config();
    config.listen = "0.0.0.0:0".parse().unwrap();
    assert!(refused(config).await.contains("loopback"));

    let mut config = site.config();
    config.metrics = Some("192.0.2.1:9101".parse().unwrap());
    assert!(refused(config).await.contains("metrics"));

    let server = site.start().await;
    let mut config = site.config();
    config.listen = server.address();
    let message = refused(config).await;
    assert!(message.contains(&server.address().to_string()), "{message}");

    std::fs::set_permissions(site.path("keys"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(site.config()).await.contains("600"));
    server.stop().await;
}
