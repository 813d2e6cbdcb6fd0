//! Signatures against a verifier that is not ours: mail-auth.

use super::*;
use chasqui_base::fsx;
use mail_auth::{
    AuthenticatedMessage, DkimResult, MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, Txt,
    common::{cache::NoCache, parse::TxtRecordParser as _, verify::DomainKey},
};
use rsa::pkcs8::EncodePrivateKey as _;
use std::{
    borrow::Borrow,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::OnceLock,
};

/// A key of each kind, in PKCS#8. Made once: RSA takes a while.
fn made() -> &'static [(Algorithm, Vec<u8>); 2] {
    static MADE: OnceLock<[(Algorithm, Vec<u8>); 2]> = OnceLock::new();
    MADE.get_or_init(|| {
        let rsa = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        let random = ring::rand::SystemRandom::new();
        let ed25519 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        [
            (Algorithm::Rsa, rsa.to_pkcs8_der().unwrap().as_bytes().to_vec()),
            (Algorithm::Ed25519, ed25519.as_ref().to_vec()),
        ]
    })
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// A folder of keys with one domain, whose pair is active.
pub(crate) fn folder_of(domain: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let of_domain = folder.path().join(domain);
    fsx::create_private_dir(&of_domain).unwrap();
    let mut entries = Vec::new();
    for (algorithm, der) in made() {
        let selector = match algorithm {
            Algorithm::Rsa => "2026-11-rsa",
            Algorithm::Ed25519 => "2026-11-ed",
        };
        fsx::replace_file_durably(&of_domain.join(format!("{selector}.pem")), pem(der).as_bytes()).unwrap();
        let record = record_of(*algorithm, der).unwrap();
        entries.push(KeyEntry { selector: selector.to_owned(), algorithm: *algorithm, record });
    }
    let mut selectors = Selectors::new();
    let times = Rotation { now: 1, overlap: 0, keep: 0 };
    selectors.rotate(&domain.parse().unwrap(), times, "2026-11".to_owned(), entries).unwrap();
    selectors.save(&of_domain).unwrap();
    folder
}

pub(crate) fn signer(folder: &Path) -> Signer {
    Signer::open(&Signing { keys: Some(folder.to_owned()), parents: true }).unwrap()
}

/// The records that would be in DNS.
struct Published(HashMap<Box<str>, Txt>);

impl ResolverCache<Box<str>, Txt> for Published {
    fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
    {
        self.0.get(name).cloned()
    }
    fn remove<Q: Hash + Eq + ?Sized>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
    {
        None
    }
    fn insert(&self, _: Box<str>, _: Txt, _: std::time::Instant) {}
}

type None<K, V> = NoCache<K, RecordSet<V>>;

/// What mail-auth is asked, with our records in place of DNS.
type Asked<'a, 'm> = Parameters<
    'a,
    &'a AuthenticatedMessage<'m>,
    Published,
    None<Box<str>, MX>,
    None<Box<str>, Ipv4Addr>,
    None<Box<str>, Ipv6Addr>,
    None<IpAddr, Box<str>>,
>;

/// The results of all signatures of a message, in their order.
pub(crate) async fn verify(folder: &Path, domain: &str, message: &[u8]) -> Vec<DkimResult> {
    let selectors = Selectors::load(&folder.join(domain)).unwrap();
    let keys = selectors.pairs.iter().flat_map(|pair| &pair.keys).map(|key| {
        let name = format!("{}._domainkey.{domain}.", key.selector).into_boxed_str();
        (name, Txt::DomainKey(Arc::new(DomainKey::parse(key.record.as_bytes()).unwrap())))
    });
    let published = Published(keys.collect());
    let verifier = MessageAuthenticator::new(
        mail_auth::hickory_resolver::config::ResolverConfig::default(),
        Default::default(),
    )
    .unwrap();
    let parsed = AuthenticatedMessage::parse(message).unwrap();
    let parameters: Asked<'_, '_> = Parameters::new(&parsed).with_txt_cache(&published);
    verifier.verify_dkim(parameters).await.iter().map(|output| output.result().clone()).collect()
}

const MESSAGE: &[u8] = b"Received: x\r\nFrom: Ana <ana@example.org>\r\nTo:  beto@example.net,\r\n\tcarla@example.net\r\n\
    Subject: \xc2\xa1Hola!\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nHola,  Beto. \r\n\r\n.\r\n\tAna\r\n\r\n\r\n";

fn domain(name: &str) -> DomainName {
    name.parse().unwrap()
}

