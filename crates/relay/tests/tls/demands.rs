//! What the operator and the message demand, and what opportunistic TLS lets pass.

use std::time::{Duration, Instant};

use chasqui_base::Span;
use chasqui_base::net::Stream;
use chasqui_dns::testing::{NameServer, Zone};
use chasqui_relay::tls::{
    DomainMinimum, Failure, MinimumLevel, Requirement, TlsConfig, TlsFailure, Verified,
};
use tokio::io::AsyncWriteExt;

use crate::authority::{Authority, Identity, tlsa};
use crate::site::{config, demand, handshake, handshake_with, open};

fn resolver() -> chasqui_dns::Resolver {
    // Nobody listens there: what these tests ask of DNS, nobody answers.
    let config = chasqui_dns::Config {
        servers: vec![([127, 0, 0, 1], 9).into()],
        timeout: Span::millis(100),
        deadline: Span::millis(200),
        attempts: 0,
        ..chasqui_dns::Config::default()
    };
    chasqui_dns::Resolver::new(&config).unwrap()
}

#[tokio::test]
async fn opportunistic_tls_takes_any_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&config(folder.path()), resolver());
    let strange = Identity::alone(&["other.example"], -20..-10);
    for requirement in [Requirement::Opportunistic { cleartext_allowed: true }, Requirement::Encrypted] {
        // An address literal's host, and a name that no certificate can have, are as good as others.
        for host in ["mx.example", "192.0.2.1", "not a name"] {
            let facts = handshake(&policies, host, &requirement, &strange).await.unwrap();
            assert_eq!((facts.verified, facts.version.as_str()), (Verified::No, "TLSv1_3"));
        }
        let old = strange.server(&[&rustls::version::TLS12]);
        assert_eq!(
            handshake_with(&policies, "mx.example", &requirement, old).await.unwrap().version,
            "TLSv1_2"
        );
    }
}

#[tokio::test]
async fn a_verified_host_has_a_trusted_certificate_of_its_name_and_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Trusted");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let policies = open(&TlsConfig { extra_ca: Some(ca), ..config(folder.path()) }, resolver());
    let of = async |names: &[&str], identity: &Identity| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let requirement = Requirement::WebPki { names };
        let facts = handshake(&policies, "mx.example.org", &requirement, identity).await;
        facts.map(|facts| facts.verified).map_err(|failure| failure.kind)
    };
    let good = authority.issue(&["mx.example.org"]);
    assert_eq!(of(&["mx.example.org"], &good).await, Ok(Verified::WebPki));
    assert_eq!(of(&["other.example", "*.example.org"], &good).await, Ok(Verified::WebPki));
    assert_eq!(of(&["*.org", "*.mx.example.org"], &good).await, Err(Failure::CertificateHostMismatch));
    let wild = authority.issue(&["*.example.org"]);
    assert_eq!(of(&["mx.example.org"], &wild).await, Ok(Verified::WebPki));
    assert_eq!(of(&["mx.example.net"], &good).await, Err(Failure::CertificateHostMismatch));
    let old = authority.issue_alone(&["mx.example.org"], -20..-10);
    assert_eq!(of(&["mx.example.org"], &old).await, Err(Failure::CertificateExpired));
    let early = authority.issue_alone(&["mx.example.org"], 5..10);
    assert_eq!(of(&["mx.example.org"], &early).await, Err(Failure::CertificateExpired));
    let strange = Authority::new("Stranger").issue(&["mx.example.org"]);
    assert_eq!(of(&["mx.example.org"], &strange).await, Err(Failure::CertificateNotTrusted));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up_and_rubbish_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&TlsConfig { handshake: Span::millis(300), ..config(folder.path()) }, resolver());
    let (near, _far) = Stream::pair().unwrap();
    let started = Instant::now();
    let failure = policies.secure(near, "mx.example", &Requirement::Encrypted).await.err().unwrap();
    assert_eq!(failure.kind, Failure::ValidationFailure);
    assert!(started.elapsed() < Duration::from_secs(3) && failure.reply().is_temporary());

    let (near, mut far) = Stream::pair().unwrap();
    far.write_all(b"220 not TLS at all\r\n").await.unwrap();
    assert!(policies.secure(near, "mx.example", &Requirement::Encrypted).await.is_err());
    assert_eq!(TlsFailure::not_offered().reply().code(), 451);
}

