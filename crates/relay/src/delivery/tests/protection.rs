//! STARTTLS that is offered, refused, broken or forged.

use super::*;
use crate::config::{Route, RouteTls};
use host::starts;

fn routed(host: &Host, name: &str, tls: RouteTls) -> Config {
    let mut config = config(host.port);
    config.delivery.routes = vec![Route {
        domains: vec!["*".into()],
        hosts: vec![format!("{name}:{}", host.port).parse().unwrap()],
        tls: Some(tls),
        ..Route::default()
    }];
    config
}

/// Delivery that trusts the CA of `folder`.
fn trusting(config: &Config, folder: &tempfile::TempDir) -> Arc<Delivery> {
    let tls = TlsConfig { extra_ca: Some(folder.path().join("ca.crt")), ..tls_config(folder) };
    delivery_with(config, no_dns(), &tls, Arc::default())
}

#[tokio::test]
async fn tls_is_used_wherever_it_is_offered_whatever_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let host = Manner::good().under_tls(folder.path(), &["other.example"]).start().await;
    let delivery = delivery(&config(host.port));
    for _ in 0..2 {
        assert!(is_delivered(&send(&delivery, &[HERE]).await[0]));
    }
    let seen = host.seen();
    assert!(seen.taken.iter().all(|taken| taken.tls) && seen.taken.len() == 2);
    assert_eq!(seen.connections, 1);
}

#[tokio::test]
async fn broken_tls_means_clear_text_only_where_that_is_allowed() {
    for act in [Act::SayAndDrop("220 Go on"), Act::Say("454 4.7.0 Not now"), Act::Drop] {
        let folder = tempfile::tempdir().unwrap();
        let broken = act.clone();
        let manner =
            Manner::with(move |line, _| if starts(line, "STARTTLS") { broken.clone() } else { Act::Good });
        let host = manner.under_tls(folder.path(), &["127.0.0.1"]).start().await;
        let fates = send(&delivery(&config(host.port)), &[HERE]).await;
        // Who hangs up at STARTTLS without a word did not say that TLS is broken.
        if !matches!(act, Act::Drop) {
            assert!(is_delivered(&fates[0]), "{act:?} {fates:?}");
            assert!(!host.seen().taken[0].tls);
            host.forget();
        }
        for tls in [RouteTls::Required, RouteTls::Verified] {
            let fates = send(&delivery(&routed(&host, "127.0.0.1", tls)), &["x@a.example"]).await;
            assert!(matches!(&fates[0], Fate::Deferred(_)), "{act:?} {fates:?}");
        }
        assert!(host.seen().taken.is_empty());
    }
}

#[tokio::test]
async fn a_host_without_tls_is_not_enough_where_it_is_needed() {
    let host = Manner::good().start().await;
    let fates = send(&delivery(&routed(&host, "127.0.0.1", RouteTls::Required)), &["x@a.example"]).await;
    assert_eq!(trouble(&fates[0]), ("4.7.10".into(), Whose::Destination));
    assert!(host.seen().taken.is_empty());
}

#[tokio::test]
async fn a_certificate_must_be_the_hosts_own_where_that_is_demanded() {
    let folder = tempfile::tempdir().unwrap();
    let host = Manner::good().under_tls(folder.path(), &["127.0.0.1", "localhost"]).start().await;
    let config = routed(&host, "127.0.0.1", RouteTls::Verified);
    assert!(is_delivered(&send(&trusting(&config, &folder), &["x@a.example"]).await[0]));
    // A CA that nobody trusts.
    let fates = send(&delivery(&config), &["x@a.example"]).await;
    assert_eq!(trouble(&fates[0]), ("4.7.5".into(), Whose::Destination));
    // Another name.
    let folder = tempfile::tempdir().unwrap();
    let host = Manner::good().under_tls(folder.path(), &["other.example"]).start().await;
    let config = routed(&host, "127.0.0.1", RouteTls::Verified);
    let fates = send(&trusting(&config, &folder), &["x@a.example"]).await;
    assert_eq!(trouble(&fates[0]).0, "4.7.5");
    assert!(host.seen().taken.is_empty());
    // Any certificate.
    let config = routed(&host, "127.0.0.1", RouteTls::Required);
    assert!(is_delivered(&send(&trusting(&config, &folder), &["x@a.example"]).await[0]));
}

