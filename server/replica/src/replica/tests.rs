//! One replica with a disk that reports when the test lets it.

mod effort;
mod restoring;

use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use quorate_types::{
    Caller, Consistency, CreateMode, Path, Precondition, ReadOp, Reply, SessionSecret, WatchOp, WatchScope, WriteOp,
};
use quorate_types::{SessionId, StreamTree, StreamWatch, WatchId};
use quorate_zab::Promise;

use super::*;
use crate::effect::{Delivery, DiskOp, SessionEnd, WatchItem};
use crate::{Found, Order, Recovery};

const SECRET: SessionSecret = SessionSecret([7; 16]);

struct Server {
    replica: Replica,
    now: Now,
    out: Effects,
    /// What was submitted and is not yet durable.
    submitted: Vec<DiskOp>,
    log: Vec<quorate_types::Frame>,
    promise: Promise,
}

fn config() -> Config {
    Config { hash_seed: 1, ..Config::new(ServerId(1), ClusterId(9), 1) }
}

impl Server {
    /// A fresh server that is established.
    fn new() -> Server {
        let mut server = Server::starting(config(), Vec::new(), Promise::default(), Zxid::ZERO);
        server.sync_all();
        assert!(server.replica.status().serving);
        server
    }

    fn starting(config: Config, log: Vec<quorate_types::Frame>, promise: Promise, commit: Zxid) -> Server {
        let found = Found { promise, commit, ..Found::nothing() };
        let mut recovery = Recovery::new(config, found, Tree::new(1));
        log.iter().cloned().for_each(|frame| recovery.push(frame));
        let (now, mut out) = (Now { monotonic_ms: 1_000, wall_ms: 1_700_000_000_000 }, Effects::default());
        let replica = recovery.finish(now, &mut out);
        let mut server = Server { replica, now, out, submitted: Vec::new(), log, promise };
        server.collect();
        server
    }

    fn collect(&mut self) {
        self.replica.flush(self.now, &mut self.out);
        self.submitted.append(&mut self.out.disk);
    }

    fn step(&mut self, input: Input) {
        self.replica.step(input, self.now, &mut self.out);
        self.collect();
    }

    /// The disk reports the oldest `count` operations.
    fn sync(&mut self, count: usize) {
        let mut last = 0;
        for op in self.submitted.drain(..count).collect::<Vec<_>>() {
            match op {
                DiskOp::Append { token, frame } => {
                    last = token;
                    self.log.push(frame);
                }
                DiskOp::Promise { token, accepted_epoch, accepted_leader } => {
                    last = token;
                    self.promise = Promise { epoch: accepted_epoch, leader: Some(accepted_leader) };
                }
                DiskOp::Purge { .. } => {}
                other => panic!("a server that is alone does not ask for {other:?}"),
            }
        }
        let incarnation = self.replica.config.incarnation;
        self.step(Input::Disk(DiskInput::Synced { incarnation, token: last }));
    }

    fn sync_all(&mut self) {
        while !self.submitted.is_empty() {
            self.sync(self.submitted.len());
        }
    }

    fn open(&mut self, outbox: u64, order: Order) {
        self.step(Input::Client(ClientInput::Open { outbox: OutboxId(outbox), order }));
    }

    fn request(&mut self, outbox: u64, tag: u64, request: Request) {
        self.step(Input::Client(ClientInput::Request { outbox: OutboxId(outbox), tag: Tag(tag), request }));
    }

    fn op(&mut self, outbox: u64, tag: u64, op: Op) {
        self.request(outbox, tag, request(op));
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / limits::TICK_MS {
            self.now.monotonic_ms += limits::TICK_MS;
            self.now.wall_ms += limits::TICK_MS as i64;
            self.step(Input::Tick { heard_ms: self.now.monotonic_ms });
            self.sync_all();
        }
    }

    /// Time passes, and the disk reports nothing.
    fn stall(&mut self, ms: u64) {
        for _ in 0..ms / limits::TICK_MS {
            self.now.monotonic_ms += limits::TICK_MS;
            self.step(Input::Tick { heard_ms: self.now.monotonic_ms });
        }
    }

