//! Several replicas with disks that report at once and links that carry everything at once, but for servers that are cut
//! off.

mod restoring;

use alloc::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use quorate_tree::Tree;
use quorate_types::{Caller, ClusterId, CreateMode, Ensemble, MemberState, Path, WriteOp};
use quorate_zab::{ConnectionId, Origin, PeerOutput};

use super::*;
use crate::{ClientInput, Config, Delivery, DiskInput, DiskOp, Found, Input, Order, Recovery};

const ONE: ServerId = ServerId(1);
const TWO: ServerId = ServerId(2);
const THREE: ServerId = ServerId(3);
const FOUR: ServerId = ServerId(4);

/// Every server has one client, on one outbox without an order.
const OUTBOX: OutboxId = OutboxId(7);

struct Server {
    replica: Replica,
    out: Effects,
    answers: Vec<(Tag, Response)>,
}

struct World {
    servers: BTreeMap<ServerId, Server>,
    now: Now,
    /// The two ends of each session between servers.
    sessions: BTreeMap<ConnectionId, (ServerId, ServerId)>,
    sessions_so_far: u64,
    cut_off: BTreeSet<ServerId>,
    arriving: VecDeque<(ServerId, quorate_zab::Input)>,
    tags: u64,
}

impl World {
    /// Servers 1 to 3 vote; `joiners` have come to learn.
    fn new(joiners: &[ServerId]) -> World {
        let mut world = World {
            servers: BTreeMap::new(),
            now: Now { monotonic_ms: 1_000, wall_ms: 1_700_000_000_000 },
            sessions: BTreeMap::new(),
            sessions_so_far: 0,
            cut_off: BTreeSet::new(),
            arriving: VecDeque::new(),
            tags: 0,
        };
        for id in [ONE, TWO, THREE].iter().chain(joiners) {
            let founding = Members::founding([ONE, TWO, THREE]);
            let config = Config { hash_seed: 1, founding, ..Config::new(*id, ClusterId(9), 1) };
            let mut out = Effects::default();
            let mut replica = Recovery::new(config, Found::nothing(), Tree::new(1)).finish(world.now, &mut out);
            replica.step(Input::Client(ClientInput::Open { outbox: OUTBOX, order: Order::None }), world.now, &mut out);
            world.servers.insert(*id, Server { replica, out, answers: Vec::new() });
        }
        let ids = world.ids();
        for (a, b) in ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b) {
            world.arriving.push_back((a, quorate_zab::Input::LinkUp(b)));
        }
        world.pass(3_000);
        let is_serving = |server: &Server| server.replica.status().serving;
        assert!(world.servers.values().all(is_serving), "no leader");
        world
    }

    fn ids(&self) -> Vec<ServerId> {
        self.servers.keys().copied().collect()
    }

    fn leader(&self) -> ServerId {
        let leads = |(id, server): (&ServerId, &Server)| server.replica.is_established().then_some(*id);
        self.servers.iter().find_map(leads).unwrap()
    }

    fn follower(&self) -> ServerId {
        let leader = self.leader();
        [ONE, TWO, THREE].into_iter().find(|id| *id != leader).unwrap()
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / limits::TICK_MS {
            self.now.monotonic_ms += limits::TICK_MS;
            self.now.wall_ms += limits::TICK_MS as i64;
            for id in self.ids() {
                self.step(id, Input::Tick { heard_ms: self.now.monotonic_ms });
            }
            self.settle();
        }
    }

    fn step(&mut self, id: ServerId, input: Input) {
        let server = self.servers.get_mut(&id).unwrap();
        server.replica.step(input, self.now, &mut server.out);
    }

    /// Carries everything out that there is to be carried out.
    fn settle(&mut self) {
        loop {
            let mut is_at_rest = true;
            for id in self.ids() {
                is_at_rest &= !self.carry_out(id);
            }
            while let Some((id, input)) = self.arriving.pop_front() {
                is_at_rest = false;
                self.step(id, Input::Peer(input));
            }
            if is_at_rest {
                return;
            }
        }
    }

    fn carry_out(&mut self, id: ServerId) -> bool {
        let server = self.servers.get_mut(&id).unwrap();
        server.replica.flush(self.now, &mut server.out);
        let mut out = core::mem::take(&mut server.out);
        let replies = out.outbox.drain(..).map(|(_, delivery)| match delivery {
            Delivery::Reply { tag, response, .. } => (tag, response),
            other => panic!("{other:?}"),
        });
        server.answers.extend(replies);
        let synced = out.disk.iter().filter_map(DiskOp::token).max();
        let has_done = synced.is_some() || !out.peers.is_empty();
        if let Some(token) = synced {
            self.step(id, Input::Disk(DiskInput::Synced { incarnation: 1, token }));
        }
        for output in out.peers {
            self.peer(id, output);
        }
        has_done
    }

    fn peer(&mut self, from: ServerId, output: PeerOutput) {
        use quorate_zab::Input as To;
        match output {
            PeerOutput::Notify { to, notification } if self.passes(from, to) => {
                self.arriving.push_back((to, To::Notified { from, notification }));
            }
            PeerOutput::Dial { to } if self.passes(from, to) => {
                self.sessions_so_far += 1;
                let connection = ConnectionId(self.sessions_so_far);
                self.sessions.insert(connection, (from, to));
                let connected = |peer, origin| To::Connected { connection, peer, origin };
                self.arriving.push_back((from, connected(to, Origin::Dialed)));
                self.arriving.push_back((to, connected(from, Origin::Accepted)));
            }
            PeerOutput::Dial { to } => self.arriving.push_back((from, To::DialFailed { peer: to })),
            PeerOutput::Send { connection, message } => {
                if let Some(to) = self.other_end(connection, from).filter(|to| self.passes(from, *to)) {
                    self.arriving.push_back((to, To::Message { connection, message }));
                }
            }
            PeerOutput::Close { connection } => {
                if let Some(to) = self.other_end(connection, from) {
                    self.sessions.remove(&connection);
                    self.arriving.push_back((to, To::Disconnected(connection)));
                }
            }
            PeerOutput::Notify { .. } | PeerOutput::MembersChanged(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn other_end(&self, connection: ConnectionId, of: ServerId) -> Option<ServerId> {
        let (a, b) = *self.sessions.get(&connection)?;
        Some(if a == of { b } else { a })
    }

    fn passes(&self, a: ServerId, b: ServerId) -> bool {
        !self.cut_off.contains(&a) && !self.cut_off.contains(&b)
    }

    fn cut_off(&mut self, id: ServerId) {
        self.cut_off.insert(id);
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.arriving.push_back((id, quorate_zab::Input::LinkDown(other)));
            self.arriving.push_back((other, quorate_zab::Input::LinkDown(id)));
        }
        self.settle();
    }

    /// A client of a server asks. Its answer, if it has come by now.
    fn ask(&mut self, at: ServerId, op: Op) -> Option<Response> {
        let tag = self.send(at, op);
        self.settle();
        self.answer(at, tag)
    }

    fn send(&mut self, at: ServerId, op: Op) -> Tag {
        self.tags += 1;
        let request = Request::new(op, Arc::new(Caller::anonymous()));
        self.step(at, Input::Client(ClientInput::Request { outbox: OUTBOX, tag: Tag(self.tags), request }));
        Tag(self.tags)
    }

    fn answer(&mut self, at: ServerId, tag: Tag) -> Option<Response> {
        let answers = &mut self.servers.get_mut(&at).unwrap().answers;
        let found = answers.iter().position(|(answered, _)| *answered == tag)?;
        let (_, response) = answers.remove(found);
        assert!(answers.iter().all(|(answered, _)| *answered != tag), "answered twice");
        Some(response)
    }

    fn members(&mut self, at: ServerId) -> Option<Ensemble> {
        match self.ask(at, Op::Members)? {
            Ok(Reply::Ensemble(ensemble)) => Some(*ensemble),
            other => panic!("{other:?}"),
        }
    }

    fn reconfigure(&mut self, at: ServerId, change: MembersChange) -> Option<Response> {
        self.ask(at, Op::Reconfigure { change, if_version: None })
    }
}

fn steps(add: &[(ServerId, MemberRole)], remove: &[ServerId]) -> MembersChange {
    let address = |id: &ServerId| Some(Bytes::from(format!("host{id}")));
    let add = add.iter().map(|(id, role)| (*id, NewMember { role: *role, address: address(id) })).collect();
    MembersChange::Steps { add, remove: remove.iter().copied().collect() }
}

fn code(response: Option<Response>) -> Option<Code> {
    response.unwrap().err().map(|error| error.code())
}

fn servers(response: Option<Response>) -> Vec<ServerId> {
    match response {
        Some(Ok(Reply::Reconfigured(members))) => members.servers.into_keys().collect(),
        other => panic!("{other:?}"),
    }
}

const VOTER: MemberRole = MemberRole::Participant;
const OBSERVER: MemberRole = MemberRole::Observer;

#[test]
fn any_server_tells_what_the_leader_knows() {
    let mut world = World::new(&[FOUR]);
    let leader = world.leader();
    for at in world.ids() {
        let ensemble = world.members(at).unwrap();
        assert_eq!((ensemble.told_by, ensemble.leader, ensemble.members.len()), (leader, leader, 4), "asked {at}");
        assert!(ensemble.members.iter().all(|member| member.zxid.is_some()), "{ensemble:?}");
    }
}

#[test]
fn a_server_whose_leader_does_not_answer_tells_what_it_knows_itself() {
    let mut world = World::new(&[]);
    let (leader, follower) = (world.leader(), world.follower());
    world.cut_off.insert(leader);
    assert_eq!(world.members(follower), None, "the leader may still answer");
    let tag = Tag(world.tags);
    world.pass(limits::MEMBERS_WAIT_MS);
    let Some(Ok(Reply::Ensemble(ensemble))) = world.answer(follower, tag) else { panic!("no answer") };
    assert_eq!((ensemble.told_by, ensemble.leader), (follower, leader));

    world.cut_off(follower);
    world.pass(3_000);
    let ensemble = world.members(follower).unwrap();
    assert_eq!((ensemble.told_by, ensemble.leader), (follower, ServerId(0)));
    let of_itself = ensemble.members.iter().find(|member| member.server == follower).unwrap();
    assert_eq!(of_itself.state, MemberState::Looking);
}

#[test]
fn servers_join_and_leave_whomever_is_asked() {
    let mut world = World::new(&[FOUR]);
    let at = world.follower();
    assert_eq!(servers(world.reconfigure(at, steps(&[(FOUR, OBSERVER)], &[]))), [ONE, TWO, THREE, FOUR]);
    let added = world.members(at).unwrap();
    assert_eq!((added.quorum, added.pending, added.members[3].role), (2, None, Some(OBSERVER)));
    assert_eq!(added.members[3].address, "host4");
    assert_ne!(added.version, Zxid::ZERO);

    // It is an observer and becomes a voter, and is reached as before.
    let promoted = NewMember { role: VOTER, address: None };
    let change = MembersChange::Steps { add: [(FOUR, promoted)].into(), remove: BTreeSet::new() };
    assert_eq!(servers(world.reconfigure(FOUR, change)).len(), 4);
    let promoted = world.members(at).unwrap();
    assert_eq!((promoted.quorum, promoted.members[3].role), (3, Some(VOTER)));
    assert_eq!(promoted.members[3].address, "host4");

    assert_eq!(
        servers(world.reconfigure(FOUR, steps(&[], &[FOUR]))),
        [ONE, TWO, THREE],
        "the removed one is told, too"
    );
    assert_eq!(world.members(at).unwrap().quorum, 2);
}

#[test]
fn a_leader_that_removes_itself_answers_and_somebody_else_leads() {
    let mut world = World::new(&[]);
    let leader = world.leader();
    assert_eq!(servers(world.reconfigure(leader, steps(&[], &[leader]))).len(), 2);
    world.pass(1_000);
    assert_ne!(world.leader(), leader);
}

#[test]
fn what_is_so_already_is_no_change_whatever_the_version() {
    let mut world = World::new(&[FOUR]);
    let at = world.follower();
    let change = || steps(&[(FOUR, OBSERVER)], &[]);
    let first = world.reconfigure(at, change());
    let again = world.ask(at, Op::Reconfigure { change: change(), if_version: Some(Zxid::ZERO) });
    assert_eq!(again, first);
    assert_eq!(servers(world.reconfigure(at, steps(&[], &[ServerId(9)]))).len(), 4);
}

#[test]
fn a_change_is_refused_with_the_reason() {
    let mut world = World::new(&[]);
    for at in [world.leader(), world.follower()] {
        let mut refused = |change, if_version| code(world.ask(at, Op::Reconfigure { change, if_version }));
        let promoted = NewMember { role: VOTER, address: None };
        let unknown = MembersChange::Steps { add: [(FOUR, promoted)].into(), remove: BTreeSet::new() };
        assert_eq!(refused(unknown, None), Some(Code::NoServer));
        assert_eq!(refused(steps(&[(TWO, OBSERVER)], &[TWO]), None), Some(Code::BadArguments));
        assert_eq!(refused(steps(&[], &[ONE, TWO, THREE]), None), Some(Code::BadArguments));
        assert_eq!(refused(steps(&[], &[TWO]), Some(Zxid(5))), Some(Code::BadVersion));
        // Of the four new voters none is there; three of seven are no quorum.
        let absent: Vec<_> = (4..=7).map(|id| (ServerId(id), VOTER)).collect();
        assert_eq!(refused(steps(&absent, &[]), None), Some(Code::ServersNotReady));
    }
}

#[test]
fn of_two_changes_at_once_the_same_one_is_joined_and_another_one_refused() {
    let mut world = World::new(&[FOUR]);
    let leader = world.leader();
    let op = |change| Op::Reconfigure { change, if_version: None };
    let change = || steps(&[(FOUR, OBSERVER)], &[]);
    let first = world.send(leader, op(change()));
    let same = world.send(leader, op(change()));
    let other = world.send(leader, op(steps(&[], &[FOUR, TWO])));
    world.settle();
    let done = world.answer(leader, first);
    assert_eq!(servers(done.clone()).len(), 4);
    assert_eq!(world.answer(leader, same), done);
    let refused = world.answer(leader, other);
    assert_eq!(code(refused), Some(Code::ReconfigInProgress));
}

#[test]
fn leadership_goes_where_it_is_asked_to_go() {
    let mut world = World::new(&[]);
    for target in [ONE, TWO, THREE, TWO] {
        for at in world.ids() {
            let op = Op::TransferLeadership { target: Some(target) };
            let tag = world.send(at, op);
            world.pass(500);
            let leader = Reply::LeadershipTransferred { leader: target };
            assert_eq!(world.answer(at, tag), Some(Ok(leader)), "asked {at}");
            assert_eq!(world.leader(), target);
        }
    }
    let (leader, at) = (world.leader(), world.follower());
    let tag = world.send(at, Op::TransferLeadership { target: None });
    world.pass(500);
    assert_ne!(world.leader(), leader);
    assert_eq!(world.answer(at, tag), Some(Ok(Reply::LeadershipTransferred { leader: world.leader() })));
}

#[test]
fn a_transfer_to_somebody_who_cannot_lead_is_refused() {
    let mut world = World::new(&[FOUR]);
    let leader = world.leader();
    assert_eq!(servers(world.reconfigure(leader, steps(&[(FOUR, OBSERVER)], &[]))).len(), 4);
    for at in [leader, world.follower()] {
        let mut refused = |target| code(world.ask(at, Op::TransferLeadership { target: Some(target) }));
        assert_eq!(refused(ServerId(9)), Some(Code::NoServer));
        assert_eq!(refused(FOUR), Some(Code::BadArguments));
    }
    let (follower, leader) = (world.follower(), world.leader());
    let gone = [ONE, TWO, THREE].into_iter().find(|id| *id != leader && *id != follower).unwrap();
    world.cut_off(gone);
    world.pass(3_000);
    let op = Op::TransferLeadership { target: Some(gone) };
    let refused = world.ask(follower, op);
    assert_eq!(code(refused), Some(Code::ServersNotReady));
    assert_eq!(world.leader(), leader);
}

#[test]
fn a_transfer_that_its_target_does_not_take_up_is_answered_and_so_is_what_was_written_meanwhile() {
    let mut world = World::new(&[]);
    let (leader, at) = (world.leader(), world.follower());
    let target = [ONE, TWO, THREE].into_iter().find(|id| *id != leader && *id != at).unwrap();
    // It does not hear, and nobody has noticed yet; so it lacks a txn, and cannot be handed over to.
    world.cut_off.insert(target);
    let create = |path| {
        let (path, acl) = (Path::new(path).unwrap(), quorate_types::Acl::OPEN.entries());
        Op::Write(WriteOp::Create { path, data: None, acl, mode: CreateMode::Persistent, parents: false })
    };
    assert!(world.ask(leader, create("/a")).is_some_and(|response| response.is_ok()));
    let asked = [leader, at].map(|at| (at, world.send(at, Op::TransferLeadership { target: Some(target) })));
    world.settle();
    let written = world.send(at, create("/b"));
    world.settle();
    assert_eq!(world.answer(at, written), None);
    world.pass(limits::TRANSFER_WAIT_MS + 100);
    let answered = asked.map(|(at, tag)| code(world.answer(at, tag)));
    // The second one comes while the first is under way.
    assert_eq!(answered, [Some(Code::ServersNotReady), Some(Code::Unavailable)]);
    assert_eq!(world.leader(), leader);
    assert!(world.answer(at, written).is_some_and(|response| response.is_ok()));
}

#[test]
fn a_leader_whose_disk_is_full_leaves_it_to_a_server_with_room() {
    let mut world = World::new(&[FOUR]);
    let leader = world.leader();
    let others: Vec<ServerId> = [ONE, TWO, THREE].into_iter().filter(|id| *id != leader).collect();
    let fill = |world: &mut World, id, low| {
        world.step(id, Input::Disk(DiskInput::Space { low }));
        world.settle();
    };
    fill(&mut world, leader, true);
    world.pass(limits::FULL_LEADER_MS / 2);
    assert_eq!(world.leader(), leader, "it may have room again soon");
    fill(&mut world, leader, false);
    world.pass(limits::FULL_LEADER_MS);
    assert_eq!(world.leader(), leader);

    // The observer has room as well, but cannot lead.
    fill(&mut world, leader, true);
    fill(&mut world, others[0], true);
    world.pass(2 * limits::FULL_LEADER_MS);
    assert_eq!(world.leader(), others[1]);
    let write = WriteOp::SetData {
        path: Path::new("/").unwrap(),
        data: None,
        precondition: quorate_types::Precondition::None,
        create: None,
    };
    assert!(world.ask(others[1], Op::Write(write)).unwrap().is_ok());

    // If nobody has room, nothing is better elsewhere.
    fill(&mut world, others[1], true);
    world.pass(10 * limits::FULL_LEADER_MS);
    assert_eq!(world.leader(), others[1]);
    fill(&mut world, others[0], false);
    world.pass(2 * limits::FULL_LEADER_MS);
    assert_eq!(world.leader(), others[0]);
}
