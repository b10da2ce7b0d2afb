//! Mutations: errors that tests put into the protocol on purpose, one at a time, to see that they are found.
//!
//! A place that can be wrong asks [`mutated`] by name. Only a build with `--cfg quorate_mutations` can be wrong
//! (`tests/mutations` makes one); in every other the answer is a constant, and nothing is left of the question.

/// Whether the mutation of this name is present.
#[cfg(not(quorate_mutations))]
#[inline(always)]
#[must_use]
pub const fn mutated(_name: &str) -> bool {
    false
}

#[cfg(quorate_mutations)]
pub use present::{hunt, mutated};

#[cfg(quorate_mutations)]
mod present {
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// A hash of the name of the mutation that is present; 0 if none is.
    static PRESENT: AtomicU64 = AtomicU64::new(0);

    /// Whether any place has asked for the one that is present.
    static ASKED: AtomicBool = AtomicBool::new(false);

    /// Whether the mutation of this name is present.
    #[must_use]
    pub fn mutated(name: &str) -> bool {
        let present = PRESENT.load(Ordering::Relaxed);
        let is_present = present != 0 && present == xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        if is_present {
            ASKED.store(true, Ordering::Relaxed);
        }
        is_present
    }

    /// Puts mutations in, one after the other, each with its name and what it is, and sees that `first_failure`, the first
    /// seed that fails, finds it, and that `failure` of the same seed finds nothing without it. Says a line of each, and
    /// returns those for which that does not hold.
    pub fn hunt<'a>(
        mutations: impl Iterator<Item = &'a (&'a str, &'a str)>,
        first_failure: impl Fn() -> Option<(u64, String)>,
        failure: impl Fn(u64) -> Option<String>,
        say: impl Fn(String),
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, what) in mutations {
            put_in(Some(name));
            let found = first_failure();
            put_in(None);
            let Some((seed, invariant)) = found else {
                let why = if ASKED.load(Ordering::Relaxed) { "" } else { ", for nothing has asked for it" };
                say(format!("{name:<28} NOT FOUND{why}: {what}"));
                wrong.push((*name).to_owned());
                continue;
            };
            say(format!("{name:<28} seed {seed:>5}  {invariant}"));
            if let Some(otherwise) = failure(seed) {
                say(format!("{name:<28} seed {seed} fails without it, too: {otherwise}"));
                wrong.push((*name).to_owned());
            }
        }
        wrong
    }

    /// Makes one mutation present, in the whole process, and no other.
    fn put_in(name: Option<&str>) {
        ASKED.store(false, Ordering::Relaxed);
        PRESENT.store(name.map_or(0, |name| xxhash_rust::xxh3::xxh3_64(name.as_bytes())), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(quorate_mutations)))]
mod tests {
    use super::mutated;

    #[test]
    fn an_ordinary_build_has_no_mutation_and_knows_it_when_it_is_compiled() {
        const { assert!(!mutated("ack-before-disk")) };
    }
}
