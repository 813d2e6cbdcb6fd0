//! The task that owns the sockets.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use chasqui_base::address::EmailAddress;
use tokio::io::ReadBuf;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use zeroize::Zeroize;

use super::flight::{Flight, Flights};
use super::servers::Servers;
use super::{Ask, DirectoryUnavailable, Job, Shared, tcp};
use crate::wire::answers::{Answers, KnownNodes, Reply};
use crate::wire::questions::{Question, put_head};
use crate::wire::seal::{self, MAX_QUESTIONS_LEN, Nonces, Stamp};
use crate::wire::{self, MAX_DATAGRAM};

/// Look-ups that travel in one datagram: as many as have room in the answer, with a usual address and some nodes to describe.
const TOGETHER: usize = 32;
/// Octets of a message before its first question.
const HEAD: usize = 9;
/// Datagrams that are read before somebody else may run.
const BURST: usize = 64;
/// Times that a flight tells a server the time anew.
const MOST_STALE: u8 = 2;

pub(super) struct Driver {
    shared: Arc<Shared>,
    servers: Servers,
    arriving: mpsc::Receiver<Job>,
    /// Taken from the queue, not yet sent.
    taken: Vec<Job>,
    crowd: Crowd,
    flights: Flights,
    nonces: Nonces,
    nodes: KnownNodes,
    tick: Pin<Box<Sleep>>,
    ticking: bool,
    interval: Duration,
    content: Vec<u8>,
    datagram: Vec<u8>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        servers: Servers,
        arriving: mpsc::Receiver<Job>,
    ) -> Result<Self, getrandom::Error> {
        let hedge = shared.config.hedge.get().min(shared.config.verify_hedge.get());
        Ok(Self {
            servers,
            arriving,
            taken: Vec::new(),
            crowd: Crowd::default(),
            flights: Flights::default(),
            nonces: Nonces::new()?,
            nodes: KnownNodes::default(),
            tick: Box::pin(tokio::time::sleep(Duration::ZERO)),
            ticking: false,
            interval: (hedge / 4).clamp(Duration::from_millis(1), Duration::from_millis(5)),
            content: Vec::with_capacity(MAX_DATAGRAM),
            datagram: Vec::with_capacity(MAX_DATAGRAM),
            shared,
        })
    }

    /// Runs until the last client is dropped.
    pub(super) async fn run(mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    /// Does all that can be done now. Ready when nobody can ask any more.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.receive(context) {
            context.waker().wake_by_ref();
        }
        loop {
            let room = self.shared.config.in_flight.saturating_sub(self.flights.questions + self.taken.len());
            // With no room nobody need wake us: an answer or the clock will, and then there is some.
            let arrived = match room {
                0 => Poll::Pending,
                room => self.arriving.poll_recv_many(context, &mut self.taken, room),
            };
            match arrived {
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(_) => {}
                Poll::Pending if self.taken.is_empty() => break,
                Poll::Pending => {
                    if self.crowd.wait_for_more(self.taken.len()) {
                        // To the end of the line: those who are about to ask do so first, to travel along.
                        context.waker().wake_by_ref();
                        break;
                    }
                    self.send_taken();
                }
            }
        }
        self.keep_time(context);
        Poll::Pending
    }

    /// Reads what the servers sent; whether there may be more.
    fn receive(&mut self, context: &mut Context<'_>) -> bool {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        let mut burst = BURST;
        for server in 0..self.servers.all.len() {
            loop {
                if burst == 0 {
                    return true;
                }
                let mut read = ReadBuf::new(&mut buffer);
                match self.servers.all[server].socket.poll_recv(context, &mut read) {
                    Poll::Ready(Ok(())) => {
                        burst -= 1;
                        self.take_reply(server, read.filled_mut());
                        if self.flights.is_empty() && self.servers.all[server].rest(context) {
                            break;
                        }
                    }
                    Poll::Ready(Err(error)) => {
                        burst -= 1;
                        if error.kind() == ErrorKind::ConnectionRefused {
                            self.server_refused(server);
                        }
                    }
                    Poll::Pending => break,
                }
            }
        }
        false
    }

    fn take_reply(&mut self, server: usize, datagram: &mut [u8]) {
        let Some(counter) = seal::reply_counter(datagram) else { return };
        let stamp = Stamp { counter, ..self.nonces.session() };
        let slot = self.flights.find(server, counter);
        if slot.is_none() && !self.flights.was_late(server, counter) {
            return;
        }
        let keys = self.shared.keys.load();
        let Some(content) = seal::open_reply(&keys, stamp, datagram) else { return };
        self.servers.answered(server);
        let Some(slot) = slot else { return };
        match Answers::read(content) {
            // An answer too few or too many: a server that we do not understand is one that has not answered.
            Ok(Answers::Answers(answers))
                if self
                    .flights
                    .get(slot)
                    .is_none_or(|flight| flight.jobs.len() != usize::from(answers.count)) => {}
            Ok(Answers::Answers(mut answers)) => {
                let Some(flight) = self.flights.remove(slot, Some(counter)) else { return };
                self.shared.metrics.seconds.observe(flight.begun.elapsed().as_secs_f64());
                let alone = flight.jobs.len() == 1;
                for job in flight.jobs {
                    match answers.next(job.ask.about(), &mut self.nodes) {
                        Ok(Reply::Truncated) if alone => self.ask_over_tcp(job),
                        Ok(Reply::Truncated) => self.ask_alone(job),
                        Ok(Reply::Unavailable | Reply::NotUnderstood) | Err(_) => {
                            self.ask_another(job, server)
                        }
                        Ok(reply) => {
                            let _ = job.asker.send(Ok(reply));
                        }
                    }
                }
            }
            Ok(Answers::Stale(time)) => {
                let ahead = i128::from(time) - i128::from(wire::now());
                self.servers.all[server].clock_ahead = i64::try_from(ahead).unwrap_or_default();
                if let Some(flight) = self.flights.get(slot)
                    && flight.stale < MOST_STALE
                {
                    flight.stale += 1;
                    self.send(slot, server);
                }
            }
            Err(_) => {}
        }
    }

    fn server_refused(&mut self, server: usize) {
        let now = Instant::now();
        if self.servers.refused(server, now) {
            self.shared.metrics.deaths.inc();
        }
        if self.servers.another_alive(server, now) {
            // Those that wait for this server alone need not wait any longer.
            for slot in self.flights.select(|flight| flight.last == Some(server)) {
                if let Some(flight) = self.flights.get(slot) {
                    flight.next = now;
                }
            }
            self.look_over(now);
        }
    }

    /// Sends what was taken: look-ups together, everything else alone.
    fn send_taken(&mut self) {
        let now = Instant::now();
        if let Some(server) = self.servers.due_for_probe(now) {
            self.probe(server);
        }
        let give_up = self.shared.config.give_up.get();
        let mut together = Vec::new();
        let mut octets = HEAD;
        for job in std::mem::take(&mut self.taken) {
            if job.asker.is_closed() && !matches!(job.ask, Ask::OverQuota(..)) {
                continue;
            }
            if job.begun + give_up <= now {
                let _ = job.asker.send(Err(DirectoryUnavailable));
                continue;
            }
            self.shared.metrics.questions.inc();
            match &job.ask {
                Ask::LookUp(address) => {
                    let length = 4 + address.as_str().len();
                    if together.len() == TOGETHER || octets + length > MAX_QUESTIONS_LEN {
                        self.launch(std::mem::take(&mut together), now);
                        octets = HEAD;
                    }
                    octets += length;
                    together.push(job);
                }
                Ask::Verify(login, password) => {
                    if HEAD + 10 + login.as_str().len() + password.expose().len() > MAX_QUESTIONS_LEN {
                        self.ask_over_tcp(job);
                    } else {
                        self.launch(vec![job], now);
                    }
                }
                Ask::ScramFinish(login, proof) => {
                    if HEAD + 50 + login.as_str().len() + proof.0.len() > MAX_QUESTIONS_LEN {
                        self.ask_over_tcp(job);
                    } else {
                        self.launch(vec![job], now);
                    }
                }
                Ask::ScramBegin(_) | Ask::MaySendAs(..) => self.launch(vec![job], now),
                Ask::OverQuota(account, over) => self.report(&account.clone(), *over),
            }
        }
        if !together.is_empty() {
            self.launch(together, now);
        }
    }

    fn launch(&mut self, jobs: Vec<Job>, now: Instant) {
        let Some(first) = jobs.first() else { return };
        let prompt = matches!(first.ask, Ask::LookUp(_) | Ask::MaySendAs(..));
        let config = &self.shared.config;
        let interval = if prompt { config.hedge } else { config.verify_hedge }.get();
        let refused = jobs.iter().fold(0, |refused, job| refused | job.refused);
        let flight = Flight {
            begun: jobs.iter().map(|job| job.begun).min().unwrap_or(now),
            next: now + interval,
            interval,
            asked: 0,
            last: None,
            sent: Vec::new(),
            prompt,
            stale: 0,
            jobs,
        };
        let slot = self.flights.add(flight);
        match self.servers.choose(0, refused, None, now) {
            Some(server) => self.send(slot, server),
            None => self.fail(slot),
        }
    }

    /// Sends the flight's questions to a server.
    fn send(&mut self, slot: usize, server: usize) {
        let Some(flight) = self.flights.get(slot) else { return };
        flight.asked |= 1 << server;
        flight.last = Some(server);
        let time = wire::now().saturating_add_signed(self.servers.all[server].clock_ahead);
        self.content.clear();
        put_head(&mut self.content, time, flight.jobs.len() as u8);
        flight.jobs.iter().for_each(|job| job.put(&mut self.content));
        let stamp = self.nonces.next();
        let secret = !flight.prompt;
        self.flights.sent(slot, server, stamp.counter);
        self.transmit(server, stamp);
        if secret {
            self.content.zeroize();
        }
    }

    /// Seals `content` and sends it.
    fn transmit(&mut self, server: usize, stamp: Stamp) {
        seal::seal_request(&self.shared.keys.load(), stamp, &self.content, &mut self.datagram);
        self.shared.metrics.datagrams.inc();
        let socket = &self.servers.all[server].socket;
        // What cannot be sent is like what is lost on the way: asked again in time. But a refusal that is reported now is about
        // an earlier datagram, and this one was not sent.
        let sent = socket.try_send(&self.datagram);
        if sent.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            let _ = socket.try_send(&self.datagram);
            if self.servers.refused(server, Instant::now()) {
                self.shared.metrics.deaths.inc();
            }
        }
    }

    fn report(&mut self, account: &EmailAddress, over: bool) {
        for server in 0..self.servers.all.len() {
            self.say(server, &Question::OverQuota { account: account.as_str(), over });
        }
    }

    fn probe(&mut self, server: usize) {
        let counter = self.say(server, &Question::Ping);
        self.flights.expect_late(server, counter);
    }

    /// Sends a question that nobody waits for.
    fn say(&mut self, server: usize, question: &Question<'_>) -> u64 {
        let time = wire::now().saturating_add_signed(self.servers.all[server].clock_ahead);
        self.content.clear();
        put_head(&mut self.content, time, 1);
        question.put(&mut self.content);
        let stamp = self.nonces.next();
        self.transmit(server, stamp);
        stamp.counter
    }

    fn ask_alone(&mut self, job: Job) {
        self.launch(vec![job], Instant::now());
    }

    fn ask_another(&mut self, mut job: Job, refused_by: usize) {
        job.refused |= 1 << refused_by;
        self.launch(vec![job], Instant::now());
    }

    fn ask_over_tcp(&mut self, job: Job) {
        self.shared.metrics.over_tcp.inc();
        let servers = self.servers.in_order(Instant::now());
        tokio::spawn(tcp::ask(self.shared.clone(), servers, job));
    }

    fn fail(&mut self, slot: usize) {
        if let Some(flight) = self.flights.remove(slot, None) {
            for job in flight.jobs {
                let _ = job.asker.send(Err(DirectoryUnavailable));
            }
        }
    }

    /// Looks over what is open every few milliseconds, as long as anything is. The timer is left running for its few milliseconds when
    /// all was answered before: setting it anew for each question would cost more than the question.
    fn keep_time(&mut self, context: &mut Context<'_>) {
        if !self.ticking && !self.flights.is_empty() {
            self.ticking = true;
            self.tick.as_mut().reset(tokio::time::Instant::now() + self.interval);
        }
        while self.ticking && self.tick.as_mut().poll(context).is_ready() {
            self.look_over(Instant::now());
            // What was given up has made room for questions that wait in the queue.
            context.waker().wake_by_ref();
            self.ticking = !self.flights.is_empty();
            if self.ticking {
                self.tick.as_mut().reset(tokio::time::Instant::now() + self.interval);
            } else {
                self.flights.shrink();
            }
        }
    }

    /// Asks again what was not answered in time, and gives up what took too long.
    fn look_over(&mut self, now: Instant) {
        let give_up = self.shared.config.give_up.get();
        for slot in self.flights.select(|flight| flight.next <= now || flight.begun + give_up <= now) {
            let Some(flight) = self.flights.get(slot) else { continue };
            if flight.begun + give_up <= now {
                self.fail(slot);
                continue;
            }
            let (last, asked, prompt) = (flight.last, flight.asked, flight.prompt);
            let refused = flight.jobs.iter().fold(0, |refused, job| refused | job.refused);
            flight.interval *= if flight.sent.len() > 1 { 2 } else { 1 };
            flight.next = now + flight.interval;
            if let Some(last) = last.filter(|_| prompt)
                && self.servers.unanswered(last, now)
            {
                self.shared.metrics.deaths.inc();
            }
            if let Some(server) = self.servers.choose(asked, refused, last, now) {
                self.shared.metrics.repeated.inc();
                self.send(slot, server);
            }
        }
    }
}