#[tokio::test]
async fn connections_for_different_demands_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let host = Manner::good().under_tls(folder.path(), &["127.0.0.1"]).start().await;
    let config = routed(&host, "127.0.0.1", RouteTls::Required);
    let delivery = trusting(&config, &folder);
    assert!(is_delivered(&send(&delivery, &["x@a.example"]).await[0]));
    delivery.reload(&routed(&host, "127.0.0.1", RouteTls::Verified)).unwrap();
    assert!(is_delivered(&send(&delivery, &["x@a.example"]).await[0]));
    assert_eq!(host.seen().connections, 2);
}

#[tokio::test]
async fn requiretls_needs_a_host_that_promises_the_same() {
    let demanding = || Envelope { require_tls: true, ..envelope(&["x@a.example"]) };
    for (offers, code) in [(&["REQUIRETLS"][..], None), (&["PIPELINING"], Some("5.7.30"))] {
        let folder = tempfile::tempdir().unwrap();
        let host = Manner::good().offering(offers).under_tls(folder.path(), &["127.0.0.1"]).start().await;
        let delivery = trusting(&routed(&host, "127.0.0.1", RouteTls::Opportunistic), &folder);
        let fate = carry(&delivery, demanding(), TEXT.as_bytes()).await.remove(0);
        match code {
            None => {
                assert!(is_delivered(&fate), "{fate:?}");
                assert!(host.seen().taken[0].mail.contains(" REQUIRETLS"));
            }
            Some(code) => assert_eq!(trouble(&fate).0, code),
        }
    }
    let host = Manner::good().offering(&["REQUIRETLS"]).start().await;
    let delivery = delivery(&routed(&host, "127.0.0.1", RouteTls::Opportunistic));
    let fate = carry(&delivery, demanding(), TEXT.as_bytes()).await.remove(0);
    assert!(matches!(fate, Fate::Deferred(_)) && host.seen().taken.is_empty());
}

#[tokio::test]
async fn a_report_about_tls_goes_out_even_where_tls_fails() {
    let folder = tempfile::tempdir().unwrap();
    let minimum = crate::tls::DomainMinimum {
        domains: vec!["*".into()],
        level: crate::tls::MinimumLevel::Encrypted,
        names: Vec::new(),
    };
    let tls = TlsConfig { minimums: vec![minimum], ..tls_config(&folder) };
    let host = Manner::good().start().await;
    let delivery = delivery_with(&config(host.port), no_dns(), &tls, Arc::default());
    let of = |source, reverse_path: &str| Envelope {
        source,
        reverse_path: reverse_path.parse::<ReversePath>().unwrap_or(ReversePath::Null),
        ..envelope(&[HERE])
    };
    for (envelope, delivered) in [
        (of(Handed::Role, "ana@ejemplo.test"), false),
        (of(Handed::Own, "<>"), false),
        (of(Handed::Own, "tls@ejemplo.test"), true),
    ] {
        let fates = carry(&delivery, envelope, TEXT.as_bytes()).await;
        assert_eq!(is_delivered(&fates[0]), delivered, "{fates:?}");
    }
}

#[tokio::test]
async fn dane_is_kept_to_from_mx_to_message() {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    let folder = tempfile::tempdir().unwrap();
    let manner = Manner::good().under_tls(folder.path(), &["other.example"]);
    let certificate = CertificateDer::from_pem_file(folder.path().join("host.crt")).unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &certificate);
    let digest: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    let zone = format!(
        "good MX 10 mx\nmx A 127.0.0.1\n_25._tcp.mx TLSA 3 0 1 {digest}\n\
         bad MX 10 mx2\nmx2 A 127.0.0.1\n_25._tcp.mx2 TLSA 3 0 1 {}\n\
         clear MX 10 mx3\nmx3 A 127.0.0.2\n_25._tcp.mx3 TLSA 3 0 1 {digest}\n",
        "00".repeat(32)
    );
    let zones = [chasqui_dns::testing::Zone::signed("dane.test", &zone)];
    let Some(server) = chasqui_dns::testing::NameServer::start(&zones) else { return };
    let host = manner.start().await;
    // Somebody on the way has taken STARTTLS out.
    let stripped = Manner::good().at("127.0.0.2", host.port).start().await;
    let delivery = delivery_with(&config(host.port), server.resolver(), &tls_config(&folder), Arc::default());
    assert!(is_delivered(&send(&delivery, &["x@good.dane.test"]).await[0]));
    assert!(host.seen().taken[0].tls);
    for (domain, code) in [("bad.dane.test", "4.7.5"), ("clear.dane.test", "4.7.10")] {
        let fates = send(&delivery, &[&format!("x@{domain}")]).await;
        assert_eq!(trouble(&fates[0]).0, code, "{fates:?}");
    }
    assert!(host.seen().taken.len() == 1 && stripped.seen().taken.is_empty());
}
