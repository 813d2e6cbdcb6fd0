//! `chasqui user import`: CSV lines `address,password,quota,node`.
//!
//! A line that cannot be taken is reported with its number and does not keep the others out. Lines go in by transactions of at most a
//! thousand, so an import that is interrupted leaves whole lines, and can simply be run again.

use std::collections::BTreeMap;
use std::io::Read;

use chasqui_base::address::EmailAddress;
use chasqui_base::secret::Secret;
use chasqui_base::units::ByteSize;
use csv::StringRecord;
use serde::Serialize;
use sqlx::Row;

use super::{AdminError, Database, NewUser};
use crate::password::{PasswordError, PasswordHashes, StoredHash};

/// Lines in a transaction.
const BATCH: usize = 1000;
/// Passwords hashed between two signs of progress: they take most of the time.
const HASHES: usize = 32;

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Users added.
    pub added: u64,
    /// Lines refused.
    pub refused: u64,
    /// Octets of the file that were read.
    pub octets: u64,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Users added.
    pub added: u64,
    /// The lines refused.
    pub refused: Vec<ImportFailure>,
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportFailure {
    /// Its number; the first is 1.
    pub line: u64,
    /// What is wrong with it, one sentence.
    pub reason: String,
}

impl Database {
    /// Adds the users of a CSV file. A first line that begins with `address` is a heading. The password may be given as an Argon2 hash
    /// (`$argon2id$…`), which cannot be proved by SCRAM; it may be empty, and so may quota (unlimited) and node (the one with the fewest accounts). Spaces around a
    /// field are left out, but those of a password belong to it.
    pub async fn import_users<R: Read + Send>(
        &self,
        input: R,
        mut progress: impl FnMut(ImportProgress) + Send,
    ) -> Result<ImportReport, AdminError> {
        let mut nodes = self.load_of_nodes().await?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
        let mut report = ImportReport::default();
        loop {
            let (batch, ended) = read_batch(&mut reader, &mut report)?;
            let octets = reader.position().byte();
            let batch = hash_batch(batch).await?;
            let mut transaction = self.begin().await?;
            for (line, row) in batch {
                let adding = match row {
                    Ok((user, hash)) => match nodes.choose(user.node.as_deref()) {
                        Ok(node) => {
                            match self.insert_user(&mut transaction, &user, hash.as_ref(), node).await {
                                Ok(()) => {
                                    nodes.took(node);
                                    Ok(())
                                }
                                Err(
                                    error @ (AdminError::Damaged { .. }
                                    | AdminError::Busy { .. }
                                    | AdminError::Open { .. }
                                    | AdminError::Failed { .. }),
                                ) => {
                                    return Err(error);
                                }
                                Err(error) => Err(error.to_string()),
                            }
                        }
                        Err(error) => Err(error.to_string()),
                    },
                    Err(reason) => Err(reason),
                };
                match adding {
                    Ok(()) => report.added += 1,
                    Err(reason) => report.refused.push(ImportFailure { line, reason }),
                }
            }
            transaction.commit().await.map_err(|error| self.failed(error))?;
            progress(ImportProgress { added: report.added, refused: report.refused.len() as u64, octets });
            if ended {
                report.refused.sort_by_key(|failure| failure.line);
                return Ok(report);
            }
        }
    }

    async fn load_of_nodes(&self) -> Result<NodeLoads, AdminError> {
        let counting = sqlx::query(
            "SELECT name, id, (SELECT count(*) FROM account WHERE account.node = node.id) FROM node",
        );
        let rows = counting.fetch_all(&self.pool).await.map_err(|error| self.failed(error))?;
        Ok(NodeLoads(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()))
    }
}

/// Each node's id and number of accounts, by name.
struct NodeLoads(BTreeMap<String, (i64, i64)>);

impl NodeLoads {
    fn choose(&self, name: Option<&str>) -> Result<i64, AdminError> {
        match name {
            Some(name) => {
                self.0.get(name).map(|(id, _)| *id).ok_or_else(|| AdminError::NoSuchNode(name.to_owned()))
            }
            None => {
                self.0.values().min_by_key(|(_, load)| *load).map(|(id, _)| *id).ok_or(AdminError::NoNodes)
            }
        }
    }

