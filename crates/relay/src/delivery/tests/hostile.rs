//! Hosts that misbehave: nothing is lost, nothing waits for ever, and nobody else is held up.

use super::*;
use std::time::Instant;

#[tokio::test]
async fn a_host_that_hangs_up_before_its_answer_may_have_the_message_and_is_asked_again_later() {
    for offers in [&["PIPELINING", "CHUNKING"][..], &[]] {
        let host = Manner::saying(".", Act::Drop).offering(offers).start().await;
        let fates = send(&delivery(&config(host.port)), &[HERE, ALSO]).await;
        for fate in &fates {
            assert!(matches!(fate, Fate::Deferred(_)));
            assert_eq!(trouble(fate), ("4.4.2".into(), Whose::Message));
        }
        assert_eq!((host.seen().taken.len(), host.seen().connections), (1, 1), "it is sent once an attempt");
    }
}

#[tokio::test]
async fn what_was_settled_before_the_connection_broke_stays_settled() {
    let host = Manner::with(|line, _| match line {
        line if line.contains("bea") => Act::Say("550 5.1.1 No such user"),
        "." => Act::Drop,
        _ => Act::Good,
    })
    .start()
    .await;
    let fates = send(&delivery(&config(host.port)), &[HERE, ALSO]).await;
    assert!(matches!(&fates[0], Fate::Failed(_)) && matches!(&fates[1], Fate::Deferred(_)), "{fates:?}");
}

#[tokio::test]
async fn a_word_of_farewell_behind_the_message_is_an_answer() {
    let host = Manner::saying(".", Act::SayAndDrop("421 4.3.0 Disk full")).start().await;
    let fates = send(&delivery(&config(host.port)), &[HERE]).await;
    assert_eq!(trouble(&fates[0]), ("4.3.0".into(), Whose::Destination));
}

#[tokio::test]
async fn silence_has_an_end_wherever_it_falls() {
    for (verb, code) in [
        ("", "4.4.2"),
        ("EHLO", "4.4.2"),
        ("MAIL", "4.4.2"),
        ("RCPT", "4.4.2"),
        ("DATA", "4.4.2"),
        (".", "4.4.2"),
    ] {
        for act in [Act::Hang, Act::Slow] {
            let host = Manner::saying(verb, act.clone()).offering(&["PIPELINING"]).start().await;
            let began = Instant::now();
            let fates = send(&delivery(&config(host.port)), &[HERE]).await;
            assert!(matches!(&fates[0], Fate::Deferred(_)), "{verb:?} {act:?} {fates:?}");
            assert_eq!(trouble(&fates[0]).0, code, "{verb:?} {act:?}");
            let took = began.elapsed();
            assert!(
                (Duration::from_millis(650)..Duration::from_millis(1600)).contains(&took),
                "{verb:?} {took:?}"
            );
        }
    }
}

#[tokio::test]
async fn replies_without_end_are_cut() {
    for verb in ["", "EHLO", "MAIL", "RCPT", "."] {
        let host = Manner::saying(verb, Act::Flood).start().await;
        let fates = send(&delivery(&config(host.port)), &[HERE]).await;
        assert!(matches!(&fates[0], Fate::Deferred(_)), "{verb:?} {fates:?}");
    }
}

#[tokio::test]
async fn what_is_not_smtp_is_no_reason_to_bounce() {
    for greeting in ["SSH-2.0-OpenSSH", "HTTP/1.1 400 Bad Request", "150 x", "220_x"] {
        let host = Manner::saying("", Act::SayAndDrop(greeting)).start().await;
        let fates = send(&delivery(&config(host.port)), &[HERE]).await;
        assert_eq!(trouble(&fates[0]), ("4.5.0".into(), Whose::Destination), "{greeting}");
    }
}

