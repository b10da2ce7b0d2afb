//! `Core`: what the tasks of the transport share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use quorate_storage::{RealDisk, SnapshotDir};
use quorate_types::ServerId;
use quorate_zab::ConnectionId;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address_book::AddressBook;
use super::config::Timing;
use super::hello::Identity;
use super::link::{IncomingLink, Link};
use super::quiet::Quiet;
use super::session::Session;
use super::sink::Sink;
use super::tls::Tls;

/// Shared by everything that the transport does. No two of its locks are held at once.
pub(super) struct Core {
    pub(super) identity: Identity,
    pub(super) tls: Option<Tls>,
    pub(super) timing: Timing,
    pub(super) book: Mutex<AddressBook>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) snapshots: SnapshotDir<RealDisk>,
    pub(super) hash_seed: u64,
    pub(super) snapshot_bytes_per_second: u64,
    /// Whose turn it is to receive a snapshot: there is one place aside.
    pub(super) receiving: Arc<Semaphore>,
    pub(super) quiet: Quiet,
    /// Everything is to end.
    pub(super) stop: CancellationToken,
    /// Of all tasks and threads.
    pub(super) tasks: TaskTracker,
    pub(super) runtime: Handle,
    pub(super) links: Mutex<BTreeMap<ServerId, Arc<Link>>>,
    pub(super) incoming_links: Mutex<HashMap<ServerId, Arc<IncomingLink>>>,
    sessions: Mutex<HashMap<ConnectionId, Arc<Session>>>,
    last_connection: AtomicU64,
}

impl Core {
    pub(super) fn new(
        identity: Identity,
        config: super::Config,
        tls: Option<Tls>,
        snapshots: SnapshotDir<RealDisk>,
        sink: Arc<dyn Sink>,
    ) -> Core {
        Core {
            identity,
            tls,
            timing: config.timing,
            book: Mutex::new(AddressBook::new(identity.server, config.addresses)),
            sink,
            snapshots,
            hash_seed: config.hash_seed,
            snapshot_bytes_per_second: config.snapshot_bytes_per_second,
            receiving: Arc::new(Semaphore::new(1)),
            quiet: Quiet::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            links: Mutex::default(),
            incoming_links: Mutex::default(),
            sessions: Mutex::default(),
            last_connection: AtomicU64::new(0),
        }
    }

    /// A number that no session has had.
    pub(super) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.last_connection.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn session(&self, id: ConnectionId) -> Option<Arc<Session>> {
        self.sessions.lock().get(&id).cloned()
    }

    /// `false` if everything is to end.
    pub(super) fn begin_session(&self, session: &Arc<Session>) -> bool {
        let mut sessions = self.sessions.lock();
        let begins = !self.stop.is_cancelled();
        if begins {
            sessions.insert(session.id, Arc::clone(session));
        }
        begins
    }

    pub(super) fn end_session(&self, id: ConnectionId) {
        self.sessions.lock().remove(&id);
    }

    /// Whatever sessions there are; once everything is to end, there will be no others.
    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.lock().values().cloned().collect()
    }

    /// A link of another server takes the place of the one before, from which nothing more is to be heard.
    pub(super) fn begin_incoming_link(&self, from: ServerId, link: &Arc<IncomingLink>) {
        let before = self.incoming_links.lock().insert(from, Arc::clone(link));
        let task = before.and_then(|before| before.outbound.close());
        task.into_iter().for_each(std::task::Waker::wake);
        let ours = self.links.lock().get(&from).cloned();
        if let Some(ours) = ours {
            ours.is_there.notify_one();
        }
    }

    pub(super) fn end_incoming_link(&self, from: ServerId, link: &Arc<IncomingLink>) {
        let mut links = self.incoming_links.lock();
        if links.get(&from).is_some_and(|newest| Arc::ptr_eq(newest, link)) {
            links.remove(&from);
        }
    }
}
