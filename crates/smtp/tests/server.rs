//! The receiving side: order, limits, extensions.

mod common;

use chasqui_base::DeliveryId;
use chasqui_smtp::{Limits, Profile, Reply};
use common::{Driver, lmtp, run, smtp};

fn codes(input: &str) -> Vec<u16> {
    run(smtp(), input.as_bytes(), usize::MAX).codes()
}

fn limited(limits: Limits, input: &str) -> Vec<u16> {
    run(Profile { limits, ..smtp() }, input.as_bytes(), usize::MAX).codes()
}

#[test]
fn a_pipelined_transaction_is_answered_in_one_write_however_it_is_cut() {
    let input = b"EHLO c\r\nMAIL FROM:<a@b> SIZE=3 BODY=8BITMIME\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n";
    for chunk in 1..=input.len() {
        let seen = run(smtp(), input, chunk);
        assert_eq!(seen.codes(), [250, 250, 250, 250, 354, 250, 221], "{chunk}");
        assert_eq!(seen.messages, [b".x\r\n".to_vec()]);
        assert!(seen.closed);
    }
}

#[test]
fn commands_out_of_order_are_503() {
    assert_eq!(codes("MAIL FROM:<a@b>\r\n"), [503]);
    assert_eq!(codes("EHLO c\r\nRCPT TO:<a@b>\r\nDATA\r\n"), [250, 503, 503]);
    assert_eq!(codes("EHLO c\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n"), [250, 250, 503]);
    assert_eq!(codes("EHLO c\r\nMAIL FROM:<a@b>\r\nDATA\r\n"), [250, 250, 554]);
    assert_eq!(codes("EHLO c\r\nBDAT 3\r\nabcNOOP\r\n"), [250, 503, 250]);
    assert_eq!(codes("DATA\r\nBDAT 1\r\n"), [503, 503]);
    assert_eq!(codes("HELO c\r\nSTARTTLS\r\n"), [250, 503]);
}

#[test]
fn a_greeting_or_rset_ends_the_transaction() {
    for verb in ["RSET", "EHLO c", "HELO c"] {
        let input = format!(
            "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n{verb}\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n"
        );
        assert_eq!(codes(&input), [250, 250, 250, 250, 503, 250]);
    }
}

#[test]
fn chunks_make_one_message() {
    let input = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\n.\r\n.\rBDAT 1\r\n\nBDAT 0 LAST\r\nNOOP\r\n";
    for chunk in 1..=input.len() {
        let seen = run(smtp(), input, chunk);
        assert_eq!(seen.codes(), [250, 250, 250, 250, 250, 250, 250], "{chunk} {}", seen.replies);
        assert_eq!(seen.messages, [b".\r\n.\r\n".to_vec()], "{chunk}");
    }
}

#[test]
fn data_and_bdat_do_not_mix() {
    assert_eq!(
        codes(
            "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1\r\nxDATA\r\nRCPT TO:<c@d>\r\nMAIL FROM:<x@y>\r\nBDAT 0 LAST\r\n"
        ),
        [250, 250, 250, 250, 503, 503, 503, 250]
    );
}