#[tokio::test]
async fn both_signatures_are_verified_by_another_program() {
    let folder = folder_of("example.org");
    let signer = signer(folder.path());
    for message in [MESSAGE, b"From: ana@example.org\r\n\r\n", b"From: ana@example.org\r\n"] {
        let mut signed = signer.sign(&domain("example.org"), message).unwrap();
        signed.extend_from_slice(message);
        if !message.ends_with(b"\r\n\r\n") {
            signed.extend_from_slice(b"\r\n");
        }
        let text = String::from_utf8_lossy(&signed).into_owned();
        assert_eq!(
            verify(folder.path(), "example.org", &signed).await,
            [DkimResult::Pass, DkimResult::Pass],
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() < 998) && !text.contains(" l="), "{text}");
    }
}

#[tokio::test]
async fn a_field_that_was_added_or_a_body_that_was_changed_breaks_them() {
    let folder = folder_of("example.org");
    let mut signed = signer(folder.path()).sign(&domain("example.org"), MESSAGE).unwrap();
    let fields = signed.len();
    signed.extend_from_slice(MESSAGE);
    let mut longer = signed.clone();
    longer.extend_from_slice(b"P.S.\r\n");
    let mut another_from = signed.clone();
    another_from.splice(fields..fields, *b"Cc: carla@example.net\r\nFrom: jefe@example.org\r\n");
    for changed in [longer, another_from] {
        for result in verify(folder.path(), "example.org", &changed).await {
            assert_ne!(result, DkimResult::Pass);
        }
    }
}

#[test]
fn the_room_that_was_kept_is_the_room_that_is_needed() {
    let folder = folder_of("example.org");
    let signer = signer(folder.path());
    let long = format!("From: a\r\n{}", "To: b\r\n".repeat(100));
    for header in ["From: a\r\n", &long] {
        let mut draft = signer.begin(&domain("example.org"), header.as_bytes()).unwrap();
        draft.body(b"text");
        let room = draft.len();
        assert_eq!(draft.finish().unwrap().len(), room);
    }
}

#[test]
fn the_nearest_domain_with_keys_signs() {
    let folder = folder_of("example.org");
    let signer = signer(folder.path());
    let header = b"From: a\r\n";
    let signs = |name: &str| signer.begin(&domain(name), header).map(|draft| draft.domain().to_string());
    assert_eq!(signs("ventas.example.org"), Some("example.org".to_owned()));
    assert_eq!((signs("example.net"), signs("org")), (None, None));
    let alone = Signing { keys: Some(folder.path().to_owned()), parents: false };
    signer.reload(&alone).unwrap();
    assert!(signer.begin(&domain("ventas.example.org"), header).is_none());
    assert!(signer.begin(&domain("example.org"), header).is_some());
}

#[test]
fn a_new_pair_signs_from_its_own_time_on() {
    let folder = folder_of("example.org");
    let of_domain = folder.path().join("example.org");
    let mut selectors = Selectors::load(&of_domain).unwrap();
    let mut keys = selectors.pairs[0].keys.clone();
    for key in &mut keys {
        let old = of_domain.join(format!("{}.pem", key.selector));
        key.selector = key.selector.replace("2026-11", "2026-12");
        std::fs::copy(old, of_domain.join(format!("{}.pem", key.selector))).unwrap();
    }
    let times = Rotation { now: 1000, overlap: 100, keep: 100 };
    selectors.rotate(&domain("example.org"), times, "2026-12".to_owned(), keys).unwrap();
    selectors.save(&of_domain).unwrap();
    let signer = signer(folder.path());
    let at = |now| {
        let draft = signer.begin_at(&domain("example.org"), b"From: a\r\n", now).unwrap();
        String::from_utf8(draft.finish().unwrap()).unwrap()
    };
    assert!(at(1099).contains("s=2026-11-rsa;") && !at(1099).contains("2026-12"));
    assert!(at(1100).contains("s=2026-12-ed;") && !at(1100).contains("2026-11"));
}

#[test]
fn an_open_or_wrong_key_is_refused_by_name() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder_of("example.org");
    let of_domain = folder.path().join("example.org");
    let config = Signing { keys: Some(folder.path().to_owned()), parents: true };
    let says = |expected: &str| {
        let error = Signer::open(&config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let rsa = of_domain.join("2026-11-rsa.pem");
    std::fs::set_permissions(&rsa, std::fs::Permissions::from_mode(0o644)).unwrap();
    says("2026-11-rsa.pem: the private key is open to every user");
    std::fs::set_permissions(&rsa, std::fs::Permissions::from_mode(0o600)).unwrap();
    let random = ring::rand::SystemRandom::new();
    let other = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    std::fs::write(of_domain.join("2026-11-ed.pem"), pem(other.as_ref())).unwrap();
    says("not the key of the record");
    std::fs::write(of_domain.join("2026-11-ed.pem"), "no key").unwrap();
    says("PKCS#8");
    std::fs::remove_file(&rsa).unwrap();
    says("2026-11-rsa.pem");
}
