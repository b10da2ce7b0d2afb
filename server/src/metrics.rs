//! `Metrics`: what the server counts, as Prometheus reads it.
//!
//! Everything that is counted for a request is a counter found by index, without a lookup or a lock.

mod agreement;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use quorate_types::{Code, Op, ReadOp, Response, Status, WriteOp};

use self::agreement::Agreement;
use crate::process;

/// The names of operations, in the order of [`op_index`].
const OPS: [&str; 25] = [
    "create",
    "delete",
    "set_data",
    "set_acl",
    "check",
    "multi",
    "delete_tree",
    "get",
    "exists",
    "children",
    "get_acl",
    "ephemerals",
    "count_descendants",
    "multi_read",
    "sync",
    "session",
    "watch",
    "stream_tree",
    "status",
    "members",
    "reconfigure",
    "transfer_leadership",
    "snapshot",
    "restore",
    "check_access",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OpLabel {
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The server's metrics and the registry that names them.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: [Counter; OPS.len()],
    /// By [`Code`] number; 0 is for what did not fail.
    replies: Vec<Counter>,
    call_seconds: Histogram,
    log_batch_records: Histogram,
    log_batch_bytes: Histogram,
    log_sync_seconds: Histogram,
    turns: Counter,
    stalls: Counter,
    snapshots: Counter,
    snapshots_failed: Counter,
    snapshot_seconds: Histogram,
    watches_lagged: Counter,
    outboxes_lost: Counter,
    connections: Gauge,
    connections_refused: Counter,
    pub(crate) agreement: Agreement,
    state: StateGauges,
}

/// Read off the replica whenever somebody asks.
#[derive(Default)]
struct StateGauges {
    serving: Gauge,
    disk_full: Gauge,
    epoch: Gauge<u64, AtomicU64>,
    applied: Gauge<u64, AtomicU64>,
    durable: Gauge<u64, AtomicU64>,
    snapshot: Gauge<u64, AtomicU64>,
    history: Gauge<u64, AtomicU64>,
    znodes: Gauge<u64, AtomicU64>,
    data_bytes: Gauge<u64, AtomicU64>,
    ephemerals: Gauge<u64, AtomicU64>,
    sessions: Gauge<u64, AtomicU64>,
    watches: Gauge<u64, AtomicU64>,
    outboxes: Gauge<u64, AtomicU64>,
    inbox_operations: Gauge<u64, AtomicU64>,
    inbox_peers: Gauge<u64, AtomicU64>,
    calls: Gauge<u64, AtomicU64>,
    resident_bytes: Gauge<u64, AtomicU64>,
    cpu_seconds: Gauge<f64, AtomicU64>,
    open_files: Gauge<u64, AtomicU64>,
}

/// How long the queues into the replica are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queues {
    pub(crate) inbox_operations: usize,
    pub(crate) inbox_peers: usize,
    pub(crate) calls: usize,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("quorate");
        let requests: Family<OpLabel, Counter> = Family::default();
        registry.register("requests", "Requests that were stepped, by operation", requests.clone());
        let replies: Family<ResultLabel, Counter> = Family::default();
        registry.register("replies", "Replies, by result", replies.clone());
        let results = std::iter::once("OK").chain(Code::ALL.iter().map(|code| code.reason()));
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        registry.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let connections = Gauge::default();
        registry.register("connections", "Connections that are open", connections.clone());
        Metrics {
            requests: OPS.map(|op| requests.get_or_create(&OpLabel { op }).clone()),
            replies: results.map(|result| replies.get_or_create(&ResultLabel { result }).clone()).collect(),
            call_seconds: seconds(&mut registry, "call_duration", "From a unary call to its answer", 50e-6),
            log_batch_records: histogram(&mut registry, "log_batch_records", "Records written at once", None, 1.0),
            log_batch_bytes: histogram(&mut registry, "log_batch", "Written at once", Some(Unit::Bytes), 128.0),
            log_sync_seconds: seconds(&mut registry, "log_sync_duration", "Writing and syncing one batch", 50e-6),
            turns: counter(&mut registry, "driver_turns", "Turns of the loop that steps the replica"),
            stalls: counter(&mut registry, "driver_stalls", "Turns of the loop that took over 20 ms"),
            snapshots: counter(&mut registry, "snapshots", "Snapshots written"),
            snapshots_failed: counter(&mut registry, "snapshots_failed", "Snapshots that could not be written"),
            snapshot_seconds: seconds(&mut registry, "snapshot_duration", "Writing one snapshot", 1e-3),
            watches_lagged: counter(
                &mut registry,
                "watches_lagged",
                "Watches canceled because they were read too slowly",
            ),
            outboxes_lost: counter(&mut registry, "outboxes_lost", "Streams closed because they were read too slowly"),
            connections,
            connections_refused: counter(&mut registry, "connections_refused", "Connections over the maximum"),
            agreement: Agreement::register(&mut registry),
            state: StateGauges::register(&mut registry),
            registry: Mutex::new(registry),
        }
    }

    pub(crate) fn request(&self, op: &Op) {
        self.requests[op_index(op)].inc();
    }

    pub(crate) fn reply(&self, response: &Response) {
        let index = response.as_ref().err().map_or(0, |error| error.code() as usize);
        self.replies[index].inc();
    }

    pub(crate) fn call(&self, took: Duration) {
        self.call_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn log_batch(&self, records: usize, bytes: usize, took: Duration) {
        self.log_batch_records.observe(records as f64);
        self.log_batch_bytes.observe(bytes as f64);
        self.log_sync_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn turn(&self, is_stall: bool) {
        self.turns.inc();
        if is_stall {
            self.stalls.inc();
        }
    }

    pub(crate) fn snapshot_written(&self, took: Duration) {
        self.snapshots.inc();
        self.snapshot_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn snapshot_failed(&self) {
        self.snapshots_failed.inc();
    }

    pub(crate) fn watches_lagged(&self, count: usize) {
        self.watches_lagged.inc_by(count as u64);
    }

    pub(crate) fn outbox_lost(&self) {
        self.outboxes_lost.inc();
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.inc();
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.dec();
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// Lets somebody else register what this process counts.
    pub(crate) fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock());
    }

    /// Everything, in the text format of OpenMetrics. Without a status, the state is what it was when last asked for.
    pub(crate) fn encode(&self, status: Option<&Status>, queues: Queues, into: &mut String) -> std::fmt::Result {
        if let Some(status) = status {
            self.state.set_status(status);
        }
        self.state.set_process(queues);
        prometheus_client::encoding::text::encode(into, &self.registry.lock())
    }
}

impl StateGauges {
    fn register(registry: &mut Registry) -> StateGauges {
        let gauges = StateGauges::default();
        registry.register("serving", "Whether the server can serve writes", gauges.serving.clone());
        registry.register("disk_full", "Whether writes are refused for lack of space", gauges.disk_full.clone());
        for (name, help, gauge) in [
            ("epoch", "Epoch of the leader that is followed", &gauges.epoch),
            ("applied_zxid", "The last txn that is applied", &gauges.applied),
            ("durable_zxid", "The last txn that is durable here", &gauges.durable),
            ("snapshot_zxid", "The newest snapshot", &gauges.snapshot),
            ("history_zxid", "The oldest zxid from which a watch can resume", &gauges.history),
            ("znodes", "Znodes", &gauges.znodes),
            ("ephemerals", "Ephemeral znodes", &gauges.ephemerals),
            ("sessions", "Sessions that live", &gauges.sessions),
            ("watches", "Watches of this server's clients", &gauges.watches),
            ("outboxes", "Streams of clients that are open", &gauges.outboxes),
            ("inbox_operations", "Operations that wait to be stepped", &gauges.inbox_operations),
            ("inbox_peers", "Messages of other servers that wait to be stepped", &gauges.inbox_peers),
            ("calls", "Unary calls under way", &gauges.calls),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit("data", "Data of znodes", Unit::Bytes, gauges.data_bytes.clone());
        let process = registry.sub_registry_with_prefix("process");
        process.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, gauges.resident_bytes.clone());
        process.register_with_unit("cpu", "User and system time so far", Unit::Seconds, gauges.cpu_seconds.clone());
        process.register("open_fds", "Open file descriptors", gauges.open_files.clone());
        gauges
    }

    fn set_status(&self, status: &Status) {
        self.serving.set(i64::from(status.serving));
        self.disk_full.set(i64::from(status.disk_full));
        self.epoch.set(u64::from(status.epoch.0));
        self.applied.set(status.applied.0);
        self.durable.set(status.durable.0);
        self.snapshot.set(status.snapshot.0);
        self.history.set(status.history.0);
        self.znodes.set(status.znodes);
        self.data_bytes.set(status.data_bytes);
        self.ephemerals.set(status.ephemerals);
        self.sessions.set(status.sessions);
        self.watches.set(status.watches);
        self.outboxes.set(status.outboxes);
    }

    fn set_process(&self, queues: Queues) {
        self.inbox_operations.set(queues.inbox_operations as u64);
        self.inbox_peers.set(queues.inbox_peers as u64);
        self.calls.set(queues.calls as u64);
        if let Some(usage) = process::usage() {
            self.resident_bytes.set(usage.resident_bytes);
            self.cpu_seconds.set(usage.cpu_seconds);
            self.open_files.set(usage.open_files);
        }
    }
}

fn seconds(registry: &mut Registry, name: &str, help: &str, first: f64) -> Histogram {
    histogram(registry, name, help, Some(Unit::Seconds), first)
}

/// Sixteen buckets, each twice the one before.
fn histogram(registry: &mut Registry, name: &str, help: &str, unit: Option<Unit>, first: f64) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(first, 2.0, 16));
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, histogram.clone()),
        None => registry.register(name, help, histogram.clone()),
    }
    histogram
}

