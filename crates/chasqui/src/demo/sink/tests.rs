//! The sink in conversation.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use chasqui_base::pki;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

struct Running {
    _dir: tempfile::TempDir,
    heard: Arc<Mutex<Vec<Departure>>>,
    address: SocketAddr,
    sink: Sink,
}

fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("pki");
    std::fs::create_dir(&keys).unwrap();
    pki::create_ca(&keys, "prueba").unwrap().issue(&keys, "public", &[], &["localhost"]).unwrap();
    let files = PublicTlsFiles { certificate: keys.join("public.crt"), key: keys.join("public.key") };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let bound = BoundSink::bind(
        &dir.path().join("sink"),
        (Ipv4Addr::LOCALHOST, 0).into(),
        &files,
        Arc::new(move |departure| ears.lock().unwrap().push(departure)),
    )
    .unwrap();
    let address = bound.listener.local_address().to_string().parse().unwrap();
    Running { _dir: dir, heard, address, sink: bound.start() }
}

/// Says everything at once and returns everything that is answered until the end.
async fn talk(running: &Running, said: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    heard
}

#[tokio::test]
async fn a_message_is_kept_with_its_envelope_and_told_of() {
    let running = start();
    let answers = talk(
        &running,
        "EHLO relay.test\r\nMAIL FROM:<ana@ejemplo.test>\r\nRCPT TO:<x@otro.test>\r\nRCPT TO:<y@otro.test>\r\n\
         DATA\r\nSubject: =?utf-8?q?ma=C3=B1ana?=\r\n\r\n..Hola.\r\n.\r\nQUIT\r\n",
    )
    .await;
    assert!(answers.contains("250 2.0.0 Kept") && answers.contains("STARTTLS"), "{answers}");
    let heard = running.heard.lock().unwrap().clone();
    let [departure] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(departure.from, "ana@ejemplo.test");
    assert_eq!(departure.to, ["x@otro.test", "y@otro.test"]);
    assert_eq!((departure.subject.as_str(), departure.tls), ("mañana", false));
    let text = std::fs::read_to_string(&departure.file).unwrap();
    assert_eq!(
        text,
        "Return-Path: <ana@ejemplo.test>\r\nX-Original-To: x@otro.test\r\nX-Original-To: y@otro.test\r\n\
         Subject: =?utf-8?q?ma=C3=B1ana?=\r\n\r\n.Hola.\r\n"
    );
    assert_eq!(departure.size, 44);
    running.sink.stop().await;
}

#[tokio::test]
async fn two_mailboxes_are_refused_for_good_and_for_now() {
    let running = start();
    let answers = talk(
        &running,
        "EHLO relay.test\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@otro.test>\r\nRCPT TO:<later@otro.test>\r\nDATA\r\nQUIT\r\n",
    )
    .await;
    assert!(answers.contains("550 5.1.1") && answers.contains("451 4.2.1"), "{answers}");
    assert!(!answers.contains("354"), "{answers}");
    assert!(running.heard.lock().unwrap().is_empty());
}
