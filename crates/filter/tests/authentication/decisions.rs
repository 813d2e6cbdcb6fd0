//! What follows from results: policies of both sides, trusted lists, the header field.

use crate::fixture::{FRIEND, Mail, STRANGER, authenticator, ed25519, forged, message, server, signed};
use chasqui_filter::authentication::{Action, ArcResult, DkimResult, DmarcResult, Policy, SpfResult};
use mail_auth::{
    ArcOutput, AuthenticatedMessage, AuthenticationResults, arc::ArcSealer,
    common::headers::HeaderWriter as _,
};

macro_rules! server {
    () => {
        match server() {
            Some(server) => server,
            None => return,
        }
    };
}

fn name(action: &Action) -> String {
    match action {
        Action::Accept => "accept".into(),
        Action::Mark => "mark".into(),
        Action::Quarantine => "quarantine".into(),
        Action::Reject(reply) => format!("reject {reply}"),
        Action::Defer(reply) => format!("defer {reply}"),
    }
}

#[tokio::test]
async fn what_a_domain_asks_for_is_followed() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    for (from, expected) in [
        ("a@sender.test", "reject 550 5.7.1 Refused by the DMARC policy of sender.test"),
        ("a@below.sender.test", "quarantine"),
        ("a@mild.test", "quarantine"),
        ("a@none.test", "accept"),
        ("a@nobody.test", "accept"),
    ] {
        assert_eq!(name(&forged(from).verdict(&checks).await.action), expected, "{from}");
    }
}

#[tokio::test]
async fn alignment_is_by_organization_unless_the_domain_is_strict() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    for (from, path, signer, expected) in [
        ("a@sender.test", "b@sub.sender.test", None, DmarcResult::Pass),
        ("a@sub.sender.test", "b@sender.test", None, DmarcResult::Pass),
        ("a@strict.test", "b@sub.strict.test", None, DmarcResult::Fail),
        ("a@strict.test", "b@strict.test", None, DmarcResult::Pass),
        ("a@sub.sender.test", "", Some("sender.test"), DmarcResult::Pass),
        ("a@sub.strict.test", "", Some("strict.test"), DmarcResult::Fail),
        ("a@sender.test", "b@mild.test", Some("lists.test"), DmarcResult::Fail),
    ] {
        let text = match signer {
            Some(signer) => signed(ed25519(), "ed", signer, &message(from)),
            None => message(from),
        };
        let found = Mail { ip: FRIEND, path, text }.verdict(&checks).await;
        assert_eq!(found.dmarc.result, expected, "{from} {path} {signer:?}: {:?}", found.dmarc);
    }
}

#[tokio::test]
async fn each_receiving_domain_follows_as_far_as_its_policy_and_the_mildest_counts() {
    let server = server!();
    let checks = authenticator(&server, |config| {
        for (domain, policy) in [
            ("none.here.test", Policy::None),
            ("mark.here.test", Policy::Mark),
            ("junk.here.test", Policy::Quarantine),
            ("\u{f1}and\u{fa}.test", Policy::Quarantine),
        ] {
            config.receiving.insert(domain.into(), policy);
        }
    });
    let verdict = forged("a@sender.test").verdict(&checks).await;
    for (domains, expected) in [
        (&["none.here.test"][..], "accept"),
        (&["mark.here.test"], "mark"),
        (&["junk.here.test"], "quarantine"),
        (&["other.here.test"], "reject"),
        (&["JUNK.Here.test"], "quarantine"),
        (&["\u{d1}and\u{fa}.test"], "quarantine"),
        (&["xn--and-6ma2c.test"], "quarantine"),
        (&["other.here.test", "junk.here.test"], "quarantine"),
        (&["other.here.test", "junk.here.test", "none.here.test"], "accept"),
    ] {
        assert!(name(&checks.action(&verdict, domains)).starts_with(expected), "{domains:?}");
    }
    let mild = forged("a@mild.test").verdict(&checks).await;
    assert_eq!(checks.action(&mild, &["other.here.test"]), Action::Quarantine);
}

#[tokio::test]
async fn an_operators_own_policy_for_a_sending_domain_replaces_what_it_publishes() {
    let server = server!();
    let checks = authenticator(&server, |config| {
        config.sending.insert("nobody.test".into(), Policy::Reject);
        config.sending.insert("sender.test".into(), Policy::None);
    });
    assert!(matches!(forged("a@x.nobody.test").verdict(&checks).await.action, Action::Reject(_)));
    assert_eq!(forged("a@sender.test").verdict(&checks).await.action, Action::Accept);
    // Also without a DMARC record, what is aligned and passes is genuine.
    let text = signed(ed25519(), "ed", "lists.test", &message("a@lists.test"));
    let own =
        authenticator(&server, |config| config.sending = [("lists.test".into(), Policy::Reject)].into());
    let found = Mail { ip: STRANGER, path: "", text }.verdict(&own).await;
    assert_eq!((found.dmarc.result, found.action), (DmarcResult::None, Action::Accept));
    // And what could not be checked is not refused for good.
    let text = signed(ed25519(), "loop", "lists.test", &message("a@lists.test"));
    let found = Mail { ip: STRANGER, path: "", text }.verdict(&own).await;
    assert_eq!(found.dmarc.result, DmarcResult::None);
    assert!(matches!(found.action, Action::Defer(_)), "{:?}", found.action);
}

