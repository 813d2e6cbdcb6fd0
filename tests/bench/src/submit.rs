//! Submission as mail programs do it: connect with TLS, EHLO, AUTH SCRAM-SHA-256, one message, QUIT.
//!
//! What SCRAM costs the client (100,000 rounds of a hash) is paid once for each user, as a mail program may that keeps the key.

use crate::measure::{Measured, Work};
use crate::wire::{Connection, Target};
use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{digest, hmac, pbkdf2};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Submissions {
    /// Where the relay takes submissions with TLS from the first octet.
    #[arg(long)]
    to: SocketAddr,
    /// The authority of its certificate, which is for `localhost`.
    #[arg(long)]
    ca: PathBuf,
    /// Connections at the same time.
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Sessions in all.
    #[arg(long, default_value_t = 500)]
    sessions: u64,
    /// Octets of a message.
    #[arg(long, default_value_t = 10_240)]
    size: usize,
    /// Users `s0`, `s1`, … to log in as.
    #[arg(long, default_value_t = 8)]
    users: u64,
    /// What the users' names begin with.
    #[arg(long, default_value = "s")]
    prefix: String,
    /// Their domain.
    #[arg(long, default_value = "bench.test")]
    domain: String,
    /// Their password.
    #[arg(long, default_value = "bench")]
    password: String,
    /// The recipient.
    #[arg(long)]
    recipient: String,
}

/// Salted passwords by salt and iterations.
type Keys = Arc<Mutex<HashMap<String, [u8; 32]>>>;

impl Submissions {
    /// Submits everything and prints the measurement.
    pub async fn run(self) -> Result<()> {
        let target = Target::new(self.to, Some(&self.ca))?;
        let keys = Keys::default();
        // Every user once, so that no key is computed while the clock runs.
        for user in 0..self.users {
            self.session(&target, &keys, user, 0).await?;
        }
        let load = Arc::new(self);
        let work = Work::new(load.sessions);
        let start = Instant::now();
        let mut connections = Vec::new();
        for number in 0..load.connections {
            let (load, work, target, keys) =
                (Arc::clone(&load), work.clone(), target.clone(), Arc::clone(&keys));
            connections.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while let Some(session) = work.take() {
                    let begun = Instant::now();
                    load.session(&target, &keys, session % load.users, number).await?;
                    times.push(begun.elapsed());
                }
                anyhow::Ok(times)
            }));
        }
        let mut times = Vec::new();
        for connection in connections {
            times.extend(connection.await??);
        }
        Measured::new(times, start.elapsed()).print()
    }

    async fn session(&self, target: &Target, keys: &Keys, user: u64, number: u64) -> Result<()> {
        let login = format!("{}{user}@{}", self.prefix, self.domain);
        let mut client = target.connect(number).await?;
        expect(&mut client, "220").await?;
        say(&mut client, "EHLO bench.test", "250").await?;
        self.log_in(&mut client, keys, &login).await?;
        say(&mut client, &format!("MAIL FROM:<{login}>"), "250").await?;
        say(&mut client, &format!("RCPT TO:<{}>", self.recipient), "250").await?;
        say(&mut client, "DATA", "354").await?;
        let mut text =
            format!("From: {login}\r\nTo: {}\r\nSubject: A message of the benchmark\r\n\r\n", self.recipient);
        while text.len() < self.size {
            text.push_str("The relay runner carried the message to the next post, and so on to Cusco.\r\n");
        }
        text.push('.');
        say(&mut client, &text, "250").await?;
        say(&mut client, "QUIT", "221").await.map(drop)
    }

    /// RFC 5802.
    async fn log_in(&self, client: &mut Connection, keys: &Keys, login: &str) -> Result<()> {
        let nonce = format!("{:?}", Instant::now()).replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let bare = format!("n={login},r={nonce}");
        let first = STANDARD.encode(format!("n,,{bare}"));
        let challenge = say(client, &format!("AUTH SCRAM-SHA-256 {first}"), "334").await?;
        let challenge = String::from_utf8(STANDARD.decode(challenge)?)?;
        let mut fields = challenge.split(',');
        let mut field =
            |name: &str| fields.next().and_then(|field| field.strip_prefix(name)).context("not SCRAM");
        let (nonce, salt, iterations) = (field("r=")?, field("s=")?, field("i=")?.parse::<NonZeroU32>()?);
        let salted = {
            let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
            *keys.entry(format!("{salt} {iterations}")).or_insert_with(|| {
                let mut key = [0; 32];
                let salt = STANDARD.decode(salt).unwrap_or_default();
                pbkdf2::derive(
                    pbkdf2::PBKDF2_HMAC_SHA256,
                    iterations,
                    &salt,
                    self.password.as_bytes(),
                    &mut key,
                );
                key
            })
        };
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client_key = sign(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let without_proof = format!("c=biws,r={nonce}");
        let signature = sign(stored.as_ref(), format!("{bare},{challenge},{without_proof}").as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let last = STANDARD.encode(format!("{without_proof},p={}", STANDARD.encode(proof)));
        say(client, &last, "334").await?;
        say(client, "", "235").await.map(drop)
    }
}

/// Says a line, and gives the text of the last line of the reply, whose code must be `code`.
async fn say(client: &mut Connection, line: &str, code: &str) -> Result<String> {
    client.send(format!("{line}\r\n").as_bytes()).await?;
    expect(client, code).await
}

async fn expect(client: &mut Connection, code: &str) -> Result<String> {
    loop {
        let line = client.line().await?;
        if !line.starts_with(code) {
            bail!("expected {code}: {line}");
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.get(4..).unwrap_or_default().to_owned());
        }
    }
}
