//! `chasqui domain add|set|list|remove`.

use anyhow::Result;
use serde_json::json;

use super::{open, open_or_make, output};
use crate::cli::DomainCommand;

/// `chasqui domain …`
pub async fn domain(command: DomainCommand) -> Result<()> {
    match command {
        DomainCommand::Add { domain, catch_all, options } => {
            let database = open_or_make(&options).await?;
            database.add_domain(&domain, catch_all.as_ref()).await?;
            database.close().await;
            let done = json!({ "domain": domain, "catch_all": catch_all });
            output::record(options.json, &done, &format!("Domain {domain} added."))
        }
        DomainCommand::Set { domain, catch_all, no_catch_all: _, options } => {
            let database = open(&options).await?;
            database.set_catch_all(&domain, catch_all.as_ref()).await?;
            database.close().await;
            let done = json!({ "domain": domain, "catch_all": catch_all });
            output::record(options.json, &done, &format!("Domain {domain} changed."))
        }
        DomainCommand::List { options } => {
            let database = open(&options).await?;
            let domains = database.domains().await?;
            database.close().await;
            output::list(options.json, &domains, &["domain", "catch-all", "users", "aliases"], |domain| {
                let catch_all = domain.catch_all.clone().unwrap_or_default();
                vec![domain.domain.clone(), catch_all, domain.users.to_string(), domain.aliases.to_string()]
            })
        }
        DomainCommand::Remove { domain, options } => {
            let database = open(&options).await?;
            database.remove_domain(&domain).await?;
            database.close().await;
            output::record(options.json, &json!({ "removed": domain }), &format!("Domain {domain} removed."))
        }
    }
}
