//! `Peers`: the transport as the driver sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use quorate_storage::{RealDisk, SnapshotDir};
use quorate_types::{ServerId, Zxid};
use quorate_zab::{ConnectionId, Member, Notification, PeerOutput, Position};
use tokio::net::TcpListener;

use super::core::Core;
use super::hello::Identity;
use super::link::Link;
use super::sink::Sink;
use super::tls::Tls;
use super::{Config, door, link, session, snapshot};
use crate::tls::TlsError;

/// The transport between this server and the others.
pub struct Peers {
    pub(super) core: Arc<Core>,
}

impl Peers {
    /// Opens the door, and is ready to be told what to do. To be called within a runtime.
    ///
    /// # Errors
    /// [`TlsError`] says what is wrong with the certificates.
    ///
    /// # Panics
    /// If the snapshots are those of another ensemble.
    pub fn start(
        config: Config,
        identity: Identity,
        listener: TcpListener,
        snapshots: SnapshotDir<RealDisk>,
        sink: Arc<dyn Sink>,
    ) -> Result<Peers, TlsError> {
        assert_eq!(identity.cluster, snapshots.cluster_id(), "the data of another ensemble");
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let core = Arc::new(Core::new(identity, config, tls, snapshots, sink));
        if let Some(tls) = core.tls.clone() {
            core.tasks.spawn_on(tls.keep_fresh(core.stop.clone().cancelled_owned()), &core.runtime);
        }
        core.tasks.spawn_on(door::run(Arc::clone(&core), listener), &core.runtime);
        Ok(Peers { core })
    }

    /// Carries out what agreement wants, in order, and leaves `outputs` empty. Never waits: what is said in one call leaves
    /// together.
    pub fn carry_out(&self, outputs: &mut Vec<PeerOutput>) {
        // Woken when everything is there, so that no task finds only the first message of a batch.
        let mut tasks: Vec<Waker> = Vec::new();
        for output in outputs.drain(..) {
            match output {
                PeerOutput::Send { connection, message } => {
                    tasks.extend(self.core.session(connection).and_then(|session| session.send(message)));
                }
                PeerOutput::Notify { to, notification } => tasks.extend(self.notify(to, notification)),
                PeerOutput::Close { connection } => {
                    tasks.extend(self.core.session(connection).and_then(|session| session.close()));
                }
                PeerOutput::Dial { to } => {
                    let core = Arc::clone(&self.core);
                    self.spawn(async move { session::dial(&core, to).await });
                }
                PeerOutput::MembersChanged(members) => self.set_members(&members),
                PeerOutput::SendSnapshot { connection, to, zxid } => self.offer_snapshot(connection, to, zxid),
                PeerOutput::ReceiveSnapshot { connection, from, base } => self.receive_snapshot(connection, from, base),
            }
        }
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Ends everything: what was said is sent, nothing more is reported.
    pub async fn stop(self) {
        self.core.stop.cancel();
        let tasks: Vec<Waker> = self.core.sessions().iter().filter_map(|session| session.close()).collect();
        tasks.into_iter().for_each(Waker::wake);
        self.core.tasks.close();
        self.core.tasks.wait().await;
    }

    /// On the link to the server, or else, if there is none because nobody knows where it is, on its own one.
    fn notify(&self, to: ServerId, notification: Notification) -> Option<Waker> {
        let link = self.core.links.lock().get(&to).cloned();
        match link {
            Some(link) => link.outbound.replace(notification),
            None => {
                let incoming = self.core.incoming_links.lock().get(&to).cloned();
                incoming.and_then(|incoming| incoming.outbound.replace(notification))
            }
        }
    }

    fn set_members(&self, members: &BTreeMap<ServerId, Member>) {
        let wanted: Vec<ServerId> = {
            let mut book = self.core.book.lock();
            book.set_members(members);
            book.others().collect()
        };
        let mut links = self.core.links.lock();
        links.retain(|server, link| {
            let is_wanted = wanted.contains(server);
            if !is_wanted {
                link.unwanted.cancel();
            }
            is_wanted
        });
        for server in wanted {
            if !links.contains_key(&server) {
                let (core, link) = (Arc::clone(&self.core), Arc::new(Link::default()));
                links.insert(server, Arc::clone(&link));
                self.spawn(async move { link::keep(&core, server, &link).await });
            }
        }
    }

    fn offer_snapshot(&self, connection: ConnectionId, to: ServerId, zxid: Zxid) {
        if let Some(session) = self.core.session(connection) {
            assert_eq!(session.peer, to, "the other end of {connection:?}");
            *session.offered.lock() = Some(zxid);
        }
    }

    fn receive_snapshot(&self, connection: ConnectionId, from: ServerId, base: Position) {
        if let Some(session) = self.core.session(connection) {
            assert_eq!(session.peer, from, "the other end of {connection:?}");
            self.spawn(snapshot::receive(Arc::clone(&self.core), session, base));
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.core.tasks.spawn_on(task, &self.core.runtime);
    }
}
