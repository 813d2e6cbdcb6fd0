//! What a recipient's fate is when a message cannot be handed over: one table for all that is not said by the other end.
//!
//! | what | reply | fate |
//! | --- | --- | --- |
//! | the domain can be none, or does not exist (NXDOMAIN) | 550 5.1.2 | failed |
//! | it has neither MX records nor addresses | 550 5.1.2 | failed |
//! | null MX (RFC 7505) | 556 5.1.10 | failed |
//! | none of its mail hosts has an address | 550 5.4.4 | failed |
//! | its mail hosts have private addresses only | 550 5.4.4 | failed |
//! | we are its best mail host (RFC 5321 §5.1) | 554 5.4.6 | failed |
//! | DNS does not answer, in time or at all; aliases in a circle | 451 4.4.3 | deferred |
//! | DNSSEC proves the answer wrong | 451 4.7.5 | deferred |
//! | no connection | 451 4.4.1 | deferred |
//! | the connection ends, or the other end is too slow | 451 4.4.2 | deferred |
//! | not SMTP | 451 4.5.0 | deferred |
//! | the directory of our own addresses does not answer | 451 4.4.3 | deferred |
//! | too big for the host (SIZE) | 552 5.3.4 | failed |
//! | an address or header needs SMTPUTF8 | 553 5.6.7 | failed |
//! | the text is binary and the host takes none | 554 5.6.3 | failed |

use crate::{
    fate::{Fate, Trouble, Whose},
    message::Destination,
};
use chasqui_dns::DnsError;
use chasqui_smtp::Reply;
use std::borrow::Cow;

/// Null MX (RFC 7505 §4.2).
pub(super) const NO_MAIL: Reply = Reply::fixed(556, (5, 1, 10), "The domain takes no mail (null MX)");
/// A domain with neither MX records nor addresses.
pub(super) const NO_HOSTS: Reply =
    Reply::fixed(550, (5, 1, 2), "The domain takes no mail: it has neither MX records nor addresses");
/// No mail host has an address.
pub(super) const NO_ADDRESSES: Reply =
    Reply::fixed(550, (5, 4, 4), "None of the domain's mail hosts has an address");
/// Only addresses that nothing may be sent to.
pub(super) const PRIVATE: Reply =
    Reply::fixed(550, (5, 4, 4), "The domain's mail hosts have no address in the internet");
/// We are the best mail host of a domain that is not ours.
pub(super) const LOOP: Reply =
    Reply::fixed(554, (5, 4, 6), "Mail for the domain would come back here: its MX records name this site");
/// The source addresses of the pool are of another family than the host's.
pub(super) const NO_FAMILY: Reply =
    Reply::fixed(451, (4, 4, 1), "No source address reaches any address of the host");
/// The directory is away.
pub(super) const NO_DIRECTORY: Reply =
    Reply::fixed(451, (4, 4, 3), "No directory server says whether the domain is ours");
/// RFC 6531 §3.5.
pub(super) const NEEDS_SMTPUTF8: Reply =
    Reply::fixed(553, (5, 6, 7), "The message needs SMTPUTF8, which the host does not offer");
/// RFC 3030 §3.
pub(super) const NEEDS_BINARY: Reply =
    Reply::fixed(554, (5, 6, 3), "The message is binary, which the host does not take");
/// RFC 1870 §6.1.
pub(super) const TOO_BIG: Reply = Reply::fixed(552, (5, 3, 4), "The message is bigger than the host takes");
/// The whole attempt takes too long.
pub(super) const TOO_SLOW: Reply =
    Reply::fixed(451, (4, 4, 7), "The attempt took too long, and was given up before the message was sent");
/// The end of a connection after the message: whether it was taken is not known.
pub(super) const UNCERTAIN: Reply =
    Reply::fixed(451, (4, 4, 2), "The host did not say whether it took the message");

/// What DNS said of a domain or host.
pub(super) fn of_dns(error: &DnsError, name: &str) -> Reply {
    match error {
        DnsError::NoSuchName { .. } => {
            Reply::new(550, (5, 1, 2), format!("The domain {name} does not exist"))
        }
        DnsError::NoData { .. } => NO_HOSTS,
        DnsError::BadName => Reply::new(550, (5, 1, 2), format!("{name} can be no domain")),
        DnsError::Bogus => Reply::new(
            451,
            (4, 7, 5),
            format!("What DNS says of {name} is wrong by its own signatures (DNSSEC)"),
        ),
        DnsError::Timeout => Reply::new(451, (4, 4, 3), format!("DNS does not answer in time for {name}")),
        DnsError::CnameLoop => Reply::new(451, (4, 4, 3), format!("The aliases of {name} lead in a circle")),
        DnsError::Temporary(_) => Reply::new(451, (4, 4, 3), format!("DNS does not answer for {name}")),
    }
}

/// No connection could be made.
pub(super) fn unreachable(why: &std::io::Error) -> Reply {
    let why: Cow<'static, str> = match why.kind() {
        std::io::ErrorKind::TimedOut => "no answer".into(),
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        _ => why.to_string().into(),
    };
    Reply::new(451, (4, 4, 1), format!("Cannot connect: {why}"))
}

/// A trouble of the whole destination.
pub(super) const fn of_destination(remote: Option<String>, reply: Reply) -> Trouble {
    Trouble { remote, reply, whose: Whose::Destination }
}

/// A trouble of one recipient or message.
pub(super) const fn of_message(remote: Option<String>, reply: Reply) -> Trouble {
    Trouble { remote, reply, whose: Whose::Message }
}

/// The domain of an address can be none.
pub(super) fn nowhere(destination: &Destination) -> Trouble {
    of_message(None, Reply::new(550, (5, 1, 2), format!("{destination} can be no domain")))
}

/// The fate that a trouble makes: its reply says whether for ever.
pub(super) const fn fate(trouble: Trouble) -> Fate {
    if trouble.reply.is_permanent() { Fate::Failed(trouble) } else { Fate::Deferred(trouble) }
}
