//! Who administers the site, and where its secrets lie (E2).

use std::net::IpAddr;

use chasqui_base::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// A person who administers the site.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// The public half of the person's WireGuard key.
    #[schemars(regex(pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw480]=$"))]
    pub wireguard_key: String,
    /// The person's addresses in each management mesh that they may enter.
    #[schemars(extend("x-ref-keys" = "networks"))]
    pub addresses: Table<Vec<IpAddr>>,
    /// OpenSSH public keys.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
}

/// Port knocking with single-packet authorisation (fwknop) in front of the VPN (E2).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knock {
    /// The UDP port that listens for knocks. Default 62201.
    pub port: u16,
    /// How long the VPN's port stays open to who knocked. Default 30s.
    pub open: Span,
}

impl Default for Knock {
    fn default() -> Self {
        Self { port: 62201, open: Span::secs(30) }
    }
}

/// Where certificates and secrets lie on the hosts: absolute paths, `{host}` stands for the host's name.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// The authority's certificate. Default `/etc/chasqui/pki/ca.crt`.
    pub ca: String,
    /// A host's certificate for the links between roles (E19). Default `/etc/chasqui/pki/{host}.crt`.
    pub certificate: String,
    /// Its private key. Default `/etc/chasqui/pki/{host}.key`.
    pub key: String,
    /// The certificate that clients of the public services see, with its chain. Default `/etc/chasqui/public/fullchain.pem`.
    pub public_certificate: String,
    /// Its private key. Default `/etc/chasqui/public/privkey.pem`.
    pub public_key: String,
    /// The directory's cluster keys (S5c). Default `/etc/chasqui/directory.keys`.
    pub directory_keys: String,
    /// A folder of the keys with which DNS servers take zones from the primary, a file `VIEW.key` each, as `tsig-keygen` writes it (E1).
    /// Default `/etc/chasqui/secrets/dns`.
    pub dns: String,
    /// A folder of the relays' DKIM keys, as `chasqui dkim rotate` makes them: the same on each, and of the role's own user. Default
    /// `/var/lib/chasqui/dkim`.
    pub dkim: String,
    /// A host's private WireGuard key. Default `/etc/chasqui/secrets/wireguard.key`.
    pub wireguard: String,
    /// A folder of CHAP secrets, a file `LUN` each with the user and the secret. Default `/etc/chasqui/secrets/chap`.
    pub chap: String,
    /// A folder of knock keys, a file `ADMINISTRATOR` each with what `fwknop --key-gen` prints. Default `/etc/chasqui/secrets/knock`.
    pub knock: String,
    /// A folder of the database's passwords. Default `/etc/chasqui/secrets/database`.
    pub database: String,
    /// The key with which backups are fetched (OpenSSH). Default `/etc/chasqui/secrets/backup.key`.
    pub backup: String,
    /// The password that VRRP pairs share: the line `VRRP_PASSWORD=…`, at most eight characters. Default `/etc/chasqui/secrets/vrrp`.
    pub vrrp: String,
}

impl Default for Secrets {
    fn default() -> Self {
        let path = |tail: &str| format!("/etc/chasqui/{tail}");
        Self {
            ca: path("pki/ca.crt"),
            certificate: path("pki/{host}.crt"),
            key: path("pki/{host}.key"),
            public_certificate: path("public/fullchain.pem"),
            public_key: path("public/privkey.pem"),
            directory_keys: path("directory.keys"),
            dns: path("secrets/dns"),
            dkim: "/var/lib/chasqui/dkim".into(),
            wireguard: path("secrets/wireguard.key"),
            chap: path("secrets/chap"),
            knock: path("secrets/knock"),
            database: path("secrets/database"),
            backup: path("secrets/backup.key"),
            vrrp: path("secrets/vrrp"),
        }
    }
}
