//! What has to hold at every step, one function each or a few that are checked at the same event. Each failure names
//! its invariant first.

use std::collections::BTreeMap;

use quorate_types::{Epoch, Frame, FrameKind, Role, ServerId, Zxid};
use quorate_zab::{Configs, ConnectionId, Message, Phase, Position, Promise, Standing, Zab};

use crate::disk::{DiskOp, SimDisk};
use crate::ghost::{Committed, Ghost};
use crate::world::World;

/// ElectionSafety: one leader for each epoch. LogContinuity: every record is the legal successor of the one before.
/// LogMatching: two logs that hold the same zxid are identical up to there. ProcessConsistency: a follower that has the
/// marker of its leader's epoch has a prefix of its leader's log. ConfigSafety: the two records of a reconfiguration
/// alternate, and the second is logged only once the first is committed.
pub(crate) fn logged(world: &mut World, id: ServerId, frame: &Frame) {
    let at = Position { zxid: frame.zxid(), chain: frame.chain() };
    let ghost = &mut world.ghost;
    let last = ghost.history(id).last().copied().unwrap_or_default();
    assert!(frame.continues(last.zxid, last.chain), "LogContinuity: {id:?} logs {at:?} after {last:?}");
    let known = *ghost.chains.entry(at.zxid).or_insert((at.chain, frame.kind()));
    assert_eq!(known.0, at.chain, "LogMatching: {id:?} logs another {:?}", at.zxid);
    if frame.kind() == FrameKind::Marker {
        let leader = ServerId(frame.payload()[0]);
        let first = *ghost.markers.entry(at.zxid.epoch()).or_insert(leader);
        assert_eq!(first, leader, "ElectionSafety: two leaders of {:?}", at.zxid.epoch());
        if leader == id {
            leader_completeness(ghost, id, at.zxid.epoch());
            ghost.see("epoch begun");
        }
    }
    if matches!(frame.kind(), FrameKind::Reconfig | FrameKind::ConfigFinal) {
        config_safety(ghost, id, frame);
    }
    ghost.history(id).push(at);
    let leader = world.zab(id).and_then(Zab::leader).filter(|leader| *leader != id);
    let is_same_epoch = |zab: &&Zab| zab.role() == Role::Leading && zab.epoch() == at.zxid.epoch();
    if leader.and_then(|leader| world.zab(leader)).filter(is_same_epoch).is_some() {
        let ghost = &mut world.ghost;
        let length = ghost.history(id).len();
        let theirs = ghost.history(leader.unwrap()).get(length - 1).copied();
        assert_eq!(theirs, Some(at), "ProcessConsistency: {id:?} logs what {leader:?} has not at this place");
    }
}

/// When a leader of `epoch` finishes discovery, its log contains everything that leaders of earlier epochs have
/// committed.
fn leader_completeness(ghost: &mut Ghost, id: ServerId, epoch: Epoch) {
    let history = ghost.histories.entry(id).or_default();
    for (index, committed) in ghost.committed.iter().enumerate().filter(|(_, committed)| committed.by < epoch) {
        let has = history.get(index) == Some(&committed.at);
        assert!(has, "LeaderCompleteness: {id:?} begins {epoch:?} without {:?}", committed.at.zxid);
    }
}

fn config_safety(ghost: &mut Ghost, id: ServerId, frame: &Frame) {
    let kinds: Vec<(Zxid, FrameKind)> =
        ghost.history(id).clone().iter().map(|at| (at.zxid, ghost.chains[&at.zxid].1)).collect();
    let before = kinds.iter().rev().find(|(_, kind)| matches!(kind, FrameKind::Reconfig | FrameKind::ConfigFinal));
    let is_joint = before.is_some_and(|(_, kind)| *kind == FrameKind::Reconfig);
    let ends = frame.kind() == FrameKind::ConfigFinal;
    assert_eq!(is_joint, ends, "ConfigSafety: {id:?} logs {:?} after {before:?}", frame.kind());
    if ends {
        let begun = before.unwrap().0;
        assert!(ghost.index_of(begun).is_some(), "ConfigSafety: {begun:?} is final before it is committed");
        ghost.see("reconfigured");
    }
}

