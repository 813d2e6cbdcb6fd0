//! What fits in no datagram goes over TCP with certificates on both sides (E19).

mod site;

use chasqui_base::address::EmailAddress;
use chasqui_base::pki;
use chasqui_base::tls::{Role, RoleTls};
use chasqui_directory::{ClientConfig, DirectoryClient};
use site::{Site, accounts, address, hasty};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_a_certificate_of_the_site_gets_long_answers_and_nobody_else_does() {
    let site = Site::new().await;
    site.fill(300).await;
    let members: Vec<EmailAddress> = (0..300).map(|n| address(&format!("user{n}"))).collect();
    site.database.add_alias(&address("todos"), &members).await.unwrap();

    let hosts = ["localhost", "127.0.0.1"];
    let ours = pki::create_ca(site.dir.path(), "ours").unwrap();
    let files = ours.issue(site.dir.path(), "directory1", &[Role::Directory], &hosts).unwrap();
    let mx = ours.issue(site.dir.path(), "mx", &[Role::Mx], &hosts).unwrap();
    let nobody = ours.issue(site.dir.path(), "nobody", &[], &hosts).unwrap();
    let elsewhere = site.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let theirs = pki::create_ca(&elsewhere, "theirs").unwrap();
    let stranger = theirs.issue(&elsewhere, "mx", &[Role::Mx], &hosts).unwrap();

    let mut config = site.config();
    config.tls = Some(files);
    let server = site.start_with(config).await;
    let servers = vec![server.address().to_string().parse().unwrap()];
    let mut config = ClientConfig { servers, keys: site.path("keys"), ..ClientConfig::default() };
    hasty(&mut config);

    let client = DirectoryClient::connect(&config, Some(RoleTls::load(&mx).unwrap())).await.unwrap();
    assert_eq!(accounts(&client.look_up(&address("todos")).await.unwrap()).len(), 300);
    assert_eq!(server.metric("chasqui_directory_tcp_connections_total"), 1.0);

    for tls in [Some(RoleTls::load(&stranger).unwrap()), Some(RoleTls::load(&nobody).unwrap()), None] {
        let client = DirectoryClient::connect(&config, tls).await.unwrap();
        assert!(client.look_up(&address("todos")).await.is_err());
        assert!(client.look_up(&address("user7")).await.is_ok(), "by datagram the cluster's key is enough");
    }
    assert_eq!(server.metric("chasqui_directory_tcp_connections_total"), 1.0);
    server.stop().await;
}