#[tokio::test]
async fn the_operators_minimum_holds_whatever_a_domain_publishes() {
    let identity = Identity::alone(&["mx.dane.test"], -1..10);
    let zone =
        format!("mx A 192.0.2.1\n_25._tcp.mx {}\nplain A 192.0.2.2", tlsa(3, 1, 1, &identity.public_key));
    let Some(server) = NameServer::start(&[Zone::signed("dane.test", &zone)]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let minimum = |domain: &str, level, names: &[&str]| DomainMinimum {
        domains: vec![domain.to_owned()],
        level,
        names: names.iter().map(|&name| name.to_owned()).collect(),
    };
    let minimums = vec![
        minimum("encrypted.test", MinimumLevel::Encrypted, &[]),
        minimum("verified.test", MinimumLevel::Verified, &[]),
        minimum("named.test", MinimumLevel::Verified, &["*.example.org"]),
        minimum("*.dane-only.test", MinimumLevel::Dane, &[]),
    ];
    let policies = open(&TlsConfig { minimums, ..config(folder.path()) }, server.resolver());
    let of = async |domain: &str| demand(&policies, domain, "plain.dane.test", true).await;
    let verified = |name: &str| Ok(Requirement::WebPki { names: vec![name.to_owned()] });
    assert_eq!(of("other.test").await, Ok(Requirement::Opportunistic { cleartext_allowed: true }));
    assert_eq!(of("encrypted.test").await, Ok(Requirement::Encrypted));
    assert_eq!(of("verified.test").await, verified("plain.dane.test"));
    assert_eq!(of("named.test").await, verified("*.example.org"));
    let failure = of("x.dane-only.test").await.unwrap_err();
    assert!(failure.kind == Failure::DaneRequired && failure.reply.is_temporary());
    // Where the host has DANE, that is enough for each of them.
    for domain in ["encrypted.test", "verified.test", "named.test", "x.dane-only.test"] {
        let requirement = demand(&policies, domain, "mx.dane.test", true).await;
        assert!(matches!(requirement, Ok(Requirement::Dane(_))), "{domain}");
    }
    let strict = open(&TlsConfig { cleartext: false, ..config(folder.path()) }, server.resolver());
    assert_eq!(demand(&strict, "other.test", "plain.dane.test", true).await, Ok(Requirement::Encrypted));
}

#[tokio::test]
async fn requiretls_wants_a_host_that_somebody_vouches_for() {
    let zone = format!("mx A 192.0.2.1\n_25._tcp.mx {}\nplain A 192.0.2.2", tlsa(3, 1, 1, b"key"));
    let Some(server) = NameServer::start(&[Zone::signed("dane.test", &zone)]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&config(folder.path()), server.resolver());
    let policy = policies.domain("dane.test").await;
    let dane = policies.host(&policy, "mx.dane.test", true, true).await;
    assert!(matches!(dane, Ok(Requirement::Dane(_))));
    let proved = policies.host(&policy, "plain.dane.test", true, true).await;
    assert_eq!(proved, Ok(Requirement::WebPki { names: vec!["plain.dane.test".to_owned()] }));
    // RFC 8689 §4.2.1 and §5.
    let failure = policies.host(&policy, "plain.dane.test", false, true).await.unwrap_err();
    assert!(failure.reply.is_permanent());
    assert_eq!(failure.reply.enhanced().unwrap().to_string(), "5.7.30");
}
