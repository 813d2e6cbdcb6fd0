//! The DKIM and ARC messages.

use super::{Records, files};
use chasqui_base::DeliveryId;
use chasqui_courier::Content;
use chasqui_dns::testing::NameServer;
use chasqui_filter::authentication::{
    ArcResult, AuthenticationConfig, Authenticator, DkimResult, DmarcResult, Sender, Verdict,
};
use chasqui_smtp::ReversePath;
use std::{
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

/// When the samples were made, which is when mail-auth's own test checks them: one has expired since.
const THEN: Duration = Duration::from_secs(1_667_843_664);

/// A sample: records, an empty line, the message.
fn sample(path: &Path) -> (Records, Vec<u8>) {
    let text = std::fs::read_to_string(path).unwrap();
    let (lines, message) = text.split_once("\n\n").unwrap();
    let mut records = Records::default();
    for (name, record) in lines.lines().filter_map(|line| line.split_once(' ')) {
        records.text(name, record);
    }
    (records, message.replace('\n', "\r\n").into_bytes())
}

async fn verdict(server: &NameServer, message: &[u8]) -> Verdict {
    let authenticator =
        Authenticator::new(&AuthenticationConfig::default(), server.resolver(), "mx.example.org").unwrap();
    let sender = Sender { ip: [192, 0, 2, 1].into(), hello: "client.test", reverse_path: &ReversePath::Null };
    let spf = authenticator.spf(&sender).await;
    authenticator
        .message_at(
            DeliveryId::generate(),
            &sender,
            &spf,
            &Content::Memory(message.to_vec()),
            UNIX_EPOCH + THEN,
        )
        .await
}

/// The author's domain in the sample, as a reader finds it.
fn author(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let from = text.lines().find(|line| line.to_lowercase().starts_with("from:")).unwrap();
    from.rsplit('@').next().unwrap().trim_end_matches('>').trim().to_lowercase()
}

#[tokio::test]
async fn the_dkim_messages_pass_and_dmarc_follows_the_alignment() {
    let Some(mut server) = NameServer::start(&[]) else { return };
    let (mut signatures, mut aligned) = (0, 0);
    let samples = files("dkim", "txt");
    for path in &samples {
        let (mut records, message) = sample(path);
        let author = author(&message);
        records.text(&format!("_dmarc.{author}"), "v=DMARC1; p=reject");
        server.restart(&records.zones());
        let found = verdict(&server, &message).await;
        let name = path.file_name().unwrap().to_string_lossy();
        for dkim in &found.dkim {
            println!(
                "{name}: {} for {} ({}), author {author}: dmarc={}",
                dkim.result, dkim.domain, dkim.algorithm, found.dmarc.result
            );
        }
        assert_eq!(
            found.dkim.last().map(|dkim| dkim.result),
            Some(DkimResult::Pass),
            "{name}: {:?}",
            found.dkim
        );
        let fits =
            found.dkim.iter().any(|dkim| dkim.result == DkimResult::Pass && author.ends_with(&dkim.domain));
        assert_eq!(found.dmarc.result == DmarcResult::Pass, fits, "{name}: {:?}", found.dmarc);
        signatures += found.dkim.iter().filter(|dkim| dkim.result == DkimResult::Pass).count();
        aligned += usize::from(fits);

        // One octet of the body more, or of a signed field, and none holds.
        for changed in
            [[message.as_slice(), b"x\r\n"].concat(), [b"From: x@x.test\r\n".as_slice(), &message].concat()]
        {
            let found = verdict(&server, &changed).await;
            let body_changed = changed.ends_with(b"x\r\n");
            assert!(!body_changed || found.dkim.iter().all(|dkim| dkim.result == DkimResult::Fail), "{name}");
            assert_ne!(found.dmarc.result, DmarcResult::Pass, "{name}");
        }
    }
    println!(
        "DKIM: {signatures} signatures of {} messages pass, {aligned} messages pass DMARC by them",
        samples.len()
    );
}

#[tokio::test]
async fn the_arc_messages_pass_seal_for_seal() {
    let Some(mut server) = NameServer::start(&[]) else { return };
    let mut seals = 0;
    let samples = files("arc", "txt");
    for path in &samples {
        let (records, message) = sample(path);
        server.restart(&records.zones());
        let found = verdict(&server, &message).await;
        let name = path.file_name().unwrap().to_string_lossy();
        assert_eq!(found.arc.result, ArcResult::Pass, "{name}: {:?}", found.arc);
        assert!(found.dkim.iter().any(|dkim| dkim.result == DkimResult::Pass), "{name}: {:?}", found.dkim);
        println!("{name}: arc=pass, sealed by {}", found.arc.sealers.join(", "));
        seals += found.arc.sealers.len();

        let changed = [message.as_slice(), b"x\r\n"].concat();
        assert_eq!(verdict(&server, &changed).await.arc.result, ArcResult::Fail, "{name}");
    }
    println!("ARC: {seals} seals of {} messages hold", samples.len());
}
