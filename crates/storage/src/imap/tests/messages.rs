use super::*;

#[tokio::test]
async fn select_tells_what_a_client_must_know() {
    let site = Site::new();
    site.deliver(plain("one", "x").as_bytes()).await;
    let mut client = site.session();
    let text = client.ok("SELECT INBOX").await;
    for line in [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        "* 1 EXISTS",
        "* 1 RECENT",
        "* OK [UNSEEN 1]",
        "* OK [UIDVALIDITY ",
        "* OK [UIDNEXT 2]",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)]",
        "tag OK [READ-WRITE]",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let text = client.ok("EXAMINE inbox").await;
    assert!(
        text.contains("* OK [CLOSED]")
            && text.contains("[PERMANENTFLAGS ()]")
            && text.contains("tag OK [READ-ONLY]"),
        "{text}"
    );
    assert!(client.say("SELECT nowhere").await.contains("tag NO [NONEXISTENT]"));
    assert!(client.say("FETCH 1 FLAGS").await.contains("tag BAD No mailbox is selected"));
}

#[tokio::test]
async fn every_fetch_item_is_answered() {
    let site = Site::new();
    let mut client = site.session();
    let reply = client.append("INBOX (\\Flagged $Work) \"17-Jul-1996 02:44:25 -0700\"", MULTIPART).await;
    assert!(reply.contains("tag OK [APPENDUID ") && reply.contains(" 1] APPEND"), "{reply}");
    client.ok("SELECT INBOX").await;
    let text = client.ok("FETCH 1 ALL").await;
    assert!(text.contains("FLAGS (\\Flagged $Work"), "{text}");
    assert!(text.contains("INTERNALDATE \"17-Jul-1996 09:44:25 +0000\""), "{text}");
    assert!(text.contains(&format!("RFC822.SIZE {}", MULTIPART.len())), "{text}");
    assert!(
        text.contains(
            "ENVELOPE (\"Mon, 7 Feb 1994 21:52:25 -0800\" \"=?UTF-8?Q?Canci=C3=B3n?=\" ((\"Ana\" NIL \"ana\" \"ejemplo.test\")) \
             ((\"Ana\" NIL \"ana\" \"ejemplo.test\")) ((\"Ana\" NIL \"ana\" \"ejemplo.test\")) ((NIL NIL \"beto\" \"ejemplo.test\")) \
             NIL NIL NIL \"<1@x>\")"
        ),
        "{text}"
    );
    let text = client.ok("FETCH 1 BODYSTRUCTURE").await;
    assert!(
        text.contains("BODYSTRUCTURE ((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"base64\" 16 "),
        "{text}"
    );
    assert!(text.contains("(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 54 (NIL \"inner\" ((NIL NIL \"carla\" \"ejemplo.test\"))"), "{text}");
    assert!(text.contains(" \"mixed\" (\"boundary\" \"b\") NIL NIL NIL))"), "{text}");
    let literal = |octets: &str| format!("{{{}}}\r\n{octets}", octets.len());
    let header = &MULTIPART[..MULTIPART.find("preamble").unwrap()];
    let table = [
        ("BODY.PEEK[]", "BODY[] ".to_owned() + &literal(MULTIPART)),
        ("BODY.PEEK[HEADER]", "BODY[HEADER] ".to_owned() + &literal(header)),
        ("RFC822.HEADER", "RFC822.HEADER ".to_owned() + &literal(header)),
        ("BODY.PEEK[TEXT]<0.8>", "BODY[TEXT]<0> ".to_owned() + &literal("preamble")),
        ("BODY.PEEK[]<100000.8>", "BODY[]<100000> ".to_owned() + &literal("")),
        ("BODY.PEEK[1]", "BODY[1] ".to_owned() + &literal("SG9sYSBtdW5kbw==")),
        (
            "BODY.PEEK[1.MIME]",
            "BODY[1.MIME] ".to_owned()
                + &literal(
                    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                ),
        ),
        (
            "BODY.PEEK[2.HEADER]",
            "BODY[2.HEADER] ".to_owned() + &literal("From: carla@ejemplo.test\r\nSubject: inner\r\n\r\n"),
        ),
        ("BODY.PEEK[2.TEXT]", "BODY[2.TEXT] ".to_owned() + &literal("inner body")),
        ("BODY.PEEK[2.1]", "BODY[2.1] ".to_owned() + &literal("inner body")),
        ("BODY.PEEK[3]", "BODY[3] NIL".to_owned()),
        ("BODY.PEEK[1.HEADER]", "BODY[1.HEADER] NIL".to_owned()),
        (
            "BODY.PEEK[HEADER.FIELDS (to SUBJECT)]",
            "BODY[HEADER.FIELDS (to SUBJECT)] ".to_owned()
                + &literal("To: beto@ejemplo.test\r\nSubject: =?UTF-8?Q?Canci=C3=B3n?=\r\n\r\n"),
        ),
        (
            "BODY.PEEK[2.HEADER.FIELDS.NOT (From)]",
            "BODY[2.HEADER.FIELDS.NOT (From)] ".to_owned() + &literal("Subject: inner\r\n\r\n"),
        ),
    ];
    for (item, want) in table {
        let text = client.ok(&format!("FETCH 1 {item}")).await;
        assert!(text.contains(&format!("* 1 FETCH ({want})\r\n")), "{item}: {text}");
    }
    // Nothing so far has set \Seen; this does, and says so.
    let text = client.ok("UID FETCH 1 BODY[1]<0.4>").await;
    assert!(text.contains("* 1 FETCH (UID 1 BODY[1]<0> {4}\r\nSG9s FLAGS (\\Flagged \\Seen $Work"), "{text}");
    assert!(!client.ok("FETCH 1 RFC822").await.contains("FLAGS"));
}

