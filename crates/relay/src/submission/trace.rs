//! The `Received` line of a message that a user hands in (RFC 5321 §4.4).
//!
//! Every recipient reads it. So it says where and how the message came to us, and of the user nothing more than the site wants: by default
//! neither the address that they connected from nor the account.

use chasqui_base::{DeliveryId, EmailAddress};
use chrono::{DateTime, Utc};
use std::{fmt::Write as _, net::IpAddr};

/// What the line tells.
pub(crate) struct UserTrace<'a> {
    /// What the client called itself and where it connected from, if that is told.
    pub client: Option<(&'a str, IpAddr)>,
    /// Who it is, if that is told.
    pub account: Option<&'a EmailAddress>,
    /// Our name.
    pub hostname: &'a str,
    /// The transaction has SMTPUTF8.
    pub smtputf8: bool,
    /// Version and cipher suite.
    pub tls: Option<&'a (String, String)>,
    /// Under which the message is known here.
    pub id: DeliveryId,
    /// Now.
    pub at: DateTime<Utc>,
}

impl UserTrace<'_> {
    /// The whole field with its CR LF. What the client called itself has passed the grammar of the smtp crate, and an address cannot hold
    /// a control character, so neither can break out of the line.
    pub(crate) fn line(&self) -> String {
        let mut line = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = match self.client.map(|(hello, address)| (hello, address.to_canonical())) {
            Some((hello, IpAddr::V4(address))) => write!(line, "Received: from {hello} ([{address}])\r\n\t"),
            Some((hello, IpAddr::V6(address))) => {
                write!(line, "Received: from {hello} ([IPv6:{address}])\r\n\t")
            }
            None => write!(line, "Received: "),
        };
        // RFC 3848, RFC 6531 §4.3.
        let protocol = if self.smtputf8 { "UTF8SMTPSA" } else { "ESMTPSA" };
        let _ = write!(line, "by {} with {protocol}", self.hostname);
        if let Some((version, suite)) = self.tls {
            let _ = write!(line, " ({version} {suite})");
        }
        if let Some(account) = self.account.filter(|account| self.smtputf8 || account.as_str().is_ascii()) {
            // A parenthesis or a backslash of a quoted local part would be one of the comment's.
            let plain: String = account.as_str().chars().filter(|c| !"()\\".contains(*c)).collect();
            let _ = write!(line, "\r\n\t(account {plain})");
        }
        let _ = write!(line, " id {};\r\n\t{}\r\n", self.id, self.at.format("%a, %d %b %Y %H:%M:%S +0000"));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_only_where_the_site_wants_it() {
        let tls = ("TLSv1_3".to_owned(), "TLS13_AES_256_GCM_SHA384".to_owned());
        let account: EmailAddress = "\"a)b\"@example.org".parse().unwrap();
        let trace = UserTrace {
            client: None,
            account: None,
            hostname: "relay.example.org",
            smtputf8: false,
            tls: Some(&tls),
            id: DeliveryId::from_bytes([0; 16]),
            at: DateTime::from_timestamp(1_000_000_000, 0).unwrap(),
        };
        assert_eq!(
            trace.line(),
            "Received: by relay.example.org with ESMTPSA (TLSv1_3 TLS13_AES_256_GCM_SHA384) \
             id 00000000000000000000000000;\r\n\tSun, 09 Sep 2001 01:46:40 +0000\r\n"
        );
        let told = UserTrace {
            client: Some(("portatil.example", "::ffff:192.0.2.1".parse().unwrap())),
            account: Some(&account),
            smtputf8: true,
            ..trace
        };
        let line = told.line();
        assert!(line.starts_with("Received: from portatil.example ([192.0.2.1])\r\n\tby relay"), "{line}");
        assert!(
            line.contains("with UTF8SMTPSA (TLS") && line.contains("(account \"ab\"@example.org) id"),
            "{line}"
        );
    }
}
