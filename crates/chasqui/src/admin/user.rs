//! `chasqui user add|list|show|set|remove|delegate|undelegate|import`.

use anyhow::Result;
use chasqui_directory::admin::{NewUser, UserChange, UserFilter, UserInfo};
use serde_json::json;

use super::{import, open, output, password, quota};
use crate::cli::{UserAddArguments, UserCommand, UserSetArguments};

/// `chasqui user …`
pub async fn user(command: UserCommand) -> Result<()> {
    match command {
        UserCommand::Add(arguments) => add(arguments).await,
        UserCommand::List { domain, node, options } => {
            let database = open(&options).await?;
            let users = database.users(&UserFilter { domain, node }).await?;
            database.close().await;
            output::list(options.json, &users, &["address", "node", "quota", "state", "services"], |user| {
                vec![
                    user.address.clone(),
                    user.node.clone(),
                    quota(user.quota),
                    user.state.to_string(),
                    user.services.clone(),
                ]
            })
        }
        UserCommand::Show { address, options } => {
            let database = open(&options).await?;
            let user = database.user(&address).await?;
            database.close().await;
            output::record(options.json, &user, &describe(&user))
        }
        UserCommand::Set(arguments) => set(arguments).await,
        UserCommand::Remove { address, options } => {
            let database = open(&options).await?;
            database.remove_user(&address).await?;
            database.close().await;
            let sentence = format!("{address} removed. Its mail stays on its storage node's disk.");
            output::record(options.json, &json!({ "removed": address }), &sentence)
        }
        UserCommand::Delegate { address, senders, options } => {
            let database = open(&options).await?;
            database.delegate(&address, &senders).await?;
            let user = database.user(&address).await?;
            database.close().await;
            let sentence = format!("{address} may also send as {}.", user.delegations.join(", "));
            output::record(options.json, &user, &sentence)
        }
        UserCommand::Undelegate { address, senders, options } => {
            let database = open(&options).await?;
            database.undelegate(&address, &senders).await?;
            let user = database.user(&address).await?;
            database.close().await;
            let sentence = match user.delegations.as_slice() {
                [] => format!("{address} may send as itself and its aliases only."),
                left => format!("{address} may still send as {}.", left.join(", ")),
            };
            output::record(options.json, &user, &sentence)
        }
        UserCommand::Import(arguments) => import::import(arguments).await,
    }
}

async fn add(arguments: UserAddArguments) -> Result<()> {
    let database = open(&arguments.options).await?;
    let password = password::read(&arguments.password, arguments.address.as_str())?;
    let mut new = NewUser::new(arguments.address, Some(password));
    new.node = arguments.node;
    new.quota = arguments.quota.map(|size| size.as_u64());
    let user = database.add_user(&new).await?;
    database.close().await;
    output::record(arguments.options.json, &user, &format!("{} added on {}.", user.address, user.node))
}

async fn set(arguments: UserSetArguments) -> Result<()> {
    let database = open(&arguments.options).await?;
    // Refused before anybody types a password for it.
    database.user(&arguments.address).await?;
    let source = &arguments.source;
    let password = match arguments.password || source.password_stdin || source.password_file.is_some() {
        true => Some(password::read(source, arguments.address.as_str())?),
        false => None,
    };
    let quota = match arguments.no_quota {
        true => Some(None),
        false => arguments.quota.map(|size| Some(size.as_u64())),
    };
    let change = UserChange {
        password,
        quota,
        state: arguments.state,
        services: arguments.services,
        ..UserChange::default()
    };
    let user = database.set_user(&arguments.address, &change).await?;
    database.close().await;
    output::record(arguments.options.json, &user, &format!("{} changed.", user.address))
}

/// One account, a line for each thing that is known of it.
fn describe(user: &UserInfo) -> String {
    let mut lines = vec![
        format!("address   {}", user.address),
        format!("node      {}", user.node),
        format!("quota     {}", quota(user.quota)),
        format!("state     {}", user.state),
        format!("services  {}", user.services),
        format!(
            "password  {}",
            match (user.password, user.scram) {
                (false, _) => "none: nobody can log in",
                (true, true) => "set",
                (true, false) => "set; SCRAM works when it is next changed",
            }
        ),
    ];
    if !user.delegations.is_empty() {
        lines.push(format!("sends as  {}", user.delegations.join(", ")));
    }
    if !user.aliases.is_empty() {
        lines.push(format!("aliases   {}", user.aliases.join(", ")));
    }
    for (name, id) in [("uid", user.uid), ("gid", user.gid)] {
        lines.extend(id.map(|id| format!("{name:<8}  {id}")));
    }
    lines.join("\n")
}
