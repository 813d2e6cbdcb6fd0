//! Secrets: by path, and never where everybody can read them.

use serde_json::Value;

use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    // The secrets are paths, all of them; what is not written down as a list cannot be forgotten in one.
    let Ok(Value::Object(paths)) = serde_json::to_value(&fleet.site.secrets) else { return };
    for (name, path) in &paths {
        let Some(path) = path.as_str() else { continue };
        let key = ["secrets", name];
        if path.starts_with("/nix/store") {
            report.error(
                &key,
                format!("`{path}` is in the Nix store, which everybody on the host can read"),
                "put the file elsewhere, such as under /etc/chasqui/secrets",
            );
        } else if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            report.error(&key, format!("`{path}` is no absolute path"), "write the whole path, from /");
        }
        let rest = path.replace("{host}", "");
        if rest.contains(['{', '}']) {
            report.error(
                &key,
                format!("`{path}` has braces that stand for nothing"),
                "write {host} for the host's name; nothing else is replaced",
            );
        }
    }
}
