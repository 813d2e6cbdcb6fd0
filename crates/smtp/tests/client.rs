//! The sending side, against the receiving side and against scripts.

mod common;

use chasqui_base::DeliveryId;
use chasqui_smtp::{
    Body, ClientError, ClientEvent, ClientLimits, ClientSession, Envelope, Protocol, Reply, ReplyLimits,
    ReversePath,
};
use common::{Driver, lmtp, smtp};

const RECIPIENTS: [&str; 3] = ["a@b", "no@b", "c@d"];

fn envelope<'a>(reverse_path: &'a ReversePath, text: &[u8], id: DeliveryId) -> Envelope<'a, &'static str> {
    Envelope {
        smtputf8: true,
        body: Body::EightBitMime,
        delivery_id: Some(id),
        ..Envelope::new(reverse_path, &RECIPIENTS, text.len() as u64)
    }
}

/// Runs one transaction between both sides, with replies in parts of `chunk` octets.
fn exchange(protocol: Protocol, chunk: usize) -> (Driver, Vec<Option<Reply>>) {
    let mut server = Driver::new(if protocol == Protocol::Lmtp { lmtp() } else { smtp() });
    server.refuse_recipients_with = Some(("no".into(), Reply::fixed(550, (5, 1, 1), "No such user")));
    server.session.greet();
    let mut client = ClientSession::new(protocol, "mx.test", ClientLimits::default());
    let (reverse_path, text, id) = ("s@x".parse().unwrap(), ".\r\nñ\r\n".as_bytes(), DeliveryId::generate());
    let mut out = Vec::new();
    let mut input = Vec::new();
    loop {
        server.feed(&std::mem::take(&mut out));
        let replies = std::mem::take(&mut server.seen.replies);
        for part in replies.as_bytes().chunks(chunk) {
            input.extend_from_slice(part);
            loop {
                let (used, event) = client.receive(&input).unwrap();
                input.drain(..used);
                match event {
                    Some(ClientEvent::Greeted) => out = client.take_output(),
                    Some(ClientEvent::Ready) => {
                        client.begin(&envelope(&reverse_path, text, id), &mut out).unwrap();
                        out.extend_from_slice(text);
                    }
                    Some(ClientEvent::Done) => return (server, client.results()),
                    Some(other) => panic!("{other:?}"),
                    None => break,
                }
            }
        }
    }
}

#[test]
fn a_transaction_is_one_write_and_every_recipient_has_its_reply() {
    for chunk in 1..60 {
        let (server, results) = exchange(Protocol::Lmtp, chunk);
        let codes: Vec<_> = results.iter().map(|reply| reply.as_ref().map(Reply::code)).collect();
        assert_eq!(codes, [Some(250), Some(550), Some(250)]);
        assert_eq!(server.seen.messages, [".\r\nñ\r\n".as_bytes().to_vec()]);
        let mail = &server.seen.mails[0];
        assert!(mail.delivery_id.is_some() && mail.smtputf8 && mail.size == Some(7), "{mail:?}");
    }
}

#[test]
fn smtp_has_one_reply_for_all() {
    let (server, results) = exchange(Protocol::Smtp, 9);
    let codes: Vec<_> = results.iter().map(|reply| reply.as_ref().map(Reply::code)).collect();
    assert_eq!((codes, server.seen.mails[0].delivery_id), (vec![Some(250), Some(550), Some(250)], None));
}

/// A client with an open transaction of three recipients.
fn open(protocol: Protocol) -> ClientSession {
    let mut client = ClientSession::new(protocol, "mx.test", ClientLimits::default());
    let hello = b"220 x\r\n";
    assert_eq!(client.receive(hello), Ok((7, Some(ClientEvent::Greeted))));
    let hello = b"250-x\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250-8BITMIME\r\n250 chunking\r\n";
    assert_eq!(client.receive(hello).unwrap().1, Some(ClientEvent::Ready));
    let mut out = Vec::new();
    client.begin(&envelope(&ReversePath::Null, b"x", DeliveryId::generate()), &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "MAIL FROM:<> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<a@b>\r\nRCPT TO:<no@b>\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\n"
    );
    client
}

fn codes(client: &mut ClientSession) -> Vec<Option<u16>> {
    client.results().into_iter().map(|reply| reply.map(|reply| reply.code())).collect()
}

#[test]
fn a_refused_sender_counts_for_every_recipient() {
    let mut client = open(Protocol::Lmtp);
    let input = b"451 4.3.0 no\r\n503 x\r\n503 x\r\n503 x\r\n503 x\r\n";
    assert_eq!(client.receive(input), Ok((input.len(), Some(ClientEvent::Done))));
    assert_eq!(codes(&mut client), [Some(451), Some(451), Some(451)]);
    assert!(client.is_ready());
}

#[test]
fn what_was_settled_before_the_connection_died_is_known() {
    let mut client = open(Protocol::Lmtp);
    assert_eq!(client.receive(b"250 x\r\n250 x\r\n550 x\r\n250 x\r\n250 stored\r\n25").unwrap().1, None);
    assert_eq!(codes(&mut client), [Some(250), Some(550), None]);
    let mut client = open(Protocol::Lmtp);
    assert!(matches!(client.receive(b"250 x\r\n421 4.3.2 bye\r\n"), Err(ClientError::Refused(_))));
    assert_eq!(codes(&mut client), [None, None, None]);
}

#[test]
fn a_server_that_breaks_the_protocol_is_left() {
    let mut client = ClientSession::new(Protocol::Lmtp, "mx", ClientLimits::default());
    assert!(matches!(client.receive(b"554 go away\r\n"), Err(ClientError::Refused(_))));
    assert!(matches!(client.receive(b"220 hello\r\n"), Err(ClientError::Unasked(_))));
    let limits = ClientLimits { reply: ReplyLimits { line_length: 10, lines: 3 } };
    let mut client = ClientSession::new(Protocol::Lmtp, "mx", limits);
    assert!(matches!(client.receive(b"220 0123456789"), Err(ClientError::Reply(_))));
}

#[test]
fn a_server_without_chunking_gets_no_transaction() {
    let mut client = ClientSession::new(Protocol::Lmtp, "mx", ClientLimits::default());
    client.receive(b"220 x\r\n").unwrap();
    client.receive(b"250-x\r\n250 PIPELINING\r\n").unwrap();
    let mut out = Vec::new();
    let result = client.begin(&envelope(&ReversePath::Null, b"", DeliveryId::generate()), &mut out);
    assert_eq!((result, out.len()), (Err(ClientError::Lacks("CHUNKING")), 0));
}

#[test]
fn a_transaction_without_recipients_is_reset_before_the_next() {
    let mut client = open(Protocol::Lmtp);
    let input = b"250 x\r\n550 x\r\n550 x\r\n550 x\r\n503 x\r\n";
    assert_eq!(client.receive(input), Ok((input.len(), Some(ClientEvent::Done))));
    let mut out = Vec::new();
    client.begin(&envelope(&ReversePath::Null, b"x", DeliveryId::generate()), &mut out).unwrap();
    assert!(out.starts_with(b"RSET\r\nMAIL FROM:<>"));
    let input = b"250 reset\r\n250 x\r\n250 x\r\n250 x\r\n250 x\r\n250 a\r\n250 b\r\n451 c\r\n";
    assert_eq!(client.receive(input), Ok((input.len(), Some(ClientEvent::Done))));
    assert_eq!(codes(&mut client), [Some(250), Some(250), Some(451)]);
}
