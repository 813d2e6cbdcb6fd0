//! Names that the shape of the file cannot judge.

use chasqui_base::DomainName;

use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    for name in site.domains.keys() {
        match DomainName::parse(name) {
            Ok(domain) if domain.as_str() == name => {}
            Ok(domain) => report.error(
                &["domains", name],
                format!("`{name}` is not how the domain is written"),
                format!("write `{domain}`"),
            ),
            Err(error) => report.error(
                &["domains", name],
                format!("`{name}`: {error}"),
                "write a domain name such as correo.example",
            ),
        }
    }
    let internal = site.internal_domain.as_str();
    if let Some(domain) = site.domains.keys().find(|domain| within(internal, domain)) {
        report.error(
            &["internal_domain"],
            format!("`{internal}` is in the public zone of `{domain}`"),
            "take a name of its own, such as site.internal: internal names are in no public zone",
        );
    }
    for region in site.dns.regions.keys() {
        if !region.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) || region.is_empty()
        {
            report.error(
                &["dns", "regions", region],
                format!("`{region}` cannot be the name of a view"),
                "use letters, digits and hyphens",
            );
        }
    }
}

/// Whether `name` is `domain` or under it.
pub(super) fn within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
