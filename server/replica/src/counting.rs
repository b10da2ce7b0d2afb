//! `Counting`: counts of large subtrees, one after the other and a slice at each flush.
//!
//! Only the count that is under way holds a view, so however many are asked for pin no more than one state.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use quorate_tree::Count;
use quorate_types::{Caller, Code, Error, Now, OutboxId, Path, Reply, Response, Tag, Zxid};

use crate::effect::Effects;
use crate::limits;
use crate::locals::deadline_exceeded;
use crate::replica::Replica;

/// The counts that were asked for and not yet answered.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    waiting: VecDeque<Asked>,
    current: Option<(Asked, Count)>,
}

/// A count that somebody waits for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) outbox: OutboxId,
    pub(crate) tag: Tag,
    pub(crate) caller: Arc<Caller>,
    pub(crate) path: Path,
    pub(crate) deadline_ms: u64,
}

impl Counting {
    pub(crate) fn has_work(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// The state was replaced, and what the count under way has held of it is gone: it begins again.
    pub(crate) fn state_replaced(&mut self) {
        if let Some((asked, _)) = self.current.take() {
            self.waiting.push_front(asked);
        }
    }
}

impl Replica {
    /// Counts at once if one slice is enough for it; otherwise the answer comes in one of the next turns.
    pub(crate) fn count(&mut self, asked: Asked) -> Option<(Zxid, Response)> {
        let mut count = match self.tree.count(&asked.path, &asked.caller) {
            Ok(count) => count,
            Err(error) => return Some((self.tree.applied(), Err(error))),
        };
        self.effort.look_at(limits::SLICE_ITEMS);
        if let Some((found, zxid)) = self.tree.count_on(&mut count, limits::SLICE_ITEMS) {
            return Some((zxid, Ok(Reply::Count(found))));
        }
        self.tree.drop_count(&mut count);
        if self.counting.waiting.len() >= limits::COUNTS_WAITING_MAX {
            let error = Error::new(Code::Throttled, "too many counts of large subtrees wait already");
            return Some((self.tree.applied(), Err(error)));
        }
        self.counting.waiting.push_back(asked);
        None
    }

    /// Does one slice of the counts that wait.
    pub(crate) fn count_on(&mut self, now: Now, out: &mut Effects) {
        let Some((asked, mut count)) = self.next_count(now, out) else { return };
        let answer = match self.tree.count_on(&mut count, limits::SLICE_ITEMS) {
            Some((found, zxid)) => Some((zxid, Ok(Reply::Count(found)))),
            None => self.reason_to_stop(&asked, &count, now).map(|error| (self.tree.applied(), Err(error))),
        };
        match answer {
            Some((zxid, response)) => {
                self.tree.drop_count(&mut count);
                self.answer_at(zxid, asked.outbox, asked.tag, response, now, out);
            }
            None => self.counting.current = Some((asked, count)),
        }
    }

    /// The count that is under way, or else the next one whose client still waits for it.
    fn next_count(&mut self, now: Now, out: &mut Effects) -> Option<(Asked, Count)> {
        if let Some((asked, mut count)) = self.counting.current.take() {
            if self.lanes.contains(asked.outbox) {
                return Some((asked, count));
            }
            self.tree.drop_count(&mut count);
        }
        while let Some(asked) = self.counting.waiting.pop_front() {
            if !self.lanes.contains(asked.outbox) {
                continue;
            }
            let begun = match asked.deadline_ms <= now.monotonic_ms {
                true => Err(deadline_exceeded()),
                false => self.tree.count(&asked.path, &asked.caller),
            };
            match begun {
                Ok(count) => return Some((asked, count)),
                Err(error) => self.answer(asked.outbox, asked.tag, Err(error), now, out),
            }
        }
        None
    }

    fn reason_to_stop(&self, asked: &Asked, count: &Count, now: Now) -> Option<Error> {
        if asked.deadline_ms <= now.monotonic_ms {
            return Some(deadline_exceeded());
        }
        let pins_too_much = self.tree.count_bytes(count) > limits::PINNED_BYTES_MAX;
        pins_too_much
            .then(|| Error::new(Code::Throttled, "too much has changed while the znodes were counted; try again"))
    }
}
