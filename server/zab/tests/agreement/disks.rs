//! The disks of the world, and the snapshots that servers take, remove, and send to each other.

use quorate_types::{ServerId, Zxid};
use quorate_zab::{ConnectionId, Input, Zab};

use crate::disk::DiskOp;
use crate::invariants;
use crate::world::{Event, Server, World};

impl World {
    pub(crate) fn submit(&mut self, id: ServerId, token: u64, op: DiskOp) {
        self.server(id).disk.under_way.push_back((token, op));
        self.work_disk(id);
    }

    pub(crate) fn work_disk(&mut self, id: ServerId) {
        let server = self.server(id);
        if !server.is_disk_busy && !server.is_disk_stuck && !server.disk.under_way.is_empty() {
            server.is_disk_busy = true;
            let in_ms = self.between(self.make.disk_ms);
            self.schedule(in_ms, Some(id), Event::Disk(id));
        }
    }

    /// The disk of a server stops to work, or goes on.
    pub(crate) fn stick_disk(&mut self, id: ServerId, is_stuck: bool) {
        self.server(id).is_disk_stuck = is_stuck;
        self.work_disk(id);
    }

    /// Some of what was submitted is durable, and the server hears of it.
    pub(crate) fn disk_done(&mut self, id: ServerId) {
        if self.servers[&id].is_disk_stuck {
            self.server(id).is_disk_busy = false;
            return;
        }
        let ops = self.servers[&id].disk.under_way.len() as u64;
        let mut last = None;
        for _ in 0..self.rng.range(1, ops) {
            let commit = self.zab(id).map_or(Zxid::ZERO, Zab::commit);
            let Some((token, op)) = self.server(id).disk.complete(commit) else { break };
            invariants::durable(self, id, &op);
            last = Some(token);
        }
        self.server(id).is_disk_busy = false;
        if let Some(token) = last {
            self.step(id, Input::Synced(token));
        }
        self.work_disk(id);
    }

    /// A server takes a snapshot of what it has delivered, and says so.
    pub(crate) fn take_snapshot(&mut self, id: ServerId) {
        let Some(zab) = self.zab(id) else { return };
        let base = zab.history().snapshot_base();
        let Server { disk, .. } = &self.servers[&id];
        let is_installing = disk.under_way.iter().any(|(_, op)| matches!(op, DiskOp::Install(_)));
        if base.position.zxid <= disk.newest_snapshot().position.zxid || is_installing {
            return;
        }
        self.server(id).disk.snapshots.push(base.clone());
        self.step(id, Input::SnapshotTaken(base.position));
    }

    /// A server removes the log that its newest snapshot holds.
    pub(crate) fn purge(&mut self, id: ServerId) {
        if self.zab(id).is_some() && self.servers[&id].disk.snapshots.len() > 1 {
            let start = self.server(id).disk.purge();
            self.ghost.see("log purged");
            self.step(id, Input::Purged(start));
        }
    }

    pub(crate) fn transfer(&mut self, connection: ConnectionId, from: ServerId, to: ServerId, zxid: Zxid, pieces: u64) {
        let is_open = self.network.ends(connection, to).is_some_and(|(mine, _)| mine.is_open);
        if !is_open {
            return;
        }
        if pieces > 0 {
            self.step(to, Input::SnapshotProgress(connection));
            let in_ms = self.rng.range(1, 100);
            let event = Event::Snapshot { connection, from, to, zxid, pieces: pieces - 1 };
            return self.schedule(in_ms, None, event);
        }
        let held = self.servers[&from].disk.snapshots.iter().find(|base| base.position.zxid == zxid).cloned();
        match held {
            Some(base) => {
                self.server(to).received = Some(base.clone());
                self.step(to, Input::SnapshotReceived { connection, base });
            }
            None => self.step(to, Input::SnapshotFailed(connection)),
        }
    }
}