    fn deliveries(&mut self) -> Vec<Delivery> {
        self.out.outbox.drain(..).map(|(_, delivery)| delivery).collect()
    }

    /// The replies so far, as `(tag, code of the error)`.
    fn replies(&mut self) -> Vec<(u64, Option<Code>)> {
        let replied = |delivery| match delivery {
            Delivery::Reply { tag, response, .. } => Some((tag.0, response.err().map(|error| error.code()))),
            _ => None,
        };
        self.deliveries().into_iter().filter_map(replied).collect()
    }

    fn open_session(&mut self, outbox: u64, tag: u64) -> SessionId {
        self.op(outbox, tag, Op::OpenSession { timeout_ms: 1_000, secret: SECRET });
        self.sync_all();
        match self.deliveries().pop() {
            Some(Delivery::Reply { response: Ok(Reply::Session { id, .. }), .. }) => id,
            other => panic!("{other:?}"),
        }
    }
}

fn request(op: Op) -> Request {
    Request::new(op, Arc::new(Caller::anonymous()))
}

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn create(at: &str, mode: CreateMode) -> Op {
    let acl = quorate_types::Acl::OPEN.entries();
    Op::Write(WriteOp::Create { path: path(at), data: Some(Bytes::from_static(b"x")), acl, mode, parents: false })
}

fn delete(at: &str) -> Op {
    Op::Write(WriteOp::Delete { path: path(at), precondition: Precondition::None })
}

fn stream(at: &str) -> Op {
    Op::StreamTree(StreamTree { path: path(at), with_data: true, depth_max: u32::MAX })
}

fn get(at: &str) -> Op {
    Op::Read { op: ReadOp::Get { path: path(at) }, watch: false }
}

#[test]
fn nothing_is_acknowledged_before_the_disk_has_reported_it() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    server.op(1, 2, create("/b", CreateMode::Persistent));
    assert_eq!(server.replies(), []);
    server.sync(1);
    assert_eq!(server.replies(), [(1, None)]);
    server.sync(1);
    assert_eq!(server.replies(), [(2, None)]);
}

#[test]
fn what_another_incarnation_asked_of_the_disk_is_ignored() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    server.step(Input::Disk(DiskInput::Synced { incarnation: 77, token: 1_000 }));
    assert_eq!(server.replies(), []);
}

#[test]
fn a_read_waits_for_the_earlier_writes_of_its_own_outbox_only() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.open(2, Order::Fifo);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    server.op(1, 2, get("/a"));
    server.op(1, 3, delete("/a"));
    server.op(1, 4, get("/a"));
    server.op(2, 5, get("/a"));
    assert_eq!(server.replies(), [(5, Some(Code::NoNode))]);
    server.sync_all();
    assert_eq!(server.replies(), [(1, None), (2, None), (3, None), (4, Some(Code::NoNode))]);
}

#[test]
fn an_error_that_rests_on_a_pending_write_waits_for_it() {
    let mut server = Server::new();
    server.open(1, Order::None);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    server.op(1, 2, create("/a", CreateMode::Persistent));
    server.op(1, 3, delete("/nothing"));
    assert_eq!(server.replies(), []);
    server.sync_all();
    assert_eq!(server.replies(), [(1, None), (2, Some(Code::NodeExists)), (3, Some(Code::NoNode))]);
    server.op(1, 4, delete("/nothing"));
    assert_eq!(server.replies(), [(4, Some(Code::NoNode))], "nothing is pending: answered at once");
}

#[test]
fn nothing_waits_in_line_behind_a_streamed_tree() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.op(1, 1, stream("/"));
    server.op(1, 2, get("/"));
    server.op(1, 3, stream("/nothing"));
    server.step(Input::Client(ClientInput::Ready { outbox: OutboxId(1) }));
    let mut replies = server.replies();
    replies.sort_unstable_by_key(|(tag, _)| *tag);
    assert_eq!(replies, [(1, None), (2, None), (3, Some(Code::NoNode))]);
}

