//! A storage node that keeps messages in memory and fails as it is told.

use chasqui_base::{DeliveryId, EmailAddress, Lifecycle, net::Stream, tls::RoleTls};
use chasqui_smtp::{Event, Limits, Profile, Protocol, Recipient, Reply, ServerSession};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};
use tokio::io::AsyncWriteExt as _;

/// What the node does with a message.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The connection ends before anything is read of the transaction.
    CloseFirst,
    /// The connection ends before the message is stored.
    CloseBefore,
    /// The message is stored, and the connection ends before the reply.
    CloseAfter,
    /// The recipient whose address contains this gets this reply to RCPT.
    Recipient(&'static str, Reply),
    /// Every recipient gets this reply to the message, which is not stored.
    Message(Reply),
}

#[derive(Default)]
pub(super) struct State {
    /// By account and delivery id, as a node recognises duplicates.
    pub stored: HashMap<(EmailAddress, DeliveryId), Vec<u8>>,
    /// Deliveries of what was there already.
    pub duplicates: usize,
    pub connections: usize,
    pub senders: Vec<String>,
    /// Whether each transaction was announced as unwanted mail.
    pub junk: Vec<bool>,
    /// The next transactions' faults, one each; then none.
    pub faults: VecDeque<Option<Fault>>,
    /// A fault of every transaction.
    pub always: Option<Fault>,
}

pub(super) struct FakeNode {
    pub name: String,
    pub endpoint: String,
    pub state: Arc<Mutex<State>>,
    tls: Option<RoleTls>,
    run: Lifecycle,
}

impl FakeNode {
    pub(super) async fn start(name: &str) -> Self {
        Self::start_with(name, None).await
    }

    pub(super) async fn start_with(name: &str, tls: Option<RoleTls>) -> Self {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut node = Self {
            name: name.into(),
            endpoint: format!("127.0.0.1:{port}"),
            state: Arc::default(),
            tls,
            run: Lifecycle::new(),
        };
        node.up();
        node
    }

    /// Listens (again). What is stored stays.
    pub(super) fn up(&mut self) {
        self.run = Lifecycle::new();
        let listener = chasqui_base::net::Listener::bind(&self.endpoint.parse().unwrap()).unwrap();
        let (state, tls, run) = (Arc::clone(&self.state), self.tls.clone(), self.run.clone());
        self.run.spawn(async move {
            loop {
                tokio::select! {
                    () = run.stopped() => return,
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { return };
                        let (state, tls, stop) = (Arc::clone(&state), tls.clone(), run.clone());
                        run.spawn(async move {
                            let stream = match tls {
                                Some(tls) => match tls.accept(stream).await {
                                    Ok((stream, roles)) if roles.has(chasqui_base::tls::Role::Mx) => stream,
                                    _ => return,
                                },
                                None => stream,
                            };
                            tokio::select! {
                                () = stop.stopped() => {}
                                () = session(stream, state) => {}
                            }
                        });
                    }
                }
            }
        });
    }

    /// Stops listening and cuts every connection.
    pub(super) async fn down(&self) {
        assert_eq!(self.run.drain(std::time::Duration::from_secs(5)).await, 0);
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(Some(fault));
    }

    /// The messages of an account.
    pub(super) fn inbox(&self, account: &str) -> Vec<String> {
        let account = super::address(account);
        let state = self.state.lock().unwrap();
        let mine = state.stored.iter().filter(|((owner, _), _)| *owner == account);
        mine.map(|(_, text)| String::from_utf8(text.clone()).unwrap()).collect()
    }

    pub(super) fn ids(&self) -> Vec<DeliveryId> {
        self.state.lock().unwrap().stored.keys().map(|(_, id)| *id).collect()
    }
}

struct Open {
    id: DeliveryId,
    fault: Option<Fault>,
    accounts: Vec<EmailAddress>,
    text: Vec<u8>,
}

async fn session(mut stream: Stream, state: Arc<Mutex<State>>) {
    let profile = Profile {
        limits: Limits { message_size: 60_000_000, ..Limits::default() },
        delivery_id: true,
        junk: true,
        ..Profile::new(Protocol::Lmtp, "storage.test")
    };
    state.lock().unwrap().connections += 1;
    let mut wire = ServerSession::new(Arc::new(profile));
    wire.greet();
    let mut input = Vec::new();
    let mut open: Option<Open> = None;
    loop {
        let mut at = 0;
        loop {
            let step = wire.next(&input[at..]);
            at += step.consumed;
            let Some(event) = step.event else { break };
            match event {
                Event::Mail(mail) => {
                    let mut state = state.lock().unwrap();
                    let fault = state.faults.pop_front().unwrap_or_else(|| state.always.clone());
                    if matches!(fault, Some(Fault::CloseFirst)) {
                        return;
                    }
                    state.senders.push(mail.reverse_path.to_string());
                    state.junk.push(mail.junk);
                    let id = mail.delivery_id.expect("an exchanger gives its delivery an id");
                    open = Some(Open { id, fault, accounts: Vec::new(), text: Vec::new() });
                }
                Event::Recipient(Recipient::Mailbox(mailbox), _) => {
                    let open = open.as_mut().unwrap();
                    if let Some(Fault::Recipient(part, reply)) = &open.fault
                        && mailbox.as_str().contains(part)
                    {
                        wire.reply(reply);
                        continue;
                    }
                    open.accounts.push(mailbox.as_str().parse().unwrap());
                }
                Event::Text(text) => open.as_mut().unwrap().text.extend_from_slice(text),
                Event::MessageEnd => {
                    let open = open.take().unwrap();
                    match &open.fault {
                        Some(Fault::CloseBefore) => return,
                        Some(Fault::Message(reply)) => {
                            wire.reply_all(reply);
                            continue;
                        }
                        _ => {}
                    }
                    let mut state = state.lock().unwrap();
                    for account in open.accounts {
                        if state.stored.insert((account, open.id), open.text.clone()).is_some() {
                            state.duplicates += 1;
                        }
                    }
                    if matches!(open.fault, Some(Fault::CloseAfter)) {
                        return;
                    }
                    wire.reply_all(&Reply::new(250, (2, 0, 0), format!("{} stored", open.id)));
                    continue;
                }
                Event::Close => {
                    let _ = stream.write_all(&wire.take_output()).await;
                    return;
                }
                _ => {}
            }
            wire.accept();
        }
        input.drain(..at);
        let output = wire.take_output();
        if stream.write_all(&output).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        if !matches!(stream.read_more(&mut input, 65536).await, Ok(1..)) {
            return;
        }
    }
}