#[tokio::test]
async fn the_host_speaks_for_itself_at_the_door() {
    for (reply, code, failed) in [
        ("421 4.3.2 Busy", "4.3.2", false),
        ("554 5.7.1 Go away", "5.7.1", true),
        ("450 4.7.0 Later", "4.7.0", false),
    ] {
        let host = Manner::saying("", Act::SayAndDrop(reply)).start().await;
        let fates = send(&delivery(&config(host.port)), &[HERE]).await;
        assert_eq!(trouble(&fates[0]), (code.into(), Whose::Destination));
        assert_eq!(matches!(&fates[0], Fate::Failed(_)), failed);
    }
}

#[tokio::test]
async fn a_421_midway_ends_the_connection_and_defers_the_rest() {
    let host = Manner::with(|line, _| match line {
        line if line.contains("bea") => Act::Say("550 5.1.1 No such user"),
        line if line.contains("carlos") => Act::SayAndDrop("421 4.7.0 Too much"),
        _ => Act::Good,
    })
    .start()
    .await;
    let fates = send(&delivery(&config(host.port)), &[HERE, ALSO, "diana@[127.0.0.1]"]).await;
    assert!(matches!(&fates[0], Fate::Failed(_)));
    assert_eq!(trouble(&fates[1]), ("4.7.0".into(), Whose::Destination));
    assert_eq!(trouble(&fates[2]), ("4.7.0".into(), Whose::Destination));
    assert!(host.seen().taken.is_empty());
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_nothing_but_a_new_one() {
    // The second message finds the connection closed; the fourth finds that it closes at MAIL.
    let host = Manner::with(|line, number| match (line, number) {
        (line, 2) if line.starts_with("MAIL FROM:<dos") => Act::Drop,
        _ => Act::Good,
    })
    .start()
    .await;
    let delivery = delivery(&config(host.port));
    assert!(is_delivered(&send(&delivery, &[HERE]).await[0]));
    delivery.kept.all();
    assert!(is_delivered(&send(&delivery, &[HERE]).await[0]));
    let mut second = envelope(&[HERE]);
    second.reverse_path = "dos@ejemplo.test".parse().unwrap();
    // Longer than is ever sent before MAIL is answered.
    let text = format!("{TEXT}{}", "x".repeat(40_000));
    let fates = carry(&delivery, second, text.as_bytes()).await;
    assert!(is_delivered(&fates[0]), "{fates:?}");
    assert_eq!((host.seen().connections, host.seen().taken.len()), (3, 3));
}

#[tokio::test]
async fn a_421_on_a_connection_that_was_used_before_costs_nothing_but_a_new_one() {
    for offers in [&["PIPELINING", "CHUNKING"][..], &[]] {
        // It says so when the second message of the first connection comes.
        let mails = std::sync::atomic::AtomicUsize::new(0);
        let host = Manner::with(move |line, _| {
            let mail = line.starts_with("MAIL");
            let before = mails.fetch_add(usize::from(mail), std::sync::atomic::Ordering::Relaxed);
            if mail && before == 1 { Act::SayAndDrop("421 4.4.2 Idle for too long") } else { Act::Good }
        })
        .offering(offers)
        .start()
        .await;
        let delivery = delivery(&config(host.port));
        for _ in 0..2 {
            assert!(is_delivered(&send(&delivery, &[HERE, ALSO]).await[0]));
        }
        assert_eq!((host.seen().connections, host.seen().taken.len()), (2, 2));
    }
}

#[tokio::test]
async fn a_host_that_stumbles_over_one_message_is_not_closed_for_others() {
    for (verb, act) in
        [("MAIL", Act::Drop), ("RCPT", Act::SayAndDrop("nonsense")), ("RCPT", Act::Hang), ("DATA", Act::Drop)]
    {
        let host = Manner::saying(verb, act).offering(&["PIPELINING"]).start().await;
        let fates = send(&delivery(&config(host.port)), &[HERE]).await;
        assert!(matches!(&fates[0], Fate::Deferred(_)), "{verb} {fates:?}");
        assert_eq!(trouble(&fates[0]).1, Whose::Message, "{verb}");
    }
}

#[tokio::test]
async fn an_address_with_brackets_in_quotes_is_delivered() {
    let host = Manner::good().start().await;
    let fates = send(&delivery(&config(host.port)), &["\"a<b\"@[127.0.0.1]"]).await;
    assert!(is_delivered(&fates[0]), "{fates:?}");
    assert!(host.seen().taken[0].recipients[0].starts_with("RCPT TO:<\"a<b\"@[127.0.0.1]>"));
}

#[tokio::test]
async fn a_host_that_takes_one_transaction_a_connection_gets_all_the_same() {
    // It hangs up at the second MAIL of each connection.
    let told = std::sync::Mutex::new(std::collections::HashMap::<usize, usize>::new());
    let host = Manner::with(move |line, number| {
        let mut told = told.lock().unwrap();
        let mails = told.entry(number).or_default();
        *mails += usize::from(line.starts_with("MAIL"));
        if *mails > 1 { Act::Drop } else { Act::Good }
    })
    .offering(&["PIPELINING", "LIMITS RCPTMAX=1"])
    .start()
    .await;
    let fates = send(&delivery(&config(host.port)), &[HERE, ALSO, "diana@[127.0.0.1]"]).await;
    assert!(fates.iter().all(is_delivered), "{fates:?}");
    assert_eq!((host.seen().taken.len(), host.seen().connections), (3, 3));
}

#[tokio::test]
async fn nobody_waits_for_a_slow_destination_but_its_own_mail() {
    let slow = Manner::saying("RCPT", Act::Slow).start().await;
    let good = Manner::good().at("127.0.0.2", slow.port).start().await;
    let delivery = delivery(&config(slow.port));
    let began = Instant::now();
    let stuck: Vec<_> = (0..20)
        .map(|_| {
            let delivery = Arc::clone(&delivery);
            tokio::spawn(async move { send(&delivery, &[HERE]).await })
        })
        .collect();
    for _ in 0..50 {
        assert!(is_delivered(&send(&delivery, &["bea@[127.0.0.2]"]).await[0]));
    }
    // One behind the other, the stuck ones alone would take 14 s.
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    assert_eq!(good.seen().taken.len(), 50);
    for task in stuck {
        assert!(matches!(task.await.unwrap()[0], Fate::Deferred(_)));
    }
}

#[tokio::test]
async fn a_whole_attempt_has_an_end_too() {
    // Every reply comes in time, and all together never.
    let host = Manner::saying("RCPT", Act::Late).offering(&["CHUNKING"]).start().await;
    let mut config = config(host.port);
    config.delivery.timeouts.attempt = Span::millis(400);
    let recipients: Vec<String> = (0..30).map(|n| format!("u{n}@[127.0.0.1]")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let began = Instant::now();
    let fates = send(&delivery(&config), &recipients).await;
    assert!(began.elapsed() < Duration::from_millis(1700), "{:?}", began.elapsed());
    assert!(fates.iter().all(|fate| trouble(fate) == ("4.4.7".into(), Whose::Destination)), "{fates:?}");
}

#[tokio::test]
async fn a_message_file_that_cannot_be_read_is_no_fault_of_the_host() {
    let host = Manner::good().start().await;
    let delivery = delivery(&config(host.port));
    let content = Content::Stored { path: "/nonexistent/message".into(), offset: 0, length: 100_000 };
    let job = Job {
        envelope: Arc::new(envelope(&[HERE])),
        content: Arc::new(content),
        destination: delivery.destination(HERE),
        recipients: vec![0],
        attempts: 0,
    };
    let fates = Arc::clone(&delivery).carry(job).await;
    assert_eq!(trouble(&fates[0].1), ("4.3.0".into(), Whose::Message));
    assert!(host.seen().taken.is_empty());
}
