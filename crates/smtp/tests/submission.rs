//! The receiving side: AUTH and the extensions of submission.

mod common;

use chasqui_smtp::{AUTH_LINE, Limits, Profile};
use common::{Driver, Seen, submission};

/// A session under TLS, which ends here.
fn under_tls(profile: Profile, input: &str) -> Seen {
    let mut driver = Driver::new(profile);
    driver.session.tls_started();
    driver.session.set_time(1_800_000_000);
    driver.feed(input.as_bytes());
    driver.seen
}

fn codes(input: &str) -> Vec<u16> {
    under_tls(submission(), input).codes()
}

#[test]
fn a_transaction_needs_authentication() {
    assert_eq!(
        codes(
            "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nVRFY x\r\nNOOP\r\nRSET\r\n\
             AUTH PLAIN cmlnaHQ=\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
        ),
        [250, 530, 530, 530, 530, 250, 250, 235, 250, 250]
    );
    assert_eq!(codes("EHLO c\r\nBDAT 4 LAST\r\nQUITNOOP\r\n"), [250, 503, 250]);
}

#[test]
fn challenges_and_responses_take_turns() {
    let seen = under_tls(submission(), "EHLO c\r\nAUTH login\r\nYW5h\r\nYQ==\r\ncmlnaHQ=\r\nNOOP\r\n");
    assert_eq!(seen.codes(), [250, 334, 334, 334, 235, 250]);
    assert!(seen.replies.contains("334 bW9yZQ==\r\n"));
    assert_eq!(seen.exchange, ["LOGIN None", "ana", "a", "right"]);
    assert_eq!(under_tls(submission(), "EHLO c\r\nAUTH PLAIN =\r\n").exchange, ["PLAIN Some(\"\")"]);
}

#[test]
fn an_exchange_can_be_cancelled_and_begun_again() {
    assert_eq!(
        codes("EHLO c\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n!\r\nAUTH PLAIN\r\ncmlnaHQ=\r\n"),
        [250, 334, 501, 334, 501, 334, 235]
    );
}

#[test]
fn authentication_out_of_order_is_refused() {
    assert_eq!(codes("AUTH PLAIN cmlnaHQ=\r\n"), [503]);
    assert_eq!(codes("HELO c\r\nAUTH PLAIN cmlnaHQ=\r\n"), [250, 503]);
    assert_eq!(codes("EHLO c\r\nAUTH PLAIN cmlnaHQ=\r\nAUTH PLAIN cmlnaHQ=\r\n"), [250, 235, 503]);
    assert_eq!(codes("EHLO c\r\nAUTH CRAM-MD5\r\nAUTH SCRAM-SHA-256-PLUS\r\n"), [250, 504, 504]);
    let optional = Profile { auth_required: false, ..submission() };
    let input = "EHLO c\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN cmlnaHQ=\r\n";
    assert_eq!(under_tls(optional, input).codes(), [250, 250, 503]);
    let none = Profile { auth: Vec::new(), auth_required: false, ..submission() };
    assert_eq!(
        under_tls(none, "EHLO c\r\nAUTH PLAIN\r\nMAIL FROM:<a@b> AUTH=<>\r\n").codes(),
        [250, 502, 555]
    );
}

#[test]
fn passwords_are_not_taken_in_clear() {
    let mut driver = Driver::new(submission());
    driver.feed(b"EHLO c\r\nAUTH PLAIN cmlnaHQ=\r\nMAIL FROM:<a@b>\r\n");
    assert_eq!(driver.seen.codes(), [250, 538, 530]);
    assert!(!driver.seen.replies.contains("AUTH") && driver.seen.replies.contains("STARTTLS"));
    assert!(driver.seen.exchange.is_empty());
    let mut driver = Driver::new(Profile { auth_in_clear: true, ..submission() });
    driver.feed(b"EHLO c\r\nAUTH PLAIN cmlnaHQ=\r\n");
    assert_eq!(driver.seen.codes(), [250, 235]);
}

