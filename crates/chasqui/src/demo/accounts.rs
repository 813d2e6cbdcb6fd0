//! The accounts of the demo, spread over both nodes, and the database that holds them.

use std::path::Path;

use anyhow::Result;
use chasqui_base::net::Endpoint;
use chasqui_base::{DomainName, EmailAddress, Secret};
use chasqui_directory::Node;
use chasqui_directory::admin::{Database, NewUser, UserFilter};

use super::ports::Ports;
use super::{DOMAIN, PASSWORD};

/// Whose mailbox is on which node.
const ACCOUNTS: [(&str, &str); 4] =
    [("ana", "storage1"), ("beto", "storage2"), ("carla", "storage1"), ("diego", "storage2")];
/// The storage nodes.
const NODES: [&str; 2] = ["storage1", "storage2"];

/// An account of the demo.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    name: &'static str,
    /// The node that owns its mailbox.
    pub node: &'static str,
}

impl Account {
    /// The whole address.
    pub fn address(&self) -> String {
        format!("{}@{DOMAIN}", self.name)
    }
}

/// Every account.
pub fn all() -> impl Iterator<Item = Account> {
    ACCOUNTS.into_iter().map(|(name, node)| Account { name, node })
}

/// Tells the database at which ports the nodes are, and with `first` adds the domain and the accounts. What is there already
/// stays as it is, so that an interrupted first start can be done again.
pub async fn fill(dir: &Path, ports: Ports, first: bool) -> Result<()> {
    let database = Database::open(&super::files::database(dir)).await?;
    let filled = fill_open(&database, ports, first).await;
    database.close().await;
    filled
}

async fn fill_open(database: &Database, ports: Ports, first: bool) -> Result<()> {
    let present = database.nodes().await?;
    for name in NODES {
        let endpoint = |service: &str| -> Result<Endpoint> {
            Ok(ports.inner(&format!("{name}-{service}")).to_string().parse()?)
        };
        let node = Node {
            name: name.to_owned(),
            lmtp: endpoint("lmtp")?,
            imap: endpoint("imap")?,
            pop3: endpoint("pop3")?,
        };
        match present.iter().any(|info| info.node.name == name) {
            true => database.set_node(&node).await?,
            false => database.add_node(&node).await?,
        }
    }
    // An account that the operator removed later does not come back.
    if !first {
        return Ok(());
    }
    if !database.domains().await?.iter().any(|info| info.domain == DOMAIN) {
        database.add_domain(&DomainName::parse(DOMAIN)?, None).await?;
    }
    let present = database.users(&UserFilter::default()).await?;
    for account in all().filter(|account| !present.iter().any(|user| user.address == account.address())) {
        let address = EmailAddress::parse(&account.address())?;
        let mut user = NewUser::new(address, Some(Secret::new(PASSWORD.to_owned())));
        user.node = Some(account.node.to_owned());
        database.add_user(&user).await?;
    }
    Ok(())
}
