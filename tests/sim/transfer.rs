//! `Transfer`: a snapshot on its way from a leader to a learner, chunk by chunk, from one disk to the other.

use quorate::durable::SnapshotReceiver;
use quorate_replica::{DiskOp, Input};
use quorate_storage::{SimDisk, SnapshotReader};
use quorate_zab::{ConnectionId, Position};

use super::server::{Aside, Id};
use super::world::{Event, World};

type File = <SimDisk as quorate_storage::Disk>::File;

/// Between two attempts to begin.
const WAIT_US: u64 = 10_000;

/// A snapshot on its way.
pub(crate) struct Transfer {
    /// The session at the learner.
    connection: ConnectionId,
    learner: Id,
    leader: Id,
    base: Position,
    streams: Option<(SnapshotReader<File>, SnapshotReceiver<SimDisk>)>,
}

impl World {
    /// A learner is to fetch a snapshot.
    pub(crate) fn fetch(&mut self, learner: Id, connection: ConnectionId, leader: Id, base: Position) {
        self.count("snapshots wanted");
        let transfer = Transfer { connection, learner, leader, base, streams: None };
        self.schedule(WAIT_US / 10, None, Event::Transfer(Box::new(transfer)));
    }

    /// The next step of a transfer.
    pub(crate) fn transfer(&mut self, mut transfer: Transfer) {
        let (connection, learner) = (transfer.connection, transfer.learner);
        let Some((mine, other)) = self.network.ends(connection) else { return self.give_up(transfer) };
        let theirs = other.connection;
        if !mine.is_open {
            return self.give_up(transfer);
        }
        let is_paused = [learner, transfer.leader].iter().any(|id| self.servers[id.0].paused_until_us > self.now_us);
        if is_paused || !self.network.passes_both_ways(learner, transfer.leader) {
            return self.schedule(WAIT_US, None, Event::Transfer(Box::new(transfer)));
        }
        if !self.is_running(transfer.leader) {
            return self.transfer_failed(transfer);
        }
        let went_on = match &transfer.streams {
            None => self.begin_transfer(&mut transfer, theirs),
            Some(_) => self.go_on_with(&mut transfer),
        };
        if self.servers[learner.0].process.is_some() && self.is_stopped(learner) {
            return self.fail(learner);
        }
        match went_on {
            Some(true) => {
                let in_us = match transfer.streams {
                    Some(_) => 50 + self.chances.disk.below(self.swarm.snapshot_us),
                    None => WAIT_US,
                };
                self.schedule(in_us, None, Event::Transfer(Box::new(transfer)));
            }
            Some(false) => {}
            None => self.transfer_failed(transfer),
        }
    }

    /// `None` if it failed; whether it is to go on.
    fn begin_transfer(&mut self, transfer: &mut Transfer, theirs: ConnectionId) -> Option<bool> {
        let learner = self.servers[transfer.learner.0].process.as_mut()?;
        if !matches!(learner.aside, Aside::Free) {
            return Some(true);
        }
        let leader = self.servers[transfer.leader.0].process.as_mut()?;
        let offered = leader.offered.remove(&theirs)?;
        assert_eq!(offered, transfer.base.zxid, "another snapshot is offered than was announced");
        let Ok(reader) = leader.snapshots.dir().read(offered) else {
            self.push_peer(transfer.leader, quorate_zab::Input::SnapshotFailed(theirs), 0);
            return None;
        };
        let header = reader.header().clone();
        let learner = self.servers[transfer.learner.0].process.as_mut()?;
        let hash_seed = transfer.connection.0;
        let receiver = SnapshotReceiver::begin(learner.snapshots.dir(), header, hash_seed).ok()?;
        learner.aside = Aside::Taken(transfer.connection);
        transfer.streams = Some((reader, receiver));
        Some(true)
    }

    fn go_on_with(&mut self, transfer: &mut Transfer) -> Option<bool> {
        let (reader, receiver) = transfer.streams.as_mut()?;
        if let Some(chunk) = reader.next_chunk().ok()? {
            receiver.chunk(&chunk).ok()?;
            self.push_peer(transfer.learner, quorate_zab::Input::SnapshotProgress(transfer.connection), 0);
            return Some(true);
        }
        let (reader, receiver) = transfer.streams.take()?;
        let received = receiver.finish(reader.footer().expect("it was read to its end"), || ()).ok();
        let process = self.servers[transfer.learner.0].process.as_mut()?;
        let Some(received) = received else {
            process.aside = Aside::Free;
            return None;
        };
        process.aside = Aside::Received(transfer.connection);
        process.log.received(received.info.clone());
        process.snapshots.received(received.info);
        let (connection, base, tree) = (transfer.connection, received.base, Box::new(received.tree));
        process.lanes.peers.push_back((Input::SnapshotReceived { connection, base, tree }, 0));
        self.wake(transfer.learner);
        Some(false)
    }

    /// A step of a driver has perhaps led to the installation of what was received.
    pub(crate) fn note_installation(&mut self, id: Id) {
        let Some(process) = &mut self.servers[id.0].process else { return };
        let installs = |op: &DiskOp| matches!(op, DiskOp::Install { .. });
        if matches!(process.aside, Aside::Received(_)) && process.effects.disk.iter().any(installs) {
            process.aside = Aside::Installing;
            self.count("snapshots installed");
        }
    }

    fn transfer_failed(&mut self, transfer: Transfer) {
        let (learner, connection) = (transfer.learner, transfer.connection);
        self.count("transfers failed");
        self.give_up(transfer);
        self.push_peer(learner, quorate_zab::Input::SnapshotFailed(connection), 0);
    }

    /// Whoever wanted it does not any more.
    fn give_up(&mut self, transfer: Transfer) {
        let Transfer { learner, connection, streams, .. } = transfer;
        drop(streams);
        let Some(process) = &mut self.servers[learner.0].process else { return };
        if matches!(&process.aside, Aside::Taken(of) if *of == connection) {
            process.aside = Aside::Free;
        }
    }
}
