//! How streaming watches begin and end.

use alloc::format;
use alloc::sync::Arc;

use quorate_types::{Caller, Code, Error, OutboxId, Resume, StreamWatch, WatchId, Zxid};
use smallvec::smallvec;

use super::Watches;
use super::initial::Initial;
use super::job::{Job, What};
use super::registry::Key;
use super::streams::{Stage, Streams};
use crate::{Delivery, Effects, WatchItem};

/// The bounds of the interval of progress markers, in milliseconds.
const PROGRESS_MS_MIN: u32 = 100;
const PROGRESS_MS_MAX: u32 = 600_000;

/// Why a watch is canceled by this server.
struct Refusal {
    error: Error,
    resume: Zxid,
    compacted: Option<Zxid>,
}

/// Where a watch begins.
enum Beginning {
    Now,
    Initial,
    After(Resume),
}

impl Watches {
    /// Begins a watch, or says why not.
    pub(super) fn begin(
        &mut self,
        applied: Zxid,
        outbox: OutboxId,
        caller: &Arc<Caller>,
        watch: &StreamWatch,
        out: &mut Effects,
    ) {
        if let Err(Refusal { error, resume, compacted }) = self.try_begin(applied, outbox, caller, watch, out) {
            let item = WatchItem::Canceled { error: Some(error), resume, compacted };
            out.outbox.push((outbox, single(watch.id, item)));
        }
    }

    fn try_begin(
        &mut self,
        applied: Zxid,
        outbox: OutboxId,
        caller: &Arc<Caller>,
        watch: &StreamWatch,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        let told = self.remove(outbox, watch.id);
        if let Some(told) = told {
            // Nothing may follow a `Canceled`, so the watch that had the name cannot go on either.
            let detail = format!("this connection has a watch {} already; both end now", watch.id.0);
            return Err(Refusal { error: Error::new(Code::BadArguments, detail), resume: told, compacted: None });
        }
        let resume = watch.start.map_or(Zxid::ZERO, told_before);
        let refuse = |error| Refusal { error, resume, compacted: None };
        let progress_ms = self.progress_ms(watch).map_err(refuse)?;
        let beginning = beginning(watch).map_err(refuse)?;
        let streaming_max = self.config.streaming_max;
        if self.streams_of(outbox).watches.len() >= streaming_max {
            let detail = format!("a connection may have {streaming_max} watches");
            return Err(refuse(Error::new(Code::QuotaExceeded, detail)));
        }
        let key = Key::new(outbox, watch, progress_ms, caller);
        let stage = match beginning {
            Beginning::Now => {
                out.outbox.push((outbox, single(watch.id, WatchItem::Created(applied))));
                Stage::Live(self.live.add(&key, &[watch.id]))
            }
            Beginning::Initial => {
                // It is `Created` when its state is read: its zxid is known only then.
                self.queue(outbox);
                Stage::Starting(self.streams_of(outbox).add_job(What::Initial(Initial { watch: watch.id, key })))
            }
            Beginning::After(start) => self.resume(applied, &key, watch.id, start, out)?,
        };
        self.streams_of(outbox).watches.insert(watch.id, stage);
        self.streaming += 1;
        Ok(())
    }

    fn resume(
        &mut self,
        applied: Zxid,
        key: &Key,
        watch: WatchId,
        start: Resume,
        out: &mut Effects,
    ) -> Result<Stage, Refusal> {
        let told = told_before(start);
        if start.zxid > applied {
            let detail = format!("this server has applied {applied}, and the watch is to begin after {}", start.zxid);
            return Err(Refusal { error: Error::new(Code::ZxidUnknown, detail), resume: told, compacted: None });
        }
        let Some(position) = self.history.position_after(start) else {
            let oldest = self.history.start();
            let detail = format!("changes are known from {oldest} on; begin again with the present state");
            let error = Error::new(Code::Compacted, detail);
            return Err(Refusal { error, resume: told, compacted: Some(oldest) });
        };
        out.outbox.push((key.outbox, single(watch, WatchItem::Created(told))));
        Ok(self.place(key, watch, told, position))
    }

    /// Enters a watch that was told everything up to `told` where it belongs.
    pub(super) fn place(&mut self, key: &Key, watch: WatchId, told: Zxid, position: crate::history::Position) -> Stage {
        if position == self.history.end_position() {
            return Stage::Live(self.live.add(key, &[watch]));
        }
        self.queue(key.outbox);
        let (cohort, member) = self.streams_of(key.outbox).catch_up.add(position, told, key, watch);
        Stage::Behind(cohort, member)
    }

