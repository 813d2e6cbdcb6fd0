//! The server's process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chasqui_base::units::Span;
use tempfile::TempDir;

use super::zone::{self, Zone};
use crate::{Config, Resolver};

/// Time for the server to answer its first question.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Where Debian has it; a user's PATH may lack that folder.
const NAMED: &str = "/usr/sbin/named";

/// An authoritative server with the test's zones. Dropped, it stops.
pub struct NameServer {
    folder: TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl NameServer {
    /// Signs the zones and starts the server; it answers when this returns. None, with a line that says so, where `named` is not
    /// installed, unless the environment has CHASQUI_REQUIRE_DAEMONS: then it panics.
    pub fn start(zones: &[Zone]) -> Option<Self> {
        if !Path::new(NAMED).exists() {
            assert!(
                std::env::var_os("CHASQUI_REQUIRE_DAEMONS").is_none(),
                "named is not installed (package bind9)"
            );
            eprintln!("skipped: named is not installed (package bind9)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("chasqui-named").tempdir().unwrap();
        let mut server = Self { folder, address: free_port(), process: None };
        // Another process may take the port between our test of it and named's start: then another one is tried.
        for _ in 0..5 {
            server.write(zones);
            if server.launch() {
                return Some(server);
            }
            server.address = free_port();
        }
        panic!("named does not start: {}", std::fs::read_to_string(server.log()).unwrap_or_default());
    }

    /// Where it answers, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with the root's key.
    pub fn trust_anchor(&self) -> PathBuf {
        self.folder.path().join("anchor")
    }

    /// A configuration for a resolver that asks this server alone, trusts the root's key, and gives up early.
    pub fn config(&self) -> Config {
        Config {
            servers: vec![self.address],
            trust_anchor: Some(self.trust_anchor()),
            timeout: Span::secs(2),
            attempts: 1,
            deadline: Span::secs(8),
            ..Config::default()
        }
    }

    /// A resolver of [`config`](Self::config).
    pub fn resolver(&self) -> Resolver {
        Resolver::new(&self.config()).unwrap()
    }

    /// Ends the server: questions find nobody.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port, with these zones instead. The keys stay.
    pub fn restart(&mut self, zones: &[Zone]) {
        self.stop();
        self.write(zones);
        assert!(self.launch(), "named does not start again");
    }

    fn write(&self, zones: &[Zone]) {
        let folder = self.folder.path();
        let written = zone::write_all(folder, zones);
        std::fs::write(self.trust_anchor(), format!("{}\n", written.anchor)).unwrap();
        let options = format!(
            "options {{ directory \"{}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; check-names primary ignore; \
             allow-query {{ any; }}; dnssec-validation no; notify no; pid-file none; session-keyfile none; lock-file none; }};\n\
             controls {{ }};\n{}",
            folder.display(),
            self.address.port(),
            written.clauses,
        );
        std::fs::write(folder.join("named.conf"), options).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn launch(&mut self) -> bool {
        let log = std::fs::File::create(self.log()).unwrap();
        let mut named = Command::new(NAMED);
        named.args(["-g", "-n", "1", "-c"]).arg(self.folder.path().join("named.conf"));
        let process = named.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let process = self.process.insert(process);
        let deadline = Instant::now() + START_DEADLINE;
        while Instant::now() < deadline {
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            if answers(self.address) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.stop();
        false
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A server that takes every question and never answers.
pub struct Silence {
    address: SocketAddr,
    _sockets: (UdpSocket, TcpListener),
}

impl Silence {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let (address, udp, tcp) = bind();
        Self { address, _sockets: (udp, tcp) }
    }

    /// Where it is silent, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn free_port() -> SocketAddr {
    bind().0
}

/// One port for both protocols.
fn bind() -> (SocketAddr, UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if let Ok(udp) = UdpSocket::bind(address) {
            return (address, udp, tcp);
        }
    }
    panic!("no port of loopback is free for both UDP and TCP");
}

/// Whether the server answers for the root zone, which is the last that it loads.
fn answers(address: SocketAddr) -> bool {
    // Id 0x4348, one question: the root, SOA, IN.
    const QUESTION: [u8; 17] = [0x43, 0x48, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut reply = [0; 512];
    let sent = socket.connect(address).and_then(|()| socket.send(&QUESTION));
    match sent.and_then(|_| socket.recv(&mut reply)) {
        // No error (the low bits of the fourth octet) and an answer (the count in the eighth).
        Ok(length) => length > 12 && reply[..2] == QUESTION[..2] && reply[3] & 0x0f == 0 && reply[7] == 1,
        Err(_) => false,
    }
}
