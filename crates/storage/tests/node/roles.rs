use std::time::Duration;

use chasqui_base::net::Endpoint;
use chasqui_base::pki;
use chasqui_base::service::RoleService;
use chasqui_base::tls::{Role, RoleTls};
use chasqui_storage::StorageService;
use prometheus_client::registry::Registry;

use crate::site::{Running, Site, external};
use crate::wire::Wire;

async fn connect(node: &Running, service: &str, tls: &RoleTls) -> Wire {
    let endpoint: Endpoint = node.address(service).to_string().parse().unwrap();
    let stream = endpoint.connect(Duration::from_secs(5)).await.unwrap();
    Wire::over(tls.connect(stream, "127.0.0.1", Role::Storage).await.unwrap())
}

#[tokio::test]
async fn a_certificate_opens_only_what_its_role_is_for() {
    let site = Site::start().await;
    let authority = pki::create_ca(site.dir.path(), "ejemplo.test").unwrap();
    let issue = |name: &str, role| {
        authority.issue(site.dir.path(), name, &[role], &["localhost", "127.0.0.1"]).unwrap()
    };
    let mut config = site.config("storage1");
    config.tls = Some(issue("storage1", Role::Storage));
    let node = Running::start(config).await;
    let mx = RoleTls::load(&issue("mx", Role::Mx)).unwrap();
    let proxy = RoleTls::load(&issue("proxy", Role::Proxy)).unwrap();

    let mut wire = connect(&node, "lmtp", &mx).await;
    wire.expect("220 ").await;
    let mut wire = connect(&node, "lmtp", &proxy).await;
    wire.expect("554 5.7.1 ").await;
    assert!(wire.is_closed().await);

    let mut wire = connect(&node, "pop3", &proxy).await;
    wire.expect("+OK ").await;
    wire.send(&external("ana")).await;
    wire.expect("+OK ").await;
    let mut wire = connect(&node, "pop3", &mx).await;
    wire.expect("+OK ").await;
    wire.send(&external("ana")).await;
    wire.expect("-ERR [AUTH] ").await;
    drop(wire);
    node.run.drain(Duration::from_secs(5)).await;
    node.service.close().await;
}

#[tokio::test]
async fn what_cannot_start_says_why_and_leaves_nothing_bound() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut config = site.config("storage2");
    config.pop3 = node.address("pop3").to_string().parse().unwrap();
    let lmtp = config.lmtp.clone();
    let error = StorageService::bind(config, &mut Registry::default()).await.err().unwrap().to_string();
    assert!(error.contains(&node.address("pop3").to_string()), "{error}");
    drop(lmtp);

    let error = StorageService::bind(site.config("storage1"), &mut Registry::default())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("in use"), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn a_reload_changes_the_limits_of_new_sessions_and_refuses_another_name() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut config = site.config("storage1");
    config.limits.message = chasqui_base::ByteSize(1000);
    node.service.reload(config.clone()).await.unwrap();
    let mut wire = node.lmtp().await;
    wire.send("MAIL FROM:<> SIZE=1001\r\n").await;
    wire.expect("552 ").await;
    config.name = "storage2".to_owned();
    assert!(node.service.reload(config).await.is_err());
    drop(wire);
    node.stop().await;
}