#[test]
fn an_event_precedes_the_reply_that_shows_its_change() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    let watch = StreamWatch {
        id: WatchId(1),
        path: path("/a"),
        scope: WatchScope::Node,
        start: None,
        send_initial: false,
        with_data: false,
        with_previous_data: false,
        exclude: quorate_types::ChangeFilter::default(),
        progress_ms: 0,
    };
    server.op(1, 1, Op::Watch(WatchOp::Create(watch)));
    server.op(1, 2, create("/a", CreateMode::Persistent));
    server.sync_all();
    let order: Vec<&str> = server
        .deliveries()
        .iter()
        .map(|delivery| match delivery {
            Delivery::Watch { item: WatchItem::Created(_), .. } => "watching",
            Delivery::Watch { item: WatchItem::Events(_), .. } => "event",
            Delivery::Reply { tag: Tag(1), .. } => "watch done",
            Delivery::Reply { .. } => "reply",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, ["watching", "watch done", "event", "reply"]);
}

#[test]
fn a_silent_session_expires_with_its_ephemerals_and_its_outbox_is_told() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    let id = server.open_session(1, 1);
    server.request(1, 2, Request { session: Some((id, SECRET)), ..request(Op::AttachSession { exclusive: true }) });
    server.op(1, 3, create("/e", CreateMode::Ephemeral));
    server.sync_all();
    assert_eq!(server.replies(), [(2, None), (3, None)]);
    for _ in 0..5 {
        server.pass(800);
        server.op(1, 4, Op::Touch);
    }
    assert!(server.replica.tree().stat("/e").is_some());
    server.deliveries();
    server.pass(1_500);
    assert_eq!(server.deliveries(), [Delivery::Session { id, end: SessionEnd::Expired }]);
    assert!(server.replica.tree().stat("/e").is_none());
    server.op(1, 5, create("/f", CreateMode::Ephemeral));
    assert_eq!(server.replies(), [(5, Some(Code::SessionExpired))]);
}

#[test]
fn a_sign_of_life_counts_while_it_waits_for_the_writes_before_it() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    let id = server.open_session(1, 1);
    server.request(1, 2, Request { session: Some((id, SECRET)), ..request(Op::AttachSession { exclusive: true }) });
    server.op(1, 3, create("/slow", CreateMode::Persistent));
    for tag in 4..40 {
        server.stall(100);
        server.op(1, tag, Op::Touch);
    }
    server.sync_all();
    assert_eq!(server.replies().len(), 38);
    assert!(server.replica.tree().session(id).is_some());
}

#[test]
fn nobody_is_given_up_for_want_of_a_request_that_the_shell_holds_up() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    let id = server.open_session(1, 1);
    let heard_ms = server.now.monotonic_ms;
    for _ in 0..100 {
        server.now.monotonic_ms += limits::TICK_MS;
        server.step(Input::Tick { heard_ms });
    }
    server.sync_all();
    assert!(server.replica.tree().session(id).is_some());
    server.pass(500);
    assert!(server.replica.tree().session(id).is_none(), "there was nothing to be heard");
}

#[test]
fn a_wrong_secret_neither_speaks_for_a_session_nor_keeps_it_alive() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    let id = server.open_session(1, 1);
    for tag in 2..6 {
        server.pass(500);
        let stranger = Some((id, SessionSecret([8; 16])));
        server.request(1, tag, Request { session: stranger, ..request(Op::Touch) });
    }
    assert_eq!(server.replies().last(), Some(&(5, Some(Code::SessionExpired))));
}

#[test]
fn the_outbox_that_a_session_moved_away_from_is_fenced() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.open(2, Order::Fifo);
    let id = server.open_session(1, 1);
    let attach = Request { session: Some((id, SECRET)), ..request(Op::AttachSession { exclusive: true }) };
    server.request(1, 2, attach.clone());
    server.deliveries();
    server.request(2, 3, attach);
    let told = server.deliveries();
    assert!(matches!(told[0], Delivery::Session { end: SessionEnd::Moved, .. }), "{told:?}");
    assert!(matches!(&told[1], Delivery::Close(error) if error.code() == Code::SessionMoved), "{told:?}");
    server.op(1, 4, get("/"));
    assert_eq!(server.replies(), []);
}

