//! Invariant: a full disk refuses writes, loses none that it took, and accepts new ones within a bounded time after
//! there is room.

use std::sync::Arc;

use bytes::Bytes;
use quorate_replica::outbox::OutboxLimits;
use quorate_replica::{ClientInput, Delivery, Input, Order, Outbox};
use quorate_storage::sim::Faults;
use quorate_types::{
    Acl, Caller, Code, Op, OutboxId, Path, Precondition, ReadOp, Request, Response, Tag, WriteOp, Zxid,
};

use super::{FULL_BYTES, World};

/// The log thread looks so often at a disk that is full, in milliseconds.
const LOOK_MS: u64 = 200;

/// One look may write what was stuck and thereby use the room that it found; the next one finds more.
const LOOKS_MAX: u64 = 2;

/// Writes of half a segment until the disk must have been noticed to be full: the rest of a segment, the spare, and
/// what the replica lets be under way.
const WRITES_MAX: usize = 50;

/// Turns without any time passing in which everybody is done.
const TURNS: usize = 20;

impl World {
    /// Fills the disk up and makes room again. Clients send nothing meanwhile.
    pub(super) fn outlive_a_full_disk(&mut self) {
        self.set_capacity(FULL_BYTES);
        let mut taken = Vec::new();
        while !self.is_full() {
            assert!(taken.len() < WRITES_MAX, "the disk is full, and writes are still accepted");
            let data = vec![7; self.swarm.segment_bytes as usize / 2];
            taken.push(self.ask(write(data)));
            self.settle();
            self.tick();
        }
        let (refused, read) = (self.ask(write(vec![])), self.ask(read()));
        self.settle();
        let refused = self.answer(refused).expect("a refusal needs no disk");
        assert_eq!(refused.map_err(|error| error.code()), Err(Code::DiskFull));
        self.answer(read).expect("a read needs no disk").expect("the root can be read");

        self.set_capacity(u64::MAX);
        self.await_room();
        let accepted = self.ask(write(vec![]));
        self.settle();
        for outbox in taken.into_iter().chain([accepted]) {
            let answer = self.answer(outbox).expect("every write is answered once there is room");
            assert!(answer.is_ok(), "a write that was taken before the disk was full: {answer:?}");
        }
        self.count("full disks outlived");
    }

    /// Time passes until writes are accepted. The log thread has just looked when the room comes; it does what comes up
    /// at once, and looks by itself when nothing did for a while.
    fn await_room(&mut self) {
        let room_ms = self.now.monotonic_ms;
        let mut worked_ms = room_ms;
        while self.is_full() {
            self.tick();
            let now_ms = self.now.monotonic_ms;
            let waited_ms = now_ms - room_ms;
            let waited_ms_max = LOOKS_MAX * LOOK_MS + self.swarm.tick_ms;
            assert!(waited_ms <= waited_ms_max, "there is room since {waited_ms} ms, and writes are still refused");
            if self.log_has_work() || now_ms >= worked_ms + LOOK_MS {
                worked_ms = now_ms;
                self.log_works();
                self.turn();
            }
        }
    }

    fn log_has_work(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.disk_queue.is_empty())
    }

    fn set_capacity(&self, capacity_bytes: u64) {
        self.disk.set_faults(Faults { capacity_bytes, ..self.disk.faults() });
    }

    fn is_full(&self) -> bool {
        self.process.as_ref().expect("the server runs").replica.status().disk_full
    }

    /// Everybody but the clock goes on.
    fn settle(&mut self) {
        for _ in 0..TURNS {
            self.log_works();
            self.turn();
        }
    }

    fn turn(&mut self) {
        (0..TURNS).for_each(|_| self.driver_turns());
        (0..self.clients.len()).for_each(|which| self.read_outbox(which));
    }

    /// Sends a request by itself, so that its answer waits for no other.
    fn ask(&mut self, op: Op) -> OutboxId {
        self.next_outbox += 1;
        let outbox = OutboxId(self.next_outbox);
        let request = Request::new(op, Arc::new(Caller::anonymous()));
        let process = self.process.as_mut().expect("the server runs");
        process.outboxes.insert(outbox, Outbox::new(OutboxLimits::default()));
        process.inputs.push_back(Input::Client(ClientInput::Open { outbox, order: Order::None }));
        process.inputs.push_back(Input::Client(ClientInput::Request { outbox, tag: Tag(1), request }));
        outbox
    }

    /// The answer to what [`World::ask`] sent, if there is one; nobody listens there any more.
    fn answer(&mut self, outbox: OutboxId) -> Option<Response> {
        let process = self.process.as_mut().expect("the server runs");
        let mut batch = Vec::new();
        process.outboxes.remove(&outbox).expect("it was asked for once").pop(&mut batch, usize::MAX);
        process.inputs.push_back(Input::Client(ClientInput::Closed { outbox }));
        match batch.pop() {
            None => None,
            Some(Delivery::Reply { zxid, response, .. }) => {
                self.history.acknowledged(if response.is_ok() { zxid } else { Zxid::ZERO });
                Some(response)
            }
            Some(other) => panic!("nobody asked for {other:?}"),
        }
    }
}

fn write(data: Vec<u8>) -> Op {
    Op::Write(WriteOp::SetData {
        path: Path::new("/full").unwrap(),
        data: Some(Bytes::from(data)),
        precondition: Precondition::None,
        create: Some(Acl::OPEN.entries()),
    })
}

fn read() -> Op {
    Op::Read { op: ReadOp::Get { path: Path::new("/").unwrap() }, watch: false }
}
