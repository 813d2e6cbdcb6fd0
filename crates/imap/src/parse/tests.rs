use super::*;
use crate::{CommandBody as B, *};

fn parsed(line: &str) -> CommandBody {
    command(format!("a1 {line}\r\n").as_bytes(), &Limits::default())
        .unwrap_or_else(|r| panic!("{line}: {r:?}"))
        .body
}

fn refused(line: &str) -> (Option<Tag>, Reply) {
    let refused = command(format!("{line}\r\n").as_bytes(), &Limits::default()).expect_err(line);
    (refused.tag, refused.reply)
}

fn name(text: &str) -> MailboxName {
    MailboxName::from_utf8(text.to_owned())
}

#[test]
fn commands_of_the_rfc_are_understood() {
    let set = |text: &str| SequenceSet::parse(text.as_bytes(), 100).unwrap();
    assert_eq!(parsed("noop"), B::Noop);
    assert_eq!(
        parsed("LOGIN SMITH SESAME"),
        B::Login { user: b"SMITH".into(), password: Sensitive::new(b"SESAME".into()) }
    );
    assert_eq!(
        parsed("LOGIN {11}\r\nFRED FOOBAR \"fat \\\"man\\\\\""),
        B::Login { user: b"FRED FOOBAR".into(), password: Sensitive::new(b"fat \"man\\".into()) }
    );
    assert_eq!(
        parsed("authenticate plain AHQAcA=="),
        B::Authenticate { mechanism: "PLAIN".into(), initial: Some(Sensitive::new(b"\0t\0p".into())) }
    );
    assert_eq!(
        parsed("AUTHENTICATE EXTERNAL ="),
        B::Authenticate { mechanism: "EXTERNAL".into(), initial: Some(Sensitive::new(vec![])) }
    );
    assert_eq!(parsed("SELECT inbox"), B::Select { mailbox: name("INBOX"), condstore: false });
    assert_eq!(parsed("EXAMINE \"a b\" (CONDSTORE)"), B::Examine { mailbox: name("a b"), condstore: true });
    assert_eq!(
        parsed("CREATE a/b/ (USE (\\Sent \\Drafts))"),
        B::Create {
            mailbox: name("a/b"),
            parent_only: true,
            special_use: vec![SpecialUse::Sent, SpecialUse::Drafts]
        }
    );
    assert_eq!(parsed("RENAME a &AO8-"), B::Rename { from: name("a"), to: name("ï") });
    assert_eq!(
        parsed("STATUS blurdybloop (UIDNEXT MESSAGES UIDNEXT)"),
        B::Status { mailbox: name("blurdybloop"), items: vec![StatusItem::UidNext, StatusItem::Messages] }
    );
    assert_eq!(
        parsed("LIST \"\" %/*"),
        B::List(ListRequest {
            options: vec![],
            reference: String::new(),
            patterns: vec!["%/*".into()],
            returns: vec![],
            extended: false
        })
    );
    assert_eq!(
        parsed("LIST (SPECIAL-USE) \"\" (a \"*\") RETURN (SUBSCRIBED STATUS (MESSAGES))"),
        B::List(ListRequest {
            options: vec![ListOption::SpecialUse],
            reference: String::new(),
            patterns: vec!["a".into(), "*".into()],
            returns: vec![ListReturn::Subscribed, ListReturn::Status(vec![StatusItem::Messages])],
            extended: true
        })
    );
    assert_eq!(
        parsed("STORE 2:4 +FLAGS.SILENT (\\Deleted $Junk \\Recent)"),
        B::Store(StoreRequest {
            by: Numbering::Sequence,
            set: set("2:4"),
            mode: FlagMode::Add,
            silent: true,
            flags: vec![Flag::Deleted, Flag::Keyword("$Junk".into())]
        })
    );
    assert_eq!(
        parsed("UID STORE 7 FLAGS \\Seen \\Draft"),
        B::Store(StoreRequest {
            by: Numbering::Uid,
            set: set("7"),
            mode: FlagMode::Replace,
            silent: false,
            flags: vec![Flag::Seen, Flag::Draft]
        })
    );
    assert_eq!(parsed("UID EXPUNGE 1:*"), B::UidExpunge(set("1:*")));
    assert_eq!(parsed("UID MOVE 4 Trash"), B::Move { by: Numbering::Uid, set: set("4"), to: name("Trash") });
    assert_eq!(parsed("ID NIL"), B::Id(vec![]));
    assert_eq!(parsed("ID (\"name\" NIL)"), B::Id(vec![Identity { field: b"name".into(), value: None }]));
    assert_eq!(parsed("ENABLE condstore X"), B::Enable(vec!["CONDSTORE".into(), "X".into()]));
    assert_eq!(parsed("GETQUOTA \"\""), B::GetQuota(vec![]));
    assert_eq!(parsed("SETQUOTA \"\" (STORAGE 512)"), B::SetQuota(vec![]));
}

