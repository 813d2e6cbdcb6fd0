//! What a worker does to an account, one verb a file. Each is all or nothing where it says so, and on disk when it returns.

mod append;
mod copy;
mod create;
mod delete;
mod expunge;
mod folders;
mod rename;
mod settle;
mod store_flags;

pub(crate) use append::Appending;
