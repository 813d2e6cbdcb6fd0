//! What submission asks: proofs of passwords (SCRAM), and who may send as whom.

mod site;

use chasqui_base::EmailAddress;
use chasqui_base::secret::Secret;
use chasqui_directory::admin::{Database, NewUser, UserChange};
use chasqui_directory::{AccountState, DirectoryClient, Services, Verdict};
use chasqui_sasl::scram::{Channel, Client, ITERATIONS};
use chasqui_sasl::{Exchange, Mechanism, Progress};
use site::{Site, address, until};
use sqlx::Connection as _;

/// Logs in by SCRAM, as the relay does; the client checks the server's signature.
async fn log_in(directory: &DirectoryClient, login: &str, password: &str) -> Verdict {
    let channel = Channel::default();
    let mut client = Client::new(login, Secret::new(password.to_owned()), &channel, false).unwrap();
    let begun = Exchange::begin(Mechanism::ScramSha256, Some(client.first()), &channel);
    let Ok(Progress::Salt(first)) = begun else { panic!() };
    let salt = directory.scram_begin(first.login()).await.unwrap();
    let (exchange, text) = first.challenge(&salt.salt, salt.iterations).unwrap();
    let Ok(Progress::Proof(last)) = exchange.respond(&client.answer(&text).unwrap()) else { panic!() };
    let (verdict, signature) =
        directory.scram_finish(last.login(), last.auth_message(), last.proof()).await.unwrap();
    assert_eq!(matches!(verdict, Verdict::Yes(_)), signature.is_some());
    if let Some(signature) = signature {
        let (_, text) = last.confirm(&signature);
        client.answer(&text).unwrap();
    }
    verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_proved_without_being_sent() {
    let site = Site::new().await;
    site.add_user_with("ana", "llave").await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    for login in ["ana@ours.test", "ANA@Ours.Test"] {
        let Verdict::Yes(record) = log_in(&client, login, "llave").await else { panic!("{login}") };
        assert_eq!((record.account.as_str(), record.services), ("ana@ours.test", Services::ALL));
    }
    for (login, password) in
        [("ana@ours.test", "other"), ("nobody@ours.test", "llave"), ("ana", "llave"), ("x@theirs.test", "x")]
    {
        assert_eq!(log_in(&client, login, password).await, Verdict::No, "{login}");
    }
    // A proof is for one exchange and one user.
    let salt = client.scram_begin("ana@ours.test").await.unwrap();
    assert_eq!((salt.salt.len(), salt.iterations), (16, ITERATIONS));
    let (verdict, _) = client.scram_finish("ana@ours.test", &"x".repeat(3000), &[7; 32]).await.unwrap();
    assert_eq!(verdict, Verdict::No, "a long message goes over TCP");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_salt_says_nothing_about_who_exists() {
    let site = Site::new().await;
    site.fill(1).await;
    let (one, two) = (site.start().await, site.start().await);
    let (first, second) = (site.client(&[one.address()]).await, site.client(&[two.address()]).await);
    // A user whose password was given as a hash has no verifier, and looks like nobody.
    for login in ["user0@ours.test", "nobody@ours.test", "nobody@theirs.test", "no address"] {
        let salt = first.scram_begin(login).await.unwrap();
        assert_eq!((salt.salt.len(), salt.iterations), (16, ITERATIONS));
        assert_eq!(salt, second.scram_begin(login).await.unwrap(), "the same at every server: {login}");
        assert_ne!(salt, first.scram_begin("somebody.else@ours.test").await.unwrap());
    }
    assert_eq!(log_in(&first, "user0@ours.test", "chasqui-demo").await, Verdict::No);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_proved_at_once_and_the_old_one_no_more() {
    let site = Site::new().await;
    site.add_user_with("ana", "old").await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let change = |password: &str| UserChange {
        password: Some(Secret::new(password.to_owned())),
        ..UserChange::default()
    };
    let before = client.scram_begin("ana@ours.test").await.unwrap();
    let shown = site.database.set_user(&address("ana"), &change("new")).await.unwrap();
    assert!(shown.password && shown.scram);
    assert_ne!(client.scram_begin("ana@ours.test").await.unwrap(), before);
    assert_eq!(log_in(&client, "ana@ours.test", "old").await, Verdict::No);
    assert!(matches!(log_in(&client, "ana@ours.test", "new").await, Verdict::Yes(_)));
    // Other changes leave it alone.
    let suspended = UserChange { state: Some(AccountState::Suspended), ..UserChange::default() };
    assert!(site.database.set_user(&address("ana"), &suspended).await.unwrap().scram);
    until(&client, &address("ana"), |found| format!("{found:?}").contains("Suspended")).await;
    assert_eq!(log_in(&client, "ana@ours.test", "new").await, Verdict::Disabled);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_proofs_cannot_be_checked_and_passwords_can() {
    let site = Site::new().await;
    site.add_user_with("ana", "llave").await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let (from, to) = (site.path("directory.sqlite"), site.path("away"));
    std::fs::rename(&from, &to).unwrap();
    assert!(client.scram_begin("ana@ours.test").await.is_err());
    let password = Secret::new("llave".to_owned());
    assert!(matches!(client.verify("ana@ours.test", &password).await, Ok(Verdict::Yes(_))));
    std::fs::rename(&to, &from).unwrap();
    assert!(matches!(log_in(&client, "ana@ours.test", "llave").await, Verdict::Yes(_)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_is_the_accounts_own_or_delegated() {
    let site = Site::new().await;
    let db = &site.database;
    for local in ["ana", "beto", "c+d"] {
        site.add_user(local).await;
    }
    db.add_alias(&address("jefa"), &[address("ana")]).await.unwrap();
    db.add_alias(&address("boss"), &[address("jefa")]).await.unwrap();
    db.add_alias(&address("both"), &[address("ana"), "ana@theirs.test".parse().unwrap()]).await.unwrap();
    db.add_alias(&address("team"), &[address("ana"), address("beto")]).await.unwrap();
    db.delegate(&address("ana"), &[address("team"), address("no-reply")]).await.unwrap();
    db.set_catch_all(&"ours.test".parse().unwrap(), Some(&address("ana"))).await.unwrap();
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    for (account, sender, expected) in [
        ("ana", "ana@ours.test", true),
        ("ana", "ana+news@ours.test", true),
        ("ana", "jefa@ours.test", true),
        ("ana", "boss+x@ours.test", true),
        ("ana", "both@ours.test", false),
        ("ana", "team@ours.test", true),
        ("ana", "team+x@ours.test", true),
        ("ana", "no-reply@ours.test", true),
        ("ana", "no-reply+1@ours.test", true),
        ("ana", "beto@ours.test", false),
        ("ana", "anybody@ours.test", false),
        ("ana", "ana@theirs.test", false),
        ("beto", "team@ours.test", false),
        ("beto", "jefa@ours.test", false),
        ("c+d", "c+d@ours.test", true),
        ("c+d", "c@ours.test", false),
    ] {
        let sender: EmailAddress = sender.parse().unwrap();
        assert_eq!(client.may_send_as(&address(account), &sender).await, Ok(expected), "{account} {sender}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delegations_are_seen_soon_and_end_with_the_account_or_the_address() {
    let site = Site::new().await;
    let db = &site.database;
    site.add_user("ana").await;
    site.add_user("beto").await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let seen = async |sender: &str, expected: bool| {
        let begun = std::time::Instant::now();
        while client.may_send_as(&address("ana"), &address(sender)).await != Ok(expected) {
            assert!(begun.elapsed() < site::SOON * 3, "{sender}: still not {expected}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    db.delegate(&address("ana"), &[address("beto"), address("info")]).await.unwrap();
    seen("beto", true).await;
    assert_eq!(db.user(&address("ana")).await.unwrap().delegations, ["beto@ours.test", "info@ours.test"]);
    db.undelegate(&address("ana"), &[address("info")]).await.unwrap();
    seen("info", false).await;
    db.remove_user(&address("beto")).await.unwrap();
    seen("beto", false).await;
    db.add_alias(&address("info"), &[address("x"), address("y")]).await.unwrap();
    db.delegate(&address("ana"), &[address("info"), address("news")]).await.unwrap();
    db.remove_alias(&address("info"), Some(&address("x"))).await.unwrap();
    assert_eq!(db.user(&address("ana")).await.unwrap().delegations.len(), 2);
    db.remove_alias(&address("info"), None).await.unwrap();
    seen("info", false).await;
    seen("news", true).await;
    db.remove_user(&address("ana")).await.unwrap();
    site.add_user("ana").await;
    seen("news", false).await;
    for (error, expected) in [
        (db.delegate(&address("x"), &[address("ana")]).await, "no user x@ours.test"),
        (
            db.delegate(&address("ana"), &["a@theirs.test".parse().unwrap()]).await,
            "domain theirs.test does not exist",
        ),
        (db.undelegate(&address("ana"), &[]).await, "another address"),
        (db.undelegate(&address("ana"), &[address("z")]).await, "send as z@ours.test"),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_database_of_an_older_version_gains_submission() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    // What sqlx writes when it has run the first migration.
    let first = include_str!("../migrations/0001_directory.sql");
    let migration = sqlx::migrate::Migration::new(
        1,
        "directory".into(),
        sqlx::migrate::MigrationType::Simple,
        sqlx::SqlSafeStr::into_sql_str(first),
        false,
    );
    sqlx::migrate::Migrator::with_migrations(vec![migration]).run(&mut old).await.unwrap();
    let filling = "INSERT INTO domain (id, name) VALUES (1, 'ours.test');
         INSERT INTO node (id, name, lmtp, imap, pop3) VALUES (1, 's1', 'h:1', 'h:2', 'h:3');
         INSERT INTO account (domain, address, node, services, password) VALUES
             (1, 'ana@ours.test', 1, 3, '$argon2id$'), (1, 'beto@ours.test', 1, 0, NULL)";
    sqlx::raw_sql(filling).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let database = Database::open(&path).await.unwrap();
    let ana = database.user(&address("ana")).await.unwrap();
    assert_eq!((ana.services.as_str(), ana.password, ana.scram), ("imap,pop3,submission", true, false));
    assert_eq!(database.user(&address("beto")).await.unwrap().services, "none", "who was barred stays so");
    let mut new = NewUser::new(address("carla"), Some(Secret::new("x".to_owned())));
    new.services = "imap,submission".parse().unwrap();
    let carla = database.add_user(&new).await.unwrap();
    assert_eq!((carla.services.as_str(), carla.scram), ("imap,submission", true));
}
