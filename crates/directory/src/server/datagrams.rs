//! The UDP side (S5): threads that receive, answer from memory and send, with nothing in between.
//!
//! Each thread blocks in the kernel on the one shared socket: a question costs two system calls, and no runtime stands between the
//! wire and the snapshot. Only password checks leave the thread; their answer is sent by the thread that checked.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zeroize::Zeroize;

use super::desk::Desk;
use super::replay::Admission;
use crate::wire::answers::AnswerWriter;
use crate::wire::questions::{Question, Questions};
use crate::wire::seal::{self, MAX_ANSWERS_LEN, Nonces, Stamp};
use crate::wire::{self, MAX_DATAGRAM};

/// How often a thread looks whether it shall end.
const WAKE: Duration = Duration::from_millis(200);
/// Octets that the kernel may hold for us; it gives less if the system's limit is lower.
const SOCKET_BUFFER: usize = 4 << 20;

/// Marks a datagram that holds a password, or may.
struct Secret;

/// The socket and what answers it.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    desk: Arc<Desk>,
    nonces: Nonces,
    ending: AtomicBool,
}

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket, desk: Arc<Desk>) -> io::Result<Self> {
        socket.set_read_timeout(Some(WAKE))?;
        socket.set_write_timeout(Some(WAKE))?;
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER);
        let nonces = Nonces::new().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { socket, desk, nonces, ending: AtomicBool::new(false) })
    }

    /// Starts the threads.
    pub(crate) fn start(self: &Arc<Self>, threads: usize) -> io::Result<Vec<JoinHandle<()>>> {
        let start = |number| {
            let this = self.clone();
            thread::Builder::new().name(format!("directory-udp-{number}")).spawn(move || this.receive())
        };
        (0..threads).map(start).collect()
    }

    /// Asks the threads to end; they do within [`WAKE`].
    pub(crate) fn stop(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    fn receive(self: Arc<Self>) {
        // One octet more than is ever accepted, so that a longer datagram is seen to be longer.
        let mut datagram = [0; MAX_DATAGRAM + 1];
        let mut writer = AnswerWriter::new();
        let mut reply = Vec::with_capacity(MAX_DATAGRAM);
        while !self.ending.load(Ordering::Relaxed) {
            match self.socket.recv_from(&mut datagram) {
                Ok((length, peer)) => {
                    if self.handle(&mut datagram[..length], peer, &mut writer, &mut reply).is_some() {
                        datagram.zeroize();
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    // An ICMP message about an earlier reply: that client is gone.
                    ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable => {}
                    _ => {
                        tracing::warn!(%error, "cannot receive datagrams");
                        thread::sleep(WAKE);
                    }
                },
            }
        }
    }

    /// Answers one datagram. `Some` if it held a secret, which now stands in clear in the buffer.
    fn handle(
        self: &Arc<Self>,
        datagram: &mut [u8],
        peer: SocketAddr,
        writer: &mut AnswerWriter,
        reply: &mut Vec<u8>,
    ) -> Option<Secret> {
        let begun = Instant::now();
        let desk = &*self.desk;
        let keys = desk.keys.load();
        let Some((stamp, content)) = seal::open_request(&keys, datagram) else {
            desk.metrics.foreign.inc();
            return None;
        };
        let Ok(mut questions) = Questions::read(content) else {
            desk.metrics.foreign.inc();
            return None;
        };
        let now = wire::now();
        match desk.replays.admit(stamp, questions.time, now) {
            Admission::Fresh => {}
            Admission::Replayed => {
                desk.metrics.replayed.inc();
                return Some(Secret);
            }
            Admission::Full => {
                desk.metrics.sessions_full.inc();
                return Some(Secret);
            }
            Admission::Stale => {
                desk.metrics.stale.inc();
                let content = writer.stale(now);
                seal::seal_reply(&keys, self.nonces.next(), stamp, content, reply);
                self.send(reply, peer);
                return Some(Secret);
            }
        }
        let count = questions.count;
        let first = questions.next();
        if let (1, Some(question)) = (count, first)
            && question.is_slow()
        {
            self.answer_later(stamp, peer, question);
            return Some(Secret);
        }
        writer.begin(now, count, MAX_ANSWERS_LEN);
        let (view, limits) = (desk.view(), desk.limits.load());
        for question in first.into_iter().chain(questions) {
            desk.answer(&view, &limits, question, writer);
        }
        seal::seal_reply(&keys, self.nonces.next(), stamp, writer.content(), reply);
        self.send(reply, peer);
        desk.metrics.answered.inc();
        desk.metrics.answer_seconds.observe(begun.elapsed().as_secs_f64());
        None
    }

    fn answer_later(self: &Arc<Self>, stamp: Stamp, peer: SocketAddr, question: Question<'_>) {
        let this = self.clone();
        let send = move |content: &[u8]| {
            let mut reply = Vec::with_capacity(MAX_DATAGRAM);
            seal::seal_reply(&this.desk.keys.load(), this.nonces.next(), stamp, content, &mut reply);
            this.send(&reply, peer);
            this.desk.metrics.answered.inc();
        };
        self.desk.answer_later(question, MAX_ANSWERS_LEN, Box::new(send));
    }

    fn send(&self, reply: &[u8], peer: SocketAddr) {
        // A reply that cannot be sent is one that is lost: the client asks again.
        if let Err(error) = self.socket.send_to(reply, peer) {
            tracing::debug!(%peer, %error, "cannot send a reply");
        }
    }
}
