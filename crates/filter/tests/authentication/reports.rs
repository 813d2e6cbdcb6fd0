//! Aggregate reports: from messages to the reader of the other side.

use crate::fixture::{FRIEND, Mail, authenticator, forged, message, server};
use chasqui_base::{DeliveryId, Span};
use chasqui_courier::Content;
use chasqui_dns::testing::NameServer;
use chasqui_filter::{
    Config, Filter, Message,
    content::{self, Action, config::WhenAway},
    report::{self, Outbox, ReadLimits, Received, Reports, ReportsConfig, Sent},
};
use prometheus_client::registry::Registry;
use std::{
    io,
    path::Path,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// From, to, message.
type Submission = (String, Vec<String>, Vec<u8>);

/// Keeps what is sent, or takes nothing.
#[derive(Default)]
struct Kept {
    messages: Mutex<Vec<Submission>>,
    closed: bool,
}

impl Outbox for Kept {
    async fn send(&self, from: &str, to: &[String], message: Vec<u8>) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.messages.lock().unwrap().push((from.to_owned(), to.to_vec(), message));
        Ok(())
    }
}

fn config(folder: &Path) -> ReportsConfig {
    ReportsConfig {
        from: Some("dmarc@here.test".parse().unwrap()),
        organization: Some("Here&There".into()),
        contact: Some("postmaster@here.test".into()),
        database: folder.join("reports.sqlite"),
        ..ReportsConfig::default()
    }
}

fn at(day: u64, second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + day * 86_400 + second)
}

/// A day's mail: two passes and a forgery for a domain that wants reports, and one for a domain that does not.
async fn observe(server: &NameServer, reports: &Reports) {
    let checks = authenticator(server, |_| {});
    let genuine = || Mail { ip: FRIEND, path: "a@sub.sender.test", text: message("a@sender.test") };
    for mail in [genuine(), genuine(), forged("a@sender.test"), forged("a@mild.test")] {
        let verdict = mail.verdict(&checks).await;
        let action = checks.action(&verdict, &["here.test"]);
        reports.note_at(&verdict, mail.ip.into(), &action, at(0, 100));
    }
}

#[tokio::test]
async fn a_days_mail_becomes_a_report_that_others_can_read() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let reports = Reports::open(&config(folder.path()), "mx.here.test").unwrap().unwrap();
    observe(&server, &reports).await;
    let outbox = Kept::default();
    let dns = server.resolver();
    assert_eq!(reports.send_due(&dns, &outbox, at(0, 86_399)).await.unwrap(), Sent::default());
    let sent = reports.send_due(&dns, &outbox, at(1, 0)).await.unwrap();
    assert_eq!(sent, Sent { sent: 1, ..Sent::default() });
    assert_eq!(reports.send_due(&dns, &outbox, at(1, 0)).await.unwrap(), Sent::default());

    let messages = outbox.messages.into_inner().unwrap();
    let [(from, to, message)] = messages.as_slice() else { panic!("{} messages", messages.len()) };
    // `unwilling.test` has not said that it wants them (RFC 7489 §7.1).
    assert_eq!(
        (from.as_str(), to.as_slice()),
        ("dmarc@here.test", &["d@sender.test".to_owned(), "d@outside.test".to_owned()][..])
    );
    let text = String::from_utf8_lossy(message);
    assert!(
        text.contains("Subject: Report Domain: sender.test\r\n\tSubmitter: mx.here.test\r\n\tReport-ID: <")
    );
    assert!(text.contains("filename=\"mx.here.test!sender.test!1728000000!1728086399!"), "{text}");
    assert!(text.lines().all(|line| line.len() < 200));

    let Received::Dmarc(report) = report::read(message, &ReadLimits::default()).unwrap() else {
        panic!("no DMARC report")
    };
    assert_eq!(
        (report.org_name(), report.email(), report.domain()),
        ("Here&There", "dmarc@here.test", "sender.test")
    );
    assert_eq!((report.date_range_begin(), report.date_range_end()), (1_728_000_000, 1_728_086_399));
    let mut rows: Vec<_> = report
        .records()
        .iter()
        .map(|row| {
            let evaluated = &row.row.policy_evaluated;
            (
                row.row.source_ip.unwrap().to_string(),
                row.row.count,
                format!("{:?} {:?} {:?}", evaluated.disposition, evaluated.dkim, evaluated.spf),
            )
        })
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            ("192.0.2.1".into(), 2, "None Fail Pass".into()),
            ("198.51.100.1".into(), 1, "Reject Fail Fail".to_owned())
        ]
    );
    assert_eq!(report.records()[0].identifiers.header_from, "sender.test");
}