#[test]
fn what_is_offered_hangs_on_tls_and_time() {
    let mut driver = Driver::new(submission());
    driver.feed(b"EHLO c\r\n");
    let plain = std::mem::take(&mut driver.seen.replies);
    assert!(!plain.contains("REQUIRETLS") && !plain.contains("FUTURERELEASE") && plain.contains("DSN"));
    driver.session.tls_started();
    driver.session.bind_channel();
    driver.session.set_time(1_800_000_000);
    driver.feed(b"EHLO c\r\n");
    for line in [
        "AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\n",
        "FUTURERELEASE 3600 2027-01-15T09:00:00Z\r\n",
        "REQUIRETLS\r\n",
        "BINARYMIME\r\n",
        "MT-PRIORITY\r\n",
    ] {
        assert!(driver.seen.replies.contains(line), "{line} {}", driver.seen.replies);
    }
    driver.feed(b"AUTH PLAIN cmlnaHQ=\r\nEHLO c\r\n");
    assert!(driver.session.is_authenticated());
    driver.session.tls_started();
    assert!(!driver.session.is_authenticated());
}

#[test]
fn failures_end_the_session() {
    let guess = "AUTH PLAIN d3Jvbmc=\r\n";
    let seen = under_tls(submission(), &format!("EHLO c\r\n{}", guess.repeat(9)));
    assert_eq!(seen.codes(), [250, 535, 535, 535, 535, 421]);
    assert!(seen.closed);
}

#[test]
fn lines_of_authentication_are_as_long_as_the_rfc_lets_them() {
    let limits = Limits { line_length: 512, ..Limits::default() };
    let profile = || Profile { limits: limits.clone(), ..submission() };
    let longest = "A".repeat((AUTH_LINE - "AUTH PLAIN \r\n".len()) / 4 * 4);
    let seen = under_tls(profile(), &format!("EHLO c\r\nAUTH PLAIN {longest}\r\n{longest}\r\ncmlnaHQ=\r\n"));
    assert_eq!(seen.codes(), [250, 334, 334, 235]);
    let over = "A".repeat(AUTH_LINE);
    let seen =
        under_tls(profile(), &format!("EHLO c\r\nAUTH PLAIN\r\n{over}\r\nAUTH PLAIN {over}\r\nNOOP\r\n"));
    assert_eq!(seen.codes(), [250, 334, 500, 500, 250]);
    assert!(seen.replies.contains("500 5.5.6"));
}

#[test]
fn require_tls_needs_tls() {
    let profile = Profile { auth_required: false, ..submission() };
    let mut driver = Driver::new(profile.clone());
    driver.feed(b"EHLO c\r\nMAIL FROM:<a@b> REQUIRETLS\r\n");
    assert_eq!(driver.seen.codes(), [250, 530]);
    assert_eq!(under_tls(profile, "EHLO c\r\nMAIL FROM:<a@b> REQUIRETLS\r\n").codes(), [250, 250]);
}

#[test]
fn a_message_is_not_held_for_longer_than_was_offered() {
    let profile = Profile { auth_required: false, ..submission() };
    for (parameter, code) in [
        ("HOLDFOR=3600", 250),
        ("HOLDFOR=3601", 501),
        ("HOLDUNTIL=2027-01-15T09:00:00Z", 250),
        ("HOLDUNTIL=2027-01-15T09:00:01Z", 501),
        ("HOLDUNTIL=2020-01-01T00:00:00Z", 250),
    ] {
        let input = format!("EHLO c\r\nMAIL FROM:<a@b> {parameter}\r\n");
        assert_eq!(under_tls(profile.clone(), &input).codes(), [250, code], "{parameter}");
    }
}

#[test]
fn binary_messages_come_in_chunks_and_hold_any_octet() {
    let profile = Profile { auth_required: false, ..submission() };
    let seen = under_tls(
        profile,
        "EHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nDATA\r\nBDAT 5\r\n\r\n\0\n\rBDAT 1 LAST\r\n\nNOOP\r\n",
    );
    assert_eq!(seen.codes(), [250, 250, 250, 503, 250, 250, 250]);
    assert_eq!(seen.messages, [b"\r\n\0\n\r\n".to_vec()]);
}
