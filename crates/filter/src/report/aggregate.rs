//! A report as it is sent: XML (RFC 7489 appendix C), gzip, and a message around it (§7.2.1.1).

use super::store::Contents;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::DateTime;
use flate2::{Compression, write::GzEncoder};
use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

/// What a report is about, and who sends it.
pub(crate) struct Report<'a> {
    /// The domain whose policy it is.
    pub domain: &'a str,
    /// Seconds since 1970.
    pub begin: u64,
    /// The last second that it covers.
    pub end: u64,
    pub id: &'a str,
    pub hostname: &'a str,
    pub organization: &'a str,
    /// Where it comes from.
    pub from: &'a str,
    pub contact: Option<&'a str>,
    pub contents: &'a Contents,
}

impl Report<'_> {
    /// The XML, compressed as it is written.
    pub(crate) fn compressed(&self) -> io::Result<Vec<u8>> {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        let mut text = String::with_capacity(1024);
        self.head(&mut text);
        for (row, count) in &self.contents.rows {
            record(row, *count, &mut text);
            out.write_all(text.as_bytes())?;
            text.clear();
        }
        text.push_str("</feedback>\n");
        out.write_all(text.as_bytes())?;
        out.finish()
    }

    fn head(&self, text: &mut String) {
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n<version>1.0</version>\n<report_metadata>\n");
        element(text, "org_name", self.organization);
        element(text, "email", self.from);
        if let Some(contact) = self.contact {
            element(text, "extra_contact_info", contact);
        }
        element(text, "report_id", self.id);
        let (begin, end) = (self.begin, self.end);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "<date_range><begin>{begin}</begin><end>{end}</end></date_range>");
        if self.contents.omitted > 0 {
            element(
                text,
                "error",
                &format!("{} messages are not in this report: too many rows", self.contents.omitted),
            );
        }
        text.push_str("</report_metadata>\n<policy_published>\n");
        let policy = &self.contents.policy;
        let alignment = |strict| if strict { "s" } else { "r" };
        element(text, "domain", self.domain);
        element(text, "adkim", alignment(policy.strict_dkim));
        element(text, "aspf", alignment(policy.strict_spf));
        element(text, "p", &policy.p);
        element(text, "sp", policy.sp.as_deref().unwrap_or(&policy.p));
        element(text, "pct", &policy.pct.to_string());
        if let Some(options) = &policy.fo {
            element(text, "fo", options);
        }
        text.push_str("</policy_published>\n");
    }

    /// The whole message. `to` are mailboxes.
    pub(crate) fn message(&self, to: &[String], compressed: &[u8], now: u64) -> Vec<u8> {
        let Self { domain, begin, end, id, hostname, from, .. } = *self;
        let date =
            i64::try_from(now).ok().and_then(|now| DateTime::from_timestamp(now, 0)).unwrap_or_default();
        let date = date.format("%a, %d %b %Y %H:%M:%S +0000");
        let boundary = format!("report-{id}");
        let to = to.iter().map(|to| format!("<{to}>")).collect::<Vec<_>>().join(",\r\n\t");
        // §7.2.1.1.
        let name = format!("{hostname}!{domain}!{begin}!{end}!{id}.xml.gz");
        let mut text = format!(
            "From: <{from}>\r\nTo: {to}\r\nDate: {date}\r\nMessage-ID: <{id}@{hostname}>\r\n\
             Subject: Report Domain: {domain}\r\n\tSubmitter: {hostname}\r\n\tReport-ID: <{id}@{hostname}>\r\n\
             MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n\
             Content-Type: multipart/mixed;\r\n\tboundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             This is a DMARC aggregate report for {domain}\r\nfrom {hostname}.\r\n\r\n\
             --{boundary}\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n\tfilename=\"{name}\"\r\n\r\n"
        );
        text.reserve(compressed.len() * 3 / 2);
        // 57 octets are a line of 76 characters.
        for line in compressed.chunks(57) {
            STANDARD.encode_string(line, &mut text);
            text.push_str("\r\n");
        }
        let _ = write!(text, "--{boundary}--\r\n");
        text.into_bytes()
    }
}

fn record(row: &super::observation::Row, count: u64, text: &mut String) {
    let passed = |pass| if pass { "pass" } else { "fail" };
    text.push_str("<record>\n<row>\n");
    element(text, "source_ip", &row.ip.to_string());
    element(text, "count", &count.to_string());
    text.push_str("<policy_evaluated>\n");
    element(text, "disposition", &row.disposition);
    element(text, "dkim", passed(row.dkim_aligned));
    element(text, "spf", passed(row.spf_aligned));
    if let Some((kind, comment)) = &row.reason {
        text.push_str("<reason>\n");
        element(text, "type", kind);
        if !comment.is_empty() {
            element(text, "comment", comment);
        }
        text.push_str("</reason>\n");
    }
    text.push_str("</policy_evaluated>\n</row>\n<identifiers>\n");
    if !row.envelope_from.is_empty() {
        element(text, "envelope_from", &row.envelope_from);
    }
    element(text, "header_from", &row.header_from);
    text.push_str("</identifiers>\n<auth_results>\n");
    for (domain, selector, result) in &row.dkim {
        text.push_str("<dkim>\n");
        element(text, "domain", domain);
        element(text, "selector", selector);
        element(text, "result", result);
        text.push_str("</dkim>\n");
    }
    let (domain, scope, result) = &row.spf;
    text.push_str("<spf>\n");
    element(text, "domain", domain);
    element(text, "scope", scope);
    element(text, "result", result);
    text.push_str("</spf>\n</auth_results>\n</record>\n");
}

/// `value` is a stranger's.
fn element(text: &mut String, name: &str, value: &str) {
    let _ = write!(text, "<{name}>");
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            // XML 1.0 §2.2 has no way to write them.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => text.push('?'),
            c => text.push(c),
        }
    }
    let _ = writeln!(text, "</{name}>");
}
