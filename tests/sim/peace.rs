//! Liveness, Stability: when faults end for a quorum, it elects a leader within bounded time and keeps it, every server
//! comes to the same state, every request is answered, every session that is silent ends, and no write that was
//! acknowledged is missing.

use quorate_storage::Standing;
use quorate_storage::sim::Faults;
use quorate_types::{Role, ServerId, Status, Zxid};

use super::invariants::judged::Judged;
use super::server::Id;
use super::world::{Event, World};

/// Within this, whatever has to happen has happened: several times the longest pause of the protocol.
const LIMIT_MS: u64 = 60_000;

/// How long probes may take.
const PROBES_MS: u64 = 5_000;

/// Clients go on for so long.
const TRAFFIC_MS: u64 = 1_000;

/// Longer than any session lives in silence, on any clock.
const SILENCE_MS: u64 = 6_500;

/// An epoch that ends after a few txns lets every session begin anew: some of them end in each.
const SESSIONS_MS: u64 = 120_000;

/// Clients write for so long, at most, to fill what room the log has left.
const FULL_MS: u64 = 3_000;

/// A disk is looked at so often that this is enough to notice that there is room: one look may write what was stuck and
/// thereby use the room that it found.
const ROOM_MS: u64 = 600;

/// So long leadership has to stay where it is.
const STABLE_MS: u64 = 2_000;

impl World {
    /// Faults end for a part of the servers that can go on, and for ever for the others.
    pub(crate) fn make_peace(&mut self) {
        self.is_peace = true;
        self.say(|| "peace".to_owned());
        let core = self.choose_core();
        for id in self.ids() {
            let faults = Faults { capacity_bytes: u64::MAX, ..self.quiet_disk() };
            self.servers[id.0].disk.set_faults(faults);
            self.server(id).paused_until_us = 0;
            if self.servers[id.0].stop_at.take().is_some() || !core.contains(&id) {
                self.crash(id);
            }
            self.server(id).is_retired = !core.contains(&id);
            let in_us = self.chances.faults.below(300_000);
            self.schedule(in_us, None, Event::Start(id));
        }
        self.network.heal();
        self.check_all_links();
        for which in 0..self.clients.len() {
            self.leave(which);
        }
        self.is_quiet = true;
        self.must("no leader that all follow", LIMIT_MS, World::is_settled);
        self.is_quiet = false;
        self.pass(TRAFFIC_MS * 1000);
        self.is_quiet = true;
        self.outlive_full_disks();
        self.must("requests without an answer", LIMIT_MS, |world| {
            world.clients.iter().all(|client| client.outstanding() == 0)
        });
        self.must("servers without a memory", LIMIT_MS, |world| {
            core.iter().all(|id| world.servers[id.0].standing == Standing::Voter || id.0 >= world.swarm.voters)
        });
        self.probe_all();
        self.pass(SILENCE_MS * 1000);
        self.must("sessions that are silent", SESSIONS_MS, |world| {
            world.statuses().iter().all(|(_, status)| status.sessions == 0)
        });
        self.must("no common state", LIMIT_MS, World::is_settled);
        let led_by = self.leader().map(|id| self.servers[id.0].led_by);
        self.pass(STABLE_MS * 1000);
        if self.swarm.counter_soft_max > 1_000 {
            let still = self.leader().map(|id| self.servers[id.0].led_by);
            assert_eq!(led_by, still, "Stability: leadership has changed in peace: {:#?}", self.states());
        }
        self.must("no common state", LIMIT_MS, World::is_settled);
        let last = self.ledger.history.last();
        self.must("a watch that is behind", LIMIT_MS, |world| {
            world.clients.iter().all(|client| client.watching.is_at(last))
        });
        self.examine();
    }

    /// FullDisk: all disks fill up, and are emptied again: soon after that, writes are accepted. That none was lost which was
    /// accepted before, and that none was made which was refused, shows in the end.
    fn outlive_full_disks(&mut self) {
        if self.swarm.fill_every_ms == 0 {
            return;
        }
        self.ids().into_iter().for_each(|id| self.set_capacity(id, 0));
        self.is_quiet = false;
        let is_full = |world: &mut World| world.statuses().iter().any(|(_, status)| status.disk_full);
        if self.pass_until(FULL_MS, is_full) {
            self.count("full disks outlived");
        }
        self.is_quiet = true;
        self.ids().into_iter().for_each(|id| self.set_capacity(id, u64::MAX));
        self.must("disks that are full", ROOM_MS, |world| world.statuses().iter().all(|(_, status)| !status.disk_full));
    }

