//! Messages of our own, DMARC reports so far: handed to a relay through its door for the other roles.

use chasqui_base::{
    net::{Endpoint, Stream},
    tls::{Role, RoleTls},
};
use chasqui_courier::in_time;
use chasqui_filter::report::Outbox;
use chasqui_smtp::{ClientEvent, ClientLimits, ClientSession, Envelope, Protocol, Reply, ReversePath};
use std::{io, time::Duration};
use tokio::io::AsyncWriteExt as _;

/// How long a relay may take to be connected to, and for each answer.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// The relays, tried in turn.
pub(crate) struct Relays {
    pub endpoints: Vec<Endpoint>,
    /// Without it only those on this host are spoken to (E19).
    pub tls: Option<RoleTls>,
    pub hostname: String,
}

impl Outbox for Relays {
    async fn send(&self, from: &str, to: &[String], message: Vec<u8>) -> io::Result<()> {
        let from: ReversePath = from.parse().map_err(io::Error::other)?;
        let mut last = io::Error::new(io::ErrorKind::NotConnected, "no relay is configured (`relay`)");
        for endpoint in &self.endpoints {
            match self.send_by(endpoint, &from, to, &message).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(relay = %endpoint, %error, "a relay does not take our message");
                    last = error;
                }
            }
        }
        Err(last)
    }
}

impl Relays {
    async fn send_by(
        &self,
        endpoint: &Endpoint,
        from: &ReversePath,
        to: &[String],
        message: &[u8],
    ) -> io::Result<()> {
        let mut stream = endpoint.connect(CONNECT).await?;
        match &self.tls {
            Some(tls) => {
                let secured = tls.connect(stream, endpoint.host(), Role::Relay);
                stream = in_time(CONNECT, async { secured.await.map_err(io::Error::other) }).await?;
            }
            None if endpoint.is_local() => {}
            None => {
                return Err(io::Error::other(
                    "it is not on this host, and we have no certificate: set [tls]",
                ));
            }
        }
        let mut talk = Talk {
            stream,
            client: ClientSession::new(Protocol::Smtp, &self.hostname, ClientLimits::default()),
            input: Vec::new(),
        };
        while !talk.client.is_ready() {
            talk.next().await?;
        }
        let envelope = Envelope::new(from, to, message.len() as u64);
        let mut out = Vec::new();
        talk.client.begin(&envelope, &mut out).map_err(io::Error::other)?;
        out.extend_from_slice(message);
        talk.write(&out).await?;
        while talk.next().await? != ClientEvent::Done {}
        let results = talk.client.results();
        // Nobody reads the answer, so the connection is simply ended.
        let _ = talk.write(b"QUIT\r\n").await;
        judge(to, &results)
    }
}

/// Who is refused for good is left out; who is put off, or not answered, makes the whole be sent again.
fn judge(to: &[String], results: &[Option<Reply>]) -> io::Result<()> {
    for (recipient, result) in to.iter().zip(results) {
        match result {
            Some(reply) if reply.is_positive() => {}
            Some(reply) if reply.is_permanent() => {
                tracing::info!(recipient, %reply, "the relay refuses a recipient")
            }
            Some(reply) => return Err(io::Error::other(reply.to_string())),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    if results.len() < to.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

struct Talk {
    stream: Stream,
    client: ClientSession,
    input: Vec<u8>,
}

impl Talk {
    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        in_time(ANSWER, async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        })
        .await
    }

    async fn next(&mut self) -> io::Result<ClientEvent> {
        loop {
            let (used, event) = self.client.receive(&self.input).map_err(io::Error::other)?;
            self.input.drain(..used);
            let output = self.client.take_output();
            if !output.is_empty() {
                self.write(&output).await?;
            }
            if let Some(event) = event {
                return Ok(event);
            }
            if in_time(ANSWER, self.stream.read_more(&mut self.input, 16 * 1024)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::net::Listener;
    use chasqui_smtp::{Event, Profile, ServerSession};
    use std::sync::{Arc, Mutex};

    #[test]
    fn only_what_may_still_be_taken_is_sent_again() {
        let to = ["a@example.org".to_owned(), "b@example.org".to_owned()];
        let ok = || Some(Reply::fixed(250, (2, 0, 0), "ok"));
        let no = || Some(Reply::fixed(550, (5, 1, 1), "no"));
        let later = || Some(Reply::fixed(451, (4, 3, 0), "later"));
        assert!(judge(&to, &[ok(), ok()]).is_ok());
        assert!(judge(&to, &[ok(), no()]).is_ok());
        assert!(judge(&to, &[no(), no()]).is_ok());
        assert!(judge(&to, &[ok(), later()]).is_err());
        assert!(judge(&to, &[ok(), None]).is_err());
        assert!(judge(&to, &[]).is_err());
    }

    #[tokio::test]
    async fn relays_are_tried_in_turn_and_their_absence_is_told() {
        let relays = |endpoints: &[&str]| Relays {
            endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
            tls: None,
            hostname: "mx.test".into(),
        };
        let send = async |relays: Relays| {
            relays.send("a@example.org", &["b@example.org".to_owned()], b"Subject: x\r\n\r\n".to_vec()).await
        };
        assert!(send(relays(&[])).await.unwrap_err().to_string().contains("`relay`"));
        assert!(send(relays(&["127.0.0.1:1", "192.0.2.1:1587"])).await.is_err());
        let (endpoint, taken) = relay().await;
        send(relays(&["127.0.0.1:1", &endpoint])).await.unwrap();
        assert_eq!(*taken.lock().unwrap(), b"Subject: x\r\n\r\n");
    }

    /// A relay that takes one message, and what it took.
    async fn relay() -> (String, Arc<Mutex<Vec<u8>>>) {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(&address).unwrap();
        let endpoint = listener.local_address().to_string();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let text = Arc::clone(&taken);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut wire = ServerSession::new(Arc::new(Profile::new(Protocol::Smtp, "relay.test")));
            wire.greet();
            let mut input = Vec::new();
            loop {
                let mut at = 0;
                while let Some(event) = {
                    let step = wire.next(&input[at..]);
                    at += step.consumed;
                    step.event
                } {
                    match event {
                        Event::Text(part) => text.lock().unwrap().extend_from_slice(part),
                        Event::Close => return,
                        _ => wire.accept(),
                    }
                }
                input.drain(..at);
                stream.write_all(&wire.take_output()).await.unwrap();
                if !matches!(stream.read_more(&mut input, 4096).await, Ok(1..)) {
                    return;
                }
            }
        });
        (endpoint, taken)
    }
}
