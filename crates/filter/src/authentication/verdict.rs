//! What was found out about a message.

use super::dmarc;
use chasqui_smtp::Reply;
use std::{fmt, sync::Arc};

macro_rules! results {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The word of RFC 8601 §2.7.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

results! {
    /// The result of an SPF check (RFC 7208 §2.6).
    SpfResult {
        /// No record, or no domain to ask for.
        None = "none",
        /// The domain says nothing of this client.
        Neutral = "neutral",
        /// The client may use the domain.
        Pass = "pass",
        /// The client may not use the domain.
        Fail = "fail",
        /// The client probably may not.
        SoftFail = "softfail",
        /// DNS could not say.
        TempError = "temperror",
        /// The record cannot be used.
        PermError = "permerror",
    }
}

results! {
    /// The result for one DKIM signature (RFC 8601 §2.7.1).
    DkimResult {
        /// The signature holds.
        Pass = "pass",
        /// The message or its signature was changed, or the signature has expired.
        Fail = "fail",
        /// The signature is of a kind that is not accepted here (RFC 8301).
        Policy = "policy",
        /// The signature or its key could not be read, or the key is one that a domain only tests.
        Neutral = "neutral",
        /// DNS could not say.
        TempError = "temperror",
        /// There is no key, or something required is missing.
        PermError = "permerror",
    }
}

results! {
    /// The result of DMARC (RFC 7489 §11.2).
    DmarcResult {
        /// The author's domain publishes no policy.
        None = "none",
        /// SPF or DKIM vouches for the author's domain.
        Pass = "pass",
        /// Neither does.
        Fail = "fail",
        /// DNS could not say.
        TempError = "temperror",
        /// The message names no author that could be checked.
        PermError = "permerror",
    }
}

results! {
    /// The state of an ARC chain (RFC 8617 §4.4).
    ArcResult {
        /// There is none.
        None = "none",
        /// Every seal and the newest signature hold.
        Pass = "pass",
        /// The chain is broken.
        Fail = "fail",
        /// DNS could not say.
        TempError = "temperror",
    }
}

/// One identity's SPF check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpfCheck {
    /// The result.
    pub result: SpfResult,
    /// The domain that was checked, in lower case.
    pub domain: String,
    /// The domain's own words on a `fail` (RFC 7208 §6.2): printable ASCII, at most 400 octets, chosen by a stranger.
    pub explanation: Option<String>,
    /// Why an error is one.
    pub reason: Option<&'static str>,
}

/// What SPF says of a client (RFC 7208).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpfVerdict {
    /// The name in HELO or EHLO.
    pub hello: SpfCheck,
    /// The reverse path's domain; not checked when the path is null.
    pub mail_from: Option<SpfCheck>,
}

impl SpfVerdict {
    /// What DMARC looks at (RFC 7489 §3.1.2): the reverse path's check, the HELO name's when the path is null.
    #[must_use]
    pub fn identity(&self) -> &SpfCheck {
        self.mail_from.as_ref().unwrap_or(&self.hello)
    }

    /// The check that decides (RFC 7208 §2.4): a HELO name that fails, else the reverse path.
    #[must_use]
    pub fn decisive(&self) -> &SpfCheck {
        if self.hello.result == SpfResult::Fail { &self.hello } else { self.identity() }
    }

    /// The result that decides.
    #[must_use]
    pub fn result(&self) -> SpfResult {
        self.decisive().result
    }
}

/// What one DKIM signature says (RFC 6376).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimVerdict {
    /// The result.
    pub result: DkimResult,
    /// `d=`, in lower case; empty when it could not be read.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// `a=`, as far as it is known here; else empty.
    pub algorithm: &'static str,
    /// The first eight characters of `b=`, which tell signatures apart (RFC 6008 §3).
    pub signature: String,
    /// Why it is no pass.
    pub reason: Option<&'static str>,
}

/// What DMARC says of a message (RFC 7489).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcVerdict {
    /// The result.
    pub result: DmarcResult,
    /// The domain of the author that decided, with A-labels; empty when there is none.
    pub author: String,
    /// The domain whose record was used; empty without a record.
    pub policy_domain: String,
    /// The record.
    pub record: Option<Arc<dmarc::Record>>,
    /// What the record asks for, the sub-domain's policy where it applies, before `pct`.
    pub published: Option<dmarc::Disposition>,
    /// What is asked for this message: `published` after `pct` (§6.6.4). `None` unless the result is a failure.
    pub requested: Option<dmarc::Disposition>,
    /// Whether this message was left out by `pct`.
    pub sampled_out: bool,
    /// A reverse path or HELO name that passed SPF is aligned with the author's domain.
    pub spf_aligned: bool,
    /// The domain of a signature that passed DKIM is.
    pub dkim_aligned: bool,
    /// SPF or DKIM of something aligned could not be checked now, and nothing aligned passed.
    pub uncertain: bool,
    /// Why an error is one.
    pub reason: Option<&'static str>,
}

/// What the ARC chain says (RFC 8617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcVerdict {
    /// The state of the chain.
    pub result: ArcResult,
    /// The sealers, oldest first; only in a chain that passes.
    pub sealers: Vec<String>,
    /// A sealer that is trusted here, with only trusted ones after it, says that DMARC passed for the author's domain.
    pub vouched: bool,
    /// The same stands in a chain that DNS could not confirm.
    pub would_vouch: bool,
    /// Why it is no pass.
    pub reason: Option<&'static str>,
}

/// What is known of one author's domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorVerdict {
    /// DMARC.
    pub dmarc: DmarcVerdict,
    /// See [`ArcVerdict::vouched`].
    pub vouched: bool,
    /// See [`ArcVerdict::would_vouch`].
    pub would_vouch: bool,
}

/// Everything that was found out about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// SPF of the client.
    pub spf: SpfVerdict,
    /// One entry for each signature that was checked, in the order of the header.
    pub dkim: Vec<DkimVerdict>,
    /// Each domain that `From` names, in its order: what follows is the worst that follows for one of them. One without a
    /// domain where `From` cannot be read; empty where nothing of the message was.
    pub authors: Vec<AuthorVerdict>,
    /// DMARC of the author that `results` and reports tell of: of several, the one that fails with the strictest policy.
    pub dmarc: DmarcVerdict,
    /// The ARC chain, and what it says of that author.
    pub arc: ArcVerdict,
    /// What follows with the policy for all receiving domains; [`super::Authenticator::action`] says what follows for single ones.
    pub action: Action,
    /// The whole `Authentication-Results` field with its CR LF.
    pub results: String,
    /// Octets of the header exceed the limit; nothing of it was read.
    pub header_too_long: bool,
    /// The file of the message could not be read.
    pub unread: bool,
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing stands against it.
    Accept,
    /// It is delivered with a mark in its header.
    Mark,
    /// It goes into Junk.
    Quarantine,
    /// It is refused with this reply.
    Reject(Reply),
    /// It is put off with this reply.
    Defer(Reply),
}
