//! DANE for SMTP (RFC 7672): which TLSA records are usable, and whether a certificate is what they say (RFC 6698, RFC 7671).

use chasqui_dns::Tlsa;
use ring::digest;
use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, Der, ServerName, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::requirement::{Failure, Violation};

/// TLSA records that count of one answer. Beyond it a zone would have us hash and build chains for its own sake.
const MAX_RECORDS: usize = 32;
/// Certificates of a chain that are looked at.
const MAX_CHAIN: usize = 16;

/// The usable TLSA records of a host, and the names that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dane {
    records: Vec<Tlsa>,
    names: Vec<String>,
}

impl Dane {
    /// The records that can be used for SMTP, if any: usages 2 and 3 (RFC 7672 §3.1.3) of known selector and matching type, with data
    /// of the right length. `names`: first the TLSA base domain, which is also what SNI says (§8.1), then the others (§3.2.2).
    pub(super) fn usable(records: Vec<Tlsa>, names: Vec<String>) -> Option<Self> {
        let records: Vec<Tlsa> = records.into_iter().filter(is_usable).take(MAX_RECORDS).collect();
        (!records.is_empty() && !names.is_empty()).then_some(Self { records, names })
    }

    /// The name that SNI says.
    pub(super) fn server_name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Its records as they stand in a zone, for reports.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |record: &Tlsa| {
            let data: String = record.data.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{} {} {} {data}", record.usage, record.selector, record.matching)
        };
        self.records.iter().map(line).collect()
    }

    /// Whether the records vouch for the chain. One that does is enough (RFC 6698 §2.1).
    pub(super) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Violation> {
        // RFC 7671 §5.1: neither names nor dates count; the record says whose the key is, and DNS how long.
        if self.of_usage(3).any(|record| matches(record, end_entity)) {
            return Ok(());
        }
        let mut why = None;
        for record in self.of_usage(2) {
            match self.verify_below(record, end_entity, intermediates, now, algorithms) {
                Ok(()) => return Ok(()),
                // Why a chain that has the anchor failed says more than that another record does not match.
                Err(Some(violation)) => why = Some(violation),
                Err(None) => {}
            }
        }
        Err(why.unwrap_or_else(|| Violation {
            kind: Failure::TlsaInvalid,
            reason: "no TLSA record matches the certificate".to_owned(),
        }))
    }

    fn of_usage(&self, usage: u8) -> impl Iterator<Item = &Tlsa> {
        self.records.iter().filter(move |record| record.usage == usage)
    }

    /// Usage 2: the record names the anchor of the chain (RFC 7671 §5.2). None: the anchor is not in it.
    fn verify_below(
        &self,
        record: &Tlsa,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Option<Violation>> {
        let intermediates = intermediates.get(..intermediates.len().min(MAX_CHAIN)).unwrap_or_default();
        let mut roots = RootCertStore::empty();
        for certificate in intermediates.iter().filter(|certificate| matches(record, certificate)) {
            // What is no certificate to rustls can be no anchor; another may.
            let _ = roots.add(certificate.clone().into_owned());
        }
        // RFC 7671 §5.2.2: an anchor that the record has whole need not be in the chain.
        match (record.selector, record.matching) {
            (0, 0) => drop(roots.add(CertificateDer::from(record.data.clone()))),
            (1, 0) => {
                let chain = std::iter::once(end_entity).chain(intermediates);
                roots.roots.extend(chain.filter_map(|lower| bare_anchor(lower, &record.data)));
            }
            _ => {}
        }
        if roots.is_empty() {
            return Err(None);
        }
        let violation = |error: rustls::Error| Some(Violation::of_rustls(&error));
        let parsed = ParsedCertificate::try_from(end_entity).map_err(violation)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, algorithms.all)
            .map_err(violation)?;
        verify_any_name(end_entity, &self.names).map_err(Some)
    }
}

/// Whether the certificate is one of these names'; a name may be `*.example.org`, for any host directly below `example.org`.
pub(super) fn verify_any_name(certificate: &CertificateDer<'_>, names: &[String]) -> Result<(), Violation> {
    let violation = |error: rustls::Error| Violation::of_rustls(&error);
    let parsed = ParsedCertificate::try_from(certificate).map_err(violation)?;
    let is_of = |name: &String| match name.strip_prefix("*.") {
        Some(above) => webpki::EndEntityCert::try_from(certificate)
            .is_ok_and(|certificate| certificate.valid_dns_names().any(|own| is_directly_below(own, above))),
        None => {
            ServerName::try_from(name.as_str()).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        }
    };
    if names.iter().any(is_of) {
        return Ok(());
    }
    Err(Violation {
        kind: Failure::CertificateHostMismatch,
        reason: format!("the certificate is not for {}", names.join(" or ")),
    })
}

