//! `LogWork`: appends what the replica has decided, one sync for a whole batch, and keeps its promises.

use std::collections::VecDeque;

use quorate_replica::{DiskInput, DiskOp, Hint};
use quorate_storage::{Disk, Hints, Log, LogError, Meta, MetaFile, SnapshotInfo, Space, Standing};
use quorate_types::{Frame, ServerId, Zxid};
use quorate_zab::{LogRead, Position};

/// Under constant load there is no idle moment: a spare segment is then reserved a step at a time, once in so many
/// batches.
const STEP_EVERY_BATCHES: u32 = 4;

/// The log and the meta record at work. Belongs to the log thread.
pub struct LogWork<D: Disk> {
    log: Log<D>,
    meta: MetaFile<D>,
    incarnation: u64,
    /// What found no room, in order, until there is some.
    stuck: VecDeque<DiskOp>,
    /// The snapshot that a leader has sent, for [`DiskOp::Install`].
    received: Option<SnapshotInfo>,
    /// What the replica was last told of the room.
    low: bool,
    /// Batches since the room was last looked after.
    busy_batches: u32,
    frames: Vec<Frame>,
}

/// What a round of work led to.
#[derive(Debug, Default, PartialEq)]
pub struct LogDone {
    /// For the replica, in order.
    pub inputs: Vec<DiskInput>,
    /// Call [`LogWork::idle`] when there is nothing else to do.
    pub unfinished: bool,
}

impl<D: Disk> LogWork<D> {
    pub(crate) fn new(log: Log<D>, meta: MetaFile<D>, incarnation: u64) -> LogWork<D> {
        let (stuck, frames) = (VecDeque::new(), Vec::new());
        LogWork { log, meta, incarnation, stuck, received: None, low: false, busy_batches: 0, frames }
    }

    /// Takes note of a snapshot that is complete and set aside, before the replica hears of it.
    pub fn received(&mut self, info: SnapshotInfo) {
        self.received = Some(info);
    }

    /// [`LogWork::write`], then [`LogWork::keep_room`].
    ///
    /// # Errors
    /// The process has to end: what is on disk is no longer known.
    pub fn carry_out(&mut self, ops: &mut Vec<DiskOp>, hint: Hint) -> Result<LogDone, LogError> {
        let mut done = self.write(ops, hint)?;
        let room = self.keep_room()?;
        done.inputs.extend(room.inputs);
        done.unfinished = room.unfinished;
        Ok(done)
    }

    /// Writes a batch, after whatever found no room before. `ops` is left empty.
    ///
    /// # Errors
    /// The process has to end: what is on disk is no longer known.
    pub fn write(&mut self, ops: &mut Vec<DiskOp>, hint: Hint) -> Result<LogDone, LogError> {
        let hints = hints(hint);
        self.stuck.extend(ops.drain(..));
        let mut done = LogDone::default();
        match self.work_off(&hints, &mut done.inputs) {
            Ok(None) => {}
            Ok(Some(token)) => done.inputs.push(DiskInput::Synced { incarnation: self.incarnation, token }),
            Err((_, error)) if error.is_fatal() => return Err(error),
            Err((token, _full)) => {
                let synced = token.map(|token| DiskInput::Synced { incarnation: self.incarnation, token });
                done.inputs.extend(synced);
                self.tell_room(true, &mut done);
            }
        }
        self.busy_batches += 1;
        done.unfinished = self.is_unfinished();
        Ok(done)
    }

    /// Sees to it that there is a spare segment, if there was no idle moment for that since long, and that a full disk
    /// which has room again is noticed. To be called when nobody waits any more for what was written.
    ///
    /// # Errors
    /// The process has to end.
    pub fn keep_room(&mut self) -> Result<LogDone, LogError> {
        let mut done = LogDone::default();
        let wants_spare = !self.log.has_spare() && self.log.space() == Space::Unfinished;
        if self.low || (wants_spare && self.busy_batches >= STEP_EVERY_BATCHES) {
            let space = self.prepare_room()?;
            self.tell_space(space, &mut done);
        }
        done.unfinished = self.is_unfinished();
        Ok(done)
    }

    /// Prepares the room that later batches need, a piece at a time, and tries again what found none.
    ///
    /// # Errors
    /// The process has to end.
    pub fn idle(&mut self, hint: Hint) -> Result<LogDone, LogError> {
        let mut done = LogDone::default();
        let space = self.prepare_room()?;
        if !self.stuck.is_empty() && space != Space::Low {
            done = self.write(&mut Vec::new(), hint)?;
        }
        self.tell_space(space, &mut done);
        done.unfinished = self.is_unfinished();
        Ok(done)
    }

    fn is_unfinished(&self) -> bool {
        self.log.space() != Space::Ready || !self.stuck.is_empty()
    }

    fn prepare_room(&mut self) -> Result<Space, LogError> {
        self.busy_batches = 0;
        self.log.prepare_spare()
    }