    /// Ends a watch because its client asked for it.
    pub(super) fn cancel(&mut self, applied: Zxid, outbox: OutboxId, watch: WatchId, out: &mut Effects) {
        let item = match self.remove(outbox, watch) {
            Some(told) => WatchItem::Canceled { error: None, resume: told.min(applied), compacted: None },
            None => {
                let error = Error::new(Code::NoWatcher, format!("this connection has no watch {}", watch.0));
                WatchItem::Canceled { error: Some(error), resume: Zxid::ZERO, compacted: None }
            }
        };
        out.outbox.push((outbox, single(watch, item)));
    }

    /// Removes a watch without a word; up to which txn it was told everything, [`Zxid::ZERO`] in the midst of its
    /// initial state. `None` if there is no such watch.
    pub(super) fn remove(&mut self, outbox: OutboxId, watch: WatchId) -> Option<Zxid> {
        let streams = self.streams.get_mut(&outbox)?;
        let stage = streams.watches.remove(&watch)?;
        self.streaming -= 1;
        Some(match stage {
            Stage::Live(member) => {
                let moved = self.live.remove(member);
                streams.take_place(moved, stage);
                self.history.end()
            }
            Stage::Behind(cohort, member) => {
                let (moved, told) = streams.catch_up.remove(cohort, member);
                streams.take_place(moved, stage);
                told
            }
            Stage::Starting(job) => {
                self.remove_job(outbox, job);
                Zxid::ZERO
            }
        })
    }

    /// Removes a job, and puts its traversal aside.
    pub(super) fn remove_job(&mut self, outbox: OutboxId, job: u64) {
        let removed = self.streams.get_mut(&outbox).and_then(|streams| streams.jobs.remove(&job));
        if let Some(traversal) = removed.and_then(Job::into_traversal) {
            self.viewing.remove(&outbox);
            self.abandoned.push(traversal);
        }
    }

    /// Forgets all that was streamed to an outbox.
    pub(super) fn close_streams(&mut self, outbox: OutboxId) {
        let Some(mut streams) = self.streams.remove(&outbox) else { return };
        self.streaming -= streams.watches.len();
        while let Some((_, stage)) = streams.watches.pop_last() {
            if let Stage::Live(member) = stage {
                let moved = self.live.remove(member);
                streams.take_place(moved, stage);
            }
        }
        self.viewing.remove(&outbox);
        self.abandoned.extend(streams.jobs.into_values().filter_map(Job::into_traversal));
    }

    /// What is streamed to an outbox, which may be nothing yet.
    pub(super) fn streams_of(&mut self, outbox: OutboxId) -> &mut Streams {
        let (room, hash_seed) = (self.config.slice_bytes, self.config.hash_seed);
        self.streams.entry(outbox).or_insert_with(|| Streams::new(room, hash_seed))
    }

    fn progress_ms(&self, watch: &StreamWatch) -> Result<u32, Error> {
        match watch.progress_ms {
            0 => Ok(self.config.progress_ms),
            PROGRESS_MS_MIN..=PROGRESS_MS_MAX => Ok(watch.progress_ms),
            other => {
                let bounds = format!("{PROGRESS_MS_MIN} to {PROGRESS_MS_MAX}, or 0 for the default");
                let detail = format!("a progress interval of {other} ms; it is {bounds}");
                Err(Error::new(Code::BadArguments, detail))
            }
        }
    }
}

fn beginning(watch: &StreamWatch) -> Result<Beginning, Error> {
    match (watch.send_initial, watch.start) {
        (false, None) => Ok(Beginning::Now),
        (false, Some(start)) => Ok(Beginning::After(start)),
        (true, None) => Ok(Beginning::Initial),
        (true, Some(_)) => {
            let detail = "a watch begins with the present state or after a given zxid, not both";
            Err(Error::new(Code::BadArguments, detail))
        }
    }
}

/// The newest txn that is told completely to whoever was told everything up to `resume`: the one before, if of the
/// txn itself only a part was.
fn told_before(resume: Resume) -> Zxid {
    match resume.index {
        u32::MAX => resume.zxid,
        _ => Zxid(resume.zxid.0.saturating_sub(1)),
    }
}

/// An item for one watch.
pub(super) fn single(watch: WatchId, item: WatchItem) -> Delivery {
    Delivery::Watch { watches: smallvec![watch], item }
}
