//! Certificates of every kind that a mail host may show.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const DAY: Duration = Duration::from_secs(86_400);

/// A CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
    pub key: Vec<u8>,
}

/// A host's chain and key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub public_key: Vec<u8>,
    key: PrivatePkcs8KeyDer<'static>,
}

fn params(name: &str, hosts: &[&str], days: std::ops::Range<i32>) -> CertificateParams {
    let mut params =
        CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let day = |n: i32| {
        let now = SystemTime::now();
        if n < 0 { now - DAY * n.unsigned_abs() } else { now + DAY * n.unsigned_abs() }
    };
    params.not_before = day(days.start).into();
    params.not_after = day(days.end).into();
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[], -1..10);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { key: key.subject_public_key_info(), issuer: Issuer::new(params, key), certificate }
    }

    /// The host's certificate with the CA's behind it.
    pub fn issue(&self, hosts: &[&str]) -> Identity {
        let mut identity = self.issue_alone(hosts, -1..10);
        identity.chain.push(self.certificate.clone());
        identity
    }

    /// The host's certificate alone, valid from and to these days from now.
    pub fn issue_alone(&self, hosts: &[&str], days: std::ops::Range<i32>) -> Identity {
        let key = KeyPair::generate().unwrap();
        let signed = params("host", hosts, days).signed_by(&key, &self.issuer).unwrap();
        Identity::of(vec![signed.der().clone()], &key)
    }

    pub fn pem(&self) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }
}

impl Identity {
    fn of(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        Self { chain, public_key: key.subject_public_key_info(), key: key.serialize_der().into() }
    }

    /// Signed by itself.
    pub fn alone(hosts: &[&str], days: std::ops::Range<i32>) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::of(vec![params("alone", hosts, days).self_signed(&key).unwrap().der().clone()], &key)
    }

    /// A server that shows it.
    pub fn server(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), PrivateKeyDer::Pkcs8(self.key.clone_key()))
            .unwrap();
        Arc::new(config)
    }
}

/// A TLSA record's text: usage, selector, matching type, data.
pub fn tlsa(usage: u8, selector: u8, matching: u8, of: &[u8]) -> String {
    use ring::digest;
    let data = match matching {
        1 => digest::digest(&digest::SHA256, of).as_ref().to_vec(),
        2 => digest::digest(&digest::SHA512, of).as_ref().to_vec(),
        _ => of.to_vec(),
    };
    let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("TLSA {usage} {selector} {matching} {hex}")
}
