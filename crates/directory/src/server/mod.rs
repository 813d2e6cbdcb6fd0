//! The directory role.
mod replay;
/// x
pub struct DirectoryService;
