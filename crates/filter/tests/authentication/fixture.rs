//! Zones, keys and messages of the tests.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::DeliveryId;
use chasqui_courier::Content;
use chasqui_dns::testing::{NameServer, Zone};
use chasqui_filter::authentication::{AuthenticationConfig, Authenticator, Sender, SpfVerdict, Verdict};
use chasqui_smtp::{Mailbox, ReversePath};
use mail_auth::{
    common::{
        crypto::{Ed25519Key, RsaKey, Sha256, SigningKey},
        headers::HeaderWriter as _,
    },
    dkim::DkimSigner,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, pem::PemObject as _};
use std::sync::{Arc, Mutex, Weak};

#[path = "../vectors/resources.rs"]
mod resources;

/// RFC 8463 appendix A.2.
const ED25519_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// The client that `sender.test` and others allow.
pub const FRIEND: [u8; 4] = [192, 0, 2, 1];
/// One that nobody allows.
pub const STRANGER: [u8; 4] = [198, 51, 100, 1];

pub fn ed25519() -> Ed25519Key {
    let [seed, public] = [ED25519_SEED, ED25519_PUBLIC].map(|text| STANDARD.decode(text).unwrap());
    Ed25519Key::from_seed_and_public_key(&seed, &public).unwrap()
}

pub fn rsa() -> RsaKey<Sha256> {
    let pem = std::fs::read(resources::resources().join("rsa-private.pem")).unwrap();
    RsaKey::from_key_der(PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from_pem_slice(&pem).unwrap())).unwrap()
}

/// What every domain with keys publishes.
fn keys() -> String {
    let rsa = STANDARD.encode(rsa().public_key());
    let (first, rest) = rsa.split_at(200);
    format!(
        "ed._domainkey TXT \"v=DKIM1; k=ed25519; p={ED25519_PUBLIC}\"\n\
         rsa._domainkey TXT \"v=DKIM1; k=rsa; p={first}\" \"{rest}\"\n\
         alias._domainkey CNAME ed._domainkey\n\
         loop._domainkey CNAME loop2._domainkey\n\
         loop2._domainkey CNAME loop._domainkey\n\
         revoked._domainkey TXT \"v=DKIM1; p=\"\n\
         odd._domainkey TXT \"hello\"\n\
         tested._domainkey TXT \"v=DKIM1; k=ed25519; t=y; p={ED25519_PUBLIC}\"\n\
         two._domainkey TXT \"hello\"\n\
         two._domainkey TXT \"v=DKIM1; k=ed25519; p={ED25519_PUBLIC}\"\n"
    )
}

/// The domains: signed ones, one without records, one whose signatures are wrong, and one whose server fails.
pub fn zones() -> Vec<Zone> {
    let domain = |dmarc: &str| {
        format!(
            "@ TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc TXT \"v=DMARC1; {dmarc}\"\nsub TXT \"v=spf1 ip4:192.0.2.1 -all\"\n{}",
            keys()
        )
    };
    vec![
        Zone::signed(
            "sender.test",
            &domain(
                "p=reject; sp=quarantine; rua=mailto:d@sender.test,mailto:d@outside.test,mailto:d@unwilling.test",
            ),
        ),
        Zone::signed("mild.test", &domain("p=quarantine")),
        Zone::signed("none.test", &domain("p=none")),
        Zone::unsigned("strict.test", &domain("p=reject; adkim=s; aspf=s")),
        Zone::signed("nobody.test", ""),
        Zone::signed(
            "twice.test",
            "_dmarc TXT \"v=DMARC1; p=reject\"\n_dmarc TXT \"v=DMARC1; p=none\"\n@ TXT \"v=spf1 -all\"\n@ TXT \"v=spf1 +all\"\n",
        ),
        Zone::signed("lists.test", &keys()),
        Zone::signed("outside.test", "sender.test._report._dmarc TXT \"v=DMARC1\"\n"),
        Zone::signed("unwilling.test", ""),
        Zone::bogus("bogus.test", &domain("p=reject")),
        Zone::failing("failing.test"),
    ]
}

/// The server, or nothing where it is not installed. Tests that run at the same time share one.
pub fn server() -> Option<Arc<NameServer>> {
    static SHARED: Mutex<Weak<NameServer>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = Arc::new(NameServer::start(&zones())?);
    *shared = Arc::downgrade(&server);
    Some(server)
}

pub fn authenticator(server: &NameServer, change: impl FnOnce(&mut AuthenticationConfig)) -> Authenticator {
    let mut config = AuthenticationConfig::default();
    change(&mut config);
    Authenticator::new(&config, server.resolver(), "mx.here.test").unwrap()
}

pub fn message(from: &str) -> String {
    format!(
        "From: Ana <{from}>\r\nTo: <b@here.test>\r\nSubject: Hola\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.test>\r\n\r\nHola.\r\n"
    )
}

/// The message below a signature of `domain`.
pub fn signed(key: impl SigningKey, selector: &str, domain: &str, message: &str) -> String {
    let signature = DkimSigner::from_key(key)
        .domain(domain)
        .selector(selector)
        .headers(["From", "To", "Subject", "Date"])
        .sign(message.as_bytes())
        .unwrap();
    format!("{}{message}", signature.to_header())
}

/// A message from an address, for a client that says its name.
pub struct Mail<'a> {
    pub ip: [u8; 4],
    pub path: &'a str,
    pub text: String,
}

impl Mail<'_> {
    pub async fn spf(&self, authenticator: &Authenticator) -> SpfVerdict {
        let path = self.reverse_path();
        authenticator.spf(&self.sender(&path)).await
    }

    pub async fn verdict(&self, authenticator: &Authenticator) -> Verdict {
        self.verdict_of(authenticator, &Content::Memory(self.text.clone().into_bytes())).await
    }

    pub async fn verdict_of(&self, authenticator: &Authenticator, content: &Content) -> Verdict {
        let path = self.reverse_path();
        let sender = self.sender(&path);
        let spf = authenticator.spf(&sender).await;
        authenticator.message(DeliveryId::generate(), &sender, &spf, content).await
    }

    fn reverse_path(&self) -> ReversePath {
        if self.path.is_empty() {
            ReversePath::Null
        } else {
            ReversePath::Address(Mailbox::parse(self.path).unwrap())
        }
    }

    fn sender<'s>(&self, path: &'s ReversePath) -> Sender<'s> {
        Sender { ip: self.ip.into(), hello: "client.nobody.test", reverse_path: path }
    }
}

/// From a stranger, unsigned.
pub fn forged(from: &str) -> Mail<'_> {
    Mail { ip: STRANGER, path: "x@nobody.test", text: message(from) }
}