#[test]
fn min_zxid_is_waited_for_unless_it_cannot_come() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    server.open(2, Order::None);
    let wanted = server.replica.zab.history().last();
    server.request(2, 2, Request { min_zxid: wanted, ..request(get("/a")) });
    server.request(2, 3, Request { min_zxid: Zxid(wanted.0 + 5), ..request(get("/a")) });
    server.request(2, 4, Request { min_zxid: Zxid(wanted.0 + 5), ..request(delete("/a")) });
    assert_eq!(server.replies(), [(3, Some(Code::ZxidUnknown)), (4, Some(Code::ZxidUnknown))]);
    server.sync_all();
    assert_eq!(server.replies(), [(1, None), (2, None)]);
}

#[test]
fn what_a_client_that_has_left_waited_for_is_not_done() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    let id = server.open_session(1, 1);
    let attach = Request { session: Some((id, SECRET)), ..request(Op::AttachSession { exclusive: true }) };
    server.request(1, 2, attach.clone());
    server.open(2, Order::Fifo);
    server.op(2, 1, create("/a", CreateMode::Persistent));
    server.open(3, Order::Fifo);
    server.request(3, 1, Request { min_zxid: server.replica.zab.history().last(), ..attach });
    server.step(Input::Client(ClientInput::Closed { outbox: OutboxId(3) }));
    server.deliveries();
    server.sync_all();
    assert_eq!(server.deliveries().len(), 1, "the connection that speaks for the session was fenced");
}

#[test]
fn clients_are_held_up_while_too_many_bytes_wait_behind_the_disk() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    let big = || Op::MultiRead(std::vec![ReadOp::Get { path: path(&std::format!("/{}", "x".repeat(1_000))) }; 4_000]);
    let mut tag = 2;
    while !server.replica.is_busy() {
        assert!(tag < 100, "nothing bounds what waits");
        server.op(1, tag, big());
        tag += 1;
    }
    server.sync_all();
    while server.replica.has_work() {
        server.collect();
    }
    assert!(!server.replica.is_busy());
    assert_eq!(server.replies().len() as u64, tag - 1);
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_reading() {
    let mut server = Server::new();
    server.open(1, Order::None);
    let id = server.open_session(1, 1);
    server.step(Input::Disk(DiskInput::Space { low: true }));
    server.op(1, 2, create("/a", CreateMode::Persistent));
    server.op(1, 3, get("/"));
    server.request(1, 4, Request { session: Some((id, SECRET)), ..request(Op::CloseSession) });
    server.sync_all();
    assert_eq!(server.replies(), [(2, Some(Code::DiskFull)), (3, None), (4, None)]);
    assert!(!server.replica.status().serving);
    server.step(Input::Disk(DiskInput::Space { low: false }));
    server.op(1, 5, create("/a", CreateMode::Persistent));
    server.sync_all();
    assert_eq!(server.replies(), [(5, None)]);
}

#[test]
fn writes_of_the_time_between_two_epochs_are_held_and_then_made() {
    let config = Config { counter_soft_max: 2, ..config() };
    let mut server = Server::starting(config, Vec::new(), Promise::default(), Zxid::ZERO);
    server.open(1, Order::Fifo);
    for tag in 1..=7 {
        server.op(1, tag, create(&std::format!("/{tag}"), CreateMode::Persistent));
    }
    server.request(1, 8, Request { consistency: Consistency::Linearizable, ..request(get("/7")) });
    server.sync_all();
    assert_eq!(server.replies().len(), 8);
    assert_eq!(server.replica.status().epoch.0, 4);
    assert_eq!(server.replica.status().applied, server.replica.status().logged);
}