/// Whether it is worth letting others run before a datagram is sent. A datagram of eight questions costs hardly more than one of one, but
/// where only one asks at a time, waiting for others that do not come would cost as much as the question.
#[derive(Default)]
struct Crowd {
    /// How many had been taken when we began to wait.
    before: Option<usize>,
    /// High where waiting brought others lately.
    score: u8,
    /// Datagrams sent without waiting since it was last tried.
    since: u8,
}

impl Crowd {
    const MOST: u8 = 16;
    /// Where waiting brings nobody, it is tried once in so many datagrams.
    const RARELY: u8 = 64;

    fn wait_for_more(&mut self, taken: usize) -> bool {
        match self.before.take() {
            Some(before) => {
                self.score = if taken > before { Self::MOST } else { self.score.saturating_sub(1) };
                false
            }
            None if taken >= TOGETHER => false,
            None if self.score > 0 || self.since >= Self::RARELY => {
                self.since = 0;
                self.before = Some(taken);
                true
            }
            None => {
                self.since += 1;
                false
            }
        }
    }
}

impl Ask {
    /// The address that the question is about.
    fn about(&self) -> &EmailAddress {
        match self {
            Self::LookUp(address)
            | Self::Verify(address, _)
            | Self::OverQuota(address, _)
            | Self::ScramBegin(address)
            | Self::ScramFinish(address, _)
            | Self::MaySendAs(address, _) => address,
        }
    }
}

impl Job {
    fn put(&self, into: &mut Vec<u8>) {
        match &self.ask {
            Ask::LookUp(recipient) => Question::LookUp(recipient.as_str()),
            Ask::Verify(login, password) => {
                Question::Verify { login: login.as_str(), password: password.expose() }
            }
            Ask::OverQuota(account, over) => Question::OverQuota { account: account.as_str(), over: *over },
            Ask::ScramBegin(login) => Question::ScramBegin(login.as_str()),
            Ask::ScramFinish(login, proof) => {
                Question::ScramFinish { login: login.as_str(), auth_message: &proof.0, proof: &proof.1 }
            }
            Ask::MaySendAs(account, sender) => {
                Question::MaySendAs { account: account.as_str(), sender: sender.as_str() }
            }
        }
        .put(into);
    }

    /// Writes a whole message of this question; returns the address that it is about.
    pub(super) fn put_alone(&self, time: u64, into: &mut Vec<u8>) -> EmailAddress {
        put_head(into, time, 1);
        self.put(into);
        self.ask.about().clone()
    }
}