/// What the operation with this index is called.
pub(crate) fn op_name(index: usize) -> &'static str {
    OPS[index]
}

pub(crate) fn op_index(op: &Op) -> usize {
    match op {
        Op::Write(WriteOp::Create { .. }) => 0,
        Op::Write(WriteOp::Delete { .. }) => 1,
        Op::Write(WriteOp::SetData { .. }) => 2,
        Op::Write(WriteOp::SetAcl { .. }) => 3,
        Op::Write(WriteOp::Check { .. }) => 4,
        Op::Multi(_) => 5,
        Op::DeleteTree { .. } => 6,
        Op::Read { op: ReadOp::Get { .. }, .. } => 7,
        Op::Read { op: ReadOp::Exists { .. }, .. } => 8,
        Op::Read { op: ReadOp::Children { .. }, .. } => 9,
        Op::Read { op: ReadOp::GetAcl { .. }, .. } => 10,
        Op::Read { op: ReadOp::Ephemerals { .. }, .. } => 11,
        Op::Read { op: ReadOp::CountDescendants { .. }, .. } => 12,
        Op::Read { op: ReadOp::Access { .. }, .. } => 24,
        Op::MultiRead(_) => 13,
        Op::Sync => 14,
        Op::OpenSession { .. } | Op::AttachSession { .. } | Op::CloseSession | Op::Touch => 15,
        Op::Watch(_) => 16,
        Op::StreamTree { .. } => 17,
        Op::Status => 18,
        Op::Members => 19,
        Op::Reconfigure { .. } => 20,
        Op::TransferLeadership { .. } => 21,
        Op::Snapshot => 22,
        Op::Restore(_) => 23,
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::{Error, Path, Reply};

    use super::*;

    #[test]
    fn what_was_counted_stands_in_the_text() {
        let metrics = Metrics::new();
        metrics.request(&Op::Read { op: ReadOp::Get { path: Path::root() }, watch: false });
        metrics.reply(&Ok(Reply::Synced));
        metrics.reply(&Err(Error::new(Code::Internal, "")));
        metrics.log_batch(3, 300, Duration::from_millis(1));
        let mut text = String::new();
        let status = Status { znodes: 42, serving: true, ..Status::default() };
        metrics.encode(Some(&status), Queues::default(), &mut text).unwrap();
        for line in [
            "quorate_requests_total{op=\"get\"} 1",
            "quorate_requests_total{op=\"status\"} 0",
            "quorate_replies_total{result=\"OK\"} 1",
            "quorate_replies_total{result=\"INTERNAL\"} 1",
            "quorate_log_batch_records_count 1",
            "quorate_log_batch_bytes_sum 300.0",
            "quorate_znodes 42",
            "quorate_serving 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_server_too_busy_to_say_what_it_holds_is_not_said_to_hold_nothing() {
        let metrics = Metrics::new();
        let status = Status { znodes: 42, serving: true, ..Status::default() };
        let queues = Queues { inbox_operations: 7, ..Queues::default() };
        let mut text = String::new();
        metrics.encode(Some(&status), Queues::default(), &mut text).unwrap();
        text.clear();
        metrics.encode(None, queues, &mut text).unwrap();
        for line in ["quorate_znodes 42", "quorate_serving 1", "quorate_inbox_operations 7"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
