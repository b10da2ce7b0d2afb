//! `Connections`: dials the ensemble's servers, keeps one connection, and replaces it when it breaks.
//!
//! One connection serves all calls; whoever finds it broken reports that, and the next call dials the next address.
//! However many calls wait, one dials and all share the outcome.

mod dial;
mod first_words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quorate_proto::v1;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::backoff::Backoff;
use crate::seen::Seen;
use crate::{Error, Header, Reason, Role};

pub(crate) use self::dial::{Connector, Dialer};

/// A server that looks for a leader longer than an election takes is probably cut off from the others.
const LOOKING_MAX: Duration = Duration::from_secs(1);

/// A connection to one server.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) transport: Channel,
    address: usize,
    /// The newest state that this server showed on this connection; it never goes back behind it.
    newest: AtomicU64,
    looking_since: Mutex<Option<Instant>>,
    /// Whether the connection is given up; streams on it end when this turns true.
    retired: watch::Sender<bool>,
}

impl Connection {
    fn new(transport: Channel, address: usize) -> Connection {
        Connection {
            transport,
            address,
            newest: AtomicU64::new(0),
            looking_since: Mutex::new(None),
            retired: watch::Sender::new(false),
        }
    }

    /// What a request has to demand so that it sees no older state than the client has seen elsewhere.
    pub(crate) fn missing(&self, seen: &Seen) -> Option<v1::ZxidBound> {
        seen.newer_than(self.newest.load(Ordering::Acquire))
    }

    /// Returns when the connection is given up.
    pub(crate) async fn retired(&self) {
        // The sender lives as long as `self`, so the wait ends only with the value.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }
}

/// The way to the ensemble.
#[derive(Debug)]
pub(crate) struct Connections {
    dialer: Arc<Dialer>,
    seen: Arc<Seen>,
    state: Mutex<State>,
    /// Held by the one call that dials.
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Connection>>,
    /// The address to dial next.
    next: usize,
    /// Rounds through all addresses that failed; lets a call that waited know that another's failed meanwhile.
    rounds: u64,
    /// Failures since the last answer.
    failures: u32,
    last_failure: Option<Error>,
}

impl Connections {
    pub(crate) fn new(dialer: Arc<Dialer>, seen: Arc<Seen>) -> Connections {
        Connections { dialer, seen, state: Mutex::default(), dialing: tokio::sync::Mutex::new(()) }
    }

    /// The connection, dialed if there is none: after a wait, if the last ones failed.
    ///
    /// # Errors
    /// [`Reason::Unreachable`] after every address failed once.
    pub(crate) async fn get(&self) -> Result<Arc<Connection>, Error> {
        let round = {
            let state = self.state.lock();
            if let Some(current) = &state.current {
                return Ok(Arc::clone(current));
            }
            state.rounds
        };
        let _turn = self.dialing.lock().await;
        let failures = {
            let state = self.state.lock();
            if let Some(current) = &state.current {
                return Ok(Arc::clone(current));
            }
            if let Some(failure) = state.last_failure.as_ref().filter(|_| state.rounds != round) {
                return Err(failure.clone());
            }
            state.failures
        };
        tokio::time::sleep(Backoff::DIAL.wait(failures)).await;
        self.dial_all().await
    }

    /// One round through all addresses.
    async fn dial_all(&self) -> Result<Arc<Connection>, Error> {
        let first = self.state.lock().next;
        let mut failures = Vec::new();
        for address in (first..first + self.dialer.addresses()).map(|at| at % self.dialer.addresses()) {
            match self.dialer.dial(address).await {
                Ok(transport) => {
                    let connection = Arc::new(Connection::new(transport, address));
                    let mut state = self.state.lock();
                    state.next = address;
                    state.current = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(failure) => failures.push(failure),
            }
        }
        let text = if failures.is_empty() { "no address is configured".to_owned() } else { failures.join("; ") };
        let error = Error::new(Reason::Unreachable, text);
        let mut state = self.state.lock();
        state.rounds += 1;
        state.failures = state.failures.saturating_add(1);
        state.last_failure = Some(error.clone());
        Err(error)
    }

    /// Why there is no connection, if there is none because dialing failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        let state = self.state.lock();
        if state.current.is_some() { None } else { state.last_failure.clone() }
    }