    /// Whether [`LogWork::rest`] has nothing to do.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.log.is_at_rest() || !self.stuck.is_empty()
    }

    /// Says in the log that everything in it is durable, for lack of a later batch that would. To be called when nothing
    /// has come for a while; a disk without room for that is none of its concern.
    ///
    /// # Errors
    /// The process has to end.
    pub fn rest(&mut self, hint: Hint) -> Result<LogDone, LogError> {
        match self.log.rest(&hints(hint)) {
            Err(error) if error.is_fatal() => Err(error),
            Ok(()) | Err(_) => Ok(LogDone { unfinished: self.is_unfinished(), ..LogDone::default() }),
        }
    }

    /// Whether there is no room: trying again at once would be in vain.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.low
    }

    /// Ends the log in order.
    ///
    /// # Errors
    /// The next start will have to look closer.
    pub fn close(self) -> Result<(), LogError> {
        self.log.close()
    }

    /// Works off `stuck`. Returns the last token whose operation, with all before it, is durable.
    fn work_off(&mut self, hints: &Hints, inputs: &mut Vec<DiskInput>) -> Result<Option<u64>, (Option<u64>, LogError)> {
        let mut durable = None;
        while let Some(op) = self.stuck.front() {
            let token = match op {
                DiskOp::Append { .. } => Some(self.append_run(hints).map_err(|error| (durable, error))?),
                _ => self.work_off_one(inputs).map_err(|error| (durable, error))?,
            };
            durable = token.or(durable);
        }
        Ok(durable)
    }

    /// Works off the operation at the front of `stuck`, which is no append. Returns its token.
    fn work_off_one(&mut self, inputs: &mut Vec<DiskInput>) -> Result<Option<u64>, LogError> {
        let Some(op) = self.stuck.front() else { return Ok(None) };
        let token = op.token();
        match op {
            DiskOp::Append { .. } => unreachable!("appends are worked off in runs"),
            DiskOp::Promise { accepted_epoch, accepted_leader, .. } => {
                let meta = Meta {
                    accepted_epoch: *accepted_epoch,
                    accepted_leader: Some(*accepted_leader).filter(|leader| *leader != ServerId::default()),
                    ..self.meta.get().clone()
                };
                self.write_meta(meta)?;
            }
            DiskOp::Readmit { .. } => {
                self.write_meta(Meta { standing: Standing::Voter, ..self.meta.get().clone() })?;
            }
            DiskOp::Truncate { after, .. } => self.log.truncate_after(*after)?,
            DiskOp::Install { base, .. } => {
                let info = self.received.as_ref().filter(|info| info.position.zxid == base.zxid);
                let info = info.unwrap_or_else(|| panic!("the snapshot at {base:?} was never received"));
                self.log.switch_generation(&mut self.meta, info)?;
                // Not sooner: a full disk has it tried again.
                self.received = None;
            }
            DiskOp::Read { token, after, bytes_max } => {
                let (token, after, bytes_max) = (*token, *after, *bytes_max);
                inputs.push(DiskInput::LogRead { token, read: self.read(after, bytes_max)? });
            }
            DiskOp::Purge { oldest_kept } => {
                self.log.purge(*oldest_kept)?;
                // Now and then, the meta record vouches for what is durable: see `Meta::durable_batch`.
                self.write_meta(self.meta.get().clone())?;
            }
        }
        self.stuck.pop_front();
        Ok(token)
    }

    fn write_meta(&mut self, meta: Meta) -> Result<(), LogError> {
        let durable_batch = self.log.durable_batch();
        Ok(self.meta.write(&Meta { durable_batch, ..meta })?)
    }

    fn read(&self, after: Zxid, bytes_max: usize) -> Result<LogRead, LogError> {
        let Some(place) = self.log.position(after)? else { return Ok(LogRead::NotInLog) };
        let after = Position { zxid: place.zxid, chain: place.chain };
        match self.log.read(place.zxid, bytes_max) {
            Ok(frames) => Ok(LogRead::Found { after, frames }),
            Err(LogError::NotInLog(_)) => Ok(LogRead::NotInLog),
            Err(error) => Err(error),
        }
    }

    /// Appends all records at the front of `stuck`, and returns the token of the last one.
    fn append_run(&mut self, hints: &Hints) -> Result<u64, LogError> {
        self.frames.clear();
        let mut last = 0;
        for op in &self.stuck {
            let DiskOp::Append { token, frame } = op else { break };
            // A full disk may have taken a part of the run the last time.
            if frame.zxid() > self.log.last().zxid {
                self.frames.push(frame.clone());
            }
            last = *token;
        }
        self.log.append(&self.frames, hints)?;
        self.frames.clear();
        while matches!(self.stuck.front(), Some(DiskOp::Append { .. })) {
            self.stuck.pop_front();
        }
        Ok(last)
    }

    fn tell_space(&mut self, space: Space, done: &mut LogDone) {
        match space {
            Space::Low => self.tell_room(true, done),
            // A reserved spare is room enough: filling it can wait, and clients need not wait for that.
            Space::Ready | Space::Unfinished if self.log.has_spare() && self.stuck.is_empty() => {
                self.tell_room(false, done);
            }
            Space::Ready | Space::Unfinished => {}
        }
    }

    fn tell_room(&mut self, low: bool, done: &mut LogDone) {
        if self.low != low {
            self.low = low;
            done.inputs.push(DiskInput::Space { low });
        }
    }
}

fn hints(hint: Hint) -> Hints {
    Hints { commit: hint.commit, digest_zxid: hint.digest_zxid, digest: hint.digest }
}

#[cfg(test)]
mod tests;