#[tokio::test]
async fn a_report_waits_for_the_relay_and_is_given_up_in_the_end() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let reports = Reports::open(&config, "mx.here.test").unwrap().unwrap();
    observe(&server, &reports).await;
    let closed = Kept { closed: true, ..Kept::default() };
    let dns = server.resolver();
    let waiting = Sent { waiting: 1, ..Sent::default() };
    assert_eq!(reports.send_due(&dns, &closed, at(1, 0)).await.unwrap(), waiting);
    drop(reports);
    // A restart forgets nothing.
    let reports = Reports::open(&config, "mx.here.test").unwrap().unwrap();
    assert_eq!(reports.send_due(&dns, &closed, at(3, 86_399)).await.unwrap(), waiting);
    let dropped = Sent { dropped: 1, ..Sent::default() };
    assert_eq!(reports.send_due(&dns, &closed, at(4, 0)).await.unwrap(), dropped);
    assert_eq!(reports.send_due(&dns, &closed, at(4, 0)).await.unwrap(), Sent::default());
}

#[tokio::test]
async fn a_report_over_the_limit_is_not_sent() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = ReportsConfig { size: chasqui_base::ByteSize(1000), ..config(folder.path()) };
    let reports = Reports::open(&config, "mx.here.test").unwrap().unwrap();
    observe(&server, &reports).await;
    let outbox = Kept::default();
    let sent = reports.send_due(&server.resolver(), &outbox, at(1, 0)).await.unwrap();
    assert_eq!((sent.dropped, outbox.messages.lock().unwrap().len()), (1, 0));
}

#[test]
fn reports_are_off_until_there_is_an_address_for_them() {
    assert!(Reports::open(&ReportsConfig::default(), "mx.here.test").unwrap().is_none());
    let short = ReportsConfig { interval: Span::secs(1), ..ReportsConfig::default() };
    assert!(Reports::open(&short, "mx.here.test").err().unwrap().to_string().contains("reports.interval"));
}

#[tokio::test]
async fn a_message_that_another_filter_puts_off_is_counted_when_it_comes_again() {
    let Some(server) = server() else { return };
    for (when_away, sent) in [(WhenAway::Defer, 0), (WhenAway::Mark, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Config { reports: config(folder.path()), ..Config::default() };
        settings.content.spamassassin.address = Some("127.0.0.1:1".parse().unwrap());
        settings.content.spamassassin.when_away = when_away;
        let dns = server.resolver();
        let filter = Filter::open(&settings, &dns, "mx.here.test", &mut Registry::default()).unwrap();
        let peer = content::Peer { ip: FRIEND.into(), port: 1, name: None, hostname: "mx.here.test".into() };
        let mut screen = filter.connect(peer).unwrap().unwrap();
        screen.hello("mail.sender.test", None);
        let mail = chasqui_smtp::Mail::new("a@sub.sender.test".parse().unwrap());
        screen.mail(DeliveryId::generate(), &mail).await.unwrap();
        let message = Message {
            id: DeliveryId::generate(),
            mail: &mail,
            user: None,
            domains: &["here.test"],
            memory: 10_000,
            folder: folder.path(),
        };
        let text = Content::Memory(crate::fixture::message("a@sender.test").into_bytes());
        let judged = screen.content(&message, text).await.unwrap();
        assert_eq!(matches!(judged.action, Action::Refuse(_)), when_away == WhenAway::Defer);
        let later = SystemTime::now() + Duration::from_secs(2 * 86_400);
        let reports = filter.reports().unwrap();
        let done = reports.send_due(&dns, &Kept::default(), later).await.unwrap();
        assert_eq!(done, Sent { sent, ..Sent::default() });
    }
}
