//! Replacing the end of a log: a new segment that begins before the end of the others takes the place of what follows.

use quorate_types::Frame;
use quorate_types::mutation::mutated;

use super::segment::{DATA_OFFSET, Segment};
use super::{Log, LogError, Position, write};
use crate::error::During;
use crate::layout;
use crate::log::batch::{BatchHeader, batch_bytes};
use crate::{Disk, DiskFile};

/// Ends the segments at `start`, moving the ones that hold nothing before it to `replaced`.
pub(crate) fn cut_segments<F>(segments: &mut Vec<Segment<F>>, start: Position, replaced: &mut Vec<Segment<F>>) {
    let kept = segments.partition_point(|segment| segment.start.zxid < start.zxid);
    replaced.extend(segments.drain(kept..));
    if let Some(newest) = segments.last_mut() {
        newest.last = start;
    }
}

impl<D: Disk> Log<D> {
    /// Begins a segment after `start` with a copy of `tail`, and removes what it replaces, and `leftovers`.
    ///
    /// The header makes the segment count, so it is written when the records are already durable: they may have been
    /// acknowledged from where they stood before.
    pub(super) fn begin_after(
        &mut self,
        start: Position,
        first_sequence: u64,
        tail: &[Frame],
        leftovers: Vec<Segment<D::File>>,
    ) -> Result<(), LogError> {
        assert!(!self.failed, "log used after a failed write");
        let batches = batches_of(tail);
        let bytes = batches.iter().map(|batch| batch_bytes(batch.iter().map(|frame| frame.bytes().len()).sum()));
        let mut segment = self.take_segment(DATA_OFFSET + bytes.sum::<u64>())?;
        (segment.start, segment.last) = (start, start);
        self.failed = true;
        let mut sequence = first_sequence;
        for frames in batches {
            // It says of no other batch that it is durable: if this segment comes to nothing, that would be a lie.
            let described = write::describe(segment.last, frames, &self.hints);
            let batch = BatchHeader { sequence, durable_sequence: 0, ..described };
            self.writer.write(&mut segment, batch, frames, None)?;
            sequence += 1;
        }
        segment.file.sync_data().during("sync", &segment.path)?;
        let block = self.header_of(&segment, first_sequence);
        segment.file.write_at(&[&block], 0).during("write", &segment.path)?;
        if !mutated("truncation-not-synced") {
            segment.file.sync_data().during("sync", &segment.path)?;
        }
        let mut replaced = leftovers;
        cut_segments(&mut self.segments, start, &mut replaced);
        self.last = segment.last;
        self.next_sequence = sequence;
        self.segments.push(segment);
        self.remove_newest_first(replaced)?;
        self.failed = false;
        Ok(())
    }

    /// Removes files one by one, so that a loss of power leaves no hole between segments.
    fn remove_newest_first(&self, mut segments: Vec<Segment<D::File>>) -> Result<(), LogError> {
        segments.sort_unstable_by_key(|segment| std::cmp::Reverse(segment.id));
        for segment in segments {
            self.dir.remove(&segment.path)?;
            self.dir.sync_dir(&layout::generation_dir(self.identity.generation))?;
        }
        Ok(())
    }
}

fn batches_of(mut frames: &[Frame]) -> Vec<&[Frame]> {
    let mut batches = Vec::new();
    while !frames.is_empty() {
        let (batch, rest) = frames.split_at(write::fitting(frames));
        batches.push(batch);
        frames = rest;
    }
    batches
}
