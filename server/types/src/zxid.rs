//! `Zxid`: the position of a txn in the one history of the ensemble, and the `Epoch` of the leader that proposed it.

use core::fmt;

/// The number of a leader's reign. Each established leader has an epoch greater than every earlier one.
///
/// Bound: below 2^31, because existing clients compare a zxid as a signed 64-bit integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The greatest epoch that keeps every zxid positive as an `i64`.
    pub const MAX: Epoch = Epoch(0x7fff_ffff);

    /// The following epoch.
    ///
    /// # Panics
    /// At [`Epoch::MAX`]: after two billion elections no further leader may be established.
    #[must_use]
    pub fn next(self) -> Epoch {
        assert!(self < Epoch::MAX, "epoch {} is the last one", self.0);
        Epoch(self.0 + 1)
    }
}

/// The identifier of a txn: its epoch in the high 32 bits, its counter within the epoch in the low 32.
///
/// Order on zxids is the order of the history. `(e, 0)` is the marker of epoch `e`, its first txn is `(e, 1)`, and
/// [`Zxid::ZERO`] stands before everything. Printed as ZooKeeper does: unpadded hexadecimal.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before the first record of any history.
    pub const ZERO: Zxid = Zxid(0);

    /// The zxid of `counter` within `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, counter: u32) -> Zxid {
        Zxid(((epoch.0 as u64) << 32) | counter as u64)
    }

    /// The epoch of the leader that proposed this txn.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }

    /// The position within the epoch; 0 is the marker.
    #[must_use]
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The next zxid of the same epoch.
    ///
    /// # Panics
    /// When the counter is exhausted: the leader has to begin a new epoch well before.
    #[must_use]
    pub fn next(self) -> Zxid {
        assert!(self.counter() < u32::MAX, "counter of {self} is exhausted");
        Zxid(self.0 + 1)
    }

    /// Whether a record with this zxid may directly follow one with `prev`: the next counter of the same epoch, or
    /// the marker of a later one. Anything else is a gap.
    #[must_use]
    pub const fn follows(self, prev: Zxid) -> bool {
        if self.counter() == 0 { self.epoch().0 > prev.epoch().0 } else { self.0 == prev.0.wrapping_add(1) }
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.epoch().0, self.counter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_counter_or_a_later_marker_follows() {
        let z = |e, c| Zxid::new(Epoch(e), c);
        let check = |prev, next: Zxid, expected| assert_eq!(next.follows(prev), expected, "{prev:?} {next:?}");
        check(z(1, 0), z(1, 1), true);
        check(z(1, 7), z(2, 0), true);
        check(z(1, 7), z(9, 0), true);
        check(Zxid::ZERO, z(1, 0), true);
        check(z(1, 7), z(1, 7), false);
        check(z(1, 7), z(1, 9), false);
        check(z(1, 7), z(2, 1), false);
        check(z(2, 0), z(1, 0), false);
        check(z(2, 0), z(2, 0), false);
        check(Zxid(u64::MAX), z(0, 1), false);
    }
}