#[tokio::test]
async fn sets_beyond_the_mailbox_are_bad_and_missing_uids_are_nothing() {
    let site = Site::new();
    let mut client = site.session();
    client.ok("SELECT INBOX").await;
    assert_eq!(client.ok("FETCH 1:* FLAGS").await.lines().count(), 1);
    assert!(client.say("FETCH 1 FLAGS").await.contains("tag BAD"));
    site.deliver(plain("one", "x").as_bytes()).await;
    assert!(client.ok("UID FETCH 7 FLAGS").await.contains("* 1 EXISTS"));
    assert!(client.say("FETCH 2 FLAGS").await.contains("tag BAD"));
    assert!(client.ok("FETCH 5:* UID").await.contains("* 1 FETCH (UID 1)"));
    assert!(client.ok("UID FETCH 9:* UID").await.contains("* 1 FETCH (UID 1)"));
}

#[tokio::test]
async fn store_answers_unless_silent() {
    let site = Site::new();
    for n in 0..3 {
        site.deliver(plain("one", &n.to_string()).as_bytes()).await;
    }
    let mut client = site.session();
    client.ok("SELECT INBOX").await;
    let text = client.ok("STORE 1:2 +FLAGS (\\Deleted)").await;
    assert!(text.contains("* 1 FETCH (FLAGS (\\Deleted \\Recent))") && text.contains("* 2 FETCH"), "{text}");
    let text = client.ok("UID STORE 1 FLAGS (\\Seen $A)").await;
    assert!(text.contains("* 1 FETCH (UID 1 FLAGS (\\Seen $A \\Recent))"), "{text}");
    assert_eq!(client.ok("STORE 1 -FLAGS.SILENT (\\Seen)").await.lines().count(), 1);
    assert!(client.ok("FETCH 1 FLAGS").await.contains("* 1 FETCH (FLAGS ($A \\Recent))"));
    // RFC 4315: UID EXPUNGE takes only what it names.
    client.ok("STORE 3 +FLAGS.SILENT (\\Deleted)").await;
    assert!(client.ok("UID EXPUNGE 3").await.contains("* 3 EXPUNGE"));
    assert!(client.ok("EXPUNGE").await.contains("* 2 EXPUNGE"));
    client.ok("EXAMINE INBOX").await;
    assert!(client.say("STORE 1 +FLAGS (\\Seen)").await.contains("tag NO [READ-ONLY]"));
    assert!(client.say("EXPUNGE").await.contains("tag NO [READ-ONLY]"));
}

#[tokio::test]
async fn append_says_where_and_refuses_what_does_not_fit() {
    let mut site = Site::new();
    site.quota.bytes = Some(2000);
    let mut client = site.session();
    assert!(client.append("nowhere", "x").await.contains("tag NO [TRYCREATE]"));
    assert!(client.append("INBOX", &"x".repeat(3000)).await.contains("tag NO [OVERQUOTA]"));
    assert!(client.say("APPEND INBOX {999999999999}").await.contains("tag NO [TOOBIG]"));
    assert!(client.append("INBOX", "").await.contains("tag NO"));
    let text = client.say("APPEND INBOX {1+}\r\na (\\Seen) {2+}\r\nbc").await;
    assert!(text.contains("tag OK [APPENDUID ") && text.contains(" 1:2] "), "{text}");
    client.ok("SELECT INBOX").await;
    assert!(client.append("INBOX", "d").await.contains("* 3 EXISTS"));
    // With a waiting client.
    client.write(b"w1 APPEND INBOX {3}\r\n").await;
    client.until("+ ").await;
    client.write(b"abc\r\n").await;
    assert!(client.until("w1 ").await.contains("w1 OK [APPENDUID"));
    let quota = client.ok("GETQUOTAROOT INBOX").await;
    assert!(quota.contains("* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 1 1)"), "{quota}");
    assert!(client.say("SETQUOTA \"\" (STORAGE 9)").await.contains("tag NO [NOPERM]"));
}

