//! `Random`: numbers that look random and follow from a seed, which a failing test prints.

/// A stream of numbers (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    /// From the seed in `QUORATE_TEST_SEED`, or a new one; printed, since it is what repeats a run.
    pub(super) fn new(purpose: &str) -> Random {
        let seed = match std::env::var("QUORATE_TEST_SEED") {
            Ok(text) => text.parse().expect("QUORATE_TEST_SEED is a number"),
            Err(_) => {
                let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                since_epoch.map_or(0, |since| since.as_nanos() as u64)
            }
        };
        println!("{purpose}: QUORATE_TEST_SEED={seed}");
        Random(seed)
    }

    /// A stream of its own, for one of several tasks.
    pub(super) fn from_seed(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `low..high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
