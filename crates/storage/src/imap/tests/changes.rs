use super::*;

#[tokio::test]
async fn expunges_are_not_told_while_numbers_are_in_use() {
    let site = Site::new();
    for n in 0..3 {
        site.deliver(plain("one", &n.to_string()).as_bytes()).await;
    }
    let (mut first, mut second) = (site.session(), site.session());
    first.ok("SELECT INBOX").await;
    second.ok("SELECT INBOX").await;
    first.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    assert!(first.ok("EXPUNGE").await.contains("* 2 EXPUNGE"));
    // RFC 3501 §7.4.1, RFC 2180 §4.1.2: not now, but what is left is answered, with its old number.
    let text = second.say("FETCH 1:3 UID").await;
    assert!(
        !text.contains("EXPUNGE\r\n")
            && text.contains("* 3 FETCH (UID 3)")
            && text.contains("tag NO [EXPUNGEISSUED]"),
        "{text}"
    );
    assert_eq!(second.ok("SEARCH ALL").await, "* SEARCH 1 3\r\ntag OK SEARCH completed\r\n");
    let text = second.say("STORE 3 +FLAGS (\\Seen)").await;
    assert!(text.contains("* 3 FETCH (FLAGS (") && !text.contains("EXPUNGE\r\n"), "{text}");
    // Now it may.
    assert!(second.ok("NOOP").await.contains("* 2 EXPUNGE"));
    assert!(second.ok("FETCH 2 UID").await.contains("* 2 FETCH (UID 3)"));
    assert!(first.ok("NOOP").await.contains("* 2 FETCH (FLAGS (\\Seen"));
}

#[tokio::test]
async fn idle_pushes_at_once() {
    let site = Site::new();
    let (mut first, mut second) = (site.session(), site.session());
    first.ok("SELECT INBOX").await;
    second.ok("SELECT INBOX").await;
    first.write(b"i1 IDLE\r\n").await;
    first.until("+ ").await;
    site.deliver(plain("one", "x").as_bytes()).await;
    first.until("* 1 EXISTS").await;
    second.ok("STORE 1 +FLAGS (\\Deleted)").await;
    first.until("* 1 FETCH (FLAGS (\\Deleted").await;
    second.ok("EXPUNGE").await;
    first.until("* 1 EXPUNGE").await;
    first.write(b"DONE\r\n").await;
    assert!(first.until("i1 ").await.ends_with("i1 OK IDLE completed\r\n"));
    first.write(b"i2 IDLE\r\nwhat\r\ni3 NOOP\r\n").await;
    assert!(first.until("i3 ").await.contains("i2 BAD Expected DONE\r\n"));
}

#[tokio::test]
async fn silent_store_still_tells_what_another_did() {
    let site = Site::new();
    site.deliver(plain("one", "x").as_bytes()).await;
    let (mut first, mut second) = (site.session(), site.session());
    first.ok("SELECT INBOX").await;
    second.ok("SELECT INBOX").await;
    second.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    assert!(first.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await.contains("\\Flagged"));
    assert!(second.ok("NOOP").await.contains("* 1 FETCH (FLAGS (\\Flagged \\Seen"));
}

#[tokio::test]
async fn a_selected_mailbox_that_is_deleted_harms_nobody() {
    let site = Site::new();
    let (mut first, mut second) = (site.session(), site.session());
    first.ok("CREATE x").await;
    first.append("x", "hello").await;
    second.ok("SELECT x").await;
    first.ok("DELETE x").await;
    second.say("NOOP").await;
    second.say("UID FETCH 1:* (FLAGS BODY[])").await;
    second.say("STORE 1 +FLAGS (\\Seen)").await;
    second.say("EXPUNGE").await;
    second.ok("SELECT INBOX").await;
    // Its own, too.
    first.ok("CREATE y").await;
    first.ok("SELECT y").await;
    first.ok("DELETE y").await;
    assert!(first.say("CHECK").await.contains("tag BAD"));
}

#[tokio::test]
async fn draining_says_goodbye_to_idle_sessions() {
    let site = Site::new();
    let mut client = site.session();
    client.ok("NOOP").await;
    site.run.stop();
    client.until("* BYE [UNAVAILABLE]").await;
    assert_eq!(site.run.drain(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn silence_and_errors_have_an_end() {
    let mut site = Site::new();
    site.settings.timeouts.imap_idle = chasqui_base::Span::millis(50);
    let mut client = site.session();
    client.until("* BYE Autologout").await;
    site.settings = Settings { limits: LimitsConfig::default(), timeouts: TimeoutsConfig::default() };
    site.settings.timeouts.data = chasqui_base::Span::millis(50);
    let mut client = site.session();
    client.write(b"a NO").await;
    client.until("* BYE Autologout").await;
    site.settings.limits.errors = 3;
    let mut client = site.session();
    client.write(b"a X\r\nb Y\r\nc Z\r\n").await;
    assert!(client.until("* BYE Too many errors").await.contains("c BAD Unknown command"));
}

#[tokio::test]
async fn a_message_that_comes_slowly_is_not_silence() {
    let mut site = Site::new();
    site.settings.timeouts.imap_idle = chasqui_base::Span::millis(400);
    site.settings.timeouts.data = chasqui_base::Span::millis(400);
    let mut client = site.session();
    client.write(b"a APPEND INBOX {8}\r\n").await;
    client.until("+ ").await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(80)).await;
        client.write(b"x").await;
    }
    client.write(b"\r\n").await;
    assert!(client.until("a ").await.contains("a OK"));
    tokio::time::sleep(Duration::from_millis(80)).await;
    client.ok("NOOP").await;
}

#[tokio::test]
async fn a_new_keyword_is_told_before_it_is_met() {
    let site = Site::new();
    site.deliver(plain("one", "x").as_bytes()).await;
    let (mut first, mut second) = (site.session(), site.session());
    first.ok("SELECT INBOX").await;
    second.ok("SELECT INBOX").await;
    let text = first.ok("STORE 1 +FLAGS ($Nuevo)").await;
    let flags = text.find("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Nuevo)").expect(&text);
    assert!(flags < text.find("* 1 FETCH").expect(&text), "{text}");
    assert!(second.ok("NOOP").await.starts_with("* FLAGS ("));
    assert!(!second.ok("STORE 1 +FLAGS ($nuevo)").await.contains("* FLAGS"));
}
