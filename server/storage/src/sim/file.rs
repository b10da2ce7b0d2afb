//! `SimFile`: the content of one simulated file, as processes see it and as the device holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Faults;
use super::rng::Rng;

/// Sectors by number; what is absent is zero, and what is zero is absent. What processes see and what the device holds
/// is mostly the same, and then is the same memory.
type Sectors = BTreeMap<u64, Arc<Vec<u8>>>;

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct SimFile {
    len: u64,
    live: Sectors,
    durable_len: u64,
    durable: Sectors,
    dirty: BTreeSet<u64>,
    /// The least length since the last sync, if the file was shortened: what was behind it is gone, once that is known
    /// to the device.
    shortened_to: Option<u64>,
}

impl SimFile {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, sector_bytes: usize) {
        let size = sector_bytes as u64;
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let within = (at % size) as usize;
            let count = (sector_bytes - within).min(bytes.len() - done);
            self.write_sector(at / size, within, &bytes[done..done + count], sector_bytes);
            self.dirty.insert(at / size);
            done += count;
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    fn write_sector(&mut self, number: u64, within: usize, piece: &[u8], sector_bytes: usize) {
        let clears = is_zero(piece);
        if clears && !self.live.contains_key(&number) {
            return;
        }
        let sector = self.live.entry(number).or_insert_with(|| Arc::new(vec![0; sector_bytes]));
        Arc::make_mut(sector)[within..within + piece.len()].copy_from_slice(piece);
        if clears && is_zero(sector) {
            self.live.remove(&number);
        }
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64, sector_bytes: usize) -> usize {
        let count = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let size = sector_bytes as u64;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let within = (at % size) as usize;
            let piece = (sector_bytes - within).min(count - done);
            match self.live.get(&(at / size)) {
                Some(sector) => buf[done..done + piece].copy_from_slice(&sector[within..within + piece]),
                None => buf[done..done + piece].fill(0),
            }
            done += piece;
        }
        count
    }

    pub(super) fn set_len(&mut self, len: u64, sector_bytes: usize) {
        if len < self.len {
            cut(&mut self.live, len, sector_bytes);
            self.dirty.retain(|sector| sector * (sector_bytes as u64) < len);
            self.shortened_to = Some(self.shortened_to.unwrap_or(len).min(len));
        }
        self.len = len;
    }

    pub(super) fn sync(&mut self, sector_bytes: usize) {
        if let Some(len) = self.shortened_to.take() {
            cut(&mut self.durable, len, sector_bytes);
        }
        for sector in std::mem::take(&mut self.dirty) {
            match self.live.get(&sector) {
                Some(bytes) => self.durable.insert(sector, Arc::clone(bytes)),
                None => self.durable.remove(&sector),
            };
        }
        self.durable_len = self.len;
    }

    /// A sync that fails: what was to be written counts as clean.
    pub(super) fn fail_to_sync(&mut self) {
        self.dirty.clear();
        self.shortened_to = None;
    }

    /// A loss of power.
    pub(super) fn lose_power(&mut self, faults: &Faults, rng: &mut Rng) {
        let size = faults.sector_bytes as u64;
        let keeps_len = rng.coin();
        if let Some(len) = self.shortened_to.take()
            && keeps_len
        {
            cut(&mut self.durable, len, faults.sector_bytes);
        }
        // Now nothing, now everything, mostly some of it survives.
        let keep = [0, 500_000, 500_000, 1_000_000][rng.below(4) as usize];
        for number in std::mem::take(&mut self.dirty) {
            let zeros = || Arc::new(vec![0; faults.sector_bytes]);
            let new = self.live.get(&number).cloned().unwrap_or_else(zeros);
            if rng.chance(faults.torn) {
                let old = self.durable.get(&number).cloned().unwrap_or_else(zeros);
                self.durable.insert(number, Arc::new(tear((*old).clone(), (*new).clone(), faults, rng)));
            } else if rng.chance(keep) {
                self.durable.insert(number, new);
            }
        }
        if keeps_len {
            self.durable_len = self.len;
        }
        self.durable.retain(|sector, _| sector * size < self.durable_len);
        let len = self.durable_len;
        cut(&mut self.durable, len, faults.sector_bytes);
        self.len = self.durable_len;
        self.live = self.durable.clone();
    }

    /// Changes one bit of the content, on the device and in memory.
    pub(super) fn rot(&mut self, rng: &mut Rng) {
        let sectors: Vec<u64> = self.durable.keys().copied().collect();
        if sectors.is_empty() {
            return;
        }
        let number = sectors[rng.below(sectors.len() as u64) as usize];
        if let Some(sector) = self.durable.get_mut(&number) {
            let at = rng.below(sector.len() as u64) as usize;
            Arc::make_mut(sector)[at] ^= 1 << rng.below(8);
            self.live.insert(number, Arc::clone(sector));
        }
    }

    /// Replaces the content, on the device and in memory.
    pub(super) fn replace(&mut self, content: &[u8], sector_bytes: usize) {
        *self = SimFile::default();
        self.write(content, 0, sector_bytes);
        self.sync(sector_bytes);
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn cut(sectors: &mut Sectors, len: u64, sector_bytes: usize) {
    let size = sector_bytes as u64;
    sectors.retain(|sector, _| sector * size < len);
    if !len.is_multiple_of(size)
        && let Some(sector) = sectors.get_mut(&(len / size))
    {
        Arc::make_mut(sector)[(len % size) as usize..].fill(0);
    }
}

fn tear(mut old: Vec<u8>, mut new: Vec<u8>, faults: &Faults, rng: &mut Rng) -> Vec<u8> {
    if faults.torn_garbage {
        old.iter_mut().for_each(|byte| *byte = rng.next_u64() as u8);
        return old;
    }
    // Somewhere between the first and the last byte that the write changes: elsewhere nothing would be torn.
    let differs = |at: &usize| old[*at] != new[*at];
    let Some(first) = (0..old.len()).find(differs) else { return new };
    let last = (0..old.len()).rfind(differs).unwrap_or(first);
    let at = first + rng.below((last - first) as u64 + 1) as usize;
    if rng.coin() {
        old[..at].copy_from_slice(&new[..at]);
        old
    } else {
        new[..at].copy_from_slice(&old[..at]);
        new
    }
}