/// NoCommittedTruncation: no record that a leader has committed is removed from a log.
pub(crate) fn truncated(ghost: &mut Ghost, id: ServerId, after: Zxid) {
    let history = ghost.history(id);
    let keep = history.partition_point(|at| at.zxid <= after);
    let removed = history.split_off(keep);
    no_committed_truncation(ghost, id, &removed);
    let across = removed.first().is_some_and(|first| first.zxid.epoch() > after.epoch());
    ghost.see(if across { "truncated across epochs" } else { "truncated" });
}

fn no_committed_truncation(ghost: &Ghost, id: ServerId, removed: &[Position]) {
    for at in removed {
        let committed = ghost.index_of(at.zxid).is_some_and(|index| ghost.committed[index].at == *at);
        assert!(!committed, "NoCommittedTruncation: {id:?} removes {:?}", at.zxid);
    }
}

/// PrefixConsistency, Agreement, TotalOrder, Integrity: what servers deliver is one sequence, without a gap, and all of
/// it was committed by a leader.
pub(crate) fn delivered(ghost: &mut Ghost, id: ServerId, frame: &Frame) {
    let at = Position { zxid: frame.zxid(), chain: frame.chain() };
    let next = ghost.delivered.entry(id).or_default();
    let expected = ghost.committed.get(*next).map(|committed| committed.at);
    *next += 1;
    assert_eq!(Some(at), expected, "PrefixConsistency: {id:?} delivers what nobody has committed there");
    ghost.acknowledged = ghost.acknowledged.max(at.zxid);
}

/// A snapshot was installed: NoCommittedTruncation and PrefixConsistency again.
pub(crate) fn restored(ghost: &mut Ghost, id: ServerId, at: Position) {
    let index = ghost.index_of(at.zxid).filter(|index| ghost.committed[*index].at == at);
    let Some(index) = index else { panic!("PrefixConsistency: {id:?} restores {at:?}, which is not committed") };
    let prefix: Vec<Position> = ghost.committed[..=index].iter().map(|committed| committed.at).collect();
    let history = ghost.history(id);
    let removed: Vec<Position> = history.iter().filter(|old| old.zxid > at.zxid).copied().collect();
    *history = prefix;
    no_committed_truncation(ghost, id, &removed);
    let before = ghost.delivered.insert(id, index + 1);
    assert!(before <= Some(index + 1), "AppliedBound: {id:?} goes back from {before:?} to {}", index + 1);
    ghost.see("snapshot installed");
}

/// A process starts: what it has delivered is what its snapshot holds, its history what its disk holds.
pub(crate) fn restarted(ghost: &mut Ghost, id: ServerId, zab: &Zab, disk: &SimDisk) {
    let base = zab.history().delivered();
    let count = if base == Zxid::ZERO { 0 } else { ghost.index_of(base).map_or(0, |index| index + 1) };
    ghost.delivered.insert(id, count);
    let last = disk.last().zxid;
    let before_log: Vec<Position> = {
        let start = disk.log_start.zxid;
        let count = if start == Zxid::ZERO { 0 } else { ghost.index_of(start).unwrap() + 1 };
        ghost.committed[..count].iter().map(|committed| committed.at).collect()
    };
    let logged = disk.log.iter().map(|frame| Position { zxid: frame.zxid(), chain: frame.chain() });
    *ghost.history(id) = before_log.into_iter().chain(logged).collect();
    assert_eq!(ghost.history(id).last().map_or(Zxid::ZERO, |at| at.zxid), last);
}

