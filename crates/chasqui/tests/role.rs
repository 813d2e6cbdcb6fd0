//! A role as a process: what systemd is told, reload, refusal to start, drain.

mod common;

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use common::{PATIENCE, Running, Site, chasqui, refusal, run};

/// Where systemd would listen.
struct Notifications {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Notifications {
    fn listen(site: &Site) -> Self {
        let path = site.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// Waits for a message that contains `what`; the watchdog's come in between.
    fn until(&self, what: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {what}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(what) {
                return text;
            }
        }
    }
}

#[test]
fn systemd_is_told_when_a_role_is_ready_reloading_and_stopping() {
    let site = Site::with_a_node_and_a_domain();
    let systemd = Notifications::listen(&site);
    let log = std::fs::File::create(site.path("log")).unwrap();
    let mut role = Running::start(
        chasqui()
            .args(["directory", "--log-format", "text", "--config", site.config.to_str().unwrap()])
            .env("NOTIFY_SOCKET", &systemd.path)
            .env("WATCHDOG_USEC", "200000")
            .stderr(Stdio::from(log)),
    );
    systemd.until("READY=1");
    systemd.until("WATCHDOG=1");
    role.signal("HUP");
    assert!(systemd.until("RELOADING=1").contains("MONOTONIC_USEC="));
    systemd.until("READY=1");

    // A new configuration with an error changes nothing.
    let good = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, format!("inexistente = 1\n{good}")).unwrap();
    role.signal("HUP");
    systemd.until("RELOADING=1");
    systemd.until("READY=1");
    let log = std::fs::read_to_string(site.path("log")).unwrap();
    assert!(log.contains("`inexistente`") && log.contains("the old one stays in force"), "{log}");

    role.signal("TERM");
    systemd.until("STOPPING=1");
    assert_eq!(role.ended(), Some(0));
}

#[test]
fn a_role_refuses_to_start_with_one_sentence() {
    let site = Site::with_a_node_and_a_domain();
    let config = site.config.to_str().unwrap();
    let good = std::fs::read_to_string(&site.config).unwrap();

    let text = refusal(&run(&["directory", "--config", "/nonexistent/directory.toml"]));
    assert!(text.contains("/nonexistent/directory.toml"), "{text}");

    std::fs::write(&site.config, format!("inexistente = 1\n{good}")).unwrap();
    assert!(refusal(&run(&["directory", "--config", config])).contains("`inexistente`"));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    std::fs::write(&site.config, format!("metrics = \"{address}\"\n{good}")).unwrap();
    let text = refusal(&run(&["directory", "--config", config]));
    assert!(text.contains(&address), "{text}");

    std::fs::write(&site.config, format!("metrics = \"0.0.0.0:9101\"\n{good}")).unwrap();
    assert!(refusal(&run(&["directory", "--config", config])).contains("metrics"));

    std::fs::write(
        site.path("directory.sqlite"),
        "this is no database, though it is long enough to be one".repeat(100),
    )
    .unwrap();
    std::fs::write(&site.config, &good).unwrap();
    let text = refusal(&run(&["directory", "--config", config]));
    assert!(text.contains("directory.sqlite"), "{text}");
}
