//! Look-ups and password checks from a client to a server over UDP and TCP.

mod site;

use std::collections::HashSet;
use std::time::Duration;

use chasqui_base::address::EmailAddress;
use chasqui_base::secret::Secret;
use chasqui_directory::admin::UserChange;
use chasqui_directory::{AccountState, LookUp, Services, Target, Verdict};
use site::{SOON, Site, accounts, address, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_is_found_with_its_node_quota_and_tag() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let change = UserChange {
        quota: Some(Some(7_000_000_000)),
        uid: Some(5000),
        gid: Some(6000),
        ..UserChange::default()
    };
    site.database.set_user(&address("ana"), &change).await.unwrap();
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;

    let LookUp::Found(found) = client.look_up(&address("ana+news")).await.unwrap() else { panic!() };
    let [Target::Account(ana)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((ana.account.as_str(), ana.tag.as_deref()), ("ana@ours.test", Some("news")));
    assert_eq!((ana.node.name.as_str(), ana.node.lmtp.as_str()), ("s1", "10.0.0.1:24"));
    assert_eq!((ana.quota, ana.uid, ana.gid), (Some(7_000_000_000), Some(5000), Some(6000)));
    assert_eq!((ana.over_quota, ana.state, ana.services), (false, AccountState::Active, Services::ALL));
    assert_eq!(client.look_up(&address("nadie")).await.unwrap(), LookUp::Unknown);
    assert_eq!(client.look_up(&"ana@theirs.test".parse().unwrap()).await.unwrap(), LookUp::NotOurs);
    assert_eq!(
        accounts(&client.look_up(&"ANA@Ours.Test".parse().unwrap()).await.unwrap()),
        ["ana@ours.test"]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_is_seen_within_a_second() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let is = |expected: &'static str| {
        move |found: &LookUp| matches!(found, LookUp::Found(_)) && accounts(found) == [expected]
    };

    site.add_user("beto").await;
    assert!(until(&client, &address("beto"), is("beto@ours.test")).await < SOON);
    site.database.add_alias(&address("jefa"), &[address("ana")]).await.unwrap();
    assert!(until(&client, &address("jefa"), is("ana@ours.test")).await < SOON);
    site.database
        .add_alias(&address("jefa"), &[address("beto"), "x@theirs.test".parse().unwrap()])
        .await
        .unwrap();
    let all = |found: &LookUp| accounts(found) == ["ana@ours.test", "beto@ours.test", "→x@theirs.test"];
    assert!(until(&client, &address("jefa"), all).await < SOON);
    site.database.remove_alias(&address("jefa"), None).await.unwrap();
    assert!(until(&client, &address("jefa"), |found| *found == LookUp::Unknown).await < SOON);
    site.database.remove_user(&address("beto")).await.unwrap();
    assert!(until(&client, &address("beto"), |found| *found == LookUp::Unknown).await < SOON);

    let domain = "ours.test".parse().unwrap();
    site.database.set_catch_all(&domain, Some(&address("ana"))).await.unwrap();
    assert!(until(&client, &address("beto"), is("ana@ours.test")).await < SOON);
    let other: EmailAddress = "rosa@new.test".parse().unwrap();
    site.database.add_domain(&"new.test".parse().unwrap(), None).await.unwrap();
    assert!(until(&client, &other, |found| *found == LookUp::Unknown).await < SOON);

    let change =
        UserChange { node: Some("s2".into()), state: Some(AccountState::Suspended), ..UserChange::default() };
    site.database.set_user(&address("ana"), &change).await.unwrap();
    let moved = |found: &LookUp| matches!(found, LookUp::Found(t) if matches!(&t[..], [Target::Account(a)] if a.node.name == "s2" && a.state == AccountState::Suspended));
    assert!(until(&client, &address("ana"), moved).await < SOON);
    let mut node = site.database.nodes().await.unwrap()[1].node.clone();
    node.lmtp = "10.9.9.9:24".parse().unwrap();
    site.database.set_node(&node).await.unwrap();
    let readdressed = |found: &LookUp| matches!(found, LookUp::Found(t) if matches!(&t[..], [Target::Account(a)] if a.node.lmtp.as_str() == "10.9.9.9:24"));
    assert!(until(&client, &address("ana"), readdressed).await < SOON);
    assert_eq!(server.metric("chasqui_directory_users"), 1.0);
    assert_eq!(server.metric("chasqui_directory_loads_total"), 1.0, "all of that came as changes");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_import_reaches_a_running_server_by_changes_and_is_folded() {
    let site = Site::new().await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    site.fill(6000).await;
    until(&client, &address("user5999"), |found| matches!(found, LookUp::Found(_))).await;
    assert_eq!(server.metric("chasqui_directory_users"), 6000.0);
    let begun = std::time::Instant::now();
    while server.metric("chasqui_directory_overlay_entries") > 4096.0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the overlay is not folded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(accounts(&client.look_up(&address("user0")).await.unwrap()), ["user0@ours.test"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fits_in_no_datagram_comes_over_tcp() {
    let site = Site::new().await;
    site.fill(900).await;
    let members: Vec<EmailAddress> = (0..900).map(|n| address(&format!("user{n}"))).collect();
    site.database.add_alias(&address("todos"), &members).await.unwrap();
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let found = accounts(&client.look_up(&address("todos")).await.unwrap());
    assert_eq!(found.len(), 900);
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), 900);
    assert_eq!(server.metric("chasqui_directory_tcp_connections_total"), 1.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_at_once_travel_together_and_each_gets_its_own_answer() {
    let site = Site::new().await;
    site.fill(500).await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let tasks: Vec<_> = (0..2000)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { (n, client.look_up(&address(&format!("user{n}"))).await.unwrap()) })
        })
        .collect();
    for task in tasks {
        let (n, answer) = task.await.unwrap();
        if n < 500 {
            assert_eq!(accounts(&answer), [format!("user{n}@ours.test")]);
        } else {
            assert_eq!(answer, LookUp::Unknown);
        }
    }
    let datagrams = server.metric("chasqui_directory_datagrams_total{result=\"answered\"}");
    assert!(datagrams < 1000.0, "{datagrams} datagrams for 2000 questions");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_verified_by_the_canonical_address_only() {
    let site = Site::new().await;
    site.add_user_with("ana", "llave").await;
    site.add_user("sinclave").await;
    site.database.add_alias(&address("jefa"), &[address("ana")]).await.unwrap();
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let verify = async |login: &str, password: &str| match client
        .verify(login, &Secret::new(password.to_owned()))
        .await
        .unwrap()
    {
        Verdict::Yes(record) => format!("yes {}", record.account),
        other => format!("{other:?}"),
    };
    assert_eq!(verify("ana@ours.test", "llave").await, "yes ana@ours.test");
    assert_eq!(verify("ANA@Ours.test", "llave").await, "yes ana@ours.test");
    for (login, password) in [
        ("ana@ours.test", "llavE"),
        ("ana@ours.test", ""),
        ("jefa@ours.test", "llave"),
        ("ana+x@ours.test", "llave"),
        ("sinclave@ours.test", ""),
        ("nadie@ours.test", "llave"),
        ("ana", "llave"),
    ] {
        assert_eq!(verify(login, password).await, "No", "{login} {password}");
    }
    let long = "x".repeat(5000);
    assert_eq!(
        verify("ana@ours.test", &long).await,
        "No",
        "a password that fits in no datagram goes over TCP"
    );

    let remembered = "chasqui_directory_verifications_total{result=\"remembered\"}";
    assert!(server.metric(remembered) >= 1.0, "the second right one was remembered");
    let change = UserChange { password: Some(Secret::new("nueva".to_owned())), ..UserChange::default() };
    site.database.set_user(&address("ana"), &change).await.unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(verify("ana@ours.test", "llave").await, "No", "what is remembered ends with the password");
    assert_eq!(verify("ana@ours.test", "nueva").await, "yes ana@ours.test");
    let change = UserChange { state: Some(AccountState::Suspended), ..UserChange::default() };
    site.database.set_user(&address("ana"), &change).await.unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(verify("ana@ours.test", "nueva").await, "Disabled");
    assert_eq!(verify("ana@ours.test", "wrong").await, "No");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_is_known_to_every_server_until_it_expires() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let mut config = site.config();
    config.limits.over_quota_ttl = chasqui_base::units::Span::millis(400);
    let (first, second) = (site.start_with(config.clone()).await, site.start_with(config).await);
    let storage = site.client(&[first.address(), second.address()]).await;
    let over = |expected: bool| move |found: &LookUp| matches!(found, LookUp::Found(t) if matches!(&t[..], [Target::Account(a)] if a.over_quota == expected));
    for server in [&first, &second] {
        let mx = site.client(&[server.address()]).await;
        until(&mx, &address("ana"), over(false)).await;
        storage.report_over_quota(&address("ana"), true);
        until(&mx, &address("ana"), over(true)).await;
        storage.report_over_quota(&address("ana"), false);
        until(&mx, &address("ana"), over(false)).await;
        storage.report_over_quota(&address("ana"), true);
        until(&mx, &address("ana"), over(true)).await;
        tokio::time::sleep(Duration::from_millis(450)).await;
        until(&mx, &address("ana"), over(false)).await;
    }
    first.stop().await;
    second.stop().await;
}
