//! `Faults`: what the random walk does to the world, and how much of it. Every seed draws its own mixture, since faults
//! that always come together hide what each of them would show alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_types::ServerId;
use quorate_zab::{Configs, Limits, Member, MemberRole, Members, Standing};

use crate::rng::Rng;
use crate::world::{Make, World};

/// How often, per thousand looks, each thing happens.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    crash: u64,
    restart: u64,
    wipe: u64,
    cut: u64,
    isolate: u64,
    one_way: u64,
    heal: u64,
    pause: u64,
    slow: u64,
    propose: u64,
    read: u64,
    snapshot: u64,
    purge: u64,
    transfer: u64,
    reconfigure: u64,
    /// When voters of an old configuration do not know yet that the new one is committed, they do not learn it.
    pub(crate) part: u64,
}

impl Faults {
    pub(crate) fn draw(rng: &mut Rng) -> Faults {
        let mut some = |most| if rng.chance(500) { rng.range(1, most) } else { 0 };
        Faults {
            crash: some(40),
            restart: 0,
            wipe: some(300),
            cut: some(80),
            isolate: some(20),
            one_way: some(20),
            heal: 0,
            pause: some(20),
            slow: some(30),
            propose: 0,
            read: some(300),
            snapshot: some(80),
            purge: some(60),
            transfer: some(20),
            reconfigure: some(400),
            part: 0,
        }
        .with(rng)
    }

    fn with(self, rng: &mut Rng) -> Faults {
        Faults { restart: rng.range(30, 300), heal: rng.range(20, 200), propose: rng.range(200, 950), ..self }
    }

    /// One look at the world: some of it happens.
    pub(crate) fn look(&self, world: &mut World) {
        let ids = world.ids();
        let id = world.rng.pick(&ids);
        let running = world.zab(id).is_some();
        let mut now = |per_mille| world.rng.chance(per_mille);
        let does = Does {
            crash: now(self.crash),
            restart: now(self.restart),
            wipe: now(self.wipe),
            cut: now(self.cut),
            isolate: now(self.isolate),
            one_way: now(self.one_way),
            heal: now(self.heal),
            pause: now(self.pause),
            slow: now(self.slow),
        };
        match running {
            true if does.crash => world.crash(id),
            false if does.wipe && may_lose_disk(world, id) => world.wipe(id),
            false if does.restart => world.start(id),
            _ => {}
        }
        self.disturb(world, id, &does);
        self.use_service(world, id);
        if self.part > 0 && world.rng.chance(self.part) {
            part_old_from_new(world);
        }
    }

    fn disturb(&self, world: &mut World, id: ServerId, does: &Does) {
        let ids = world.ids();
        let other = world.rng.pick(&ids);
        if does.cut {
            let sessions: Vec<_> = world.network.sessions.keys().copied().collect();
            if !sessions.is_empty() {
                let session = world.rng.pick(&sessions);
                world.cut(session);
            }
        }
        if does.isolate {
            for other in ids.iter().filter(|other| **other != id) {
                world.network.block(id, *other);
                world.network.block(*other, id);
            }
        }
        if does.one_way && other != id {
            world.network.block(id, other);
        }
        if does.heal {
            world.network.heal();
        }
        if does.isolate || does.one_way || does.heal {
            check_all_links(world);
        }
        if does.pause {
            let ms = world.rng.range(1, 600);
            world.server(id).paused_until_ms = world.now_ms + ms;
        }
        if does.slow {
            world.make.latency_ms.1 = world.rng.range(1, 40);
            world.make.disk_ms.1 = world.rng.range(1, 60);
        }
    }

    fn use_service(&self, world: &mut World, id: ServerId) {
        for _ in 0..2 {
            if world.rng.chance(self.propose) {
                let payload = vec![0; world.rng.range(1, 60) as usize];
                world.propose(id, &payload);
            }
        }
        if world.rng.chance(self.read) {
            world.read(id);
        }
        if world.rng.chance(self.snapshot) {
            world.take_snapshot(id);
        }
        if world.rng.chance(self.purge) {
            world.purge(id);
        }
        if world.rng.chance(self.transfer)
            && world.with(id, |zab, _| zab.transfer(None)).is_some_and(|done| done.is_ok())
        {
            world.ghost.see("transfer begun");
        }
        if world.rng.chance(self.reconfigure) {
            reconfigure(world, id);
        }
    }
}

/// What happens at one look.
struct Does {
    crash: bool,
    restart: bool,
    wipe: bool,
    cut: bool,
    isolate: bool,
    one_way: bool,
    heal: bool,
    pause: bool,
    slow: bool,
}

