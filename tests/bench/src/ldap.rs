//! Searches on slapd over persistent connections, with the few octets of BER that takes.
//!
//! A request is built once a search from RFC 4511 §4.5.1; of the answers only the tag of each message is looked at.

use crate::measure::{Measured, Work};
use anyhow::{Result, bail};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// RFC 4511 §4.5.2: the application tags of what a search answers.
const SEARCH_RESULT_ENTRY: u8 = 0x64;
const SEARCH_RESULT_DONE: u8 = 0x65;

#[derive(clap::Args)]
pub struct Searches {
    /// Where slapd listens.
    #[arg(long)]
    to: SocketAddr,
    /// Entry below which to search.
    #[arg(long, default_value = "dc=bench,dc=test")]
    base: String,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Searches in flight on each connection.
    #[arg(long, default_value_t = 1)]
    in_flight: u64,
    /// Searches in all.
    #[arg(long, default_value_t = 10_000)]
    searches: u64,
    /// Entries `u0@…`, `u1@…`, … to look for.
    #[arg(long, default_value_t = 100_000)]
    users: u64,
    /// Domain of the addresses.
    #[arg(long, default_value = "bench.test")]
    domain: String,
}

impl Searches {
    /// Does all searches and prints the measurement.
    pub async fn run(self) -> Result<()> {
        let work = Work::new(self.searches);
        let mut streams = Vec::new();
        for _ in 0..self.clients {
            let stream = TcpStream::connect(self.to).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let start = Instant::now();
        let mut clients = Vec::new();
        for stream in streams {
            let (work, base, domain) = (work.clone(), self.base.clone(), self.domain.clone());
            let (in_flight, users) = (self.in_flight, self.users);
            clients.push(tokio::spawn(async move {
                client(stream, work, in_flight, |number| {
                    let user = number.wrapping_mul(7919) % users;
                    search(number as u32 & 0x7fff_ffff, &base, &format!("u{user}@{domain}"))
                })
                .await
            }));
        }
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await??);
        }
        Measured::new(times, start.elapsed()).print()
    }
}

async fn client(
    mut stream: TcpStream,
    work: Work,
    in_flight: u64,
    request: impl Fn(u64) -> Vec<u8>,
) -> Result<Vec<std::time::Duration>> {
    let mut times = Vec::new();
    let mut begun = HashMap::new();
    let mut output = Vec::new();
    let mut input = Vec::new();
    for _ in 0..in_flight {
        if let Some(number) = work.take() {
            output.extend(request(number));
            begun.insert(number as u32, (Instant::now(), 0u32));
        }
    }
    while !begun.is_empty() {
        stream.write_all(&output).await?;
        output.clear();
        if stream.read_buf(&mut input).await? == 0 {
            bail!("slapd closed the connection");
        }
        let mut taken = 0;
        while let Some((length, id, operation)) = message(&input[taken..])? {
            taken += length;
            let Some(search) = begun.get_mut(&id) else { bail!("an answer to no question") };
            match operation {
                SEARCH_RESULT_ENTRY => search.1 += 1,
                SEARCH_RESULT_DONE => {
                    if search.1 != 1 {
                        bail!("{} entries found instead of one", search.1);
                    }
                    times.push(search.0.elapsed());
                    begun.remove(&id);
                    if let Some(number) = work.take() {
                        output.extend(request(number));
                        begun.insert(number as u32, (Instant::now(), 0));
                    }
                }
                other => bail!("unexpected operation {other:#x}"),
            }
        }
        input.drain(..taken);
    }
    Ok(times)
}

/// A search of the whole subtree for the entry with this `mail`, asking for three attributes.
fn search(id: u32, base: &str, mail: &str) -> Vec<u8> {
    let filter = value(0xa3, &[value(0x04, b"mail"), value(0x04, mail.as_bytes())].concat());
    let attributes = [value(0x04, b"mail"), value(0x04, b"l"), value(0x04, b"employeeNumber")].concat();
    let body = [
        value(0x04, base.as_bytes()),
        value(0x0a, &[2]), // wholeSubtree
        value(0x0a, &[0]), // neverDerefAliases
        value(0x02, &[0]), // no size limit
        value(0x02, &[0]), // no time limit
        value(0x01, &[0]), // types and values
        filter,
        value(0x30, &attributes),
    ]
    .concat();
    value(0x30, &[value(0x02, &id.to_be_bytes()), value(0x63, &body)].concat())
}

/// Tag, length and contents.
fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match contents.len() {
        short @ 0..0x80 => bytes.push(short as u8),
        long => bytes.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    bytes.extend_from_slice(contents);
    bytes
}

/// The length of the first whole LDAP message in `bytes`, its id and the tag of its operation.
fn message(bytes: &[u8]) -> Result<Option<(usize, u32, u8)>> {
    let Some((header, contents)) = length(bytes) else { return Ok(None) };
    if bytes.len() < header + contents {
        return Ok(None);
    }
    let inside = &bytes[header..header + contents];
    let Some((id_header, id_length)) = length(inside) else { bail!("a message without an id") };
    let id =
        inside[id_header..id_header + id_length].iter().fold(0u32, |id, &byte| id << 8 | u32::from(byte));
    Ok(Some((header + contents, id, inside[id_header + id_length])))
}

/// Octets of tag and length, and the length that they tell.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.get(1)?;
    if first < 0x80 {
        return Some((2, usize::from(first)));
    }
    let count = usize::from(first & 0x7f);
    let digits = bytes.get(2..2 + count)?;
    Some((2 + count, digits.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))))
}
