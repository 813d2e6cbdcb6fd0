//! The mail that carries a report (RFC 8460 §5.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chasqui_base::EmailAddress;
use chrono::{DateTime, Utc};

/// A report on its way to whoever asked for it.
pub(super) struct Letter<'a> {
    pub(super) from: &'a EmailAddress,
    pub(super) to: &'a EmailAddress,
    pub(super) submitter: &'a str,
    pub(super) domain: &'a str,
    pub(super) report_id: &'a str,
    pub(super) file_name: &'a str,
    pub(super) now: DateTime<Utc>,
}

impl Letter<'_> {
    /// Its Message-ID without brackets.
    pub(super) fn message_id(&self) -> String {
        format!("{}.{}@{}", self.report_id, self.now.timestamp(), self.from.domain())
    }

    /// The whole message, lines ended by CR LF.
    pub(super) fn write(&self, packed: &[u8]) -> Vec<u8> {
        let Self { from, to, submitter, domain, report_id, file_name, now } = self;
        let date = now.format("%a, %d %b %Y %H:%M:%S +0000");
        let boundary =
            format!("=_{}", blake3::hash(report_id.as_bytes()).to_hex().get(..32).unwrap_or("tlsrpt"));
        let from = from.as_str();
        let to = to.as_str();
        let mut text = format!(
            "Date: {date}\r\nFrom: <{from}>\r\nTo: <{to}>\r\n\
             Subject: Report Domain: {domain} Submitter: {submitter} Report-ID: <{report_id}@{submitter}>\r\n\
             Message-ID: <{message_id}>\r\nTLS-Report-Domain: {domain}\r\n\
             TLS-Report-Submitter: {submitter}\r\nTLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
             This is an aggregate report on TLS towards {domain} (RFC 8460), from {submitter}.\r\n\r\n\
             --{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n\tfilename=\"{file_name}\"\r\n\r\n",
            message_id = self.message_id(),
        )
        .into_bytes();
        for line in STANDARD.encode(packed).as_bytes().chunks(76) {
            text.extend_from_slice(line);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        text
    }
}
