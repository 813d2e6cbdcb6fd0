use super::*;

#[tokio::test]
async fn a_new_account_has_its_special_folders() {
    let site = Site::new();
    let mut client = site.session();
    let text = client.ok("LIST \"\" *").await;
    for line in [
        "(\\HasNoChildren) \"/\" INBOX",
        "(\\HasNoChildren \\Sent) \"/\" Sent",
        "(\\HasNoChildren \\Trash) \"/\" Trash",
        "(\\HasNoChildren \\Junk) \"/\" Junk",
        "(\\HasNoChildren \\Drafts) \"/\" Drafts",
        "(\\HasNoChildren \\Archive) \"/\" Archive",
    ] {
        assert!(text.contains(&format!("* LIST {line}\r\n")), "{line} in {text}");
    }
    // Who deletes one does not get it back.
    client.ok("DELETE Junk").await;
    assert!(!client.ok("LIST \"\" *").await.contains("Junk"));
    assert!(client.say("SELECT Junk").await.contains("tag NO [NONEXISTENT]"));
}

#[tokio::test]
async fn junk_is_found_by_its_use_or_made_again_for_what_is_delivered_there() {
    let site = Site::new();
    let account = site.store.account(&Site::address());
    assert_eq!(crate::imap::junk(&account).await.unwrap().as_str(), "Junk");
    let mut client = site.session();
    assert!(client.ok("LIST \"\" *").await.contains("\\Archive"), "the others were made with it");
    client.ok("RENAME Junk Basura").await;
    assert_eq!(crate::imap::junk(&account).await.unwrap().as_str(), "Basura");
    client.ok("DELETE Basura").await;
    assert_eq!(crate::imap::junk(&account).await.unwrap().as_str(), "Junk");
    assert!(client.ok("LIST \"\" *").await.contains("\\Junk) \"/\" Junk\r\n"));
    assert!(client.ok("LSUB \"\" *").await.contains("Junk"));
    client.ok("DELETE Junk").await;
    client.ok("CREATE Junk").await;
    assert_eq!(
        crate::imap::junk(&account).await.unwrap().as_str(),
        "Junk",
        "one of that name without the use"
    );
}

#[tokio::test]
async fn special_folders_come_when_they_are_named_first() {
    let site = Site::new();
    let mut client = site.session();
    assert!(client.append("Sent (\\Seen)", "x").await.contains("tag OK"));
    client.ok("SELECT Drafts").await;
    client.ok("STATUS Trash (MESSAGES)").await;
}

#[tokio::test]
async fn folders_are_made_renamed_and_removed() {
    let site = Site::new();
    let mut client = site.session();
    client.ok("CREATE \"Obras/Jard&AO0-n/2024/\"").await;
    assert!(client.say("CREATE obras").await.contains("tag OK"));
    assert!(client.say("CREATE inbox").await.contains("tag NO [ALREADYEXISTS]"));
    assert!(client.say("CREATE a//b").await.contains("tag NO [CANNOT]"));
    let text = client.ok("LIST Obras/ %").await;
    assert!(text.contains("* LIST (\\HasChildren) \"/\" Obras/Jard&AO0-n\r\n"), "{text}");
    client.append("Obras/Jard&AO0-n/2024", "hello").await;
    client.ok("RENAME Obras Works").await;
    let text = client.ok("LIST \"\" *2024").await;
    assert!(text.contains("\"/\" Works/Jard&AO0-n/2024\r\n"), "{text}");
    assert!(client.ok("STATUS Works/Jard&AO0-n/2024 (MESSAGES SIZE)").await.contains("(MESSAGES 1 SIZE 5)"));
    assert!(client.say("RENAME nothing x").await.contains("tag NO [NONEXISTENT]"));
    assert!(client.say("RENAME Works Sent").await.contains("tag NO [ALREADYEXISTS]"));
    assert!(client.say("DELETE INBOX").await.contains("tag NO [CANNOT]"));
    assert!(client.say("DELETE nothing").await.contains("tag NO [NONEXISTENT]"));
    client.ok("DELETE Works/Jard&AO0-n/2024").await;
    assert!(!client.ok("LIST \"\" *").await.contains("2024"));
    client.ok("CREATE Todo (USE (\\All))").await;
    assert!(client.ok("LIST (SPECIAL-USE) \"\" *").await.contains("\\All) \"/\" Todo"));
    assert!(client.say("CREATE X (USE (\\Nada))").await.contains("tag NO [USEATTR]"));
}

#[tokio::test]
async fn subscriptions_are_told_by_lsub_and_list() {
    let site = Site::new();
    let mut client = site.session();
    client.ok("CREATE a/b").await;
    client.ok("SUBSCRIBE a/b").await;
    let text = client.ok("LSUB \"\" *").await;
    assert!(text.contains("* LSUB () \"/\" a/b\r\n") && text.contains("* LSUB () \"/\" Sent\r\n"), "{text}");
    let text = client.ok("LSUB \"\" %").await;
    assert!(text.contains("* LSUB (\\Noselect) \"/\" a\r\n"), "{text}");
    let text = client.ok("LIST (SUBSCRIBED) \"\" * RETURN (CHILDREN STATUS (MESSAGES))").await;
    assert!(
        text.contains("* LIST (\\Subscribed \\HasNoChildren) \"/\" a/b\r\n* STATUS a/b (MESSAGES 0)\r\n"),
        "{text}"
    );
    let text = client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %").await;
    assert!(text.contains("\"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))"), "{text}");
    client.ok("UNSUBSCRIBE a/b").await;
    assert!(!client.ok("LSUB \"\" *").await.contains("a/b"));
    assert_eq!(client.ok("LIST \"\" \"\"").await.lines().next(), Some("* LIST (\\Noselect) \"/\" \"\""));
}

#[tokio::test]
async fn small_verbs_answer() {
    let site = Site::new();
    let mut client = site.session();
    assert!(client.ok("CAPABILITY").await.contains("IMAP4rev1"));
    assert!(client.ok("NAMESPACE").await.contains("* NAMESPACE ((\"\" \"/\")) NIL NIL"));
    assert!(client.ok("ID (\"name\" \"x\")").await.contains("* ID (\"name\" \"Chasqui\""));
    assert!(client.ok("ENABLE CONDSTORE").await.contains("* ENABLED\r\n"));
    assert!(client.say("LOGIN a b").await.contains("tag BAD"));
    client.ok("SELECT INBOX").await;
    client.ok("CHECK").await;
    client.ok("CLOSE").await;
    assert!(client.say("UNSELECT").await.contains("tag BAD"));
    let text = client.ok("LOGOUT").await;
    assert!(text.starts_with("* BYE"), "{text}");
}