#[test]
fn a_size_over_the_limit_is_refused_before_and_after_the_text() {
    let limits = Limits { message_size: 10, ..Limits::default() };
    let start = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    assert_eq!(limited(limits.clone(), "EHLO c\r\nMAIL FROM:<a@b> SIZE=11\r\n"), [250, 552]);
    let fits = format!("{start}DATA\r\n12345678\r\n.\r\n");
    assert_eq!(limited(limits.clone(), &fits)[3..], [354, 250]);
    let over = format!("{start}DATA\r\n123456789\r\n.\r\nNOOP\r\n");
    assert_eq!(limited(limits.clone(), &over)[3..], [354, 552, 250]);
    let chunks = format!("{start}BDAT 9\r\n123456789BDAT 2 LAST\r\nxxNOOP\r\n");
    assert_eq!(limited(limits.clone(), &chunks)[3..], [250, 552, 250]);
    // After a failed chunk the rest of the message is out of order, and its octets are still no commands.
    let failed = format!("{start}BDAT 11\r\n12345678901BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(limited(limits, &failed)[3..], [552, 503, 250]);
}

#[test]
fn recipients_over_the_limit_are_452_and_the_rest_stands() {
    let limits = Limits { recipients: 1, ..Limits::default() };
    let input = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n.\r\n";
    assert_eq!(limited(limits, input), [250, 250, 250, 452, 354, 250]);
}

#[test]
fn transactions_over_the_limit_end_the_session() {
    let limits = Limits { messages: Some(1), ..Limits::default() };
    let one = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    assert_eq!(limited(limits.clone(), &format!("EHLO c\r\n{one}{one}"))[5..], [421]);
    let seen = run(Profile { limits, ..smtp() }, b"EHLO c\r\n", 99);
    assert!(seen.replies.contains("LIMITS RCPTMAX=1000 MAILMAX=1\r\n"), "{}", seen.replies);
}

#[test]
fn a_long_line_is_refused_once_and_skipped() {
    let limits = Limits { line_length: 20, ..Limits::default() };
    let input = format!("NOOP {}\r\nNOOP\r\n{}\r\r\nNOOP\r\n", "x".repeat(50), "y".repeat(19));
    for chunk in 1..input.len() {
        let mut driver = Driver::new(Profile { limits: limits.clone(), ..smtp() });
        for part in input.as_bytes().chunks(chunk) {
            assert!(driver.feed(part) < 20);
        }
        assert_eq!(driver.seen.codes(), [500, 250, 500, 250], "{chunk}");
    }
    assert_eq!(limited(limits, "NOOP 67890123456 8\r\n"), [250]);
}

#[test]
fn a_long_text_line_is_refused_when_there_is_a_limit() {
    let limits = Limits { text_line_length: Some(10), ..Limits::default() };
    let start = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    assert_eq!(limited(limits.clone(), &format!("{start}DATA\r\n123456789\r\n.\r\n"))[3..], [354, 554]);
    assert_eq!(limited(limits, &format!("{start}BDAT 12 LAST\r\n12345678\r\n\r\n"))[3..], [250]);
}

#[test]
fn too_many_errors_unknown_or_idle_commands_end_the_session() {
    let limits = Limits { errors: 2, unknown_commands: 1, idle_commands: 3, ..Limits::default() };
    assert_eq!(limited(limits.clone(), "RCPT\r\nRCPT\r\nRCPT\r\nNOOP\r\n"), [501, 501, 501, 421]);
    assert_eq!(limited(limits.clone(), "GET /\r\nHost: x\r\n\r\n"), [500, 500, 421]);
    assert_eq!(limited(limits.clone(), &"NOOP\r\n".repeat(9)), [250, 250, 250, 250, 421]);
    let message = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nNOOP\r\n";
    let busy = limited(limits, &format!("EHLO c\r\n{}", message.repeat(9)));
    assert!(!busy.contains(&421), "{busy:?}");
}

#[test]
fn refused_recipients_count_as_errors_for_strangers() {
    let mut driver = Driver::new(Profile { limits: Limits { errors: 2, ..Limits::default() }, ..smtp() });
    driver.refuse_recipients_with = Some(("no".into(), Reply::fixed(550, (5, 1, 1), "No such user")));
    driver.feed(b"EHLO c\r\nMAIL FROM:<a@b>\r\n");
    driver.feed(b"RCPT TO:<no1@d>\r\nRCPT TO:<no2@d>\r\nRCPT TO:<no3@d>\r\nRCPT TO:<no4@d>\r\n");
    assert_eq!(driver.seen.codes(), [250, 250, 550, 550, 550, 421]);
    assert!(driver.seen.closed);
}

#[test]
fn a_refused_data_leaves_the_transaction_and_a_refused_chunk_ends_it() {
    let full = Reply::fixed(452, (4, 3, 1), "Full");
    let start = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    let mut driver = Driver::new(smtp());
    driver.refuse_start_with = Some(full.clone());
    driver.feed(start);
    driver.feed(b"DATA\r\n");
    driver.refuse_start_with = None;
    driver.feed(b"DATA\r\nx\r\n.\r\n");
    assert_eq!(driver.seen.codes()[3..], [452, 354, 250]);
    let mut driver = Driver::new(smtp());
    driver.refuse_start_with = Some(full);
    driver.feed(start);
    driver.feed(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(
        (driver.seen.codes()[3..].to_vec(), &driver.seen.dropped[..]),
        (vec![452, 250], &[Some(452)][..])
    );
}

#[test]
fn utf8_addresses_need_smtputf8() {
    assert_eq!(codes("EHLO c\r\nMAIL FROM:<ñ@b>\r\n"), [250, 553]);
    assert_eq!(
        codes(
            "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<ñ@b>\r\nRSET\r\nMAIL FROM:<ñ@b> SMTPUTF8\r\nRCPT TO:<ñ@b>\r\n"
        ),
        [250, 250, 553, 250, 250, 250]
    );
}

#[test]
fn capabilities_are_what_is_offered() {
    let seen = run(smtp(), b"EHLO c\r\n", 99);
    for keyword in
        ["PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "STARTTLS", "ENHANCEDSTATUSCODES", "CHUNKING"]
    {
        assert!(seen.replies.lines().any(|line| &line[4..] == keyword), "{keyword}: {}", seen.replies);
    }
    assert!(!seen.replies.contains("XDELIVERYID"));
    assert_eq!(run(smtp(), b"HELO c\r\n", 99).replies, "250 mx.test\r\n");
    let seen = run(lmtp(), b"LHLO c\r\n", 99);
    assert!(seen.replies.contains("XDELIVERYID") && !seen.replies.contains("STARTTLS"));
}

#[test]
fn lmtp_answers_a_message_once_for_each_accepted_recipient() {
    let id = DeliveryId::generate();
    let input = format!(
        "EHLO c\r\nLHLO c\r\nMAIL FROM:<> XDELIVERYID={id}\r\nRCPT TO:<a@b>\r\nRCPT TO:<no@b>\r\nRCPT TO:<c@d>\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n"
    );
    let mut driver = Driver::new(lmtp());
    driver.refuse_recipients_with = Some(("no".into(), Reply::fixed(550, (5, 1, 1), "No such user")));
    driver.feed(input.as_bytes());
    assert_eq!(driver.seen.codes(), [500, 250, 250, 250, 550, 250, 250, 250, 250]);
    assert_eq!(driver.seen.mails[0].delivery_id, Some(id));
}

#[test]
fn lmtp_refusals_of_a_message_come_once_for_each_recipient_too() {
    let profile = Profile { limits: Limits { message_size: 3, ..Limits::default() }, ..lmtp() };
    let start = "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\n";
    for message in ["DATA\r\n1234\r\n.\r\n", "BDAT 4 LAST\r\n1234"] {
        let seen = run(profile.clone(), format!("{start}{message}NOOP\r\n").as_bytes(), 3);
        assert_eq!(seen.codes().iter().filter(|&&code| code == 552).count(), 2, "{}", seen.replies);
    }
    assert_eq!(
        run(lmtp(), b"LHLO c\r\nMAIL FROM:<>\r\nBDAT 4 LAST\r\n1234NOOP\r\n", 99).codes(),
        [250, 250, 503, 250]
    );
}

#[test]
fn the_end_of_a_session_is_told_at_once() {
    let mut driver = Driver::new(smtp());
    driver.feed(b"EHLO c\r\nQUIT\r\nMAIL FROM:<a@b>\r\n");
    assert_eq!((driver.seen.codes(), driver.seen.closed, driver.seen.mails.len()), (vec![250, 221], true, 0));
}
