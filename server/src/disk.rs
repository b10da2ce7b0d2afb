//! `Disk`: the two threads that wait for the storage device, so that nobody else does.
//!
//! The log thread takes everything that was submitted since it last looked, writes it as one batch and syncs once:
//! while one sync runs, the next batch gathers. The snapshot thread writes the state in the background, at a pace that
//! leaves the device to the log. What they do is [`crate::durable`]; when they do it is decided here.
//!
//! A write or a sync of the log that fails ends the process: what is on the device is then unknown, and the kernel
//! reports such a failure only once. A full disk is no failure: writes are refused until there is room.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quorate_replica::{DiskInput, DiskOp, Effects, Hint, SnapshotOp};
use quorate_storage::{LogError, RealDisk, SnapshotInfo};

use crate::durable::{LogDone, LogWork, SnapshotWork};
use crate::handoff::{Handoff, Taken};
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::peers::Place;

/// The exit code after a failure of the storage device (`EX_IOERR`).
pub const EXIT_IO_ERROR: i32 = 74;

/// How often a full disk is looked at again: often enough to go on soon, rarely enough to cost nothing.
const FULL_RETRY: Duration = Duration::from_millis(200);

/// How long the log thread waits for work before it uses the time to prepare room: longer than a client that waits for
/// each answer takes to send its next request, which would find the device busy otherwise.
const IDLE_AFTER: Duration = Duration::from_millis(1);

/// How long nothing comes before the log thread says in the log that all of it is durable.
const REST_AFTER: Duration = Duration::from_secs(1);

/// After each chunk of a snapshot its thread rests this many times as long as the chunk took, so that the log has the
/// device for most of the time ...
const REST_FACTOR: u32 = 2;
/// ... at least this long, so that the driver encodes chunks only now and then ...
const REST_MIN: Duration = Duration::from_millis(2);
/// ... and at most this long, so that a slow device does not make it last for hours.
const REST_MAX: Duration = Duration::from_millis(100);

/// Work for the log thread.
#[derive(Debug)]
enum LogJob {
    Op(DiskOp),
    /// A snapshot was received and put aside.
    Received(SnapshotInfo),
    /// What the batch that ends here says about the state.
    Hint(Hint),
}

/// Work for the snapshot thread.
#[derive(Debug)]
enum SnapshotJob {
    Op(SnapshotOp),
    /// A snapshot was received and put aside; its place is taken until it is adopted ...
    Received(SnapshotInfo, Place),
    /// ... or will not be.
    Forget,
}

/// The way to the disk threads, and their owner.
pub(crate) struct Disk {
    log: Arc<Handoff<LogJob>>,
    snapshots: Arc<Handoff<SnapshotJob>>,
    log_thread: JoinHandle<()>,
    snapshot_thread: JoinHandle<()>,
}

impl Disk {
    /// Starts the threads. They report to `inbox`.
    pub(crate) fn start(
        log_work: LogWork<RealDisk>,
        snapshot_work: SnapshotWork<RealDisk>,
        inbox: &Inbox,
    ) -> std::io::Result<Disk> {
        let (log, snapshots) = (Arc::new(Handoff::default()), Arc::new(Handoff::default()));
        let log_thread = LogThread {
            jobs: Arc::clone(&log),
            work: log_work,
            hint: Hint::default(),
            inbox: inbox.clone(),
            metrics: Arc::clone(&inbox.shared().metrics),
        };
        let snapshot_thread = SnapshotThread {
            jobs: Arc::clone(&snapshots),
            work: snapshot_work,
            place: None,
            began: Instant::now(),
            inbox: inbox.clone(),
            metrics: Arc::clone(&inbox.shared().metrics),
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        Ok(Disk {
            log,
            snapshots,
            log_thread: thread("log").spawn(move || log_thread.run())?,
            snapshot_thread: thread("snapshot").spawn(move || snapshot_thread.run())?,
        })
    }

    /// Hands over what a turn wants of the disk. Never waits.
    pub(crate) fn submit(&self, effects: &mut Effects) {
        if !effects.disk.is_empty() {
            self.log.push(effects.disk.drain(..).map(LogJob::Op).chain([LogJob::Hint(effects.hint)]));
        }
        if !effects.snapshot.is_empty() {
            self.snapshots.push(effects.snapshot.drain(..).map(SnapshotJob::Op));
        }
    }

    /// Lets the threads know of a snapshot that was put aside, before the replica hears of it.
    pub(crate) fn received(&self, info: SnapshotInfo, place: Place) {
        self.log.push([LogJob::Received(info.clone())]);
        self.snapshots.push([SnapshotJob::Received(info, place)]);
    }

    /// The snapshot that was put aside will not be adopted.
    pub(crate) fn forget_received(&self) {
        self.snapshots.push([SnapshotJob::Forget]);
    }

    /// Lets the log thread finish what it has and mark the log as ended in order, gives up a snapshot that is being
    /// written, and waits for both to end.
    pub(crate) async fn stop(self) {
        self.snapshots.close();
        self.log.close();
        let join = || [self.snapshot_thread, self.log_thread].into_iter().all(|thread| thread.join().is_ok());
        if !matches!(tokio::task::spawn_blocking(join).await, Ok(true)) {
            tracing::error!("a disk thread has panicked");
        }
    }
}

struct LogThread {
    jobs: Arc<Handoff<LogJob>>,
    work: LogWork<RealDisk>,
    hint: Hint,
    inbox: Inbox,
    metrics: Arc<Metrics>,
}

impl LogThread {
    fn run(mut self) {
        let (mut jobs, mut ops) = (Vec::new(), Vec::new());
        // Until it is known that there is room ahead.
        let mut unfinished = true;
        loop {
            let wait = match (unfinished, self.work.is_low()) {
                (true, false) => Some(IDLE_AFTER),
                (true, true) => Some(FULL_RETRY),
                (false, _) => (!self.work.is_at_rest()).then_some(REST_AFTER),
            };
            let done = match self.jobs.take(&mut jobs, wait) {
                Taken::Some => self.write(&mut jobs, &mut ops).and_then(|done| {
                    self.report(done);
                    self.work.keep_room()
                }),
                Taken::Empty if unfinished => self.work.idle(self.hint),
                Taken::Empty => self.work.rest(self.hint),
                Taken::Closed => break,
            };
            unfinished = self.report(done.unwrap_or_else(|error| die(&error)));
        }
        if let Err(error) = self.work.close() {
            tracing::warn!(error = %error, "the log could not be ended in order: the next start will look closer");
        }
    }

