//! DANE (RFC 7672): which records count, and which certificates they vouch for.

use chasqui_dns::testing::{NameServer, Zone};
use chasqui_relay::tls::{Failure, Requirement, TlsConfig, Verified};

use crate::authority::{Authority, Identity, tlsa};
use crate::site::{config, demand, handshake, handshake_with, open};

/// One host of the zone `dane.test` with these records, and what came of a handshake with it.
async fn with(records: &[String], identity: &Identity) -> Result<Verified, Failure> {
    with_versions(records, identity, crate::site::BOTH).await
}

async fn with_versions(
    records: &[String],
    identity: &Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<Verified, Failure> {
    let mut zone = "mx A 192.0.2.1\n".to_owned();
    for record in records {
        zone.push_str(&format!("_25._tcp.mx {record}\n"));
    }
    let server = NameServer::start(&[Zone::signed("dane.test", &zone)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&config(folder.path()), server.resolver());
    let requirement = demand(&policies, "dane.test", "mx.dane.test", true).await.unwrap();
    assert!(!requirement.cleartext_allowed());
    let facts = handshake_with(&policies, "mx.dane.test", &requirement, identity.server(versions)).await;
    facts.map(|facts| facts.verified).map_err(|failure| failure.kind)
}

fn named() -> bool {
    NameServer::start(&[]).is_some()
}

#[tokio::test]
async fn an_end_entity_record_vouches_whatever_the_certificate_says_of_names_and_dates() {
    if !named() {
        return;
    }
    // Another host's, signed by itself, and past its time: RFC 7671 §5.1.
    let identity = Identity::alone(&["other.example"], -20..-10);
    let (certificate, key) = (&identity.chain[0], &identity.public_key);
    for (selector, selected) in [(0, certificate.as_ref()), (1, key.as_slice())] {
        for matching in [0, 1, 2] {
            let record = tlsa(3, selector, matching, selected);
            assert_eq!(with(&[record], &identity).await, Ok(Verified::Dane), "3 {selector} {matching}");
        }
    }
    let record = [tlsa(3, 1, 1, key)];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert_eq!(with_versions(&record, &identity, &[version]).await, Ok(Verified::Dane));
    }
}

#[tokio::test]
async fn one_matching_record_of_many_is_enough_and_none_is_a_failure() {
    if !named() {
        return;
    }
    let identity = Identity::alone(&["mx.dane.test"], -1..10);
    let (other, own) = (tlsa(3, 1, 1, b"another key"), tlsa(3, 1, 1, &identity.public_key));
    let unusable = tlsa(1, 1, 1, &identity.public_key);
    assert_eq!(with(&[other.clone(), own], &identity).await, Ok(Verified::Dane));
    assert_eq!(with(&[other, unusable], &identity).await, Err(Failure::TlsaInvalid));
}

#[tokio::test]
async fn an_anchor_record_vouches_for_what_the_anchor_signed() {
    if !named() {
        return;
    }
    let authority = Authority::new("Anchor");
    let whole = authority.issue(&["mx.dane.test"]);
    let alone = authority.issue_alone(&["mx.dane.test"], -1..10);
    for (selector, selected) in [(0, authority.certificate.as_ref()), (1, authority.key.as_slice())] {
        for matching in [0, 1, 2] {
            let record = [tlsa(2, selector, matching, selected)];
            assert_eq!(with(&record, &whole).await, Ok(Verified::Dane), "2 {selector} {matching}");
            // RFC 7671 §5.2.2: an anchor that the record has whole need not be shown.
            let expected = if matching == 0 { Ok(Verified::Dane) } else { Err(Failure::TlsaInvalid) };
            assert_eq!(with(&record, &alone).await, expected, "2 {selector} {matching} without the anchor");
        }
    }
}

#[tokio::test]
async fn under_an_anchor_names_and_dates_count() {
    if !named() {
        return;
    }
    let authority = Authority::new("Anchor");
    let record = [tlsa(2, 0, 1, &authority.certificate)];
    let mut old = authority.issue_alone(&["mx.dane.test"], -20..-10);
    old.chain.push(authority.certificate.clone());
    assert_eq!(with(&record, &old).await, Err(Failure::CertificateExpired));
    let other = authority.issue(&["mx.other.test"]);
    assert_eq!(with(&record, &other).await, Err(Failure::CertificateHostMismatch));
    // RFC 7672 §3.2.2: the domain's own name counts too, and wildcards.
    assert_eq!(with(&record, &authority.issue(&["dane.test"])).await, Ok(Verified::Dane));
    assert_eq!(with(&record, &authority.issue(&["*.dane.test"])).await, Ok(Verified::Dane));
    // The anchor is shown, but it did not sign the certificate.
    let mut forged = Authority::new("Anchor").issue_alone(&["mx.dane.test"], -1..10);
    forged.chain.push(authority.certificate.clone());
    let refused = with(&record, &forged).await.unwrap_err();
    assert!(matches!(refused, Failure::CertificateNotTrusted | Failure::ValidationFailure), "{refused:?}");
}

#[tokio::test]
async fn records_of_no_use_still_say_that_there_is_tls() {
    if !named() {
        return;
    }
    let identity = Identity::alone(&["mx.dane.test"], -1..10);
    let records = [tlsa(0, 0, 1, &identity.chain[0]), tlsa(1, 1, 1, b"x"), tlsa(3, 1, 7, b"x")];
    // `with` asserts that clear text is not allowed.
    assert_eq!(with(&records, &identity).await, Ok(Verified::No));
}

/// Everything that DNS can say instead of usable records.
#[tokio::test]
async fn only_what_dnssec_proves_counts_and_what_cannot_be_known_puts_the_host_off() {
    let record = tlsa(3, 1, 1, b"some key");
    let signed = format!(
        "mx A 192.0.2.1\n_25._tcp.mx {record}\nplain A 192.0.2.2\nfail A 192.0.2.3\nbogus A 192.0.2.4\n\
         alias CNAME mx\nown CNAME mx.plain.test.\n_25._tcp.own {record}\nout CNAME mx.plain.test.\n\
         six AAAA 2001:db8::1\n_25._tcp.six {record}\n"
    );
    let zones = [
        Zone::signed("dane.test", &signed),
        Zone::failing("_25._tcp.fail.dane.test"),
        Zone::bogus("_25._tcp.bogus.dane.test", &format!("@ {record}")),
        Zone::unsigned("plain.test", &format!("mx A 192.0.2.5\n_25._tcp.mx {record}")),
        Zone::unsigned("silly.test", "mx A 192.0.2.6"),
        Zone::failing("_25._tcp.mx.silly.test"),
        Zone::bogus("bogus.test", &format!("mx A 192.0.2.7\n_25._tcp.mx {record}")),
    ];
    let Some(server) = NameServer::start(&zones) else { return };
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&config(folder.path()), server.resolver());
    let of = async |host: &str, secure| demand(&policies, "dane.test", host, secure).await;
    let opportunistic = Ok(Requirement::Opportunistic { cleartext_allowed: true });

    for host in ["mx.dane.test", "MX.dane.test.", "alias.dane.test", "own.dane.test", "six.dane.test"] {
        assert!(matches!(of(host, true).await, Ok(Requirement::Dane(_))), "{host}");
    }
    assert_eq!(of("mx.dane.test", false).await, opportunistic, "MX that anybody could have forged");
    assert_eq!(of("plain.dane.test", true).await, opportunistic, "no records");
    assert_eq!(of("out.dane.test", true).await, opportunistic, "an alias out of the signed zone");
    assert_eq!(of("mx.plain.test", true).await, opportunistic, "records that nobody signed");
    // RFC 7672 §2.2.2: the TLSA records of an unsigned host are not even asked for.
    assert_eq!(of("mx.silly.test", true).await, opportunistic);
    assert_eq!(
        of("no.dane.test", true).await,
        opportunistic,
        "a host that does not exist is delivery's matter"
    );

    for host in ["fail.dane.test", "bogus.dane.test", "mx.bogus.test"] {
        let failure = of(host, true).await.unwrap_err();
        assert!(
            failure.kind == Failure::DnssecInvalid && failure.reply.is_temporary(),
            "{host}: {failure:?}"
        );
    }
    let off = open(&TlsConfig { dane: false, ..config(folder.path()) }, server.resolver());
    assert_eq!(demand(&off, "dane.test", "mx.dane.test", true).await, opportunistic);
}

#[tokio::test]
async fn the_hosts_own_name_and_the_alias_target_both_count_under_an_anchor() {
    let authority = Authority::new("Anchor");
    let zone = format!("mx A 192.0.2.1\n_25._tcp.mx {}\nalias CNAME mx\n", tlsa(2, 1, 1, &authority.key));
    let Some(server) = NameServer::start(&[Zone::signed("dane.test", &zone)]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&config(folder.path()), server.resolver());
    let requirement = demand(&policies, "customer.test", "alias.dane.test", true).await.unwrap();
    for name in ["mx.dane.test", "alias.dane.test", "customer.test"] {
        let facts = handshake(&policies, "alias.dane.test", &requirement, &authority.issue(&[name])).await;
        assert_eq!(facts.unwrap().verified, Verified::Dane, "{name}");
    }
    let other = authority.issue(&["other.dane.test"]);
    assert!(handshake(&policies, "alias.dane.test", &requirement, &other).await.is_err());
}
