//! A mail host that does what a test wants: well-behaved but for the rules that it is given.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What is done about a line.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// What a good host does.
    Good,
    /// The same, 60 ms later.
    Late,
    /// This is said instead, and no more is done about the line.
    Say(&'static str),
    /// This is said, and the connection ends.
    SayAndDrop(&'static str),
    /// The connection ends without a word.
    Drop,
    /// Nothing is said any more.
    Hang,
    /// One octet every 100 ms, for ever.
    Slow,
    /// A reply without end.
    Flood,
}

/// A message that was taken, or would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) mail: String,
    pub(super) recipients: Vec<String>,
    pub(super) text: String,
    /// Under TLS.
    pub(super) tls: bool,
}

/// What is asked about each line: the line, `.` at the end of a text, or `` at the beginning of a connection; and which connection it is.
type Rule = dyn Fn(&str, usize) -> Act + Send + Sync;

#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) from: Vec<IpAddr>,
    pub(super) taken: Vec<Taken>,
    pub(super) lines: Vec<String>,
}

pub(super) struct Host {
    pub(super) port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What a host is made of.
#[derive(Clone)]
pub(super) struct Manner {
    ip: &'static str,
    port: u16,
    offers: &'static [&'static str],
    rule: Arc<Rule>,
    /// Certificate and key, PEM.
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Manner {
    pub(super) fn good() -> Self {
        Self::with(|_, _| Act::Good)
    }

    pub(super) fn with(rule: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        Self {
            ip: "127.0.0.1",
            port: 0,
            offers: &["PIPELINING", "8BITMIME", "SIZE 1000000", "DSN", "CHUNKING", "SMTPUTF8"],
            rule: Arc::new(rule),
            tls: None,
        }
    }

    /// Says `reply` to lines that begin with `verb`.
    pub(super) fn saying(verb: &'static str, act: Act) -> Self {
        Self::with(move |line, _| if starts(line, verb) { act.clone() } else { Act::Good })
    }

    pub(super) fn offering(self, offers: &'static [&'static str]) -> Self {
        Self { offers, ..self }
    }

    /// On another address, and the port of a host there is already.
    pub(super) fn at(self, ip: &'static str, port: u16) -> Self {
        Self { ip, port, ..self }
    }

    /// Offers STARTTLS with a certificate for these names, of a CA in `folder`.
    pub(super) fn under_tls(self, folder: &std::path::Path, names: &[&str]) -> Self {
        let ca = chasqui_base::pki::create_ca(folder, "test").unwrap();
        let files = ca.issue(folder, "host", &[], names).unwrap();
        let chain = CertificateDer::pem_file_iter(&files.certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self { tls: Some(Arc::new(config).into()), ..self }
    }

    pub(super) async fn start(self) -> Host {
        let listener = TcpListener::bind((self.ip, self.port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let state = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let number = {
                    let mut seen = state.lock().unwrap();
                    seen.from.push(peer.ip());
                    seen.connections += 1;
                    seen.connections
                };
                let session = Session { manner: self.clone(), seen: Arc::clone(&state), number, tls: false };
                tokio::spawn(session.serve(stream));
            }
        });
        Host { port, seen, task }
    }
}

pub(super) fn starts(line: &str, verb: &str) -> bool {
    if verb.is_empty() { line.is_empty() } else { line.to_ascii_uppercase().starts_with(verb) }
}

