//! The exchanger as a whole, over real sockets and folders, with an LMTP server of our own in place of storage nodes.
use chasqui_base::EmailAddress;
use chasqui_directory::LookUp;
use std::collections::HashMap;
pub(crate) struct Table(pub HashMap<EmailAddress, LookUp>);
impl Table {
    pub(crate) fn get(&self, a: &EmailAddress) -> Option<LookUp> {
        self.0.get(a).cloned()
    }
}
