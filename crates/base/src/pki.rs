//! The site's own certificate authority: one CA, one certificate for each role (E19).

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::fsx::replace_file_durably;
use crate::tls::{Role, TlsFiles};

const DAY: Duration = Duration::from_secs(86_400);
/// How long a CA is valid.
pub const CA_DAYS: u32 = 3_650;
/// How long a role's certificate is valid.
pub const ROLE_DAYS: u32 = 825;

/// The site's certificate authority, able to sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
}

/// Makes a CA: `ca.crt` and `ca.key` (0600) in `dir`. Refuses to replace one.
pub fn create_ca(dir: &Path, site: &str) -> Result<Authority, PkiError> {
    let (certificate, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
    if certificate.exists() || key_path.exists() {
        return Err(PkiError::Exists(certificate));
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, format!("Chasqui CA of {site}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, CA_DAYS);
    let signed = params.self_signed(&key)?;
    write(&key_path, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes())?;
    write(&certificate, signed.pem().as_bytes())?;
    Ok(Authority { issuer: Issuer::new(params, key), certificate })
}

/// Opens the CA of `dir`.
pub fn open_ca(dir: &Path) -> Result<Authority, PkiError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_owned(), source })
    };
    let certificate = dir.join("ca.crt");
    let pem = read(&certificate)?;
    let key = KeyPair::from_pem(&zeroize::Zeroizing::new(read(&dir.join("ca.key"))?))?;
    Ok(Authority { issuer: Issuer::from_ca_cert_pem(&pem, key)?, certificate })
}

impl Authority {
    /// Issues `<name>.crt` and `<name>.key` (0600) in `dir`, naming the given hosts and addresses and granting the roles. Without any
    /// role it is a certificate for mail programs to see, with which nobody can connect to a role.
    pub fn issue(
        &self,
        dir: &Path,
        name: &str,
        roles: &[Role],
        hosts: &[&str],
    ) -> Result<TlsFiles, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts.iter().map(|&h| h.to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, name);
        for role in roles {
            params.subject_alt_names.push(SanType::URI(role.urn().try_into()?));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if !roles.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        valid_for(&mut params, ROLE_DAYS);
        let signed = params.signed_by(&key, &self.issuer)?;
        let files = TlsFiles {
            certificate: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
            ca: self.certificate.clone(),
        };
        write(&files.key, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes())?;
        write(&files.certificate, signed.pem().as_bytes())?;
        Ok(files)
    }
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// There is a CA already; replacing it would make every certificate worthless.
    #[error("{} exists: a CA is never replaced", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The names or keys cannot be used.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    // A day back, for hosts whose clocks differ.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
}

fn write(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    replace_file_durably(path, content).map_err(|source| PkiError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_ca_is_made_once_and_issues_after_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        create_ca(dir.path(), "test").unwrap();
        assert!(matches!(create_ca(dir.path(), "test"), Err(PkiError::Exists(_))));
        let files =
            open_ca(dir.path()).unwrap().issue(dir.path(), "mx", &[Role::Mx], &["localhost", "::1"]).unwrap();
        assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        crate::tls::RoleTls::load(&files).unwrap();
    }
}
