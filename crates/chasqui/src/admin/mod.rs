//! The operator's verbs on the user database: each opens it, does one thing, and says what it did.

mod alias;
mod domain;
mod import;
mod node;
pub mod output;
mod password;
mod user;

use anyhow::Result;
use chasqui_base::config;
use chasqui_directory::Config;
use chasqui_directory::admin::Database;

use crate::cli::AdminOptions;

pub use alias::alias;
pub use domain::domain;
pub use node::node;
pub use user::user;

/// Opens the database that the directory server's configuration names.
async fn open(options: &AdminOptions) -> Result<Database> {
    let config = config::load::<Config>(&options.config)?;
    Ok(Database::open_existing(&config.database.path).await?)
}

/// The same for the commands that begin a site: they make the database when there is none.
async fn open_or_make(options: &AdminOptions) -> Result<Database> {
    let config = config::load::<Config>(&options.config)?;
    Ok(Database::open(&config.database.path).await?)
}

/// A quota for people.
fn quota(octets: Option<u64>) -> String {
    octets.map_or_else(|| "unlimited".to_owned(), |octets| chasqui_base::ByteSize(octets).to_string())
}