#[tokio::test]
async fn append_is_refused_before_what_does_not_fit_comes() {
    let mut site = Site::new();
    site.quota = chasqui_mailstore::Quota { bytes: Some(100), messages: Some(3) };
    let mut client = site.session();
    // No octet of the message is asked for.
    assert!(client.say("APPEND INBOX {101}").await.starts_with("tag NO [OVERQUOTA]"));
    client.write(b"a APPEND INBOX {60}\r\n").await;
    client.until("+ ").await;
    client.write(format!("{} {{41}}\r\n", "x".repeat(60)).as_bytes()).await;
    assert!(client.until("a ").await.starts_with("a NO [OVERQUOTA]"));
    assert!(
        client.say(&format!("APPEND INBOX{}", " {1+}\r\nx".repeat(4))).await.contains("tag NO [OVERQUOTA]")
    );
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("MESSAGES 0"));
    assert!(client.append("INBOX", &"x".repeat(100)).await.contains("tag OK"));
    site.quota = chasqui_mailstore::Quota::default();
    site.settings.limits.message = chasqui_base::ByteSize(100);
    let mut client = site.session();
    let text = client.say(&format!("APPEND INBOX {{60+}}\r\n{} {{41}}", "x".repeat(60))).await;
    assert!(text.starts_with("tag NO [TOOBIG]"), "{text}");
}

#[tokio::test]
async fn fetch_bounds_what_it_puts_together() {
    let site = Site::new();
    let long = format!("X-Long: {}\r\n", "x".repeat(1 << 18));
    site.deliver(format!("{long}{long}{long}\r\nbody\r\n").as_bytes()).await;
    let mut client = site.session();
    client.ok("SELECT INBOX").await;
    // Different names, as the same item twice is one.
    let lists =
        |count| -> String { (0..count).map(|n| format!("BODY.PEEK[HEADER.FIELDS.NOT (A{n})] ")).collect() };
    client.ok(&format!("FETCH 1 ({})", lists(5).trim_end())).await;
    let text = client.say(&format!("FETCH 1 ({})", lists(6).trim_end())).await;
    assert!(text.contains("tag NO [LIMIT]"), "{} octets, {:?}", text.len(), text.lines().last());
    assert!(client.say(&format!("FETCH 1 ({})", lists(65).trim_end())).await.starts_with("tag NO [LIMIT]"));
}

#[tokio::test]
async fn copy_and_move_say_where_messages_went() {
    let site = Site::new();
    for n in 0..3 {
        site.deliver(plain("one", &n.to_string()).as_bytes()).await;
    }
    let mut client = site.session();
    client.ok("SELECT INBOX").await;
    assert!(client.say("COPY 1 nowhere").await.contains("tag NO [TRYCREATE]"));
    let text = client.ok("COPY 1:2 Trash").await;
    assert!(text.contains("tag OK [COPYUID ") && text.contains(" 1:2 1:2] "), "{text}");
    let text = client.ok("UID MOVE 1,3 Archive").await;
    assert!(text.contains("* OK [COPYUID ") && text.contains(" 1,3 1:2] "), "{text}");
    assert!(
        text.contains("* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n") || text.contains("* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n"),
        "{text}"
    );
    assert!(
        client
            .ok("STATUS Archive (MESSAGES UIDNEXT)")
            .await
            .contains("* STATUS Archive (MESSAGES 2 UIDNEXT 3)")
    );
    client.ok("SELECT Archive").await;
    assert!(client.ok("FETCH 2 BODY.PEEK[TEXT]").await.contains("{3}\r\n2\r\n"));
    assert!(client.ok("UID COPY 99 Trash").await.contains("tag OK"));
}

#[tokio::test]
async fn a_large_message_passes_whole() {
    let site = Site::new();
    let message = plain("big", &"0123456789abcde\r\n".repeat(1 << 18));
    let mut client = site.session();
    assert!(client.append("INBOX", &message).await.contains("tag OK"));
    client.ok("SELECT INBOX").await;
    let text = client.ok("FETCH 1 BODY.PEEK[]").await;
    assert!(text.contains(&message));
}
