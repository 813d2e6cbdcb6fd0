use super::*;

#[tokio::test]
async fn every_key_finds_what_it_should() {
    let site = Site::new();
    let mut client = site.session();
    client.append("INBOX (\\Seen \\Flagged $Work) \"17-Jul-1996 02:44:25 -0700\"", MULTIPART).await;
    client.append("INBOX (\\Answered) \"18-Jul-1996 02:44:25 +0000\"", &plain("dos", "nada")).await;
    client.append("INBOX (\\Deleted \\Draft)", &plain("tres", &"x".repeat(2000))).await;
    client.ok("SELECT INBOX").await;
    let table = [
        ("ALL", "1 2 3"),
        ("1:2", "1 2"),
        ("*", "3"),
        ("5", ""),
        ("UID 2:3", "2 3"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3"),
        ("ANSWERED", "2"),
        ("UNANSWERED", "1 3"),
        ("DELETED", "3"),
        ("UNDELETED", "1 2"),
        ("DRAFT", "3"),
        ("UNDRAFT", "1 2"),
        ("FLAGGED", "1"),
        ("UNFLAGGED", "2 3"),
        ("KEYWORD $work", "1"),
        ("UNKEYWORD $work", "2 3"),
        ("RECENT", "1 2 3"),
        ("NEW", "2 3"),
        ("OLD", ""),
        ("BEFORE 18-Jul-1996", "1"),
        ("ON 18-Jul-1996", "2"),
        ("SINCE 18-Jul-1996", "2 3"),
        ("SENTON 7-Feb-1994", "1"),
        ("SENTBEFORE 7-Feb-1994", ""),
        ("SENTSINCE 1-Jan-1990", "1"),
        ("LARGER 1000", "3"),
        ("SMALLER 1000", "1 2"),
        ("FROM BETO", "2 3"),
        ("TO ana", "2 3"),
        ("CC ana", ""),
        ("BCC ana", ""),
        ("CHARSET UTF-8 SUBJECT {8+}\r\nCANCIÓN", "1"),
        ("SUBJECT dos", "2"),
        ("HEADER Message-ID 1@", "1"),
        ("HEADER Message-ID \"\"", "1"),
        ("BODY \"hola mundo\"", "1"),
        ("BODY \"inner body\"", "1"),
        ("BODY dos", ""),
        ("TEXT dos", "2"),
        ("TEXT nada", "2"),
        ("NOT TEXT nada", "1 3"),
        ("OR SEEN ANSWERED", "1 2"),
        ("(OR SEEN ANSWERED) UNFLAGGED", "2"),
        ("NOT (SEEN FLAGGED)", "2 3"),
    ];
    for (keys, want) in table {
        let text = client.ok(&format!("SEARCH {keys}")).await;
        let found = text.lines().find_map(|line| line.strip_prefix("* SEARCH")).unwrap_or_default();
        assert_eq!(found.trim(), want, "{keys}");
    }
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("EXPUNGE").await;
    assert!(client.ok("UID SEARCH SUBJECT dos").await.starts_with("* SEARCH 2\r\n"));
    assert!(client.say("SEARCH CHARSET KOI8-R ALL").await.contains("tag NO [BADCHARSET (US-ASCII UTF-8)]"));
}

#[tokio::test]
async fn texts_and_patterns_of_a_command_are_bounded() {
    let site = Site::new();
    let mut client = site.session();
    client.ok("SELECT INBOX").await;
    client.ok(&format!("SEARCH{}", " NOT TEXT x".repeat(32))).await;
    assert!(
        client.say(&format!("SEARCH{}", " OR BODY x FROM y".repeat(17))).await.contains("tag NO [LIMIT]")
    );
    assert!(client.say(&format!("LIST \"\" {}", "*a".repeat(600))).await.contains("tag NO [LIMIT]"));
    assert!(client.say(&format!("LSUB \"\" {}", "%".repeat(2000))).await.contains("tag NO [LIMIT]"));
}
