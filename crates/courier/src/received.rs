//! The `Received` line (RFC 5321 §4.4), and loops told by the number of them (§6.3).

use chasqui_base::DeliveryId;
use chrono::{DateTime, Utc};
use std::{fmt::Write as _, net::IpAddr};

/// What a `Received` line tells.
pub struct Trace<'a> {
    /// What the client called itself.
    pub hello: &'a str,
    /// Where it connected from.
    pub address: IpAddr,
    /// Our name.
    pub hostname: &'a str,
    /// It said EHLO.
    pub extended: bool,
    /// The transaction has SMTPUTF8.
    pub smtputf8: bool,
    /// Version and cipher suite.
    pub tls: Option<&'a (String, String)>,
    /// Under which the message is known here.
    pub id: DeliveryId,
    /// The only recipient, as the client wrote it. With several, naming one would tell it of the others (§4.4).
    pub only_recipient: Option<&'a str>,
    /// Now.
    pub at: DateTime<Utc>,
}

impl Trace<'_> {
    /// The whole header field with its CR LF. `hello` and `only_recipient` have passed the grammar of the smtp crate, so
    /// neither can break out of the line.
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(384);
        // Writing to a String cannot fail.
        let _ = match self.address.to_canonical() {
            IpAddr::V4(address) => write!(line, "Received: from {} ([{address}])\r\n", self.hello),
            IpAddr::V6(address) => write!(line, "Received: from {} ([IPv6:{address}])\r\n", self.hello),
        };
        let _ = write!(line, "\tby {} with {}", self.hostname, self.protocol());
        if let Some((version, suite)) = self.tls {
            let _ = write!(line, " ({version} {suite})");
        }
        let _ = write!(line, " id {}", self.id);
        if let Some(recipient) = self.only_recipient {
            let _ = write!(line, "\r\n\tfor <{recipient}>");
        }
        let _ = write!(line, ";\r\n\t{}\r\n", self.at.format("%a, %d %b %Y %H:%M:%S +0000"));
        line
    }

    /// RFC 3848, RFC 6531 §4.3.
    const fn protocol(&self) -> &'static str {
        match (self.smtputf8, self.extended, self.tls.is_some()) {
            (true, _, false) => "UTF8SMTP",
            (true, _, true) => "UTF8SMTPS",
            (false, true, false) => "ESMTP",
            (false, true, true) => "ESMTPS",
            (false, false, _) => "SMTP",
        }
    }
}

/// The number of `Received` fields in the header at the front of `text`.
pub fn count(text: &[u8]) -> usize {
    const NAME: &[u8] = b"received:";
    let mut found = 0;
    let mut rest = text;
    loop {
        if rest.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            found += 1;
        }
        match memchr::memchr(b'\n', rest) {
            // An empty line ends the header.
            Some(end) if end > 1 || rest[0] != b'\r' => rest = &rest[end + 1..],
            _ => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace<'static> {
        Trace {
            hello: "client.example",
            address: IpAddr::from([192, 0, 2, 1]),
            hostname: "mx.test",
            extended: true,
            smtputf8: false,
            tls: None,
            id: DeliveryId::from_bytes([0; 16]),
            only_recipient: None,
            at: DateTime::from_timestamp(1_000_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn the_line_says_who_how_and_when() {
        assert_eq!(
            trace().line(),
            "Received: from client.example ([192.0.2.1])\r\n\tby mx.test with ESMTP id 00000000000000000000000000;\r\n\tSun, 09 Sep 2001 01:46:40 +0000\r\n"
        );
    }

    #[test]
    fn a_single_recipient_is_named_and_tls_shows() {
        let tls = ("TLSv1_3".to_owned(), "TLS13_AES_256_GCM_SHA384".to_owned());
        let line = Trace {
            only_recipient: Some("Ana@ejemplo.test"),
            smtputf8: true,
            tls: Some(&tls),
            address: "::ffff:192.0.2.1".parse().unwrap(),
            ..trace()
        }
        .line();
        assert!(line.contains("for <Ana@ejemplo.test>;") && line.contains("([192.0.2.1])"), "{line}");
        assert!(line.contains("with UTF8SMTPS (TLSv1_3 TLS13_AES_256_GCM_SHA384) id"), "{line}");
    }

    proptest::proptest! {
        #[test]
        fn counting_survives_any_text(parts in proptest::collection::vec(
            proptest::sample::select(vec!["Received:", "received", "\r\n", "\n", "\r", ":", "x", "\0", "\t"]), 0..40,
        )) {
            let text = parts.concat();
            let most = text.to_ascii_lowercase().matches("received:").count();
            proptest::prop_assert!(count(text.as_bytes()) <= most);
        }
    }

    #[test]
    fn only_received_fields_of_the_header_count() {
        let text =
            b"Received: a\r\n\tReceived: folded\r\nX-Received: b\r\nRECEIVED:c\r\n\r\nReceived: body\r\n";
        assert_eq!(count(text), 2);
        for text in [&b""[..], b"\r\n", b"Received", b"\n", b"x"] {
            assert_eq!(count(text), 0);
        }
    }
}
