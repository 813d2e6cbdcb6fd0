//! One domain's report of one day: made, and handed to who the domain names.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use chasqui_base::EmailAddress;
use chasqui_dns::Resolver;
use chrono::{DateTime, Utc};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, header};

use super::super::config::ReportConfig;
use super::super::web::Web;
use super::DAY;
use super::count::Day;
use super::document::{DateRange, Report};
use super::mail::Letter;
use super::rua::{self, Rua};

/// Octets of what a report's receiver answers that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// A report as mail, to be queued. About it no notice is sent, and it goes out even where the domain's policy forbids it (RFC 8460
/// §5.3): its header says `TLS-Required: No` (RFC 8689 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportMail {
    /// The reverse-path, and who it is from.
    pub from: EmailAddress,
    /// The recipient.
    pub to: EmailAddress,
    /// The message; it is still to be signed.
    pub message: Vec<u8>,
    /// Its Message-ID without brackets.
    pub message_id: String,
}

/// Takes reports as mail. Implemented by the queue.
pub trait ReportMailer: Send + Sync + 'static {
    /// Queues one durably.
    ///
    /// # Errors
    /// Why it is not queued, for the log. It is handed in again later.
    fn hand_in(&self, mail: ReportMail) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// What became of a domain's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Somebody has it.
    Yes,
    /// The domain wants none, or cannot be served.
    Unwanted,
    /// Nobody could be asked, or took it, for now.
    Later,
}

impl Sent {
    /// Whether nothing is left to do.
    pub(super) fn is_settled(self) -> bool {
        self != Self::Later
    }
}

/// Makes and sends reports.
pub(in super::super) struct Sender {
    organization: String,
    contact: Option<EmailAddress>,
    hostname: String,
    resolver: Resolver,
    web: Web,
    mailer: Arc<dyn ReportMailer>,
}

impl Sender {
    pub(in super::super) fn new(
        config: &ReportConfig,
        hostname: &str,
        resolver: Resolver,
        web: Web,
        mailer: Arc<dyn ReportMailer>,
    ) -> Self {
        Self {
            organization: config.organization.clone().unwrap_or_else(|| hostname.to_owned()),
            contact: config.contact.clone(),
            hostname: hostname.to_owned(),
            resolver,
            web,
            mailer,
        }
    }

    /// A number below `bound` that is this site's own.
    pub(super) fn spread(&self, bound: u64) -> u64 {
        let digest = blake3::hash(self.hostname.as_bytes());
        let number = digest.as_bytes().iter().take(8).fold(0u64, |sum, octet| sum << 8 | u64::from(*octet));
        number % bound
    }

    /// Sends a domain's report to the first of its places that takes it (RFC 8460 §3).
    pub(super) async fn send(&self, day: &Day, domain: &str) -> Sent {
        let Some(contact) = &self.contact else { return Sent::Unwanted };
        let places = match self.resolver.txt(&format!("_smtp._tls.{domain}")).await {
            Ok(answer) => rua::parse(&answer.records),
            Err(error) if error.is_temporary() => return Sent::Later,
            Err(_) => return Sent::Unwanted,
        };
        if places.is_empty() {
            return Sent::Unwanted;
        }
        let report = self.report(day, domain, contact);
        let Ok(packed) = report.pack() else { return Sent::Unwanted };
        let mut sent = Sent::Unwanted;
        for place in places {
            let handed_in = match &place {
                Rua::Mail(to) => {
                    self.mailer.hand_in(self.mail(day, domain, &report, contact, to, &packed)).await
                }
                Rua::Https { host, port, path } => self.post(host, *port, path, packed.clone()).await,
            };
            match handed_in {
                Ok(()) => {
                    tracing::info!(domain, report = report.report_id, "TLS report sent");
                    return Sent::Yes;
                }
                Err(reason) => {
                    tracing::info!(domain, report = report.report_id, reason, "a TLS report cannot be sent");
                    sent = Sent::Later;
                }
            }
        }
        sent
    }

    fn report(&self, day: &Day, domain: &str, contact: &EmailAddress) -> Report {
        let time = |seconds: u64| {
            let at =
                i64::try_from(seconds).ok().and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
            at.unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ").to_string()
        };
        let start = day.day.saturating_mul(DAY);
        Report {
            organization_name: Some(self.organization.clone()),
            date_range: DateRange { start_datetime: time(start), end_datetime: time(start + DAY - 1) },
            contact_info: Some(contact.as_str().to_owned()),
            report_id: format!("{}-{domain}", time(start).get(..10).unwrap_or_default()),
            policies: day.report(domain),
        }
    }

    fn mail(
        &self,
        day: &Day,
        domain: &str,
        report: &Report,
        contact: &EmailAddress,
        to: &EmailAddress,
        packed: &[u8],
    ) -> ReportMail {
        let start = day.day.saturating_mul(DAY);
        let letter = Letter {
            from: contact,
            to,
            submitter: &self.hostname,
            domain,
            report_id: &report.report_id,
            file_name: &format!("{}!{domain}!{start}!{}!001.json.gz", self.hostname, start + DAY - 1),
            now: Utc::now(),
        };
        let message = letter.write(packed);
        ReportMail { from: contact.clone(), to: to.clone(), message, message_id: letter.message_id() }
    }

    async fn post(&self, host: &str, port: u16, path: &str, packed: Vec<u8>) -> Result<(), String> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/tlsrpt+gzip")
            .body(Full::new(Bytes::from(packed)))
            .map_err(|error| error.to_string())?;
        let response =
            self.web.send(host, port, request, MAX_ANSWER).await.map_err(|error| error.to_string())?;
        // §5.4: any status of success.
        match response.status.is_success() {
            true => Ok(()),
            false => Err(format!("the answer has status {}", response.status)),
        }
    }
}
