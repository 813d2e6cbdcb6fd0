//! The operator's verbs.

mod site;

use chasqui_base::address::EmailAddress;
use chasqui_base::secret::Secret;
use chasqui_directory::admin::{Database, NewUser, UserChange, UserFilter};
use chasqui_directory::{AccountState, Services, Verdict};
use site::{QUICK_HASH, Site, address};

fn parse(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let site = Site::new().await;
    let db = &site.database;
    site.add_user("ana").await;
    db.add_alias(&address("jefa"), &[address("ana")]).await.unwrap();
    let ours = "ours.test".parse().unwrap();
    let other = "other.test".parse().unwrap();
    let node = db.nodes().await.unwrap()[0].node.clone();
    let mut badly_named = node.clone();
    badly_named.name = "no spaces".into();
    let mut on_s9 = NewUser::new(address("x"), None);
    on_s9.node = Some("s9".into());
    let mut huge = NewUser::new(address("x"), None);
    huge.quota = Some(u64::MAX);
    let s9 = UserChange { node: Some("s9".into()), ..UserChange::default() };
    let refusals = [
        (db.add_domain(&ours, None).await.unwrap_err(), "domain ours.test exists already"),
        (db.remove_domain(&other).await.unwrap_err(), "domain other.test does not exist"),
        (db.remove_domain(&ours).await.unwrap_err(), "domain ours.test still has 1 users and 1 aliases"),
        (db.set_catch_all(&other, None).await.unwrap_err(), "domain other.test does not exist"),
        (
            db.add_user(&NewUser::new(address("ana"), None)).await.unwrap_err(),
            "user ana@ours.test exists already",
        ),
        (db.add_user(&NewUser::new(address("jefa"), None)).await.unwrap_err(), "jefa@ours.test is an alias"),
        (
            db.add_user(&NewUser::new(parse("x@other.test"), None)).await.unwrap_err(),
            "chasqui domain add other.test",
        ),
        (db.add_user(&on_s9).await.unwrap_err(), "no node \"s9\""),
        (db.add_user(&huge).await.unwrap_err(), "out of range"),
        (db.user(&address("x")).await.unwrap_err(), "no user x@ours.test"),
        (db.set_user(&address("x"), &UserChange::default()).await.unwrap_err(), "no user x@ours.test"),
        (db.set_user(&address("ana"), &s9).await.unwrap_err(), "no node \"s9\""),
        (db.remove_user(&address("x")).await.unwrap_err(), "no user x@ours.test"),
        (db.add_alias(&address("ana"), &[address("x")]).await.unwrap_err(), "ana@ours.test is a user"),
        (db.add_alias(&address("y"), &[]).await.unwrap_err(), "at least one target"),
        (
            db.add_alias(&parse("y@other.test"), &[address("x")]).await.unwrap_err(),
            "chasqui domain add other.test",
        ),
        (db.remove_alias(&address("x"), None).await.unwrap_err(), "no alias x@ours.test"),
        (
            db.remove_alias(&address("jefa"), Some(&address("x"))).await.unwrap_err(),
            "does not lead to x@ours.test",
        ),
        (db.add_node(&node).await.unwrap_err(), "node \"s1\" exists already"),
        (db.add_node(&badly_named).await.unwrap_err(), "cannot be a node's name"),
    ];
    for (error, expected) in refusals {
        assert!(error.to_string().contains(expected), "{error}: expected {expected}");
    }
    assert!(db.users(&UserFilter::default()).await.unwrap().len() == 1, "nothing refused left a trace");
}

#[tokio::test]
async fn new_users_go_to_the_node_with_the_fewest() {
    let site = Site::new().await;
    for (local, node) in [("a", "s1"), ("b", "s2"), ("c", "s1"), ("d", "s2")] {
        site.add_user(local).await;
        assert_eq!(site.database.user(&address(local)).await.unwrap().node, node);
    }
    let counts: Vec<u64> = site.database.nodes().await.unwrap().iter().map(|node| node.users).collect();
    assert_eq!(counts, [2, 2]);
}