    /// Gives a connection up; the next call dials the next address.
    pub(crate) fn give_up(&self, connection: &Arc<Connection>) {
        let mut state = self.state.lock();
        if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            state.current = None;
            state.next = (connection.address + 1) % self.dialer.addresses().max(1);
            state.failures = state.failures.saturating_add(1);
            drop(state);
            tracing::debug!(address = self.dialer.address(connection.address), "connection given up");
        }
        connection.retired.send_replace(true);
    }

    /// Takes note of an answer that came on a connection.
    pub(crate) fn note(&self, connection: &Arc<Connection>, header: Option<&v1::ReplyHeader>) {
        let Some(header) = header.map(Header::from) else { return };
        self.seen.note(header);
        // The order matters: whoever sees the new `newest` must not find an older `seen`.
        connection.newest.fetch_max(header.zxid, Ordering::AcqRel);
        self.state.lock().failures = 0;
        if header.role == Role::Looking {
            self.note_looking(connection);
        } else {
            *connection.looking_since.lock() = None;
        }
    }

    /// Takes note of an answer that says that the server cannot serve now: it is left for another, if there is one,
    /// when it has said so for longer than an election takes.
    pub(crate) fn note_looking(&self, connection: &Arc<Connection>) {
        let since = *connection.looking_since.lock().get_or_insert_with(Instant::now);
        if self.dialer.addresses() > 1 && since.elapsed() > LOOKING_MAX {
            self.give_up(connection);
        }
    }
}

/// Connections for watches alone: a server bounds the streams of one connection, and watches must not use up those of
/// the calls. There are as many as the watches need.
#[derive(Debug)]
pub(crate) struct WatchConnections {
    dialer: Arc<Dialer>,
    seen: Arc<Seen>,
    pool: Mutex<Vec<Arc<Connections>>>,
}

impl WatchConnections {
    /// Watch streams on one connection. Servers and proxies allow 100 streams at least.
    const STREAMS_MAX: usize = 64;

    pub(crate) fn new(dialer: Arc<Dialer>, seen: Arc<Seen>) -> WatchConnections {
        WatchConnections { dialer, seen, pool: Mutex::default() }
    }

    /// The way to the ensemble for one stream, until it is dropped.
    pub(crate) fn lease(&self) -> Arc<Connections> {
        // The pool's own reference is one; every other one is a lease. Leases are made only here, under the lock.
        let leases = |connections: &Arc<Connections>| Arc::strong_count(connections) - 1;
        let mut pool = self.pool.lock();
        if let Some(free) = pool.iter().find(|connections| leases(connections) < Self::STREAMS_MAX) {
            return Arc::clone(free);
        }
        let fresh = Arc::new(Connections::new(Arc::clone(&self.dialer), Arc::clone(&self.seen)));
        pool.push(Arc::clone(&fresh));
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_fill_one_connection_before_the_next_is_made() {
        let dialer = Arc::new(Dialer::new(vec![], Connector::tcp(), None, Duration::ZERO));
        let watches = WatchConnections::new(dialer, Arc::default());
        let mut leases: Vec<_> = (0..WatchConnections::STREAMS_MAX).map(|_| watches.lease()).collect();
        assert!(leases.iter().all(|lease| Arc::ptr_eq(lease, &leases[0])));
        let next = watches.lease();
        assert!(!Arc::ptr_eq(&next, &leases[0]));
        leases.pop();
        assert!(Arc::ptr_eq(&watches.lease(), &leases[0]));
    }
}
