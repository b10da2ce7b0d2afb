//! `Fault`: what goes wrong, and when.

use quorate_storage::sim::{Faults, Rng};
use quorate_storage::{Salt, SimDisk, Standing, Storage};
use quorate_types::ServerId;
use quorate_zab::{Configs, ConnectionId};

use super::server::Id;
use super::world::{CLUSTER, Event, World};

/// A disk of this size is full.
const FULL_BYTES: u64 = 0;

/// One kind of thing that goes wrong, to whomever chance chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Crash,
    CrashAll,
    Wipe,
    Pause,
    Jump,
    Cut,
    Isolate,
    Split,
    OneWay,
    Heal,
    Clog,
    Fill,
    CutClient,
    Depose,
    Damage,
    /// The end of a [`Fault::Fill`].
    Drain(Id),
    /// The end of a [`Fault::Depose`].
    Rejoin(Id),
}

impl World {
    fn every_ms(&self, fault: Fault) -> u64 {
        let (crashes, network, clocks) = (&self.swarm.crashes, &self.swarm.network, &self.swarm.clocks);
        match fault {
            Fault::Crash => crashes.crash_every_ms,
            Fault::CrashAll => crashes.all_every_ms,
            Fault::Wipe => crashes.wipe_every_ms,
            Fault::Pause => clocks.pause_every_ms,
            Fault::Jump => clocks.jump_every_ms,
            Fault::Cut => network.cut_every_ms,
            Fault::Isolate => network.isolate_every_ms,
            Fault::Split => network.split_every_ms,
            Fault::OneWay => network.one_way_every_ms,
            Fault::Heal => network.heal_every_ms,
            Fault::Clog => network.clog_every_ms,
            Fault::Fill => self.swarm.fill_every_ms,
            Fault::CutClient => self.swarm.lines.cut_every_ms,
            Fault::Depose => self.swarm.depose_every_ms,
            Fault::Damage => self.swarm.damage_every_ms,
            Fault::Drain(_) | Fault::Rejoin(_) => 0,
        }
    }

    pub(crate) fn schedule_faults(&mut self) {
        for fault in [
            Fault::Crash,
            Fault::CrashAll,
            Fault::Wipe,
            Fault::Pause,
            Fault::Jump,
            Fault::Cut,
            Fault::Isolate,
            Fault::Split,
            Fault::OneWay,
            Fault::Heal,
            Fault::Clog,
            Fault::Fill,
            Fault::CutClient,
            Fault::Depose,
            Fault::Damage,
        ] {
            self.schedule_next(fault);
        }
    }

    fn schedule_next(&mut self, fault: Fault) {
        let every_us = self.every_ms(fault) * 1000;
        if every_us > 0 {
            let in_us = self.chances.faults.below(2 * every_us);
            self.schedule(in_us, None, Event::Fault(fault));
        }
    }

    fn some_server(&mut self) -> Id {
        Id(self.chances.faults.below(self.servers.len() as u64) as usize)
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.is_peace {
            return;
        }
        let id = self.some_server();
        match fault {
            Fault::Crash => self.crash_some(id),
            Fault::CrashAll => self.ids().into_iter().for_each(|id| self.crash_and_restart(id)),
            Fault::Wipe => self.wipe_if_allowed(id),
            Fault::Pause => {
                self.note_cell(id, "pause");
                let until_us = self.now_us + self.chances.faults.below(self.swarm.clocks.pause_ms * 1000 + 1);
                self.server(id).paused_until_us = until_us;
            }
            Fault::Jump => {
                self.note_cell(id, "wall clock jumps");
                let by_ms = self.chances.faults.below(200_000) as i64 - 100_000;
                self.server(id).clock.wall_ms += by_ms;
            }
            Fault::Cut => self.cut_some(),
            Fault::Isolate | Fault::Split | Fault::OneWay => self.part(fault, id),
            Fault::Heal => self.heal(),
            Fault::Clog => self.clog_some(id),
            Fault::Fill => {
                self.note_cell(id, "full disk");
                self.set_capacity(id, FULL_BYTES);
                let in_us = 100_000 + self.chances.faults.below(4_000_000);
                self.schedule(in_us, None, Event::Fault(Fault::Drain(id)));
            }
            Fault::CutClient => self.cut_client(),
            Fault::Depose => self.depose(),
            Fault::Damage => self.damage_if_allowed(id),
            Fault::Rejoin(id) => {
                self.network.unblock(id);
                self.check_all_links();
            }
            Fault::Drain(id) => self.set_capacity(id, u64::MAX),
        }
        self.schedule_next(fault);
    }

    pub(crate) fn set_capacity(&mut self, id: Id, capacity_bytes: u64) {
        let disk = &self.servers[id.0].disk;
        disk.set_faults(Faults { capacity_bytes, ..disk.faults() });
    }

    fn crash_some(&mut self, id: Id) {
        if !self.is_running(id) {
            return;
        }
        if self.chances.faults.chance(self.swarm.crashes.inside) {
            let stop_at = self.servers[id.0].disk.operations() + self.chances.faults.below(30);
            self.servers[id.0].disk.stop_at(stop_at);
            self.server(id).stop_at = Some(stop_at);
        } else {
            self.crash_and_restart(id);
        }
    }

    fn crash_and_restart(&mut self, id: Id) {
        if self.is_running(id) {
            self.crash(id);
            let in_us = self.chances.faults.below(self.swarm.crashes.down_ms * 1000 + 1);
            self.schedule(in_us, None, Event::Start(id));
        }
    }