    /// Writes one batch. `ops` is empty before and after.
    fn write(&mut self, jobs: &mut Vec<LogJob>, ops: &mut Vec<DiskOp>) -> Result<LogDone, LogError> {
        let (mut records, mut bytes) = (0, 0);
        for job in jobs.drain(..) {
            match job {
                LogJob::Op(op) => {
                    if let DiskOp::Append { frame, .. } = &op {
                        records += 1;
                        bytes += frame.bytes().len();
                    }
                    ops.push(op);
                }
                LogJob::Received(info) => self.work.received(info),
                LogJob::Hint(hint) => self.hint = hint,
            }
        }
        let began = Instant::now();
        let done = self.work.write(ops, self.hint)?;
        if records > 0 {
            self.metrics.log_batch(records, bytes, began.elapsed());
        }
        Ok(done)
    }

    fn report(&self, done: LogDone) -> bool {
        for input in done.inputs {
            match input {
                DiskInput::Space { low: true } => {
                    tracing::error!("the disk is full: writes are refused until there is room again");
                }
                DiskInput::Space { low: false } => tracing::info!("the disk has room again: writes are accepted"),
                _ => {}
            }
            self.inbox.shared().report(input);
        }
        done.unfinished
    }
}

struct SnapshotThread {
    jobs: Arc<Handoff<SnapshotJob>>,
    work: SnapshotWork<RealDisk>,
    /// Where a snapshot that was received waits to be adopted.
    place: Option<Place>,
    /// When the present snapshot did.
    began: Instant,
    inbox: Inbox,
    metrics: Arc<Metrics>,
}

impl SnapshotThread {
    fn run(mut self) {
        let mut jobs = Vec::new();
        while self.jobs.take(&mut jobs, None) != Taken::Closed {
            for job in jobs.drain(..) {
                if self.jobs.is_closed() {
                    // The next start writes another one; what there is of this one goes with its writer.
                    return;
                }
                match job {
                    SnapshotJob::Op(op) => self.carry_out(op),
                    SnapshotJob::Received(info, place) => {
                        self.work.received(info);
                        self.place = Some(place);
                    }
                    SnapshotJob::Forget => self.place = None,
                }
            }
        }
    }

    fn carry_out(&mut self, op: SnapshotOp) {
        let began = Instant::now();
        if let SnapshotOp::Begin { zxid, .. } = &op {
            self.began = began;
            tracing::info!(zxid = %zxid, "a snapshot begins");
        }
        let adopts = matches!(op, SnapshotOp::Adopt { .. });
        let input = match self.work.carry_out(op, || !self.jobs.is_closed()) {
            Ok(None) => {
                self.place.take_if(|_| adopts);
                return;
            }
            Ok(Some(input)) => input,
            Err(error) => {
                tracing::error!(error = %error, "a snapshot could not be written; the log still has everything");
                self.metrics.snapshot_failed();
                DiskInput::SnapshotFailed
            }
        };
        match &input {
            DiskInput::SnapshotReady => self.jobs.pause((began.elapsed() * REST_FACTOR).clamp(REST_MIN, REST_MAX)),
            DiskInput::SnapshotWritten { zxid, .. } => {
                let took = self.began.elapsed();
                tracing::info!(zxid = %zxid, took_ms = took.as_millis() as u64, "a snapshot is written and verified");
                self.metrics.snapshot_written(took);
            }
            _ => {}
        }
        self.inbox.shared().report(input);
    }
}

/// Ends the process because of the storage device.
fn die(error: &LogError) -> ! {
    tracing::error!(
        error = %error,
        "the storage device has failed and the process ends, because what is on the device is unknown now: \
         look at the device and its file system, then start the server again, which checks what is there"
    );
    std::process::exit(EXIT_IO_ERROR)
}
