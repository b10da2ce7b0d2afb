//! `Server`: one machine with its disk and clocks, and the process that runs on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate::durable::{LogWork, SnapshotWork};
use quorate_replica::{Delivery, DiskOp, Effects, Hint, Input, Outbox, Replica, SnapshotOp};
use quorate_storage::{SimDisk, Standing};
use quorate_types::{Now, OutboxId, ServerId, WatchId, Zxid};
use quorate_zab::ConnectionId;

/// A server's place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) usize);

impl Id {
    pub(crate) fn server(self) -> ServerId {
        ServerId(self.0 as u8 + 1)
    }

    pub(crate) fn of(server: ServerId) -> Id {
        Id(usize::from(server.0) - 1)
    }
}

/// A machine.
pub(crate) struct Server {
    pub(crate) id: Id,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Clock,
    /// Counts its processes.
    pub(crate) incarnation: u64,
    pub(crate) process: Option<Process>,
    pub(crate) paused_until_us: u64,
    /// At this operation the disk, and with it the machine, stops.
    pub(crate) stop_at: Option<u64>,
    /// What an operation of its log takes at most.
    pub(crate) disk_us: u64,
    /// As its disk says, as far as that is certain.
    pub(crate) standing: Standing,
    /// What its disk held is damaged, which it has not found out yet.
    pub(crate) is_damaged: bool,
    /// It must not run any more.
    pub(crate) is_retired: bool,
    /// Whom it serves under; nobody if it does not.
    pub(crate) led_by: ServerId,
}

/// The clocks of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub(crate) offset_ms: u64,
    /// So many parts per million of true time; 1,000,000 is right.
    pub(crate) rate: u64,
    pub(crate) wall_ms: i64,
}

impl Clock {
    pub(crate) fn now(&self, now_us: u64) -> Now {
        let passed_ms = now_us / 1000 * self.rate / 1_000_000;
        Now { monotonic_ms: self.offset_ms + passed_ms, wall_ms: self.wall_ms + passed_ms as i64 }
    }
}

/// A running server: the replica, and what the threads around it hold.
pub(crate) struct Process {
    pub(crate) replica: Replica,
    pub(crate) effects: Effects,
    pub(crate) lanes: InboxLanes,
    pub(crate) is_turn_due: bool,
    /// Everything that arrived before this moment was stepped.
    pub(crate) heard_ms: u64,
    pub(crate) log: LogWork<SimDisk>,
    pub(crate) log_queue: Vec<DiskOp>,
    /// What the log thread is doing now.
    pub(crate) log_batch: Vec<DiskOp>,
    pub(crate) is_log_due: bool,
    pub(crate) hint: Hint,
    /// What the log thread was given and has not made durable: a full disk may keep it waiting.
    pub(crate) stuck: VecDeque<DiskOp>,
    /// The log thread has room to prepare.
    pub(crate) is_log_unfinished: bool,
    /// Counts the moments at which the log thread had nothing to do, and the one that is to end with some idle work.
    pub(crate) idles: u64,
    pub(crate) idle_due: u64,
    pub(crate) snapshots: SnapshotWork<SimDisk>,
    pub(crate) snapshot_queue: VecDeque<SnapshotOp>,
    pub(crate) is_snapshot_due: bool,
    pub(crate) outboxes: BTreeMap<OutboxId, Outbox>,
    /// Those of which the replica has taken leave: it hears nothing of them any more, whether their clients know or not.
    pub(crate) ended: BTreeSet<OutboxId>,
    pub(crate) lagged: Vec<(OutboxId, WatchId)>,
    pub(crate) aside: Aside,
    /// Snapshots that may be fetched, by the connection to the learner.
    pub(crate) offered: BTreeMap<ConnectionId, Zxid>,
    /// With whom it keeps a link.
    pub(crate) members: BTreeSet<Id>,
    pub(crate) next_outbox: u64,
}

impl Process {
    /// Whether the replica has taken leave of an outbox, in this turn or an earlier one.
    pub(crate) fn has_ended(&self, outbox: OutboxId) -> bool {
        let ends =
            |(ended, delivery): &(OutboxId, Delivery)| *ended == outbox && matches!(delivery, Delivery::Close(_));
        self.ended.contains(&outbox) || self.effects.outbox.iter().any(ends)
    }
}

/// What has arrived and was not stepped yet.
#[derive(Default)]
pub(crate) struct InboxLanes {
    pub(crate) disk: VecDeque<Input>,
    /// With how many signs of life the sender had told of.
    pub(crate) peers: VecDeque<(Input, usize)>,
    pub(crate) clients: VecDeque<Input>,
}

/// The one place where a snapshot that comes from a leader is put.
#[derive(Default)]
pub(crate) enum Aside {
    #[default]
    Free,
    /// It is being received in this session.
    Taken(ConnectionId),
    /// It is complete, and the replica has not heard of it yet.
    Received(ConnectionId),
    /// It is being put in the place of what was there.
    Installing,
}
