//! Tests of the crate as a whole: what requests do, seen from outside.

pub(crate) mod fixture;
mod properties;
mod stats;
