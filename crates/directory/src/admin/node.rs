//! `chasqui node add|list`.

use serde::Serialize;
use sqlx::{Row, SqliteConnection};

use super::{AdminError, Database};
use crate::record::Node;

/// A storage node as `node list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeInfo {
    /// Name and addresses.
    #[serde(flatten)]
    pub node: Node,
    /// Accounts that it owns.
    pub users: u64,
}

impl Database {
    /// Adds a storage node; new users may live there from now on (S12).
    pub async fn add_node(&self, node: &Node) -> Result<(), AdminError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if node.name.is_empty() || node.name.len() > 64 || !node.name.chars().all(fits) {
            return Err(AdminError::BadNodeName(node.name.clone()));
        }
        let mut transaction = self.begin().await?;
        if node_id(&mut transaction, &node.name).await.map_err(|error| self.failed(error))?.is_some() {
            return Err(AdminError::NodeExists(node.name.clone()));
        }
        let adding = sqlx::query("INSERT INTO node (name, lmtp, imap, pop3) VALUES (?1, ?2, ?3, ?4)");
        let adding = bind(adding, node).execute(&mut *transaction).await;
        adding.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    /// Gives a node that exists other addresses.
    pub async fn set_node(&self, node: &Node) -> Result<(), AdminError> {
        let setting = sqlx::query("UPDATE node SET lmtp = ?2, imap = ?3, pop3 = ?4 WHERE name = ?1");
        let set = bind(setting, node).execute(&self.pool).await.map_err(|error| self.failed(error))?;
        if set.rows_affected() == 0 { Err(AdminError::NoSuchNode(node.name.clone())) } else { Ok(()) }
    }

    /// Every storage node, by name.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, AdminError> {
        let listing = sqlx::query(
            "SELECT name, lmtp, imap, pop3, (SELECT count(*) FROM account WHERE account.node = node.id) FROM node ORDER BY name",
        );
        let rows = listing.fetch_all(&self.pool).await.map_err(|error| self.failed(error))?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok(NodeInfo { node: read_node(row, 0)?, users: row.try_get::<i64, _>(4)?.unsigned_abs() })
        };
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(|error| self.failed(error))
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind<'q>(query: Query<'q>, node: &'q Node) -> Query<'q> {
    query.bind(&node.name).bind(node.lmtp.as_str()).bind(node.imap.as_str()).bind(node.pop3.as_str())
}

/// Reads name, LMTP, IMAP and POP3 from four columns.
pub(crate) fn read_node(row: &sqlx::sqlite::SqliteRow, first: usize) -> Result<Node, sqlx::Error> {
    let endpoint = |column: usize| {
        let text: &str = row.try_get(column)?;
        text.parse().map_err(|_| sqlx::Error::ColumnDecode {
            index: column.to_string(),
            source: format!("\"{text}\" is not host:port").into(),
        })
    };
    Ok(Node {
        name: row.try_get(first)?,
        lmtp: endpoint(first + 1)?,
        imap: endpoint(first + 2)?,
        pop3: endpoint(first + 3)?,
    })
}

pub(super) async fn node_id(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM node WHERE name = ?1").bind(name).fetch_optional(connection).await
}
