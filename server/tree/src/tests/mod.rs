//! Tests of the crate as a whole: what requests do, seen from outside.

mod changing;
mod counting;
mod creating;
mod deleting;
pub(crate) mod fixture;
mod multi;
mod properties;
mod reading;
mod reaping;
mod remembering;
mod restoring;
mod serving_sessions;
mod stats;
mod viewing;
