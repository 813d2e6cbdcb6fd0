//! The client's part of a TLS handshake, with the verification that the requirement asks for.
//!
//! Sessions are never resumed: a resumed one is not verified, and the policy may have changed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chasqui_base::StartError;
use chasqui_base::net::Stream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio_rustls::TlsConnector;

use super::dane::{Dane, public_key, verify_any_name};
use super::requirement::{Failure, Requirement, TlsFacts, TlsFailure, Verified, Violation};

/// What every handshake shares. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    deadline: Duration,
}

impl Handshakes {
    /// Reads the CAs.
    pub(super) fn new(extra_ca: Option<&Path>, deadline: Duration) -> Result<Self, StartError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = extra_ca {
            let bad = |error: &dyn std::fmt::Display| StartError::open(path, error);
            let pem = std::fs::read(path).map_err(|error| bad(&error))?;
            let mut found = false;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
                found = true;
            }
            if !found {
                return Err(bad(&"no certificate in PEM form is in it"));
            }
        }
        Ok(Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            roots: Arc::new(roots),
            deadline,
        })
    }

    /// Secures a connection to `host` after its reply to STARTTLS.
    pub(super) async fn secure(
        &self,
        stream: Stream,
        host: &str,
        requirement: &Requirement,
    ) -> Result<(Stream, TlsFacts), TlsFailure> {
        let demand = match requirement {
            Requirement::Opportunistic { .. } | Requirement::Encrypted => Demand::Nothing,
            Requirement::Dane(dane) => Demand::Dane(Arc::clone(dane)),
            Requirement::WebPki { names } => Demand::WebPki { names: names.clone(), enforce: true },
            Requirement::Tested { names, .. } => Demand::WebPki { names: names.clone(), enforce: false },
        };
        let sni = match requirement {
            Requirement::Dane(dane) => dane.server_name(),
            _ => host,
        };
        let verifier = Arc::new(Verifier { demand, shared: self.clone(), found: Mutex::new(None) });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| failed(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let name = match ServerName::try_from(sni.to_owned()) {
            Ok(name) => name,
            // Nobody's certificate can have it; what verifies by name fails on its own.
            Err(_) => {
                config.enable_sni = false;
                ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
            }
        };
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
        // Boxed: a handshake's future is large and short, the session's that awaits it is small and long.
        let handshake = Box::pin(tokio::time::timeout(self.deadline, handshake)).await;
        let violation = verifier.take();
        let stream = match handshake {
            Ok(Ok(stream)) => Stream::of_client(stream),
            Ok(Err(error)) => {
                let violation = violation.unwrap_or_else(|| Violation {
                    kind: Failure::ValidationFailure,
                    reason: error.to_string(),
                });
                return Err(TlsFailure { kind: violation.kind, reason: violation.reason });
            }
            Err(_) => {
                return Err(TlsFailure {
                    kind: Failure::ValidationFailure,
                    reason: "the handshake took too long".to_owned(),
                });
            }
        };
        let (version, suite) = stream.tls_parameters().unwrap_or_default();
        let verified = match (requirement, &violation) {
            (Requirement::Dane(_), None) => Verified::Dane,
            (Requirement::WebPki { .. } | Requirement::Tested { .. }, None) => Verified::WebPki,
            _ => Verified::No,
        };
        Ok((stream, TlsFacts { version, suite, verified, violation }))
    }

    /// A plain client of the web: the certificate must be a trusted CA's, for the name asked for.
    pub(super) fn web(&self) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn failed(error: &rustls::Error) -> TlsFailure {
    TlsFailure { kind: Failure::ValidationFailure, reason: error.to_string() }
}

#[derive(Debug)]
enum Demand {
    Nothing,
    Dane(Arc<Dane>),
    WebPki { names: Vec<String>, enforce: bool },
}

/// Verifies one connection's certificate, and keeps what was wrong with it.
#[derive(Debug)]
struct Verifier {
    demand: Demand,
    shared: Handshakes,
    found: Mutex<Option<Violation>>,
}

impl Verifier {
    fn take(&self) -> Option<Violation> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Violation> {
        let algorithms = &self.shared.provider.signature_verification_algorithms;
        match &self.demand {
            Demand::Nothing => Ok(()),
            Demand::Dane(dane) => dane.verify(end_entity, intermediates, now, algorithms),
            Demand::WebPki { names, .. } => {
                let of_rustls = |error: rustls::Error| Violation::of_rustls(&error);
                let parsed = ParsedCertificate::try_from(end_entity).map_err(of_rustls)?;
                let roots = &self.shared.roots;
                verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms.all)
                    .map_err(of_rustls)?;
                verify_any_name(end_entity, names)
            }
        }
    }

    /// Whether what is wrong ends the handshake.
    fn is_strict(&self) -> bool {
        matches!(self.demand, Demand::Dane(_) | Demand::WebPki { enforce: true, .. })
    }

    /// The handshake's signature proves that the host has the certificate's key. Where nothing is demanded of the certificate, nor is
    /// this: the certificate could be anybody's as well.
    fn signed(
        &self,
        checked: Result<HandshakeSignatureValid, rustls::Error>,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match checked {
            Err(_) if !self.is_strict() => Ok(HandshakeSignatureValid::assertion()),
            // A certificate that webpki cannot read, such as one of version 1, is as good as another to DANE: its key counts.
            Err(error) if matches!(self.demand, Demand::Dane(_)) => {
                self.signed_by_key(message, certificate, signature).ok_or(error)
            }
            checked => checked,
        }
    }

    fn signed_by_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Option<HandshakeSignatureValid> {
        let key = SubjectPublicKeyInfoDer::from(public_key(certificate)?);
        let key = webpki::RawPublicKeyEntity::try_from(&key).ok()?;
        let algorithms = &self.shared.provider.signature_verification_algorithms;
        let (_, fitting) = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme)?;
        let verified = fitting
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, signature.signature()).is_ok());
        verified.then(HandshakeSignatureValid::assertion)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Err(violation) = self.judge(end_entity, intermediates, now) {
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(violation);
            if self.is_strict() {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.shared.provider.signature_verification_algorithms;
        let checked = verify_tls12_signature(message, certificate, signature, algorithms);
        self.signed(checked, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.shared.provider.signature_verification_algorithms;
        let checked = verify_tls13_signature(message, certificate, signature, algorithms);
        self.signed(checked, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.shared.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Violation {
    /// What rustls found wrong with a certificate.
    pub(super) fn of_rustls(error: &rustls::Error) -> Self {
        use CertificateError as C;
        let kind = match error {
            rustls::Error::InvalidCertificate(error) => match error {
                C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
                    Failure::CertificateExpired
                }
                C::NotValidForName | C::NotValidForNameContext { .. } => Failure::CertificateHostMismatch,
                C::UnknownIssuer
                | C::BadSignature
                | C::Revoked
                | C::InvalidPurpose
                | C::InvalidPurposeContext { .. } => Failure::CertificateNotTrusted,
                _ => Failure::ValidationFailure,
            },
            _ => Failure::ValidationFailure,
        };
        Self { kind, reason: error.to_string() }
    }
}