impl Host {
    /// What it has seen until now.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Ends it: nobody listens on its port any more.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Forgets what it was given.
    pub(super) fn forget(&self) {
        self.seen.lock().unwrap().taken.clear();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Session {
    manner: Manner,
    seen: Arc<Mutex<Seen>>,
    number: usize,
    tls: bool,
}

/// Ends a session.
struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Session {
    async fn serve(mut self, stream: TcpStream) {
        let mut stream = BufStream::new(stream);
        if self.answer(&mut stream, "", "220 host.test ESMTP").await.is_err() {
            return;
        }
        if matches!(self.talk(&mut stream).await, Ok(true)) {
            let acceptor = self.manner.tls.clone().unwrap();
            if let Ok(stream) = acceptor.accept(stream.into_inner()).await {
                self.tls = true;
                let _ = self.talk(&mut BufStream::new(stream)).await;
            }
        }
    }

    /// Until STARTTLS (true) or the end.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufStream<S>,
    ) -> Result<bool, Ended> {
        let mut open =
            Taken { mail: String::new(), recipients: Vec::new(), text: String::new(), tls: self.tls };
        loop {
            let line = read_line(stream).await?;
            self.seen.lock().unwrap().lines.push(line.clone());
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "LHLO" => {
                    let mut offers = self.manner.offers.to_vec();
                    if self.manner.tls.is_some() && !self.tls {
                        offers.push("STARTTLS");
                    }
                    let lines: Vec<String> = std::iter::once("host.test")
                        .chain(offers.iter().copied())
                        .enumerate()
                        .map(|(n, text)| format!("250{}{text}", if n == offers.len() { ' ' } else { '-' }))
                        .collect();
                    self.answer(stream, &line, &lines.join("\r\n")).await?;
                }
                "MAIL" => {
                    if self.answer(stream, &line, "250 2.1.0 Ok").await? {
                        open.mail = line;
                        open.recipients.clear();
                    }
                }
                "RCPT" => {
                    if self.answer(stream, &line, "250 2.1.5 Ok").await? {
                        open.recipients.push(line);
                    }
                }
                "DATA" if open.recipients.is_empty() => {
                    self.answer(stream, &line, "554 5.5.1 No valid recipients").await?;
                }
                "DATA" => {
                    if self.answer(stream, &line, "354 Go on").await? {
                        open.text.clear();
                        loop {
                            let text = read_line(stream).await?;
                            if text == "." {
                                break;
                            }
                            open.text += text.strip_prefix('.').unwrap_or(&text);
                            open.text += "\r\n";
                        }
                        self.end(stream, &open).await?;
                    }
                }
                "BDAT" => {
                    let octets: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
                    let mut text = vec![0; octets];
                    stream.read_exact(&mut text).await?;
                    open.text = String::from_utf8_lossy(&text).into_owned();
                    if open.recipients.is_empty() {
                        self.answer(stream, &line, "554 5.5.1 No valid recipients").await?;
                    } else {
                        self.end(stream, &open).await?;
                    }
                }
                "AUTH" => {
                    let said = line.rsplit(' ').next().unwrap_or_default();
                    let said = String::from_utf8(STANDARD.decode(said).unwrap_or_default()).unwrap();
                    let reply = if said == "\0relay\0llave" { "235 2.7.0 Ok" } else { "535 5.7.8 No" };
                    self.answer(stream, &line, reply).await?;
                }
                "STARTTLS" => {
                    if self.answer(stream, &line, "220 Go on").await? {
                        return Ok(true);
                    }
                }
                "QUIT" => {
                    self.answer(stream, &line, "221 Bye").await?;
                    return Ok(false);
                }
                _ => {
                    self.answer(stream, &line, "250 Ok").await?;
                }
            }
        }
    }

    async fn end<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufStream<S>,
        open: &Taken,
    ) -> Result<bool, Ended> {
        self.seen.lock().unwrap().taken.push(open.clone());
        self.answer(stream, ".", "250 2.0.0 Taken").await
    }

    /// Whether the good reply was given.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufStream<S>,
        line: &str,
        good: &str,
    ) -> Result<bool, Ended> {
        let act = (self.manner.rule)(line, self.number);
        match &act {
            Act::Good => say(stream, good).await?,
            Act::Late => {
                tokio::time::sleep(Duration::from_millis(60)).await;
                say(stream, good).await?;
            }
            Act::Say(reply) | Act::SayAndDrop(reply) => say(stream, reply).await?,
            Act::Drop => {}
            Act::Hang => std::future::pending().await,
            Act::Slow => loop {
                stream.write_all(b"2").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            },
            Act::Flood => loop {
                say(stream, "250-and more").await?;
            },
        }
        match act {
            Act::Good | Act::Late => Ok(true),
            Act::Say(_) => Ok(false),
            _ => Err(Ended),
        }
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>, text: &str) -> Result<(), Ended> {
    stream.write_all(text.as_bytes()).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await?;
    Ok(())
}

async fn read_line<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>) -> Result<String, Ended> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        return Err(Ended);
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}
