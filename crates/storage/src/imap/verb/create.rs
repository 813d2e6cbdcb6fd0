//! CREATE (RFC 3501 §6.3.3), with a special use (RFC 6154 §3).

use chasqui_imap::{Code, MailboxName, Reply, SpecialUse as Wire};
use chasqui_mailstore::SpecialUse;

use super::super::defaults;
use super::super::refusal::{Outcome, folder};
use super::super::session::Session;
use super::done;

pub(super) async fn run(session: &mut Session, name: &MailboxName, special_use: &[Wire]) -> Outcome {
    let folder = folder(name)?;
    let special_use = match special_use {
        [] => None,
        [one] => SpecialUse::parse(one.as_str()),
        // RFC 6154 §3: a use that cannot be given is refused.
        _ => return Err(Reply::no("A mailbox has one special use").with(Code::UseAttr).into()),
    };
    // After this the account is no longer new, so the default folders must be there before.
    defaults::ensure(session.account()).await?;
    session.account().create(&folder, special_use).await?;
    done("CREATE")
}
