//! `chasqui alias add|list|remove`.

use anyhow::Result;
use serde_json::json;

use super::{open, output};
use crate::cli::AliasCommand;

/// `chasqui alias …`
pub async fn alias(command: AliasCommand) -> Result<()> {
    match command {
        AliasCommand::Add { alias, targets, options } => {
            let database = open(&options).await?;
            database.add_alias(&alias, &targets).await?;
            database.close().await;
            output::record(
                options.json,
                &json!({ "alias": alias, "added": targets }),
                &format!("Alias {alias} added."),
            )
        }
        AliasCommand::List { domain, options } => {
            let database = open(&options).await?;
            let aliases = database.aliases(domain.as_ref()).await?;
            database.close().await;
            output::list(options.json, &aliases, &["alias", "stands for"], |alias| {
                vec![alias.alias.clone(), alias.targets.join(", ")]
            })
        }
        AliasCommand::Remove { alias, targets, options } => {
            let database = open(&options).await?;
            if targets.is_empty() {
                database.remove_alias(&alias, None).await?;
            }
            for target in &targets {
                database.remove_alias(&alias, Some(target)).await?;
            }
            database.close().await;
            let sentence = match targets.is_empty() {
                true => format!("Alias {alias} removed."),
                false => format!("Alias {alias} no longer stands for them."),
            };
            output::record(options.json, &json!({ "alias": alias, "removed": targets }), &sentence)
        }
    }
}
