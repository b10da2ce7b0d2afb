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
pub use present::{mutated, put_in};

#[cfg(quorate_mutations)]
mod present {
    use core::sync::atomic::{AtomicU64, Ordering};

    /// A hash of the name of the mutation that is present; 0 if none is.
    static PRESENT: AtomicU64 = AtomicU64::new(0);

    /// Whether the mutation of this name is present.
    #[must_use]
    pub fn mutated(name: &str) -> bool {
        let present = PRESENT.load(Ordering::Relaxed);
        present != 0 && present == xxhash_rust::xxh3::xxh3_64(name.as_bytes())
    }

    /// Makes one mutation present, in the whole process, and no other.
    pub fn put_in(name: Option<&str>) {
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
