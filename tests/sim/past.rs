//! Seeds that have found something, with what it was: they run first.

/// Each of them has failed once.
pub(crate) const SEEDS: &[(u64, &str)] = &[];