    /// Whether what a server has may be lost: at most one voter's at a time, and only while the others are enough, since
    /// more could not be recovered by anybody.
    fn may_lose(&self, id: Id) -> bool {
        let live = self.ledger.history.live_configs();
        let is_trusted = |server: ServerId| self.servers[Id::of(server).0].standing == Standing::Voter;
        let is_enough = |configs: &Configs| {
            let is_one = configs.pending().is_none();
            is_one && configs.voters().all(is_trusted) && configs.is_quorum(|server| server != id.server())
        };
        let is_voter = live.iter().any(|configs| configs.is_voter(id.server()));
        self.is_running(id) && (!is_voter || live.iter().all(|configs| is_enough(configs)))
    }

    /// What a disk has held durably is damaged, which the server finds when it starts the next time; unless nobody could
    /// tell that from a write that was torn.
    fn damage_if_allowed(&mut self, id: Id) {
        if !self.may_lose(id) {
            return;
        }
        self.crash_and_restart(id);
        let (seed, copy) = (self.chances.faults.next_u64(), self.servers[id.0].disk.fork());
        copy.set_faults(self.quiet_disk());
        damage(&copy, seed);
        match self.recover(id, copy).map(|recovered| recovered.found) {
            Ok(found) if !self.ledger.history.is_kept(id, &found, self.servers[id.0].standing) => {
                return self.count("damage as of a torn write");
            }
            Ok(_) => self.note_cell(id, "damage without harm"),
            Err(error) => {
                assert!(error.is_damage(), "NoCorruption: damage is taken for something else: {error:?}");
                self.note_cell(id, "data damaged");
                (self.server(id).standing, self.server(id).is_damaged) = (Standing::Amnesiac, true);
                self.ledger.history.wiped(id);
            }
        }
        damage(&self.servers[id.0].disk, seed);
    }

    fn wipe_if_allowed(&mut self, id: Id) {
        if !self.may_lose(id) {
            return;
        }
        self.note_cell(id, "disk lost");
        self.crash_and_restart(id);
        let disk = SimDisk::new(self.chances.faults.next_u64(), self.quiet_disk());
        let salt = Salt(self.chances.faults.next_u64());
        Storage::initialize(disk.clone(), CLUSTER, id.server(), Standing::New, salt)
            .expect("an empty disk can be used");
        disk.set_faults(self.swarm.disk.clone());
        let server = self.server(id);
        (server.disk, server.standing, server.is_damaged) = (disk, Standing::New, false);
        self.ledger.history.wiped(id);
    }

    fn cut_some(&mut self) {
        let sessions: Vec<u64> = self.network.sessions.keys().copied().collect();
        if !sessions.is_empty() {
            let session = sessions[self.chances.faults.below(sessions.len() as u64) as usize];
            self.count("sessions cut");
            self.cut(ConnectionId(session * 2));
        }
    }

    fn part(&mut self, fault: Fault, id: Id) {
        let others: Vec<Id> = self.ids().into_iter().filter(|other| *other != id).collect();
        match fault {
            Fault::OneWay if !others.is_empty() => {
                self.note_cell(id, "one way");
                let other = others[self.chances.faults.below(others.len() as u64) as usize];
                self.network.block(id, other);
            }
            Fault::Split => {
                self.note_cell(id, "split");
                let sides: Vec<bool> = self.ids().iter().map(|_| self.chances.faults.coin()).collect();
                for a in self.ids() {
                    for b in self.ids().into_iter().filter(|b| sides[a.0] != sides[b.0]) {
                        self.network.block(a, b);
                    }
                }
            }
            _ => {
                self.note_cell(id, "isolated");
                for other in others {
                    self.network.block(id, other);
                    self.network.block(other, id);
                }
            }
        }
        self.check_all_links();
    }

    pub(crate) fn heal(&mut self) {
        if !self.network.is_whole() {
            self.network.heal();
            self.check_all_links();
        }
    }

    /// A leader, or a follower, is cut off from the other servers, and not from its clients; and perhaps stands still for so
    /// long that the others may have another leader when it goes on.
    fn depose(&mut self) {
        let leader = self.servers.iter().find(|server| server.led_by == server.id.server()).map(|server| server.id);
        let id = if self.chances.faults.below(4) > 0 { leader.unwrap_or(Id(0)) } else { self.some_server() };
        self.note_cell(id, "deposed");
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.network.block(id, other);
            self.network.block(other, id);
        }
        self.check_all_links();
        let limit_us = self.swarm.timing.sync_limit_ms * 1000;
        let still_us = [0, limit_us, 2 * limit_us][self.chances.faults.below(3) as usize];
        self.server(id).paused_until_us = self.now_us + still_us;
        let in_us = limit_us + self.chances.faults.below(2 * limit_us);
        self.schedule(in_us, None, Event::Fault(Fault::Rejoin(id)));
    }

    fn clog_some(&mut self, id: Id) {
        let other = self.some_server();
        self.note_cell(id, "clogged");
        let until_us = self.now_us + self.chances.faults.below(self.swarm.network.clog_ms * 1000);
        self.network.clog(id, other, until_us);
    }
}

/// A bit has changed, or a sector was written over another one, or was never written.
fn damage(disk: &SimDisk, seed: u64) {
    let mut rng = Rng::new(seed);
    let sector = disk.faults().sector_bytes;
    let paths = disk.paths();
    let path = &paths[rng.below(paths.len() as u64) as usize];
    disk.tamper(path, |content| {
        let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let sectors = (used / sector) as u64;
        match rng.below(3) {
            1 if sectors > 1 => {
                let [from, to] = [0; 2].map(|_| rng.below(sectors) as usize * sector);
                content.copy_within(from..from + sector, to);
            }
            2 if sectors > 1 => {
                let at = rng.below(sectors) as usize * sector;
                content[at..at + sector].fill(0);
            }
            _ if used > 0 => content[rng.below(used as u64) as usize] ^= 1 << rng.below(8),
            _ => {}
        }
    });
}
