//! What the tests of the binary share: running it, and reading what it says.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test, without the surroundings' settings.
pub fn chasqui() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chasqui"));
    for name in ["CHASQUI_CONFIG", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    // The log would stand between the sentences that the tests read.
    command.env("CHASQUI_LOG", "error").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    chasqui().args(arguments).output().unwrap()
}

/// Runs the binary with a text on standard input.
pub fn run_with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = chasqui()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A process that ends without reading its input is the test's to judge.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Standard output of a run that succeeded.
pub fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error of a run.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output of a run that succeeded, as JSON.
pub fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// Asserts that a run failed with code 1 and one sentence, and returns the sentence.
pub fn refusal(output: &Output) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "not one sentence: {text}");
    assert!(text.starts_with("chasqui: "), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// A folder with the configuration of a directory server whose database is in the folder too.
pub struct Site {
    pub dir: tempfile::TempDir,
    pub config: PathBuf,
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("directory.toml");
        let keys = dir.path().join("directory.keys");
        stdout(&run(&["pki", "keys", keys.to_str().unwrap()]));
        let text = format!(
            "listen = \"127.0.0.1:{}\"\nkeys = {keys:?}\n[database]\npath = {:?}\n",
            free_port(),
            dir.path().join("directory.sqlite")
        );
        std::fs::write(&config, text).unwrap();
        Self { dir, config }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs an operator's command on the site's database.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "")
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["--config", self.config.to_str().unwrap()]);
        run_with_input(&all, input)
    }

    /// A site with one node and one domain.
    pub fn with_a_node_and_a_domain() -> Self {
        let site = Self::new();
        stdout(&site.run(&[
            "node",
            "add",
            "storage1",
            "--lmtp",
            "127.0.0.1:1024",
            "--imap",
            "127.0.0.1:1143",
            "--pop3",
            "127.0.0.1:1110",
        ]));
        stdout(&site.run(&["domain", "add", "ejemplo.test"]));
        site
    }
}

/// A process that runs until the test ends it.
pub struct Running {
    pub child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line on standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end; returns its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The root of the sources.
pub fn sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
