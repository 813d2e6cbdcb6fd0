//! Our grammar beside imap-codec's: what the generator makes is accepted by both, and what we print is read by it.

mod common;

use std::borrow::Cow;

use chasqui_imap::{
    Address, BodyStructure, CommandReader, Disposition, Envelope, Event, Limits, Parameters, PartKind,
    encode_utf7, write,
};
use common::Random;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::response::{Data, Response};
use imap_codec::{CommandCodec, ResponseCodec};
use proptest::prelude::*;

/// Commands that imap-codec does not know without features, or is stricter about than RFC 3501.
fn beyond_the_oracle(text: &str) -> bool {
    text.contains("AUTHENTICATE PLAIN =")
}

#[test]
fn both_accept_what_the_grammar_makes() {
    for seed in 0..5000 {
        let text = common::command(&mut Random(seed));
        if beyond_the_oracle(&text) {
            continue;
        }
        let mut reader = CommandReader::new(Limits::default());
        reader.input().extend_from_slice(text.as_bytes());
        let tag = loop {
            match reader.next_event() {
                Event::Continue => {}
                Event::Command(command) => break command.tag,
                other => panic!("{text:?}: {other:?}"),
            }
        };
        match CommandCodec::default().decode(text.as_bytes()) {
            Ok((rest, command)) => {
                assert!(rest.is_empty(), "{text:?}");
                assert_eq!(command.tag.inner(), tag.as_str());
            }
            Err(error) => panic!("the oracle refuses {text:?}: {error:?}"),
        }
    }
}

// The strategies are boxed: unboxed, a nested one is larger than the stack of a test's thread holds in a debug build.

fn text() -> BoxedStrategy<Cow<'static, [u8]>> {
    prop_oneof![
        "[ -~]{0,20}".prop_map(String::into_bytes),
        "\\PC{0,20}".prop_map(String::into_bytes),
        "[a\r\n\"\\\\]{0,6}".prop_map(String::into_bytes)
    ]
    .prop_map(Cow::Owned)
    .boxed()
}

fn optional() -> BoxedStrategy<Option<Cow<'static, [u8]>>> {
    proptest::option::of(text()).boxed()
}

fn addresses() -> BoxedStrategy<Vec<Address<'static>>> {
    proptest::collection::vec(
        (optional(), optional(), optional()).prop_map(|(name, mailbox, host)| Address {
            name,
            mailbox,
            host,
        }),
        0..3,
    )
    .boxed()
}

fn envelope() -> BoxedStrategy<Envelope<'static>> {
    ((optional(), optional(), optional(), optional()), addresses(), addresses(), addresses(), addresses())
        .prop_map(|((date, subject, in_reply_to, message_id), from, sender, to, cc)| Envelope {
            date,
            subject,
            from: from.clone(),
            sender,
            reply_to: Vec::new(),
            to,
            cc,
            bcc: from,
            in_reply_to,
            message_id,
        })
        .boxed()
}

fn parameters() -> BoxedStrategy<Parameters<'static>> {
    proptest::collection::vec((text(), text()), 0..3).boxed()
}

fn structure() -> BoxedStrategy<BodyStructure<'static>> {
    let part = |kind: PartKind<'static>, subtype, parameters, (id, md5, location), disposition: Option<_>| {
        BodyStructure {
            kind,
            subtype,
            parameters,
            id,
            description: None,
            encoding: Cow::Borrowed(b"7bit"),
            size: 7,
            md5,
            disposition: disposition.map(|(kind, parameters)| Disposition { kind, parameters }),
            language: vec![Cow::Borrowed(b"es")],
            location,
        }
    };
    let rest = || {
        (
            text(),
            parameters(),
            (optional(), optional(), optional()),
            proptest::option::of((text(), parameters())),
        )
            .boxed()
    };
    let leaf =
        (any::<bool>(), rest()).prop_map(move |(is_text, (subtype, parameters, some, disposition))| {
            let kind =
                if is_text { PartKind::Text { lines: 3 } } else { PartKind::Basic(Cow::Borrowed(b"image")) };
            part(kind, subtype, parameters, some, disposition)
        });
    leaf.prop_recursive(3, 8, 3, move |inner| {
        prop_oneof![
            (proptest::collection::vec(inner.clone(), 0..3), rest()).prop_map(
                move |(parts, (subtype, parameters, some, disposition))| {
                    part(PartKind::Multipart(parts), subtype, parameters, some, disposition)
                }
            ),
            (inner, envelope(), rest()).prop_map(
                move |(body, envelope, (_, parameters, some, disposition))| {
                    let kind =
                        PartKind::Message { envelope: Box::new(envelope), body: Box::new(body), lines: 2 };
                    part(kind, Cow::Borrowed(b"rfc822"), parameters, some, disposition)
                }
            ),
        ]
    })
    .boxed()
}

/// The only item of the only FETCH response in the text.
fn fetched(text: &[u8]) -> MessageDataItem<'_> {
    match ResponseCodec::default().decode(text) {
        Ok((b"", Response::Data(Data::Fetch { items, .. }))) => items.into_inner().remove(0),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(text)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn envelopes_are_read_as_they_were_meant(envelope in envelope()) {
        let mut out = b"* 1 FETCH (ENVELOPE ".to_vec();
        envelope.write(&mut out);
        out.extend_from_slice(b")\r\n");
        let MessageDataItem::Envelope(read) = fetched(&out) else { panic!("no envelope") };
        prop_assert_eq!(read.subject.into_option(), envelope.subject);
        prop_assert_eq!(read.message_id.into_option(), envelope.message_id);
        let expected = if envelope.sender.is_empty() { &envelope.from } else { &envelope.sender };
        prop_assert_eq!(read.sender.len(), expected.len());
        for (read, sent) in read.from.into_iter().zip(envelope.from) {
            prop_assert_eq!(read.name.into_option(), sent.name);
            prop_assert_eq!(read.mailbox.into_option(), sent.mailbox);
            prop_assert_eq!(read.host.into_option(), sent.host);
        }
    }

    #[test]
    fn structures_are_read(structure in structure(), extended: bool) {
        let mut out = b"* 1 FETCH (".to_vec();
        out.extend_from_slice(if extended { b"BODYSTRUCTURE " } else { b"BODY " });
        structure.write(&mut out, extended);
        out.extend_from_slice(b")\r\n");
        // The oracle's parser needs more stack for nested parts than a test's thread has.
        let read = move || matches!(fetched(&out), MessageDataItem::BodyStructure(_) | MessageDataItem::Body(_));
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(read);
        prop_assert!(thread.unwrap().join().unwrap());
    }

    #[test]
    fn mailbox_names_are_read(name in "[^\\x00-\\x1f\\x7f]{1,20}") {
        let mut out = b"* LIST () \"/\" ".to_vec();
        write::mailbox(&mut out, &chasqui_imap::MailboxName::from_utf8(name.clone()));
        out.extend_from_slice(b"\r\n");
        match ResponseCodec::default().decode(&out) {
            Ok((b"", Response::Data(Data::List { mailbox: Mailbox::Other(read), .. }))) => {
                let wire = encode_utf7(&name);
                prop_assert_eq!(read.inner().as_ref(), wire.as_bytes());
            }
            Ok((b"", Response::Data(Data::List { mailbox: Mailbox::Inbox, .. }))) => {}
            other => panic!("{other:?}"),
        }
    }
}
