//! How numbers and stats are packed: nearly all are small, or zero, once what they are near to is taken off.

use alloc::vec::Vec;

use quorate_types::{SessionId, Stat, Zxid};

/// What the fields of a change's stat are usually near to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    /// The txn that made the change.
    pub(super) zxid: Zxid,
    /// About when that was.
    pub(super) time_ms: i64,
}

/// Bytes of a number at most.
const NUMBER_BYTES_MAX: usize = 10;

/// Bytes of a stat at most.
const STAT_BYTES_MAX: usize = 2 + 11 * NUMBER_BYTES_MAX;

/// Appends a number, seven bits to a byte, the low ones first.
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    let mut bytes = [0; NUMBER_BYTES_MAX];
    let len = write_number(&mut bytes, 0, number);
    out.extend_from_slice(&bytes[..len]);
}

/// Writes a number at a place; the place behind it.
fn write_number(bytes: &mut [u8], mut at: usize, mut number: u64) -> usize {
    while number >= 0x80 {
        bytes[at] = number as u8 | 0x80;
        at += 1;
        number >>= 7;
    }
    bytes[at] = number as u8;
    at + 1
}

/// Appends a stat: which of its differences are not zero, and those.
pub(super) fn put_stat(out: &mut Vec<u8>, stat: &Stat, near: Near) {
    let differences = [
        near.zxid.0.wrapping_sub(stat.czxid.0),
        near.zxid.0.wrapping_sub(stat.mzxid.0),
        stat.pzxid.0.wrapping_sub(stat.czxid.0),
        fold(stat.mtime_ms.wrapping_sub(near.time_ms)),
        fold(stat.mtime_ms.wrapping_sub(stat.ctime_ms)),
        fold(i64::from(stat.version)),
        fold(i64::from(stat.cversion)),
        fold(i64::from(stat.aversion)),
        stat.ephemeral_owner.0,
        u64::from(stat.data_length),
        u64::from(stat.num_children),
    ];
    let (mut bytes, mut len, mut present) = ([0; STAT_BYTES_MAX], 2, 0u16);
    for (at, difference) in differences.into_iter().enumerate() {
        if difference != 0 {
            present |= 1 << at;
            len = write_number(&mut bytes, len, difference);
        }
    }
    bytes[..2].copy_from_slice(&present.to_le_bytes());
    out.extend_from_slice(&bytes[..len]);
}

/// Numbers near zero on either side become small ones: 0, -1, 1, -2, 2 are 0, 1, 2, 3, 4.
fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unfold(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Reads what was packed in this process: that it is well-formed is an invariant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacker<'a>(pub(super) &'a [u8]);

impl<'a> Unpacker<'a> {
    #[inline]
    pub(super) fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().expect("what is unpacked was packed by the same rules");
        self.0 = rest;
        *byte
    }

    #[inline]
    pub(super) fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn stat(&mut self, near: Near) -> Stat {
        let low = self.byte();
        let mut present = u16::from_le_bytes([low, self.byte()]);
        let mut next = || {
            let is_present = present & 1 != 0;
            present >>= 1;
            if is_present { self.number() } else { 0 }
        };
        let czxid = near.zxid.0.wrapping_sub(next());
        let mzxid = near.zxid.0.wrapping_sub(next());
        let pzxid = czxid.wrapping_add(next());
        let mtime_ms = near.time_ms.wrapping_add(unfold(next()));
        Stat {
            czxid: Zxid(czxid),
            mzxid: Zxid(mzxid),
            pzxid: Zxid(pzxid),
            mtime_ms,
            ctime_ms: mtime_ms.wrapping_sub(unfold(next())),
            version: unfold(next()) as i32,
            cversion: unfold(next()) as i32,
            aversion: unfold(next()) as i32,
            ephemeral_owner: SessionId(next()),
            data_length: next() as u32,
            num_children: next() as u32,
        }
    }
}