/// What messages claim about a disk is so when they are said.
///
/// AckTruth: what is acknowledged is durable, and is the leader's. PromiseTruth: what is promised, or asked to be
/// promised, is durable; everything that goes with it as well. PromiseUniqueness: no server counts for two leaders of
/// one epoch.
pub(crate) fn said(world: &mut World, id: ServerId, connection: ConnectionId, message: &Message) {
    let disk = &world.servers[&id].disk;
    match message {
        Message::Ack { durable, standing, .. } => {
            let history = &world.ghost.histories.get(&id).cloned().unwrap_or_default();
            let chain = history.iter().rev().find(|at| at.zxid == *durable).map(|at| at.chain);
            let holds = *durable == Zxid::ZERO || chain.is_some_and(|chain| disk.holds(*durable, chain));
            assert!(holds, "AckTruth: {id:?} acknowledges {durable:?} and has {:?}", disk.last());
            assert_eq!(*standing, disk.standing, "AckTruth: the standing of {id:?}");
        }
        Message::AckEpoch { epoch, counts, last, .. } => {
            assert!(disk.promise.epoch >= *epoch, "PromiseTruth: {id:?} has durably promised {:?}", disk.promise);
            assert_eq!(disk.last(), *last, "PromiseTruth: the log of {id:?}");
            let leader = world.network.ends(connection, id).map(|(_, other)| other.server).unwrap();
            if *counts {
                let disk = &world.servers[&id].disk;
                let expected = Promise { epoch: *epoch, leader: Some(leader) };
                assert_eq!(disk.promise, expected, "PromiseTruth: {id:?} counts for another");
                assert_eq!(disk.standing, Standing::Voter, "PromiseTruth: {id:?} must not count");
                let first = *world.ghost.promised.entry((id, *epoch)).or_insert(leader);
                assert_eq!(first, leader, "PromiseUniqueness: {id:?} counts twice in {epoch:?}");
            }
        }
        Message::LeaderInfo { epoch } => {
            let expected = Promise { epoch: *epoch, leader: Some(id) };
            assert_eq!(disk.promise, expected, "PromiseTruth: leader {id:?} asks for what it has not promised");
        }
        Message::Append { frames, .. } => bounded_memory(world, id, connection, frames.len()),
        _ => {}
    }
}

/// BoundedMemory: what is on its way to one learner stays within the window and one more append.
fn bounded_memory(world: &mut World, id: ServerId, connection: ConnectionId, records: usize) {
    let limits = world.make.limits;
    let Some((_, other)) = world.network.ends(connection, id) else { return };
    let count = |message: &Message| if let Message::Append { frames, .. } = message { frames.len() } else { 0 };
    let on_way = other.incoming.iter().map(count).sum::<usize>() + records;
    let most = limits.window_records + limits.append_records_max.max(limits.append_bytes_max / 20);
    assert!(on_way <= most, "BoundedMemory: {on_way} records are on their way to {:?}", other.server);
}

/// An operation of a server's disk is durable.
pub(crate) fn durable(world: &mut World, id: ServerId, op: &DiskOp) {
    let is_voter = world.servers[&id].disk.standing == Standing::Voter;
    match op {
        DiskOp::Append(frame) if is_voter => {
            world.ghost.held.entry(frame.zxid()).or_default().insert(id);
        }
        DiskOp::Install(_) | DiskOp::Readmit if is_voter => {
            let last = world.servers[&id].disk.last().zxid;
            let zxids: Vec<Zxid> =
                world.ghost.history(id).iter().map(|at| at.zxid).filter(|zxid| *zxid <= last).collect();
            for zxid in zxids {
                world.ghost.held.entry(zxid).or_default().insert(id);
            }
        }
        DiskOp::Append(_) | DiskOp::Install(_) | DiskOp::Readmit | DiskOp::Truncate(_) | DiskOp::Promise(_) => {}
    }
    let is_quiet = matches!(op, DiskOp::Append(frame) if frame.kind() == FrameKind::Txn);
    if !is_quiet && !matches!(op, DiskOp::Promise(_)) {
        committed_never_lost(world);
    }
    if matches!(op, DiskOp::Readmit) {
        let is_beginning = world.servers[&id].disk.last().zxid == Zxid::ZERO;
        world.ghost.see(if is_beginning { "begun with others" } else { "readmitted" });
    }
}

/// AppliedBound: what is delivered is committed, and durable here.
pub(crate) fn applied_bound(world: &World, id: ServerId) {
    let Some(zab) = world.zab(id) else { return };
    let (delivered, commit, durable) = (zab.history().delivered(), zab.commit(), zab.durable());
    assert!(
        delivered <= commit.min(durable),
        "AppliedBound: {id:?} delivered {delivered:?} of {commit:?}, {durable:?}"
    );
}