#[test]
fn a_write_that_was_held_when_its_client_left_is_not_made() {
    let config = Config { counter_soft_max: 2, ..config() };
    let mut server = Server::starting(config, Vec::new(), Promise::default(), Zxid::ZERO);
    server.sync_all();
    server.open(1, Order::Fifo);
    server.open(2, Order::Fifo);
    for tag in 1..=3 {
        server.op(1, tag, create(&std::format!("/{tag}"), CreateMode::Persistent));
    }
    server.op(2, 1, create("/4", CreateMode::Persistent));
    assert_eq!(server.replica.waiting.held.len(), 2, "the epoch has room for two");
    server.step(Input::Client(ClientInput::Closed { outbox: OutboxId(1) }));
    server.sync_all();
    let there = [1, 2, 3, 4].map(|tag| server.replica.tree().stat(&std::format!("/{tag}")).is_some());
    assert_eq!(there, [true, true, false, true]);
    assert_eq!(server.replica.waiting.held_bytes, 0);
}

#[test]
fn a_leader_among_others_calls_no_zxid_of_a_later_epoch_unknown() {
    let mut server = Server::new();
    let last = server.replica.zab.history().last();
    let code = |server: &Server, zxid| server.replica.can_come(zxid).err().map(|error| error.code());
    let later = Zxid::new(last.epoch().next(), 1);
    assert_eq!([last.next(), later].map(|zxid| code(&server, zxid)), [Some(Code::ZxidUnknown); 2]);
    server.replica.is_alone = false;
    assert_eq!([last.next(), later].map(|zxid| code(&server, zxid)), [Some(Code::ZxidUnknown), None]);
}

#[test]
fn a_restart_gives_the_same_state_and_forgets_nothing_that_was_durable() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.open_session(1, 1);
    for tag in 2..50 {
        server.op(1, tag, create(&std::format!("/{tag}"), CreateMode::Persistent));
    }
    server.sync_all();
    let (digest, applied) = (server.replica.tree().digest(), server.replica.tree().applied());
    for commit in [Zxid::ZERO, Zxid(applied.0 - 10), applied] {
        let again = Config { incarnation: 2, ..config() };
        let mut restarted = Server::starting(again, server.log.clone(), server.promise, commit);
        assert_eq!(restarted.replica.tree().applied(), applied, "whoever comes before the disk has reported sees less");
        restarted.sync_all();
        assert_eq!(restarted.replica.tree().digest(), digest);
        assert_eq!(restarted.replica.tree().applied(), Zxid::new(applied.epoch().next(), 0));
    }
}

#[test]
fn what_a_start_replays_counts_towards_the_next_snapshot() {
    let config = Config { snapshot_records: 20, ..config() };
    let mut server = Server::starting(config.clone(), Vec::new(), Promise::default(), Zxid::ZERO);
    server.open(1, Order::Fifo);
    for tag in 1..=15 {
        server.op(1, tag, create(&std::format!("/{tag}"), CreateMode::Persistent));
    }
    server.sync_all();
    assert!(server.out.snapshot.is_empty());
    let mut server = Server::starting(config, server.log, server.promise, Zxid::ZERO);
    server.sync_all();
    server.open(2, Order::Fifo);
    for tag in 1..=5 {
        server.op(2, tag, create(&std::format!("/again-{tag}"), CreateMode::Persistent));
        server.sync_all();
    }
    assert!(!server.out.snapshot.is_empty());
}

#[test]
fn a_snapshot_is_written_chunk_by_chunk_while_writes_go_on() {
    let config = Config { snapshot_records: 20, ..config() };
    let mut server = Server::starting(config, Vec::new(), Promise::default(), Zxid::ZERO);
    server.open(1, Order::Fifo);
    for tag in 1..=30 {
        server.op(1, tag, create(&std::format!("/{tag}"), CreateMode::Persistent));
        server.sync_all();
    }
    let mut ops: Vec<_> = server.out.snapshot.drain(..).collect();
    while !matches!(ops.last(), Some(crate::SnapshotOp::Finish { .. })) {
        server.step(Input::Disk(DiskInput::SnapshotReady));
        ops.append(&mut server.out.snapshot);
    }
    let crate::SnapshotOp::Begin { zxid, .. } = ops[0] else { panic!("{ops:?}") };
    server.step(Input::Disk(DiskInput::SnapshotWritten { zxid, chain: 0, oldest_kept: Some(zxid) }));
    assert_eq!(server.submitted, [DiskOp::Purge { oldest_kept: zxid }]);
    let mut decoder = quorate_tree::SnapshotDecoder::new(1);
    for op in &ops {
        if let crate::SnapshotOp::Chunk(chunk) = op {
            decoder.push(chunk).unwrap();
        }
    }
    let restored = decoder.finish().unwrap();
    assert_eq!(restored.applied(), zxid);
    assert!(restored.stat("/15").is_some() && restored.stat("/30").is_none());
}

