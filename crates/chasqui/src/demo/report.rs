//! What the demo says when all is ready: a table and four commands for people, one line of JSON for programs.

use serde_json::{Map, Value, json};

use super::{DOMAIN, PASSWORD, Site, files, ports};
use crate::admin::output;

/// One line with everything a program needs to use the demo.
pub fn json(site: &Site) -> anyhow::Result<String> {
    let addresses = |services: &[ports::Service]| -> Map<String, Value> {
        services
            .iter()
            .map(|&service| (service.name.to_owned(), json!(site.ports.of(service).to_string())))
            .collect()
    };
    let mut endpoints = addresses(&ports::PUBLIC);
    endpoints.extend(addresses(&ports::INNER));
    let metrics: Map<String, Value> = ports::METRICS
        .iter()
        .map(|&service| {
            (service.name.to_owned(), json!(format!("http://{}/metrics", site.ports.of(service))))
        })
        .collect();
    let configs: Map<String, Value> =
        files::ROLES.iter().map(|&(role, file)| (role.to_owned(), json!(site.dir.join(file)))).collect();
    let accounts: Vec<Value> = site
        .accounts
        .iter()
        .map(|account| json!({ "address": account.address(), "password": PASSWORD, "node": account.node }))
        .collect();
    Ok(serde_json::to_string(&json!({
        "ready": true,
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "dir": site.dir,
        "domain": DOMAIN,
        "host": "localhost",
        "ca": files::ca(&site.dir),
        "endpoints": endpoints,
        "metrics": metrics,
        "configs": configs,
        "accounts": accounts,
    }))?)
}

/// The table of end points, the accounts, and four commands to paste.
pub fn text(site: &Site) -> String {
    let mut table = output::table(&["service", "address", "what for"]);
    for service in ports::PUBLIC.into_iter().chain(ports::INNER) {
        table.add_row([service.name, &site.ports.of(service).to_string(), service.about]);
    }
    for service in ports::METRICS {
        table.add_row(["metrics", &format!("http://{}/metrics", site.ports.of(service)), service.about]);
    }
    let accounts: Vec<String> =
        site.accounts.iter().map(|account| format!("{} ({})", account.address(), account.node)).collect();
    let [send, imaps, pop3s, submit] = commands(site);
    format!(
        "Chasqui is running in {dir}\n\n{table}\n\n\
         Accounts: {accounts}\nPassword of each: {PASSWORD}\n\n\
         Send ana a message:\n\n{send}\n\n\
         Read her newest message over IMAPS:\n\n{imaps}\n\n\
         Fetch her first message over POP3S:\n\n{pop3s}\n\n\
         Let her write to the rest of the internet:\n\n{submit}\n\n\
         It would leave, and is kept in {sink} instead; each such message is a line here.\n\n\
         Ctrl-C stops. The mail stays for the next start; `chasqui demo --fresh` starts over.",
        dir = site.dir.display(),
        table = table.trim_fmt(),
        sink = files::sink(&site.dir).display(),
        accounts = accounts.join(", "),
    )
}

/// What to paste into a shell: send to the site, read over IMAPS, read over POP3S, send out.
fn commands(site: &Site) -> [String; 4] {
    let port = |service: &str| site.ports.public(service).port();
    let ca = shell_word(&files::ca(&site.dir).display().to_string());
    let login = format!("--user ana@{DOMAIN}:{PASSWORD}");
    [
        format!(
            "  printf 'From: beto@{DOMAIN}\\r\\nTo: ana@{DOMAIN}\\r\\nSubject: Hola\\r\\n\\r\\nHola, Ana.\\r\\n' |\n    \
             curl --silent --show-error smtp://localhost:{}/demo --mail-from beto@{DOMAIN} --mail-rcpt ana@{DOMAIN} --upload-file -",
            port("smtp")
        ),
        format!(
            "  curl --silent --show-error --cacert {ca} {login} 'imaps://localhost:{}/INBOX;MAILINDEX=*'",
            port("imaps")
        ),
        format!("  curl --silent --show-error --cacert {ca} {login} pop3s://localhost:{}/1", port("pop3s")),
        format!(
            "  printf 'From: ana@{DOMAIN}\\r\\nTo: maria@example.org\\r\\nSubject: Hola\\r\\n\\r\\nHola, María.\\r\\n' |\n    \
             curl --silent --show-error --cacert {ca} {login} smtps://localhost:{}/demo --mail-from ana@{DOMAIN} --mail-rcpt maria@example.org --upload-file -",
            port("submissions")
        ),
    ]
}

/// The text as one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_stays_one_word() {
        assert_eq!(shell_word("/srv/demo/ca.pem"), "/srv/demo/ca.pem");
        assert_eq!(shell_word("/srv/mi demo/l'a"), r"'/srv/mi demo/l'\''a'");
    }
}