/// CommitTruth: what a leader commits is durable with a quorum of every active configuration, and was proposed, or
/// covered by a marker, in the leader's own epoch.
pub(crate) fn commit_truth(world: &mut World, id: ServerId) {
    let Some(zab) = world.zab(id) else { return };
    let (commit, last) = (zab.commit(), zab.history().last());
    let configs = zab.history().configs().cloned().unwrap_or_else(|| Configs::of(world.founding()));
    if commit <= world.ghost.committed.last().map_or(Zxid::ZERO, |committed| committed.at.zxid) {
        return;
    }
    assert!(commit <= last, "CommitTruth: {id:?} commits {commit:?}, which it has not");
    let leader = world.ghost.markers.get(&commit.epoch()).copied();
    assert_eq!(leader, Some(id), "CommitTruth: {id:?} commits {commit:?} by counting the records of another leader");
    let held = world.ghost.held.get(&commit).cloned().unwrap_or_default();
    let is_quorum = configs.is_quorum(|server| held.contains(&server));
    assert!(is_quorum, "CommitTruth: {commit:?} is with {held:?} only, but {configs:?} is active");
    let ghost = &mut world.ghost;
    let history = ghost.history(id).clone();
    let upto = history.partition_point(|at| at.zxid <= commit);
    for (index, committed) in ghost.committed.iter().enumerate() {
        assert_eq!(history.get(index), Some(&committed.at), "CommitTruth: {id:?} commits a history without it");
    }
    let new = history[ghost.committed.len()..upto].iter().map(|at| Committed { at: *at, by: commit.epoch() });
    ghost.committed.extend(new);
    if commit.counter().is_multiple_of(8) {
        committed_never_lost(world);
    }
}

/// CommittedNeverLost: nobody who lacks a committed record could come to lead: those who lack it as well, and whose
/// logs are no longer than his, are no quorum in his eyes.
pub(crate) fn committed_never_lost(world: &mut World) {
    let Some(last) = world.ghost.committed.last().map(|committed| committed.at) else { return };
    let founding = Configs::of(world.founding());
    let lacks = |disk: &SimDisk| disk.standing == Standing::Voter && !disk.holds(last.zxid, last.chain);
    let lacking: BTreeMap<ServerId, Zxid> = world
        .servers
        .iter()
        .filter(|(_, server)| lacks(&server.disk))
        .map(|(id, server)| (*id, server.disk.last().zxid))
        .collect();
    for (id, log) in &lacking {
        let configs = world.servers[id].disk.configs(&founding);
        let would_follow = |server| lacking.get(&server).is_some_and(|theirs| theirs <= log);
        let could_lead = configs.is_voter(*id) && configs.is_quorum(would_follow);
        assert!(!could_lead, "CommittedNeverLost: {lacking:?} lack {last:?}, and {id:?} could lead them");
    }
}

/// A process has ended: what is on its disk now is durable.
pub(crate) fn survived(world: &mut World, id: ServerId) {
    let disk = &world.servers[&id].disk;
    if disk.standing == Standing::Voter {
        for frame in &disk.log {
            world.ghost.held.entry(frame.zxid()).or_default().insert(id);
        }
    }
    committed_never_lost(world);
}

/// A leader is established: everything up to its marker is delivered.
pub(crate) fn established(world: &mut World, id: ServerId, epoch: Epoch) {
    let zab = world.zab(id).unwrap();
    assert_eq!(zab.phase(), Phase::Broadcast);
    assert!(zab.history().delivered() >= Zxid::new(epoch, 0), "Established before the marker is delivered");
    world.ghost.see("established");
}

/// SyncFresh: a linearizable read waits for everything that was acknowledged to anybody before it was asked for.
pub(crate) fn read_fresh(ghost: &mut Ghost, read: u64, zxid: Zxid) {
    if let Some(acknowledged) = ghost.reads.remove(&read) {
        assert!(zxid >= acknowledged, "SyncFresh: read {read} waits for {zxid:?}, {acknowledged:?} was acknowledged");
        ghost.see("read answered");
    }
}
