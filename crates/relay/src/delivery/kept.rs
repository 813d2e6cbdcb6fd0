//! Connections that wait for the next message to the same host under the same conditions.

use super::connection::Connection;
use crate::config::Connections;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What two messages must have in common to go over one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The host.
    pub(super) host: Arc<str>,
    /// Its port.
    pub(super) port: u16,
    /// What TLS it had to have.
    pub(super) security: Arc<str>,
    /// The pool that the connection leaves from.
    pub(super) pool: Arc<str>,
    /// Who we are there; empty without authentication.
    pub(super) user: Arc<str>,
}

/// The connections that wait.
#[derive(Default)]
pub(super) struct Kept {
    connections: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_key: HashMap<Key, Vec<Connection>>,
    count: usize,
}

impl Kept {
    /// The connection that was used last, so that surplus ones grow old.
    pub(super) fn take(&self, key: &Key, limits: &Connections) -> Option<Connection> {
        let mut state = self.state();
        let State { by_key, count } = &mut *state;
        let waiting = by_key.get_mut(key)?;
        let found = waiting.pop();
        *count = count.saturating_sub(usize::from(found.is_some()));
        if waiting.is_empty() {
            by_key.remove(key);
        }
        found.filter(|connection| is_usable(connection, limits))
    }

    /// Keeps a connection; gives it back when it has done enough, or when there are too many.
    pub(super) fn keep(&self, key: Key, connection: Connection, limits: &Connections) -> Option<Connection> {
        let most = connection.offers().messages.unwrap_or(u32::MAX).min(limits.messages);
        let mut state = self.state();
        if connection.messages >= most || !is_usable(&connection, limits) || state.count >= limits.kept {
            return Some(connection);
        }
        state.count += 1;
        state.by_key.entry(key).or_default().push(connection);
        None
    }

    /// Takes out what has waited for too long.
    pub(super) fn old(&self, limits: &Connections) -> Vec<Connection> {
        let mut state = self.state();
        let mut old = Vec::new();
        state.by_key.retain(|_, waiting| {
            old.extend(waiting.extract_if(.., |connection| !is_usable(connection, limits)));
            !waiting.is_empty()
        });
        state.count = state.count.saturating_sub(old.len());
        old
    }

    /// Takes out all.
    pub(super) fn all(&self) -> Vec<Connection> {
        let state = std::mem::take(&mut *self.state());
        state.by_key.into_values().flatten().collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.state().count
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_usable(connection: &Connection, limits: &Connections) -> bool {
    connection.used.elapsed() < limits.idle.get() && connection.opened.elapsed() < limits.age.get()
}

#[cfg(test)]
mod tests {
    use super::super::connection::Remote;
    use super::*;
    use chasqui_base::{Span, net::Stream};

    fn connection(messages: u32) -> Connection {
        let (near, _) = Stream::pair().unwrap();
        let remote =
            Remote { name: "mx.example".into(), ip: [192, 0, 2, 1].into(), local: None, tls: "".into() };
        let mut made = Connection::new(near, "relay.example", remote);
        made.messages = messages;
        made
    }

    fn key(host: &str) -> Key {
        let none: Arc<str> = Arc::from("");
        Key { host: host.into(), port: 25, security: none.clone(), pool: none.clone(), user: none }
    }

    #[tokio::test]
    async fn connections_are_kept_by_what_they_are_for_and_within_bounds() {
        let (kept, limits) =
            (Kept::default(), Connections { kept: 2, messages: 3, ..Connections::default() });
        assert!(kept.keep(key("a.example"), connection(3), &limits).is_some());
        assert!(kept.keep(key("a.example"), connection(1), &limits).is_none());
        assert!(kept.keep(key("a.example"), connection(2), &limits).is_none());
        assert!(kept.keep(key("a.example"), connection(1), &limits).is_some());
        assert!(kept.take(&key("b.example"), &limits).is_none());
        assert_eq!(kept.take(&key("a.example"), &limits).unwrap().messages, 2);
        assert_eq!((kept.len(), kept.all().len(), kept.len()), (1, 1, 0));
    }

    #[tokio::test]
    async fn what_nobody_used_for_a_while_is_closed() {
        let (kept, limits) =
            (Kept::default(), Connections { idle: Span::millis(0), ..Connections::default() });
        let patient = Connections::default();
        assert!(kept.keep(key("a.example"), connection(1), &limits).is_some());
        assert!(kept.keep(key("a.example"), connection(1), &patient).is_none());
        assert!(kept.old(&patient).is_empty());
        assert_eq!((kept.old(&limits).len(), kept.len()), (1, 0));
    }
}