#[tokio::test]
async fn a_user_is_added_shown_changed_and_removed() {
    let site = Site::new().await;
    let db = &site.database;
    let mut ana = NewUser::new(address("ana"), Some(Secret::new("llave".to_owned())));
    ana.quota = Some(7_000_000_000);
    let shown = db.add_user(&ana).await.unwrap();
    assert_eq!(
        (shown.quota, shown.state, shown.services.as_str(), shown.password),
        (Some(7_000_000_000), AccountState::Active, "imap,pop3,submission", true)
    );
    db.add_alias(&address("jefa"), &[address("ana"), parse("x@theirs.test")]).await.unwrap();
    assert_eq!(db.user(&address("ana")).await.unwrap().aliases, ["jefa@ours.test"]);
    assert_eq!(db.aliases(None).await.unwrap()[0].targets, ["ana@ours.test", "x@theirs.test"]);
    let change = UserChange {
        quota: Some(None),
        services: Some(Services::POP3),
        state: Some(AccountState::Closed),
        uid: Some(7),
        ..UserChange::default()
    };
    let shown = db.set_user(&address("ana"), &change).await.unwrap();
    assert_eq!(
        (shown.quota, shown.state, shown.services.as_str(), shown.uid),
        (None, AccountState::Closed, "pop3", Some(7))
    );
    let domains = db.domains().await.unwrap();
    assert_eq!((domains[0].users, domains[0].aliases), (1, 1));
    let none = UserFilter { node: Some("s2".into()), ..UserFilter::default() };
    assert!(db.users(&none).await.unwrap().is_empty());
    db.remove_user(&address("ana")).await.unwrap();
    db.remove_alias(&address("jefa"), Some(&address("ana"))).await.unwrap();
    db.remove_alias(&address("jefa"), None).await.unwrap();
    db.remove_domain(&"ours.test".parse().unwrap()).await.unwrap();
    assert!(db.domains().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_takes_good_lines_and_reports_bad_ones_by_number() {
    let site = Site::new().await;
    site.database.add_alias(&address("jefa"), &[address("ana")]).await.unwrap();
    let csv = format!(
        "address,password,quota,node\n\
         ana@ours.test,llave,7GB,s2\n\
         \"beto@ours.test\", {QUICK_HASH} ,,s1\n\
         not-an-address,x,,\n\
         carla@ours.test,x,many,\n\
         diego@ours.test,x,,s9\n\
         ana@ours.test,x,,\n\
         jefa@ours.test,x,,\n\
         eva@other.test,x,,\n\
         fay@ours.test,$argon2id$nonsense,,\n\
         gus@ours.test,x,,,extra\n\
         \n\
         hugo@ours.test\n\
         iris@ours.test,\"{QUICK_HASH}\",1GB\n\
         Íñigo@ours.test,,unlimited,s1\n"
    );
    let mut steps = Vec::new();
    let report = site.database.import_users(csv.as_bytes(), |progress| steps.push(progress)).await.unwrap();
    assert_eq!(report.added, 5);
    let lines: Vec<(u64, &str)> =
        report.refused.iter().map(|failure| (failure.line, failure.reason.as_str())).collect();
    let expected = [
        (4, "not-an-address"),
        (5, "whole number"),
        (6, "s9"),
        (7, "exists already"),
        (8, "is an alias"),
        (9, "other.test does not exist"),
        (10, "argon2id"),
        (11, "5 fields"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for ((line, reason), (expected_line, part)) in lines.into_iter().zip(expected) {
        assert!(line == expected_line && reason.contains(part), "line {line}: {reason}");
    }
    let last = steps.last().unwrap();
    assert_eq!((last.added, last.refused, last.octets), (5, 8, csv.len() as u64));
    let ana = site.database.user(&address("ana")).await.unwrap();
    assert_eq!((ana.quota, ana.node.as_str(), ana.password), (Some(7_000_000_000), "s2", true));
    assert!(!site.database.user(&address("hugo")).await.unwrap().password);

    let again = site.database.import_users(csv.as_bytes(), |_| ()).await.unwrap();
    assert_eq!((again.added, again.refused.len()), (0, 13), "running it again adds nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_leaves_the_spaces_of_a_password_and_no_others() {
    let site = Site::new().await;
    let csv = format!(
        " Address ,password,quota,node\n ana@ours.test ,\" llave \", 7GB , s2 \n beto@ours.test, {QUICK_HASH} , 1GB , s1 \n"
    );
    let report = site.database.import_users(csv.as_bytes(), |_| ()).await.unwrap();
    assert_eq!((report.added, report.refused.len()), (2, 0), "{:?}", report.refused);
    for (user, quota, node) in [("ana", 7_000_000_000, "s2"), ("beto", 1_000_000_000, "s1")] {
        let user = site.database.user(&address(user)).await.unwrap();
        assert_eq!((user.quota, user.node.as_str()), (Some(quota), node));
    }
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    for (password, right) in [(" llave ", true), ("llave", false)] {
        let verdict = client.verify("ana@ours.test", &Secret::new(password.to_owned())).await.unwrap();
        assert_eq!(matches!(verdict, Verdict::Yes(_)), right, "{password:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_in_one_sentence() {
    let site = Site::new().await;
    let path = site.path("broken.sqlite");
    std::fs::write(&path, "no database".repeat(1000)).unwrap();
    let error = Database::open(&path).await.err().unwrap().to_string();
    assert!(error.contains("damaged") && error.contains("broken.sqlite") && !error.contains('\n'), "{error}");
    let error = Database::open(&site.path("no/such/folder.sqlite")).await.err().unwrap().to_string();
    assert!(error.contains("cannot be opened"), "{error}");
    let error = Database::open_existing(&site.path("missing.sqlite")).await.err().unwrap().to_string();
    assert!(error.contains("chasqui domain add"), "{error}");
}

#[tokio::test]
async fn only_its_owner_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new().await;
    let mode = std::fs::metadata(site.database.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
