//! Recipients of our own domains.

use super::*;
use chasqui_directory::{AccountRecord, AccountState, Node, Services, Target};
use std::sync::atomic::Ordering;

fn account(name: &str, port: u16) -> Target {
    let node = Node {
        name: "storage1".into(),
        lmtp: format!("127.0.0.1:{port}").parse().unwrap(),
        imap: "127.0.0.1:1".parse().unwrap(),
        pop3: "127.0.0.1:1".parse().unwrap(),
    };
    Target::Account(AccountRecord {
        account: EmailAddress::parse(name).unwrap(),
        tag: None,
        node: Arc::new(node),
        quota: None,
        over_quota: false,
        state: AccountState::Active,
        services: Services::ALL,
        uid: None,
        gid: None,
    })
}

fn remote(name: &str) -> Target {
    Target::Remote(EmailAddress::parse(name).unwrap())
}

fn here(table: Arc<Table>, port: u16) -> Arc<Delivery> {
    let folder = tempfile::tempdir().unwrap();
    delivery_with(&config(port), no_dns(), &tls_config(&folder), table)
}

fn table(entries: Vec<(&str, Vec<Target>)>) -> Arc<Table> {
    let found = entries.into_iter().map(|(name, to)| (name.to_owned(), LookUp::Found(to))).collect();
    Arc::new(Table { found, ..Table::default() })
}

#[tokio::test]
async fn mail_for_us_goes_to_the_storage_node_and_never_to_the_internet() {
    let node = Manner::good()
        .offering(&["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "XDELIVERYID"])
        .start()
        .await;
    let table = table(vec![
        ("ana@ejemplo.test", vec![account("ana@ejemplo.test", node.port)]),
        ("ana+x@ejemplo.test", vec![account("ana@ejemplo.test", node.port)]),
        ("a@ejemplo.test", vec![account("ana@ejemplo.test", node.port)]),
        ("postmaster@relay.ejemplo.test", vec![account("ana@ejemplo.test", node.port)]),
    ]);
    let delivery = here(table, 25);
    let to = [
        "ana@ejemplo.test",
        "ana+x@ejemplo.test",
        "a@ejemplo.test",
        "nadie@ejemplo.test",
        "postmaster@ejemplo.test",
    ];
    let fates = send(&delivery, &to).await;
    for fate in fates.iter().enumerate().filter(|(index, _)| *index != 3).map(|(_, fate)| fate) {
        let Fate::Delivered { remote, kind, .. } = fate else { panic!("{fate:?}") };
        assert_eq!((remote.as_str(), *kind), ("storage1", DeliveredKind::Final));
    }
    assert_eq!(trouble(&fates[3]), ("5.1.1".into(), Whose::Message));
    let seen = node.seen();
    assert_eq!((seen.taken.len(), seen.taken[0].recipients.len()), (1, 1), "one copy for one mailbox");
    assert!(seen.taken[0].mail.contains("XDELIVERYID="));
}

#[tokio::test]
async fn an_address_of_several_or_of_others_is_expanded() {
    let closed = || match account("cerrada@ejemplo.test", 1) {
        Target::Account(record) => Target::Account(AccountRecord { state: AccountState::Closed, ..record }),
        other => other,
    };
    let table = table(vec![
        ("todos@ejemplo.test", vec![account("ana@ejemplo.test", 1), remote("bea@otro.test"), closed()]),
        ("fuera@ejemplo.test", vec![remote("bea@otro.test")]),
        ("cerrada@ejemplo.test", vec![closed()]),
    ]);
    let to = ["todos@ejemplo.test", "fuera@ejemplo.test", "cerrada@ejemplo.test"];
    let fates = send(&here(table, 25), &to).await;
    assert_eq!(fates[0], Fate::Expanded { to: vec!["ana@ejemplo.test".into(), "bea@otro.test".into()] });
    assert_eq!(fates[1], Fate::Expanded { to: vec!["bea@otro.test".into()] });
    assert_eq!(trouble(&fates[2]).0, "5.2.1");
}

#[tokio::test]
async fn while_the_directory_is_away_only_what_was_foreign_goes_on() {
    let host = Manner::good().start().await;
    let table = table(vec![]);
    let mut config = config(25);
    config.delivery.routes = vec![crate::config::Route {
        domains: vec!["*".into()],
        hosts: vec![format!("127.0.0.1:{}", host.port).parse().unwrap()],
        ..crate::config::Route::default()
    }];
    let folder = tempfile::tempdir().unwrap();
    let delivery = delivery_with(&config, no_dns(), &tls_config(&folder), table.clone());
    assert!(is_delivered(&send(&delivery, &["x@otro.test"]).await[0]));
    table.away.store(true, Ordering::Relaxed);
    delivery.foreign.age();
    assert!(is_delivered(&send(&delivery, &["x@otro.test"]).await[0]));
    assert_eq!(trouble(&send(&delivery, &["x@nuevo.test"]).await[0]), ("4.4.3".into(), Whose::Destination));
    assert_eq!(trouble(&send(&delivery, &["ana@ejemplo.test"]).await[0]).0, "4.4.3");
}

#[tokio::test]
async fn a_storage_node_that_is_away_delays_only_its_own_accounts() {
    let node = Manner::good()
        .offering(&["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "XDELIVERYID"])
        .start()
        .await;
    let mut away = account("bea@ejemplo.test", 9);
    if let Target::Account(record) = &mut away {
        record.node = Arc::new(Node { name: "storage2".into(), ..(*record.node).clone() });
    }
    let table = table(vec![
        ("ana@ejemplo.test", vec![account("ana@ejemplo.test", node.port)]),
        ("bea@ejemplo.test", vec![away]),
    ]);
    let fates = send(&here(table, 25), &["ana@ejemplo.test", "bea@ejemplo.test"]).await;
    assert!(is_delivered(&fates[0]));
    assert_eq!(trouble(&fates[1]).1, Whose::Message);
}
