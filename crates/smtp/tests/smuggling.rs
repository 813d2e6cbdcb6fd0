//! The known forms of SMTP smuggling: none of them ends a message or a command.

mod common;

use chasqui_smtp::BareOctets;
use common::{run, smtp};

/// Every sequence that some server has been found to take for the end of DATA, and their near kin.
const FALSE_ENDS: &[&[u8]] = &[
    b"\n.\n",
    b"\n.\r\n",
    b"\n.\r",
    b"\r.\r",
    b"\r.\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\n.\n\r\n",
    b"\n\n.\r\n",
    b"\r\r.\r\n",
    b"\r\n\r.\r\n",
    b"\r\n\n.\n\r\n",
    b"\n\r.\n\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\0\n",
    b"\r\0\n.\r\n",
    b"\r\n.\0\n",
    b"\0.\0",
    b"\r\n .\r\n",
    b"\r\n. \r\n",
    b"\r\n.\t\r\n",
    b"\r\n..\r\n",
    b"\r\n.\x0b\r\n",
    b"\r\n.\x85\r\n",
    b"\x85.\x85",
    "\u{2028}.\u{2028}".as_bytes(),
];

const START: &[u8] = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: one\r\n\r\nfirst";
const SMUGGLED: &[u8] = b"MAIL FROM:<evil@b>\r\nRCPT TO:<victim@d>\r\nDATA\r\nsmuggled\r\n.\r\n";

#[test]
fn no_false_end_begins_a_second_message() {
    for false_end in FALSE_ENDS {
        let input = [START, false_end, SMUGGLED, b"QUIT\r\n"].concat();
        for chunk in [1, 2, 3, 7, input.len()] {
            for bare_octets in [BareOctets::Refuse, BareOctets::Accept] {
                let seen = run(chasqui_smtp::Profile { bare_octets, ..smtp() }, &input, chunk);
                assert_eq!(seen.mails.len(), 1, "{false_end:?} {chunk} {}", seen.replies);
                assert!(seen.closed && seen.messages.len() <= 1, "{false_end:?} {chunk}");
            }
        }
    }
}

#[test]
fn bare_cr_lf_and_nul_refuse_the_message_at_its_real_end() {
    for false_end in FALSE_ENDS {
        let input = [START, false_end, b"tail\r\n.\r\nQUIT\r\n"].concat();
        let text = String::from_utf8_lossy(false_end).replace("\r\n", "");
        let bad = text.contains(['\r', '\n', '\0']);
        for chunk in [1, 5, input.len()] {
            let seen = run(smtp(), &input, chunk);
            let answer = seen.codes()[4];
            assert_eq!(answer, if bad { 550 } else { 250 }, "{false_end:?} {chunk} {}", seen.replies);
            assert_eq!(seen.replies.contains("550 5.6.11 "), bad);
            assert_eq!(seen.dropped, if bad { vec![Some(550)] } else { vec![] });
        }
    }
}

#[test]
fn accepted_bare_octets_are_handed_on_unconverted() {
    let profile = chasqui_smtp::Profile { bare_octets: BareOctets::Accept, ..smtp() };
    for chunk in 1..40 {
        let seen = run(profile.clone(), &[START, b"\n.\n\r.\r\0\r\n.\rx\r\n.\r\n"].concat(), chunk);
        assert_eq!(seen.messages, [b"Subject: one\r\n\r\nfirst\n.\n\r.\r\0\r\n\rx\r\n".to_vec()], "{chunk}");
    }
}

#[test]
fn a_bare_line_end_does_not_end_a_command() {
    for end in ["\n", "\r", "\n\r", "\r\r", "\0"] {
        let input = format!("EHLO c\r\nNOOP{end}MAIL FROM:<a@b>\r\nQUIT\r\n");
        for chunk in 1..input.len() {
            let seen = run(smtp(), input.as_bytes(), chunk);
            assert_eq!((seen.codes(), seen.mails.len()), (vec![250, 500, 221], 0), "{end:?} {chunk}");
        }
    }
}

#[test]
fn octets_of_a_chunk_are_never_commands() {
    let inner = b"\r\n.\r\nMAIL FROM:<evil@b>\r\n";
    for before in ["MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "MAIL FROM:<a@b>\r\n", ""] {
        let input = [
            b"EHLO c\r\n",
            before.as_bytes(),
            format!("BDAT {} LAST\r\n", inner.len()).as_bytes(),
            inner,
            b"QUIT\r\n",
        ]
        .concat();
        for chunk in 1..input.len() {
            let seen = run(smtp(), &input, chunk);
            assert!(seen.closed && seen.mails.len() <= 1, "{before:?} {chunk} {}", seen.replies);
            assert!(seen.mails.iter().all(|mail| mail.reverse_path.as_str() == "a@b"));
        }
    }
}

#[test]
fn commands_pipelined_behind_starttls_are_dropped() {
    let mut driver = common::Driver::new(smtp());
    driver.feed(b"EHLO c\r\nSTARTTLS\r\nMAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\n");
    assert_eq!((driver.seen.codes(), &driver.seen.dropped_plaintext), (vec![250, 220], &vec![35]));
    driver.session.tls_started();
    driver.feed(b"MAIL FROM:<a@b>\r\n");
    assert_eq!(driver.seen.codes()[2..], [503]);
    assert!(driver.seen.mails.is_empty());
    driver.feed(b"EHLO c\r\nSTARTTLS\r\n");
    assert_eq!(driver.seen.codes()[3..], [250, 502]);
    assert_eq!(driver.seen.replies.matches("STARTTLS").count(), 1);
}

#[test]
fn nothing_behind_a_message_with_a_bare_cr_is_a_command() {
    // The second CR makes the first a bare one and the end a real one.
    for message in [&b"DATA\r\nfirst\r\r\n.\r\n"[..], b"BDAT 8 LAST\r\nfirst\r\r\n", b"BDAT 8\r\nfirst\rxx"] {
        let input = [b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", message, SMUGGLED].concat();
        for chunk in [1, 4, input.len()] {
            let seen = run(smtp(), &input, chunk);
            assert_eq!(
                (seen.mails.len(), seen.codes().last(), seen.closed),
                (1, Some(&550), true),
                "{message:?}"
            );
        }
    }
}