/// Whether `name` is `above` with one label in front of it.
pub(super) fn is_directly_below(name: &str, above: &str) -> bool {
    name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(above))
}

fn is_usable(record: &Tlsa) -> bool {
    let length = match record.matching {
        0 => !record.data.is_empty(),
        1 => record.data.len() == 32,
        2 => record.data.len() == 64,
        _ => false,
    };
    matches!(record.usage, 2 | 3) && matches!(record.selector, 0 | 1) && length
}

fn matches(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let selected = match record.selector {
        0 => Some(certificate.as_ref()),
        1 => public_key(certificate),
        _ => None,
    };
    let Some(selected) = selected else { return false };
    match record.matching {
        0 => record.data == selected,
        1 => record.data == digest::digest(&digest::SHA256, selected).as_ref(),
        2 => record.data == digest::digest(&digest::SHA512, selected).as_ref(),
        _ => false,
    }
}

/// The certificate's SubjectPublicKeyInfo, as it stands there.
pub(super) fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let key: &'a [u8] = parsed.tbs_certificate.subject_pki.raw;
    Some(key)
}

/// An anchor of which only the key is known: its name is that of the issuer of the certificate below it.
fn bare_anchor(lower: &CertificateDer<'_>, key: &[u8]) -> Option<TrustAnchor<'static>> {
    let (rest, _) = SubjectPublicKeyInfo::from_der(key).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let (_, parsed) = X509Certificate::from_der(lower).ok()?;
    Some(TrustAnchor {
        subject: Der::from(content(parsed.tbs_certificate.issuer.as_raw())?.to_vec()),
        subject_public_key_info: Der::from(content(SubjectPublicKeyInfoDer::from(key).as_ref())?.to_vec()),
        name_constraints: None,
    })
}

/// What stands in an ASN.1 SEQUENCE.
fn content(sequence: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = sequence.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag != 0x30 {
        return None;
    }
    let octets = match first {
        0..=0x7f => 0,
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return None,
    };
    rest.get(octets..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(usage: u8, selector: u8, matching: u8, length: usize) -> Tlsa {
        Tlsa { usage, selector, matching, data: vec![7; length] }
    }

    #[test]
    fn only_usages_2_and_3_of_known_kinds_and_lengths_are_usable() {
        let usable = |record| Dane::usable(vec![record], vec!["mx.test".to_owned()]).is_some();
        for usage in [2, 3] {
            for selector in [0, 1] {
                assert!(usable(record(usage, selector, 0, 300)));
                assert!(usable(record(usage, selector, 1, 32)) && usable(record(usage, selector, 2, 64)));
                assert!(!usable(record(usage, selector, 1, 31)) && !usable(record(usage, selector, 2, 32)));
                assert!(!usable(record(usage, selector, 0, 0)) && !usable(record(usage, selector, 3, 32)));
            }
        }
        assert!(
            !usable(record(0, 0, 1, 32)) && !usable(record(1, 1, 1, 32)) && !usable(record(255, 0, 1, 32))
        );
        assert!(!usable(record(3, 2, 1, 32)));
        let many = Dane::usable(vec![record(3, 1, 1, 32); 1000], vec!["mx.test".to_owned()]).unwrap();
        assert_eq!(many.records.len(), MAX_RECORDS);
    }

    proptest! {
        #[test]
        fn hostile_records_and_certificates_match_nothing(
            usage in 2u8..4, selector in 0u8..3, matching in 0u8..4,
            data in proptest::collection::vec(any::<u8>(), 0..80),
            certificate in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let certificate = CertificateDer::from(certificate);
            let record = Tlsa { usage, selector, matching, data: data.clone() };
            let expected = selector == 0 && matching == 0 && data == certificate.as_ref();
            prop_assert_eq!(matches(&record, &certificate), expected);
            prop_assert!(bare_anchor(&certificate, &data).is_none());
            let _ = content(&data);
            if let Some(dane) = Dane::usable(vec![record], vec!["mx.test".to_owned()]) {
                let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
                let verdict = dane.verify(&certificate, std::slice::from_ref(&certificate), UnixTime::now(), &algorithms);
                prop_assert!(verdict.is_err() || (usage == 3 && expected));
            }
        }
    }
}
