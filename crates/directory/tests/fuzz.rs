//! Whatever arrives on the server's socket or connection, it goes on answering, and nobody without the key gets a word.

mod site;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use site::{Site, accounts, address};

/// A small deterministic generator (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

fn inputs() -> usize {
    std::env::var("CHASQUI_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn random_inputs_on_the_socket_are_neither_answered_nor_harmful() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let server = site.start().await;
    let client = site.client(&[server.address()]).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(server.address()).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let mut random = Random(1);
    for n in 0..inputs().min(200_000) {
        let mut datagram = random.bytes(1300);
        // Most look like ours at first sight.
        for (place, byte) in [1, 0x51].into_iter().enumerate() {
            if random.below(4) > 0 && datagram.len() > place {
                datagram[place] = byte;
            }
        }
        let _ = stranger.send(&datagram);
        if n % 1000 == 0 {
            assert_eq!(accounts(&client.look_up(&address("ana")).await.unwrap()), ["ana@ours.test"]);
        }
    }
    assert!(stranger.recv(&mut [0; 2000]).is_err(), "a stranger was answered");
    assert!(client.look_up(&address("ana")).await.is_ok());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_inputs_on_a_connection_end_it_and_harm_nobody() {
    let site = Site::new().await;
    site.add_user("ana").await;
    let server = site.start().await;
    let at = server.address();
    let connections = (inputs() / 100).min(2000);
    tokio::task::spawn_blocking(move || {
        let mut random = Random(2);
        for _ in 0..connections {
            let mut connection = TcpStream::connect(at).unwrap();
            connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut message = random.bytes(600);
            if random.below(2) == 0 {
                // A message whose length is right and whose content is not.
                let length = (message.len() as u32).to_be_bytes();
                message.splice(..0, length);
            }
            for part in message.chunks(1 + random.below(200)) {
                if connection.write_all(part).is_err() {
                    break;
                }
            }
            let _ = connection.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = connection.read_to_end(&mut answer);
            assert!(answer.len() < 100_000);
        }
    })
    .await
    .unwrap();
    let client = site.client(&[at]).await;
    assert_eq!(accounts(&client.look_up(&address("ana")).await.unwrap()), ["ana@ours.test"]);
    server.stop().await;
}