    fn took(&mut self, node: i64) {
        if let Some((_, load)) = self.0.values_mut().find(|(id, _)| *id == node) {
            *load += 1;
        }
    }
}

/// A line as read: its number, and the user or why there is none.
type Line = (u64, Result<NewUser, String>);

/// Reads lines up to the bounds of a batch; whether the file ended.
fn read_batch<R: Read>(
    reader: &mut csv::Reader<R>,
    report: &mut ImportReport,
) -> Result<(Vec<Line>, bool), AdminError> {
    let mut batch = Vec::new();
    let mut plain = 0;
    let mut record = StringRecord::new();
    while batch.len() < BATCH && plain < HASHES {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok((batch, true)),
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                let heading = line == 1
                    && record.get(0).is_some_and(|first| first.trim().eq_ignore_ascii_case("address"));
                if heading {
                    continue;
                }
                plain += usize::from(
                    record.get(1).is_some_and(|password| !password.is_empty() && !is_hash(password)),
                );
                batch.push((line, read_line(&record)));
            }
            Err(error) if error.is_io_error() => return Err(AdminError::Csv(error.to_string())),
            Err(_) => report.refused.push(ImportFailure { line, reason: "the line is not UTF-8".to_owned() }),
        }
    }
    Ok((batch, false))
}

fn is_hash(password: &str) -> bool {
    password.trim_start().starts_with("$argon2")
}

fn read_line(record: &StringRecord) -> Result<NewUser, String> {
    // A hash has two commas (`m=…,t=…,p=…`). Where nobody quoted it, it stands in three fields.
    let unquoted =
        record.get(1).is_some_and(is_hash) && record.get(2).is_some_and(|rest| rest.trim().starts_with("t="));
    let mut fields: Vec<&str> = record
        .iter()
        .enumerate()
        .map(|(number, field)| if number == 1 && !is_hash(field) { field } else { field.trim() })
        .collect();
    let hash = unquoted.then(|| fields.drain(1..fields.len().min(4)).collect::<Vec<_>>().join(","));
    if let Some(hash) = &hash {
        fields.insert(1, hash);
    }
    if fields.len() > 4 {
        return Err(format!("{} fields; expected address,password,quota,node", fields.len()));
    }
    let field = |number: usize| fields.get(number).copied().filter(|field| !field.is_empty());
    let address = field(0).ok_or("the address is missing")?;
    let address = EmailAddress::parse(address).map_err(|error| format!("\"{address}\": {error}"))?;
    let quota = match field(2).filter(|quota| *quota != "unlimited") {
        Some(quota) => Some(quota.parse::<ByteSize>().map_err(|error| error.to_string())?.as_u64()),
        None => None,
    };
    let mut user = NewUser::new(address, field(1).map(|password| Secret::new(password.to_owned())));
    user.quota = quota;
    user.node = field(3).map(str::to_owned);
    Ok(user)
}

type Hashed = (u64, Result<(NewUser, Option<PasswordHashes>), String>);

/// Hashes the passwords of a batch on as many threads as there are cores.
async fn hash_batch(batch: Vec<Line>) -> Result<Vec<Hashed>, AdminError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = batch.len().div_ceil(threads).max(1);
    let mut batch = batch.into_iter().peekable();
    let mut tasks = Vec::new();
    while batch.peek().is_some() {
        let part: Vec<Line> = batch.by_ref().take(share).collect();
        tasks.push(tokio::task::spawn_blocking(move || part.into_iter().map(hash_line).collect::<Vec<_>>()));
    }
    let mut hashed = Vec::new();
    for task in tasks {
        hashed.extend(task.await.map_err(|_| PasswordError::Failed)?);
    }
    Ok(hashed)
}

fn hash_line((line, row): Line) -> Hashed {
    let hash = |password: &Secret| -> Result<PasswordHashes, PasswordError> {
        let given = password.expose();
        if given.starts_with("$argon2") {
            StoredHash::parse(given).map(|hash| PasswordHashes { argon2: hash.to_phc(), scram: None })
        } else {
            PasswordHashes::of(password)
        }
    };
    let hashed = row.and_then(|user| match user.password.as_ref().map(hash).transpose() {
        Ok(hash) => Ok((user, hash)),
        Err(error) => Err(error.to_string()),
    });
    (line, hashed)
}