#[test]
fn fetch_items_and_macros() {
    let items = |text: &str| match parsed(&format!("FETCH 1 {text}")) {
        B::Fetch(request) => request.items,
        other => panic!("{other:?}"),
    };
    use FetchItem as F;
    let section = |part: &[u32], text, partial, peek| F::Section {
        section: Section { part: part.into(), text },
        partial,
        peek,
    };
    assert_eq!(items("fast"), [F::Flags, F::InternalDate, F::Size]);
    assert_eq!(items("FULL").len(), 5);
    assert_eq!(items("(FLAGS BODY[] flags)"), [F::Flags, section(&[], None, None, false)]);
    assert_eq!(
        items("BODY.PEEK[4.2.HEADER.FIELDS (DATE \"FROM\")]<0.512>"),
        [section(
            &[4, 2],
            Some(SectionText::HeaderFields(vec![b"DATE".into(), b"FROM".into()])),
            Some((0, 512)),
            true
        )]
    );
    assert_eq!(items("BODY[1.MIME]"), [section(&[1], Some(SectionText::Mime), None, false)]);
    assert_eq!(items("(RFC822.HEADER RFC822.TEXT RFC822 RFC822.SIZE)").len(), 4);
    match parsed("UID FETCH 1 FLAGS") {
        B::Fetch(request) => assert_eq!(request.items, [F::Uid, F::Flags]),
        other => panic!("{other:?}"),
    }
    for wrong in [
        "()",
        "(ALL FLAGS)",
        "BODY[MIME]",
        "BODY[0]",
        "BODY[1.]",
        "BODY[]<1>",
        "BODY[]<0.0>",
        "BODY[HEADER.FIELDS ()]",
        "X",
        "BODY.PEEK",
    ] {
        refused(&format!("a FETCH 1 {wrong}"));
    }
}

#[test]
fn search_keys_nest() {
    let key = |text: &str| match parsed(&format!("SEARCH {text}")) {
        B::Search(request) => request.key,
        other => panic!("{other:?}"),
    };
    use SearchKey as K;
    assert_eq!(key("ALL"), K::All);
    assert_eq!(
        key("CHARSET utf-8 TEXT {6}\r\n\u{43c}\u{430}\u{43c} 2:3"),
        K::And(vec![K::Text("мам".into()), K::Sequence(SequenceSet::parse(b"2:3", 9).unwrap())])
    );
    assert_eq!(
        key("OR NOT SEEN (FROM ana SINCE \"1-Feb-1994\")"),
        K::Or(
            Box::new(K::Not(Box::new(K::Flag(Flag::Seen)))),
            Box::new(K::And(vec![
                K::Header { field: "From".into(), text: "ana".into() },
                K::Since(Date::new(1994, 2, 1).unwrap())
            ]))
        )
    );
    let (_, reply) = refused("a SEARCH CHARSET KOI8-R ALL");
    assert_eq!((reply.condition, reply.code), (Condition::No, Some(Code::BadCharset)));
    let deep = format!("a SEARCH {}ALL", "NOT ".repeat(1000));
    assert_eq!(refused(&deep).1.text, "Nested too deeply");
}

#[test]
fn errors_are_bad_with_the_tag_and_no_where_the_grammar_allows_it() {
    for line in [
        "a FOO",
        "a LOGIN x",
        "a NOOP x",
        "a SELECT",
        "a STORE 0 FLAGS (x)",
        "a UID NOOP",
        "a FETCH 1:x FLAGS",
        "a STORE 1 FLAGS (\\Foo)",
        "a LOGIN \"x y",
        "a APPEND x",
    ] {
        let (tag, reply) = refused(line);
        assert_eq!(tag.unwrap().as_str(), "a", "{line}");
        assert_eq!(reply.condition, Condition::Bad, "{line}");
    }
    for line in ["", " NOOP", "+ NOOP", "* NOOP", "\u{ff} NOOP", "(a) NOOP"] {
        assert_eq!(refused(line).0, None, "{line}");
    }
    let (_, reply) = refused("a SELECT &x-");
    assert_eq!((reply.condition, reply.code), (Condition::No, Some(Code::Cannot)));
}

#[test]
fn elements_are_counted() {
    let limits = Limits { elements: 3, ..Limits::default() };
    assert!(command(b"a FETCH 1 (FLAGS UID ENVELOPE)\r\n", &limits).is_ok());
    assert!(command(b"a FETCH 1 (FLAGS UID ENVELOPE BODY)\r\n", &limits).is_err());
    assert!(command(b"a FETCH 1,2,3,4 FLAGS\r\n", &limits).is_err());
}
