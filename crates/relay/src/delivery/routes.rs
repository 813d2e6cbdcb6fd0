//! Which way a recipient's copy goes, by its address and the configuration alone.

use super::patterns::Patterns;
use crate::{
    config::{Route, RouteTls},
    message::Destination,
};
use chasqui_base::{DomainName, Secret, StartError, net::Endpoint};
use chasqui_smtp::Mailbox;
use std::{net::IpAddr, path::Path, sync::Arc};

/// A password file has one line; what is longer is another file.
const PASSWORD_LENGTH: u64 = 4096;

/// The configured routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// `None` in it is the exception to a wider route.
    patterns: Patterns<Option<Arc<Smarthosts>>>,
}

/// The hosts of a route.
#[derive(Debug)]
pub(super) struct Smarthosts {
    /// Its destination.
    destination: Destination,
    /// In order.
    pub(super) hosts: Vec<Endpoint>,
    /// What TLS they must have.
    pub(super) tls: RouteTls,
    /// Who we are there.
    pub(super) login: Option<Arc<Login>>,
}

/// Who we are at a smarthost.
#[derive(Debug)]
pub(super) struct Login {
    /// The user name.
    pub(super) user: String,
    /// The password.
    pub(super) password: Secret,
}

/// Which way a recipient's copy goes.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// To the hosts that DNS names for the domain, which is canonical.
    Domain(DomainName),
    /// To this address (RFC 5321 §4.1.3).
    Literal(IpAddr),
    /// To the hosts of a route.
    Route(Arc<Smarthosts>),
    /// Nowhere: the domain can be none.
    Nowhere(Arc<str>),
}

impl Way {
    /// The destination that copies of this way share.
    pub(super) fn destination(&self) -> Destination {
        match self {
            Self::Domain(domain) => Destination(domain.as_str().into()),
            Self::Literal(IpAddr::V4(address)) => Destination(format!("[{address}]").into()),
            Self::Literal(IpAddr::V6(address)) => Destination(format!("[IPv6:{address}]").into()),
            Self::Route(route) => route.destination.clone(),
            Self::Nowhere(domain) => Destination(Arc::clone(domain)),
        }
    }
}

impl Routes {
    /// Takes the configured routes and reads their passwords.
    ///
    /// # Errors
    /// When a password cannot be read, or is open to every user.
    pub(super) fn new(routes: &[Route]) -> Result<Self, StartError> {
        let mut patterns = Patterns::default();
        for route in routes {
            let smarthosts = match (route.hosts.is_empty(), &route.user, &route.password) {
                (true, ..) => None,
                (false, Some(user), Some(path)) => {
                    let login = Login { user: user.clone(), password: read_password(path)? };
                    Some(Arc::new(Smarthosts::new(route, Some(Arc::new(login)))))
                }
                (false, ..) => Some(Arc::new(Smarthosts::new(route, None))),
            };
            for pattern in &route.domains {
                if let Some(place) = patterns.place(pattern) {
                    *place = smarthosts.clone();
                }
            }
        }
        Ok(Self { patterns })
    }

    /// The way to an address of RFC 5321's grammar.
    pub(super) fn way(&self, address: &str) -> Way {
        let parsed = Mailbox::parse(address);
        let domain = match &parsed {
            Ok(mailbox) => mailbox.domain(),
            Err(_) => address.rsplit_once('@').map_or(address, |(_, domain)| domain),
        };
        let Ok(name) = DomainName::parse(domain) else {
            return Way::Nowhere(domain.to_lowercase().into());
        };
        match (self.patterns.find(name.as_str()), literal(name.as_str())) {
            (Some(Some(route)), _) => Way::Route(Arc::clone(route)),
            (_, Some(address)) => Way::Literal(address),
            (_, None) => Way::Domain(name),
        }
    }
}