#[tokio::test]
async fn an_spf_fail_alone_does_nothing_unless_the_operator_says_so() {
    let server = server!();
    let mail = || Mail { ip: STRANGER, path: "a@sender.test", text: message("a@nobody.test") };
    let found = mail().verdict(&authenticator(&server, |_| {})).await;
    assert_eq!((found.spf.result(), found.action), (SpfResult::Fail, Action::Accept));
    let strict = authenticator(&server, |config| config.spf_fail = Policy::Reject);
    assert!(name(&mail().verdict(&strict).await.action).starts_with("reject 550 5.7.23 "));
    let unsure = Mail { path: "a@failing.test", ..mail() };
    assert!(name(&unsure.verdict(&strict).await.action).starts_with("defer 451 4.7.24 "));
    assert_eq!(unsure.verdict(&authenticator(&server, |_| {})).await.action, Action::Accept);
    // Not against a DMARC pass.
    let text = signed(ed25519(), "ed", "sender.test", &message("a@sender.test"));
    let found = Mail { ip: STRANGER, path: "a@sender.test", text }.verdict(&strict).await;
    assert_eq!((found.dmarc.result, found.action), (DmarcResult::Pass, Action::Accept));
}

#[tokio::test]
async fn a_message_by_nobody_or_by_two_is_junk() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    for text in [
        "To: b@here.test\r\n\r\nx\r\n".to_owned(),
        format!("From: x@nobody.test\r\n{}", message("a@sender.test")),
        message("a@sender.test")
            .replace("From: Ana <a@sender.test>", "From: <a@sender.test> <b@nobody.test>"),
    ] {
        let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
        assert_eq!((found.dmarc.result, found.action), (DmarcResult::PermError, Action::Quarantine));
    }
    let text = message("a@x.test").replace("Ana <a@x.test>", "a@nobody.test, b@mild.test, c@sender.test");
    let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
    assert_eq!(
        (found.dmarc.author.as_str(), name(&found.action).split(' ').next()),
        ("sender.test", Some("reject"))
    );
}

#[tokio::test]
async fn each_author_of_several_needs_to_be_genuine() {
    let server = server!();
    let checks = authenticator(&server, |config| {
        config.sending.insert("nobody.test".into(), Policy::Reject);
        config.trusted_sealers.push("lists.test".into());
    });
    let by = |authors: &str| message("a@x.test").replace("Ana <a@x.test>", authors);
    // Who signs for himself does not speak for a domain that has no policy but the operator's.
    for authors in ["a@nobody.test, b@sender.test", "b@sender.test, a@nobody.test"] {
        let text = signed(ed25519(), "ed", "sender.test", &by(authors));
        let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
        assert_eq!(
            (found.dmarc.result, name(&found.action).as_str()),
            (DmarcResult::Pass, "reject 550 5.7.1 Refused by the DMARC policy of nobody.test")
        );
        assert_eq!(found.authors.len(), 2);
    }
    // Nor does a list that speaks for one of them.
    for (claim, expected) in [
        ("dmarc=pass header.from=sender.test", "quarantine"),
        ("dmarc=pass header.from=sender.test; dmarc=pass header.from=mild.test", "accept"),
    ] {
        let text = sealed(&by("a@sender.test, b@mild.test"), claim);
        let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
        assert_eq!((found.arc.vouched, name(&found.action).as_str()), (true, expected), "{claim}");
    }
    // A refusal comes before a doubt, a doubt before Junk.
    for (authors, expected) in
        [("a@failing.test, b@sender.test", "reject"), ("a@failing.test, b@mild.test", "defer")]
    {
        let found = Mail { ip: STRANGER, path: "", text: by(authors) }.verdict(&checks).await;
        assert!(name(&found.action).starts_with(expected), "{authors}: {:?}", found.action);
    }
}

/// As a list does: changes the message and seals what it found before.
fn sealed(message: &str, claim: &str) -> String {
    sealed_by("ed", message, claim)
}

fn sealed_by(selector: &str, message: &str, claim: &str) -> String {
    let changed = message.replace("Subject: Hola", "Subject: [list] Hola");
    let parsed = AuthenticatedMessage::parse(changed.as_bytes()).unwrap();
    let name = format!("lists.test; {claim}");
    let results = AuthenticationResults::new(&name);
    let set = ArcSealer::from_key(ed25519())
        .domain("lists.test")
        .selector(selector)
        .headers(["From", "Subject", "DKIM-Signature"])
        .seal(&parsed, &results, &ArcOutput::default())
        .unwrap();
    format!("{}{changed}", set.to_header())
}

