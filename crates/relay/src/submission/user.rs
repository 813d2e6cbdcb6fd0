//! What a user may say: from which address, to whom, how much.

use super::{
    Shared,
    header::{self, Completed, Facts},
    now,
    rates::{Over, What},
    transaction::Charge,
};
use chasqui_base::EmailAddress;
use chasqui_directory::{AccountState, LookUp, Target};
use chasqui_smtp::{Recipient, Reply, ReversePath};
use chrono::DateTime;
use std::sync::Arc;

const NO_DIRECTORY: Reply = Reply::fixed(451, (4, 4, 3), "No directory server answers, try again soon");
const BAD_DOMAIN: Reply = Reply::fixed(550, (5, 1, 2), "The recipient's domain is not a full domain name");
const UNKNOWN: Reply = Reply::fixed(550, (5, 1, 1), "No such user here");
const CLOSED: Reply = Reply::fixed(550, (5, 2, 1), "The mailbox is closed");

/// An authenticated user in a session.
pub(crate) struct User<'a> {
    pub shared: &'a Shared,
    pub account: &'a EmailAddress,
}

impl User<'_> {
    /// MAIL: the address must be theirs. Counts one message.
    pub(crate) async fn mail(&self, reverse_path: &ReversePath) -> Result<Charge, Reply> {
        if let ReversePath::Address(mailbox) = reverse_path {
            match EmailAddress::parse(mailbox.as_str()) {
                Ok(sender) => self.may_send_as(&sender).await?,
                Err(_) => return Err(self.not_theirs(mailbox.as_str())),
            }
        }
        self.charge(What::Messages)?;
        let book = Arc::clone(&self.shared.book);
        Ok(Charge { book, account: self.account.clone(), recipients: 0, kept: false })
    }

    /// RCPT: counts one recipient, and gives the address that is queued; or the reply, and its name in the metrics.
    pub(crate) async fn recipient(
        &self,
        recipient: &Recipient,
        charge: &mut Charge,
    ) -> Result<String, (Reply, &'static str)> {
        let text = match recipient {
            // RFC 5321 §4.5.1: of the user's own domain.
            Recipient::Postmaster => format!("postmaster@{}", self.account.domain()),
            Recipient::Mailbox(mailbox) => mailbox.as_str().to_owned(),
        };
        let address = EmailAddress::parse(&text).map_err(|_| (BAD_DOMAIN, "bad_domain"))?;
        match self.shared.users.look_up(&address).await {
            Err(_) => return Err((NO_DIRECTORY, "no_directory")),
            Ok(LookUp::Unknown) => return Err((UNKNOWN, "unknown")),
            Ok(LookUp::Found(targets)) => {
                let closed = |target: &Target| matches!(target, Target::Account(record) if record.state == AccountState::Closed);
                if targets.iter().all(closed) {
                    return Err((CLOSED, "closed"));
                }
            }
            Ok(LookUp::NotOurs) if !is_full(address.domain()) => return Err((BAD_DOMAIN, "bad_domain")),
            Ok(LookUp::NotOurs) => {}
        }
        self.charge(What::Recipients).map_err(|reply| (reply, "limited"))?;
        charge.recipients = charge.recipients.saturating_add(1);
        Ok(text)
    }

    /// The header: who it is from must be them. Completed.
    pub(crate) async fn header(
        &self,
        header: &[u8],
        facts: &Facts<'_>,
        check: bool,
    ) -> Result<Completed, Reply> {
        let completed = header::complete(header, facts)?;
        if check {
            for sender in &completed.senders {
                self.may_send_as(sender).await?;
            }
        }
        Ok(completed)
    }

    async fn may_send_as(&self, sender: &EmailAddress) -> Result<(), Reply> {
        // A tagged address is no exception: somebody else's account may be called so.
        if sender == self.account {
            return Ok(());
        }
        match self.shared.users.may_send_as(self.account, sender).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.not_theirs(sender.as_str())),
            Err(_) => Err(NO_DIRECTORY),
        }
    }

    fn not_theirs(&self, sender: &str) -> Reply {
        tracing::info!(account = %self.account, sender, "sender address refused");
        Reply::new(550, (5, 7, 1), format!("{} may not send mail as {sender}", self.account))
    }

    fn charge(&self, what: What) -> Result<(), Reply> {
        self.shared.book.charge(self.account, what, now()).map_err(|over| self.limited(&over))
    }

    fn limited(&self, over: &Over) -> Reply {
        self.shared.metrics.limited(over);
        let (scope, what) = (over.scope.name(), over.what.name());
        if over.news {
            tracing::warn!(account = %self.account, scope, what, limit = over.most, window = over.window, "sending limit reached");
        }
        let who = match over.scope {
            super::rates::Scope::User => self.account.to_string(),
            super::rates::Scope::Domain => format!("The users of {}", self.account.domain()),
        };
        let Some(again) = over.again else {
            return Reply::new(550, (5, 7, 1), format!("{who} may not send mail"));
        };
        let again =
            i64::try_from(again).ok().and_then(|at| DateTime::from_timestamp(at, 0)).unwrap_or_default();
        Reply::new(
            450,
            (4, 7, 1),
            format!(
                "{who} may send {} {what} in one {}: try again after {}",
                over.most,
                over.window,
                again.format("%Y-%m-%d %H:%M:%S UTC")
            ),
        )
    }
}

/// A name with a dot, which DNS could tell something of, or an address literal.
fn is_full(domain: &str) -> bool {
    domain.starts_with('[') || domain.contains('.')
}