    /// Servers that are enough, and some others: those that have to be enough all remember what they have promised.
    fn choose_core(&mut self) -> Vec<Id> {
        if self.chances.faults.coin() {
            return self.ids();
        }
        let voters = self.swarm.voters;
        let trusted = |id: &Id| self.servers[id.0].standing == Standing::Voter && id.0 < voters;
        let mut core: Vec<Id> = self.ids().into_iter().filter(trusted).collect();
        if core.len() <= voters / 2 {
            // The ensemble has not begun, and begins with all of its voters.
            return self.ids();
        }
        while core.len() > voters / 2 + 1 {
            core.remove(self.chances.faults.below(core.len() as u64) as usize);
        }
        for id in self.ids() {
            if !core.contains(&id) && self.chances.faults.below(3) == 0 {
                core.push(id);
            }
        }
        core
    }

    fn must(&mut self, otherwise: &str, ms: u64, done: impl FnMut(&mut World) -> bool) {
        let is_done = self.pass_until(ms, done);
        let waiting: Vec<_> = self.clients.iter().map(|client| (client.connection, client.waits_for())).collect();
        assert!(is_done, "Liveness: {otherwise} after {ms} ms of peace: {waiting:?} {:#?}", self.states());
    }

    /// What is so at each server, for whoever has to find out why it is.
    fn states(&self) -> Vec<String> {
        let describe = |server: &super::server::Server| {
            let status = server.process.as_ref().map(|process| process.replica.status());
            format!("{}: retired {}, {:?}, {status:?}", server.id.server(), server.is_retired, server.standing)
        };
        self.servers.iter().map(describe).collect()
    }

    fn statuses(&self) -> Vec<(Id, Status)> {
        let running = self.servers.iter().filter_map(|server| Some((server.id, server.process.as_ref()?)));
        running.map(|(id, process)| (id, process.replica.status())).collect()
    }

    fn leader(&self) -> Option<Id> {
        let is_leader = |(id, status): &&(Id, Status)| status.role == Role::Leading && status.leader == id.server();
        self.statuses().iter().filter(is_leader).max_by_key(|(_, status)| status.epoch).map(|(id, _)| *id)
    }

    /// Everybody who is to run serves under the same leader, and has all that it has.
    fn is_settled(&mut self) -> bool {
        let all_run = self.servers.iter().all(|server| server.process.is_some() != server.is_retired);
        let statuses = self.statuses();
        let Some((_, first)) = statuses.first() else { return false };
        let same = |status: &Status| (status.leader, status.epoch, status.applied, status.digest);
        let is_same = |(_, status): &(Id, Status)| {
            same(status) == same(first) && status.serving && status.logged == status.applied
        };
        all_run && first.leader != ServerId::default() && statuses.iter().all(is_same)
    }

    /// Every client writes something, which has to succeed.
    fn probe_all(&mut self) {
        // A server that is given another state meanwhile cuts its clients off, and their probes with them: once.
        let is_answered = self.probe_each();
        assert!(is_answered || self.probe_each(), "Liveness: probes without an answer in peace: {:#?}", self.states());
    }

    /// Whether every client had its probe answered.
    fn probe_each(&mut self) -> bool {
        let before = self.ledger.writes.acknowledged;
        let clients = self.clients.len();
        for which in 0..clients {
            self.probe(which);
        }
        self.pass_until(PROBES_MS, |world| world.ledger.writes.acknowledged >= before + clients as u64)
    }

    fn examine(&mut self) {
        let Some(leader) = self.leader() else { panic!("Liveness: nobody leads") };
        let last = self.ledger.history.last();
        let replayed = self.ledger.history.replayed();
        let changes = self.ledger.history.changes();
        for server in &self.servers {
            let Some(process) = &server.process else { continue };
            let tree = process.replica.tree();
            assert_eq!((tree.applied(), tree.digest()), (last, replayed.digest()), "Digest: of {}", server.id.server());
            self.ledger.sessions.check(tree);
            assert_eq!(tree.session_count(), 0, "Liveness: sessions that are silent have not ended");
        }
        assert!(last > Zxid::ZERO && self.ledger.history.last_acknowledged() <= last);
        self.ledger.order.check();
        for client in &self.clients {
            assert!(client.watching.running, "Liveness: a watch does not run in the end");
            client.watching.check(&changes);
        }
        let process = self.servers[leader.0].process.as_ref().expect("a leader runs");
        let tree = process.replica.tree();
        self.ledger.writes.check(tree);
        let judged = std::mem::take::<Judged>(&mut self.ledger.judged).check(tree);
        for _ in 0..judged.min(1) {
            self.count("runs judged");
        }
    }
}
