//! Races between a host's addresses (RFC 8305 §5): the next one starts when the one before it has failed or has been silent for a
//! while; who answers first is taken.

use super::sources::Source;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

/// How a race is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Race {
    /// How long the next address waits for the one before it.
    pub(super) delay: Duration,
    /// How long one address may take.
    pub(super) each: Duration,
}

impl Race {
    /// Connects to one of the addresses.
    ///
    /// # Errors
    /// What the first address failed of, when all have failed.
    pub(super) async fn run(
        &self,
        ips: &[IpAddr],
        port: u16,
        source: &Source,
    ) -> io::Result<(TcpStream, IpAddr)> {
        if let [only] = ips {
            return dial(*only, port, source.bind_for(*only), self.each).await;
        }
        let mut racing = JoinSet::new();
        let mut waiting = ips.iter().copied();
        let mut failure = None;
        let mut next = waiting.next();
        loop {
            if let Some(ip) = next.take() {
                racing.spawn(dial(ip, port, source.bind_for(ip), self.each));
            }
            let more = waiting.len() > 0;
            tokio::select! {
                ended = racing.join_next() => match ended {
                    Some(Ok(Ok(connected))) => return Ok(connected),
                    Some(Ok(Err(error))) => {
                        failure.get_or_insert(error);
                        next = waiting.next();
                    }
                    // Cannot be: nobody aborts them, and they do not panic.
                    Some(Err(error)) => next = waiting.next().or_else(|| {
                        failure.get_or_insert(io::Error::other(error));
                        None
                    }),
                    None => return Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
                },
                () = tokio::time::sleep(self.delay), if more => next = waiting.next(),
            }
        }
    }
}

async fn dial(
    ip: IpAddr,
    port: u16,
    from: Option<SocketAddr>,
    within: Duration,
) -> io::Result<(TcpStream, IpAddr)> {
    let connecting = async {
        let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(from) = from {
            socket.bind(from)?;
        }
        let stream = socket.connect(SocketAddr::new(ip, port)).await?;
        stream.set_nodelay(true)?;
        Ok((stream, ip))
    };
    tokio::time::timeout(within, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::super::sources::Sources;
    use super::*;
    use crate::config;
    use tokio::{net::TcpListener, time::Instant};

    const RACE: Race = Race { delay: Duration::from_millis(100), each: Duration::from_secs(2) };

    async fn listener(ip: &str, port: u16) -> (TcpListener, u16) {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn an_address_that_refuses_costs_no_time() {
        let (_listener, port) = listener("127.0.0.2", 0).await;
        let began = Instant::now();
        let (_, ip) =
            RACE.run(&ips(&["127.0.0.1", "127.0.0.3", "127.0.0.2"]), port, &Source::Any).await.unwrap();
        assert_eq!(ip.to_string(), "127.0.0.2");
        assert!(began.elapsed() < RACE.delay);
    }

    #[tokio::test]
    async fn when_all_refuse_the_first_says_why() {
        let (listener, port) = listener("127.0.0.1", 0).await;
        drop(listener);
        let error = RACE.run(&ips(&["127.0.0.1", "::1"]), port, &Source::Any).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(RACE.run(&[], port, &Source::Any).await.is_err());
    }

    #[tokio::test]
    async fn a_silent_address_loses_against_the_next_one() {
        // A listener whose backlog is full takes no further connection: the kernel drops the SYN.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let silent = socket.listen(1).unwrap();
        let port = silent.local_addr().unwrap().port();
        let mut full = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(("127.0.0.1", port))).await
        {
            full.push(stream);
        }
        let (_answering, _) = listener("127.0.0.2", port).await;
        let began = Instant::now();
        let (_, ip) = RACE.run(&ips(&["127.0.0.1", "127.0.0.2"]), port, &Source::Any).await.unwrap();
        assert_eq!(ip.to_string(), "127.0.0.2");
        assert!(began.elapsed() >= RACE.delay && began.elapsed() < RACE.each);
    }

    #[tokio::test]
    async fn a_connection_leaves_from_its_pool() {
        let (listener, port) = listener("127.0.0.1", 0).await;
        let pool = config::Pool {
            name: "a".into(),
            senders: vec!["*".into()],
            v4: vec!["127.0.0.7".parse().unwrap()],
            v6: Vec::new(),
        };
        let source = Sources::new(&[pool]).of_sender("example.org");
        let (_stream, _) = RACE.run(&ips(&["127.0.0.1"]), port, &source).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.7");
    }
}