impl Smarthosts {
    fn new(route: &Route, login: Option<Arc<Login>>) -> Self {
        let names: Vec<&str> = route.hosts.iter().map(Endpoint::as_str).collect();
        Self {
            destination: Destination(names.join(",").into()),
            hosts: route.hosts.clone(),
            tls: route.tls(),
            login,
        }
    }
}

/// `[192.0.2.1]`, `[ipv6:2001:db8::1]`.
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    inner.strip_prefix("ipv6:").unwrap_or(inner).parse().ok()
}

fn read_password(path: &Path) -> Result<Secret, StartError> {
    use std::{io::Read as _, os::unix::fs::PermissionsExt as _};
    let failed = |reason: &str| StartError::open(path, reason);
    let file = std::fs::File::open(path).map_err(|error| failed(&error.to_string()))?;
    let facts = file.metadata().map_err(|error| failed(&error.to_string()))?;
    if facts.permissions().mode() & 0o007 != 0 {
        return Err(failed("the password is open to every user: chmod 600"));
    }
    if facts.len() > PASSWORD_LENGTH {
        return Err(failed("a password is expected, and this file is longer than one"));
    }
    let mut text = zeroize::Zeroizing::new(String::with_capacity(PASSWORD_LENGTH as usize + 1));
    (&file).take(PASSWORD_LENGTH).read_to_string(&mut text).map_err(|error| failed(&error.to_string()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(failed("the file is empty"));
    }
    Ok(Secret::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn route(domains: &[&str], hosts: &[&str]) -> Route {
        Route {
            domains: domains.iter().map(|text| (*text).to_owned()).collect(),
            hosts: hosts.iter().map(|text| text.parse().unwrap()).collect(),
            ..Route::default()
        }
    }

    #[test]
    fn copies_that_go_the_same_way_share_a_destination() {
        let routes = Routes::new(&[
            route(&["*"], &["smtp.example.net:587", "smtp2.example.net:587"]),
            route(&["example.org", "*.example.org"], &[]),
        ])
        .unwrap();
        for (address, destination) in [
            ("a@b.example", "smtp.example.net:587,smtp2.example.net:587"),
            ("a@c.example", "smtp.example.net:587,smtp2.example.net:587"),
            ("a@[192.0.2.1]", "smtp.example.net:587,smtp2.example.net:587"),
            ("a@Example.ORG", "example.org"),
            ("a@mail.example.org", "mail.example.org"),
        ] {
            assert_eq!(&*routes.way(address).destination().0, destination);
        }
    }

    #[test]
    fn addresses_are_told_from_domains() {
        let routes = Routes::default();
        for (address, destination) in [
            ("a@[192.0.2.1]", "[192.0.2.1]"),
            ("a@[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
            ("\"a@b\"@Ejemplo.test", "ejemplo.test"),
            ("ñ@Ñandú.example", "xn--and-6ma2c.example"),
        ] {
            assert_eq!(&*routes.way(address).destination().0, destination, "{address}");
        }
        assert!(matches!(routes.way("a@[192.0.2.1]"), Way::Literal(IpAddr::V4(_))));
        assert!(matches!(routes.way("a@b..c"), Way::Nowhere(_)));
        assert!(matches!(routes.way("nothing"), Way::Domain(_)));
    }

    #[test]
    fn a_password_is_read_from_its_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let login = || {
            let route = Route {
                user: Some("relay".into()),
                password: Some(path.clone()),
                ..route(&["*"], &["smtp.example.net:587"])
            };
            Routes::new(&[route])
        };
        assert!(login().is_err());
        std::fs::write(&path, "llave\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(login().unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let Way::Route(found) = login().unwrap().way("a@b.example") else { panic!("a route is expected") };
        assert!(found.login.as_ref().unwrap().password.matches("llave"));
        assert!(!format!("{found:?}").contains("llave"));
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(login().is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_address_has_a_way(address in "\\PC{0,60}") {
            let _ = Routes::default().way(&address).destination();
        }
    }
}