#[tokio::test]
async fn a_trusted_list_may_change_a_message_and_a_stranger_may_not() {
    let server = server!();
    let original = signed(ed25519(), "ed", "sender.test", &message("a@sender.test"));
    let trusting = authenticator(&server, |config| config.trusted_sealers.push("Lists.test".into()));
    let wary = authenticator(&server, |_| {});
    let through = |claim| Mail { ip: STRANGER, path: "list@lists.test", text: sealed(&original, claim) };
    let pass = "dmarc=pass header.from=sender.test";

    let found = through(pass).verdict(&trusting).await;
    assert_eq!((found.arc.result, found.arc.vouched), (ArcResult::Pass, true), "{:?}", found.arc);
    assert_eq!((found.dmarc.result, &found.action), (DmarcResult::Fail, &Action::Accept));
    assert!(found.results.contains("arc=pass (trusted)"), "{}", found.results);

    for (checks, mail) in [
        (&wary, through(pass)),
        (&trusting, through("dmarc=fail header.from=sender.test")),
        (&trusting, through("dmarc=pass header.from=other.test")),
        (
            &trusting,
            Mail { text: sealed(&original, pass).replace("Hola.", "Changed after."), ..through(pass) },
        ),
        (
            &trusting,
            Mail { text: sealed(&original, pass).replace("dmarc=pass", "dmarc=pass "), ..through(pass) },
        ),
    ] {
        let found = mail.verdict(checks).await;
        let intact = found.arc.result == ArcResult::Pass;
        assert!(!found.arc.vouched || intact, "{:?}", found.arc);
        if !(found.arc.vouched && intact) {
            assert!(matches!(found.action, Action::Reject(_)), "{:?}", found.arc);
        }
    }
}

#[tokio::test]
async fn a_chain_that_dns_cannot_confirm_is_waited_for_only_where_it_would_count() {
    let server = server!();
    let original = signed(ed25519(), "ed", "sender.test", &message("a@sender.test"));
    let text = sealed_by("loop", &original, "dmarc=pass header.from=sender.test");
    let mail = Mail { ip: STRANGER, path: "list@lists.test", text };
    let trusting = authenticator(&server, |config| config.trusted_sealers.push("lists.test".into()));
    let found = mail.verdict(&trusting).await;
    assert_eq!((found.arc.result, found.arc.would_vouch), (ArcResult::TempError, true));
    assert!(matches!(found.action, Action::Defer(_)));
    let found = mail.verdict(&authenticator(&server, |_| {})).await;
    assert!(matches!(found.action, Action::Reject(_)));
}

#[tokio::test]
async fn the_header_field_says_all_of_it_and_nothing_of_the_senders_breaks_out() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    let text = signed(ed25519(), "ed", "sender.test", &message("ana@sender.test"));
    let path = "\"; dkim=pass header.d=bank.test; x=\"@sender.test";
    let found = Mail { ip: FRIEND, path, text }.verdict(&checks).await;
    let field = found.results;
    assert!(
        field.starts_with("Authentication-Results: mx.here.test;\r\n\t") && field.ends_with("\r\n"),
        "{field}"
    );
    for part in [
        "spf=none smtp.helo=client.nobody.test",
        "spf=pass",
        "dkim=pass header.d=sender.test header.s=ed header.a=ed25519-sha256",
        "dmarc=pass (p=reject) header.from=sender.test",
        "arc=none smtp.remote-ip=192.0.2.1",
    ] {
        assert!(field.contains(part), "{part}: {field}");
    }
    assert!(field.contains("smtp.mailfrom=\"\\\"; dkim=pass"), "{field}");
    assert!(
        field.lines().all(|line| line.len() < 200)
            && field.lines().skip(1).all(|line| line.starts_with('\t'))
    );
    // Read by another implementation's eyes: one field, and what follows is the message.
    let whole = format!("{field}{}", message("ana@sender.test"));
    let parsed = mail_parser::MessageParser::new().parse(whole.as_bytes()).unwrap();
    assert_eq!(parsed.headers().len(), 6);
}

#[tokio::test]
async fn results_in_our_name_are_foreign_and_others_only_if_all_are() {
    let server = server!();
    let [ours, others] = ["mx.here.test; dkim=pass", "else.test; spf=pass"]
        .map(|value| format!("Authentication-Results: {value}\r\n"));
    for all in [false, true] {
        let checks = authenticator(&server, |config| config.remove_all_results = all);
        assert_eq!((checks.is_foreign(ours.as_bytes()), checks.is_foreign(others.as_bytes())), (true, all));
    }
}

#[tokio::test]
async fn nothing_is_asked_or_said_when_it_is_off() {
    let server = server!();
    let checks = authenticator(&server, |config| config.enabled = false);
    let found = forged("a@sender.test").verdict(&checks).await;
    assert_eq!(
        (found.action, found.results.as_str()),
        (Action::Accept, "Authentication-Results: mx.here.test; none\r\n")
    );
    assert!(found.dkim.iter().all(|dkim| dkim.result == DkimResult::Pass));
}
