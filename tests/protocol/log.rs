//! `Log`: a short history of records, and what two of them have in common.

/// A place in the history: (epoch, counter). The marker of a leader is (epoch, 0), txns count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Zxid {
    pub(crate) epoch: u8,
    pub(crate) counter: u8,
}

/// One more than the largest bounds need: a marker for each epoch, and the txns.
const RECORDS_MAX: usize = 8;

/// Records by their zxids, which say everything: one leader per epoch, and it counts. A fixed array, because the
/// checker copies millions of them.
///
/// Invariant: what lies beyond `len` is zero, so that equal logs are equal bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Log {
    records: [Zxid; RECORDS_MAX],
    len: u8,
}

impl Log {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(crate) fn records(&self) -> &[Zxid] {
        &self.records[..self.len()]
    }

    /// The last record; (0, 0) before there is one.
    pub(crate) fn last(&self) -> Zxid {
        self.records().last().copied().unwrap_or_default()
    }

    pub(crate) fn push(&mut self, record: Zxid) {
        self.records[self.len()] = record;
        self.len += 1;
    }

    pub(crate) fn truncated(&self, len: usize) -> Log {
        let len = len.min(self.len());
        let mut shorter = Log { len: len as u8, ..*self };
        shorter.records[len..].fill(Zxid::default());
        shorter
    }

    /// Whether each record is a legal successor of the one before: the next txn, or the marker of a later epoch.
    pub(crate) fn is_in_order(&self) -> bool {
        let follows = |(before, after): (&Zxid, &Zxid)| match after.counter {
            0 => after.epoch > before.epoch,
            counter => after.epoch == before.epoch && counter == before.counter + 1,
        };
        self.records().iter().zip(self.records().iter().skip(1)).all(follows)
    }

    pub(crate) fn is_prefix_of(&self, other: &Log) -> bool {
        other.records().starts_with(self.records())
    }

    /// Each epoch with its last counter, newest first: all that a learner tells of its log.
    fn epochs(&self) -> impl Iterator<Item = Zxid> {
        let ends_epoch =
            |at: &usize| self.records().get(at + 1).is_none_or(|next| next.epoch > self.records[*at].epoch);
        (0..self.len()).rev().filter(ends_epoch).map(|at| self.records[at])
    }

    /// How many records two histories have in common, found as a leader finds it: by the newest epoch that both hold.
    pub(crate) fn common_prefix(&self, other: &Log) -> usize {
        let newest = self.epochs().find_map(|mine| {
            let theirs = other.epochs().find(|theirs| theirs.epoch == mine.epoch)?;
            Some(mine.min(theirs))
        });
        newest.map_or(0, |newest| self.records().iter().filter(|record| **record <= newest).count())
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.records().iter().map(|record| (record.epoch, record.counter))).finish()
    }
}
