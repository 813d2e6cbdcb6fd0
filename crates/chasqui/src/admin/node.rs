//! `chasqui node add|set|list`.

use anyhow::Result;
use chasqui_directory::Node;

use super::{open, open_or_make, output};
use crate::cli::{NodeArguments, NodeCommand};

/// `chasqui node …`
pub async fn node(command: NodeCommand) -> Result<()> {
    match command {
        NodeCommand::Add(arguments) => {
            let database = open_or_make(&arguments.options).await?;
            let (node, options) = read(arguments);
            database.add_node(&node).await?;
            database.close().await;
            output::record(options.json, &node, &format!("Node {} added.", node.name))
        }
        NodeCommand::Set(arguments) => {
            let database = open(&arguments.options).await?;
            let (node, options) = read(arguments);
            database.set_node(&node).await?;
            database.close().await;
            output::record(options.json, &node, &format!("Node {} changed.", node.name))
        }
        NodeCommand::List { options } => {
            let database = open(&options).await?;
            let nodes = database.nodes().await?;
            database.close().await;
            output::list(options.json, &nodes, &["node", "LMTP", "IMAP", "POP3", "users"], |info| {
                let node = &info.node;
                vec![
                    node.name.clone(),
                    node.lmtp.to_string(),
                    node.imap.to_string(),
                    node.pop3.to_string(),
                    info.users.to_string(),
                ]
            })
        }
    }
}

fn read(arguments: NodeArguments) -> (Node, crate::cli::AdminOptions) {
    let NodeArguments { name, lmtp, imap, pop3, options } = arguments;
    (Node { name, lmtp, imap, pop3 }, options)
}