#[test]
fn a_snapshot_that_nobody_waits_for_any_more_is_not_used() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    server.sync_all();
    let (zxid, before) = (server.replica.tree().applied(), server.replica.status().snapshot);
    server.step(Input::Disk(DiskInput::SnapshotWritten { zxid, chain: 0, oldest_kept: Some(zxid) }));
    assert_eq!(server.replica.status().snapshot, before);
    assert_eq!(server.submitted, [], "the log that leads up to it is still needed");
}

impl Server {
    /// The snapshot writer does what it was told, up to the end of the snapshot. Which state that is, if there is one.
    fn write_snapshot(&mut self) -> Option<Zxid> {
        let mut zxid = None;
        loop {
            let ops: Vec<_> = self.out.snapshot.drain(..).collect();
            if let Some(crate::SnapshotOp::Begin { zxid: begun, .. }) = ops.first() {
                zxid = Some(*begun);
            }
            if matches!(ops.last()?, crate::SnapshotOp::Finish { .. }) {
                return zxid;
            }
            self.step(Input::Disk(DiskInput::SnapshotReady));
        }
    }

    fn snapshot_written(&mut self, zxid: Zxid) {
        self.step(Input::Disk(DiskInput::SnapshotWritten { zxid, chain: 0, oldest_kept: None }));
    }
}

#[test]
fn a_snapshot_is_taken_for_whoever_wants_one_and_holds_what_was_applied_then() {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.open(2, Order::None);
    server.op(1, 1, create("/a", CreateMode::Persistent));
    server.sync_all();
    let first = server.replica.tree().applied();
    server.replies();
    for tag in 2..=3 {
        server.op(2, tag, Op::Snapshot);
    }
    assert_eq!(server.write_snapshot(), Some(first));
    server.op(1, 4, create("/b", CreateMode::Persistent));
    server.sync_all();
    let second = server.replica.tree().applied();
    server.op(2, 5, Op::Snapshot);
    assert_eq!(server.replies(), [(4, None)], "nothing is there before it is written");
    server.snapshot_written(first);
    assert_eq!(server.replies(), [(2, None), (3, None)], "one snapshot is for all who can use it");
    assert_eq!(server.write_snapshot(), Some(second), "who came later wants a later state");
    server.snapshot_written(second);
    let taken = Delivery::Reply { tag: Tag(5), zxid: second, response: Ok(Reply::SnapshotTaken { zxid: second }) };
    assert_eq!(server.deliveries(), [taken]);
    server.op(2, 6, Op::Snapshot);
    assert_eq!((server.replies(), server.write_snapshot()), ([(6, None)].to_vec(), None), "there is one already");
}

#[test]
fn whoever_wants_a_snapshot_is_told_when_there_is_none_to_be_had() {
    let mut server = Server::new();
    server.open(1, Order::None);
    for tag in 0..=limits::SNAPSHOT_WAITERS_MAX as u64 {
        server.op(1, tag, Op::Snapshot);
    }
    let last = limits::SNAPSHOT_WAITERS_MAX as u64;
    assert_eq!(server.replies(), [(last, Some(Code::Throttled))]);
    server.step(Input::Disk(DiskInput::SnapshotFailed));
    let expected: Vec<_> = (0..last).map(|tag| (tag, Some(Code::Unavailable))).collect();
    assert_eq!(server.replies(), expected);
    server.out.snapshot.clear();
    server.step(Input::Disk(DiskInput::Space { low: true }));
    server.op(1, 99, Op::Snapshot);
    assert!(server.write_snapshot().is_some(), "another attempt");
    server.step(Input::Disk(DiskInput::SnapshotFailed));
    assert_eq!(server.replies(), [(99, Some(Code::DiskFull))]);
}