/// A world, drawn at random.
pub(crate) fn draw_world(rng: &mut Rng) -> Make {
    let servers = rng.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5]);
    let founders: Vec<u8> = (1..=servers).collect();
    let quiet = Make::of(&founders);
    let joiners = if rng.chance(500) { vec![ServerId(servers + 1), ServerId(servers + 2)] } else { Vec::new() };
    Make {
        joiners,
        counter_soft_max: rng.pick(&[3, 10, 40, 1_000_000]),
        limits: Limits {
            append_bytes_max: rng.pick(&[30, 200, 100_000]),
            append_records_max: rng.pick(&[1, 3, 1000]),
            window_bytes: rng.pick(&[1, 300, 1_000_000]),
            window_records: rng.pick(&[1, 8, 1000]),
            cache_bytes: rng.pick(&[0, 200, 1_000_000]),
            joiner_lag_max: rng.pick(&[0, 10, 1000]),
        },
        latency_ms: (0, rng.pick(&[1, 5, 20])),
        disk_ms: (0, rng.pick(&[1, 5, 30])),
        lies_per_mille: rng.pick(&[0, 0, 100, 700]),
        flush_per_mille: rng.pick(&[1000, 1000, 500]),
        ..quiet
    }
}

/// At most one disk is lost at a time, and only while the others are enough: more could not be recovered by anybody.
fn may_lose_disk(world: &World, id: ServerId) -> bool {
    let all_trusted = world.servers.values().all(|server| server.disk.standing == Standing::Voter);
    let founding = Configs::of(world.founding());
    let is_there = |server: ServerId| server != id && world.servers[&server].halted.is_none();
    let enough_without = |configs: &Configs| configs.pending().is_none() && configs.is_quorum(is_there);
    let in_logs = world.servers.values().all(|server| enough_without(&server.disk.configs(&founding)));
    let in_memory = world.servers.values().filter_map(|server| server.zab.as_ref()?.history().configs());
    all_trusted && in_logs && in_memory.into_iter().all(enough_without)
}

/// A server is asked to change the ensemble to a random one.
fn reconfigure(world: &mut World, id: ServerId) {
    let mut servers = BTreeMap::new();
    for server in world.ids() {
        let role = match world.rng.range(0, 3) {
            0 => continue,
            1 => MemberRole::Observer,
            _ => MemberRole::Participant,
        };
        servers.insert(server, Member { role, address: Bytes::new() });
    }
    let members = Members { servers, ..Members::default() };
    // An ensemble whose voters have no memory, or do not take part, would have to be given up.
    let trusted = |server: ServerId| {
        world.servers[&server].disk.standing == Standing::Voter && world.servers[&server].halted.is_none()
    };
    if members.voters().next().is_some() && Configs::of(members.clone()).is_quorum(trusted) {
        let begun = world.with(id, |zab, out| zab.reconfigure(members.servers, None, b"context", out).is_ok());
        if begun == Some(true) {
            world.ghost.see("reconfiguration begun");
            world.flush(id);
        }
    }
}

/// Voters that a committed configuration does not need any more, and that have logged it but do not know that it is
/// committed, are cut off from all others: by themselves they must not decide anything.
fn part_old_from_new(world: &mut World) {
    let running =
        || world.servers.iter().filter_map(|(id, server)| Some((*id, server.zab.as_ref()?.history(), server)));
    let committed = running().filter_map(|(_, _, server)| {
        let zab = server.zab.as_ref()?;
        let newest = zab.history().configs()?.newest()?;
        (newest.version <= zab.commit()).then(|| newest.clone())
    });
    let Some(newest) = committed.max_by_key(|members| members.version) else { return };
    let is_behind = |configs: &Configs| configs.pending().is_some_and(|pending| pending.version == newest.version);
    let outside: Vec<ServerId> = running()
        .filter(|(id, history, _)| !newest.is_voter(*id) && history.configs().is_some_and(is_behind))
        .map(|(id, ..)| id)
        .collect();
    for id in world.ids() {
        for other in outside.iter().filter(|_| !outside.contains(&id)) {
            world.network.block(id, *other);
            world.network.block(*other, id);
        }
    }
    if !outside.is_empty() {
        world.ghost.see("old parted from new");
        check_all_links(world);
    }
}

pub(crate) fn check_all_links(world: &mut World) {
    let ids = world.ids();
    for (index, a) in ids.iter().enumerate() {
        for b in &ids[index + 1..] {
            world.check_links(*a, *b);
        }
    }
}
