//! Liveness, Stability: when faults end for a quorum, it elects a leader within bounded time and keeps it, every server
//! comes to the same state, every request is answered, every session that is silent ends, and no write that was
//! acknowledged is missing.

use std::collections::BTreeMap;

use quorate_storage::Standing;
use quorate_storage::sim::Faults;
use quorate_types::{MemberRole, MembersChange, Op, Reply, Role, ServerId, Status, Zxid};

use super::administrator::new_member;
use super::invariants::judged::Judged;
use super::server::Id;
use super::world::{Event, World};

/// Within this, whatever has to happen has happened: several times the longest pause of the protocol.
const LIMIT_MS: u64 = 60_000;

/// How long probes may take.
const PROBES_MS: u64 = 5_000;

/// Clients go on for so long.
const TRAFFIC_MS: u64 = 1_000;

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
        let Some(core) = self.choose_core() else {
            // A server was to vote and lost its disk at the same moment: nobody can go on, and nobody should.
            return self.count("ended without a quorum");
        };
        for id in self.ids() {
            let faults = Faults { capacity_bytes: u64::MAX, ..self.quiet_disk() };
            self.servers[id.0].disk.set_faults(faults);
            self.server(id).paused_until_us = 0;
            let is_stopped = self.servers[id.0].stop_at.take().is_some();
            if is_stopped || !core.contains(&id) || self.knows_too_little(id) {
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
            let members = world.ledger.history.final_members();
            let is_trusted = |id: &Id| world.servers[id.0].standing == Standing::Voter;
            core.iter().all(|id| is_trusted(id) || !members.is_voter(id.server()))
        });
        self.administer_in_peace();
        self.restore_in_peace();
        self.probe_all();
        self.must("sessions that are silent", SESSIONS_MS, |world| {
            world.statuses().iter().all(|(_, status)| status.sessions == 0)
        });
        self.must("a restore that nobody goes on with", LIMIT_MS, |world| {
            world
                .servers
                .iter()
                .flat_map(|server| &server.process)
                .all(|process| process.replica.tree().restoring().is_none())
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

    /// Members change once more, to such as can vote; nothing changes when the same is asked for again; and whoever of them
    /// is asked to leads.
    fn administer_in_peace(&mut self) {
        if self.swarm.administration.every_ms == 0 {
            return;
        }
        let op = self.possible_members();
        let members = match self.must_administer(&op) {
            Reply::Reconfigured(members) => members,
            other => panic!("AdminTruth: {other:?}"),
        };
        let before = self.ledger.history.newest_version();
        let again = self.must_administer(&op);
        assert_eq!(again, Reply::Reconfigured(members.clone()), "AdminTruth: the same was asked for again");
        assert_eq!(
            self.ledger.history.newest_version(),
            before,
            "AdminTruth: asking for the same again changed something"
        );
        let voters: Vec<ServerId> = members.voters().collect();
        let target = voters[self.chances.faults.below(voters.len() as u64) as usize];
        self.must_administer(&Op::TransferLeadership { target: Some(target) });
    }

    /// A backup is restored, sooner or later: one that others began and left in the middle is given up before.
    fn restore_in_peace(&mut self) {
        if self.swarm.restores.every_ms > 0 && self.chances.faults.coin() {
            self.want_restore(true);
            self.must("no backup is restored", LIMIT_MS, |world| {
                !world.restorer.is_wanted || world.ledger.judged.is_any_doubtful()
            });
            self.want_restore(false);
        }
    }

    /// Servers that run, of whom those who vote have to be trusted.
    fn possible_members(&mut self) -> Op {
        let running: Vec<Id> = self.ids().into_iter().filter(|id| !self.servers[id.0].is_retired).collect();
        let mut members = BTreeMap::new();
        for id in &running {
            let is_trusted = self.servers[id.0].standing == Standing::Voter;
            match self.chances.faults.below(4) {
                0 => {}
                1 => drop(members.insert(id.server(), new_member(MemberRole::Observer))),
                _ if is_trusted => drop(members.insert(id.server(), new_member(MemberRole::Participant))),
                _ => {}
            }
        }
        if members.values().all(|member| member.role == MemberRole::Observer) {
            let trusted = running.iter().find(|id| self.servers[id.0].standing == Standing::Voter);
            let trusted = trusted.expect("a quorum of the present voters is trusted");
            members.insert(trusted.server(), new_member(MemberRole::Participant));
        }
        Op::Reconfigure { change: MembersChange::Whole(members), if_version: None }
    }

    /// What somebody asks for in peace is done, sooner or later.
    fn must_administer(&mut self, op: &Op) -> Reply {
        self.administrator_leaves();
        self.must("nothing is done for the administrator", LIMIT_MS, |world| {
            match &world.administrator.answer {
                Some(Ok(_)) => return true,
                _ if world.administrator.asked.is_some() => {}
                _ => world.ask_as_administrator(op.clone()),
            }
            false
        });
        self.administrator.answer.take().and_then(Result::ok).expect("it was just looked at")
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
    /// `None` if there are not so many.
    fn choose_core(&mut self) -> Option<Vec<Id>> {
        let live = self.ledger.history.live_configs();
        let is_trusted = |id: &Id| self.servers[id.0].standing == Standing::Voter;
        let is_voter = |id: &Id| live.iter().any(|configs| configs.is_voter(id.server()));
        let is_enough =
            |core: &[Id]| live.iter().all(|configs| configs.is_quorum(|server| core.contains(&Id::of(server))));
        let mut core: Vec<Id> = self.ids().into_iter().filter(|id| is_trusted(id) && is_voter(id)).collect();
        if !is_enough(&core) {
            // Unless the ensemble has not begun: then it begins with all of its voters.
            return (self.ledger.history.last() == Zxid::ZERO).then(|| self.ids());
        }
        // Members that are asked for and not yet decided may need more of them than those of today.
        if self.chances.faults.coin() || self.administrator.asked.is_some() {
            return Some(self.ids());
        }
        let mut left = core.len();
        while left > 0 {
            let out = core.remove(self.chances.faults.below(left as u64) as usize);
            left -= 1;
            if !is_enough(&core) {
                // The last one, at which nobody looks again.
                core.push(out);
            }
        }
        for id in self.ids() {
            if !core.contains(&id) && self.chances.faults.below(3) == 0 && self.finds(id, &core) {
                core.push(id);
            }
        }
        Some(core)
    }

    /// Whether a server knows somebody of these, or is known to him.
    fn finds(&self, id: Id, core: &[Id]) -> bool {
        let history = &self.ledger.history;
        let knows = |one: Id, other: Id| history.configs_of(one).is_member(other.server());
        self.servers[id.0].standing == Standing::Amnesiac || core.iter().any(|one| knows(*one, id) || knows(id, *one))
    }

    /// Whether a server may be told of an ensemble that is no more: whoever starts it again says what has become of that.
    fn knows_too_little(&self, id: Id) -> bool {
        self.servers[id.0].standing == Standing::Amnesiac && self.swarm.administration.every_ms > 0
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
        let replayed = self.ledger.history.replayed(&self.ledger.restores);
        let changes = self.ledger.history.changes();
        let restored = self.ledger.restores.last(last);
        for server in &self.servers {
            let Some(process) = &server.process else { continue };
            let tree = process.replica.tree();
            assert_eq!((tree.applied(), tree.digest()), (last, replayed.digest()), "Digest: of {}", server.id.server());
            self.ledger.sessions.check(tree);
            assert_eq!(tree.session_count(), 0, "Liveness: sessions that are silent have not ended");
        }
        assert!(last > Zxid::ZERO && self.ledger.history.last_acknowledged() <= last);
        self.ledger.order.check();
        self.ledger.administration.check(&self.ledger.history);
        for client in &self.clients {
            assert!(client.watching.running, "Liveness: a watch does not run in the end");
            client.watching.check(&changes, restored);
        }
        let process = self.servers[leader.0].process.as_ref().expect("a leader runs");
        let tree = process.replica.tree();
        self.ledger.restores.check();
        self.ledger.writes.check(tree, &self.ledger.restores);
        let judged = std::mem::take::<Judged>(&mut self.ledger.judged).check(tree);
        for _ in 0..judged.min(1) {
            self.count("runs judged");
        }
    }
}
