//! The one integration-test binary: what the source must look like, what the replicated tree must do, and what a real
//! server must do at each of its doors.
#![allow(clippy::unwrap_used)]

mod cluster;
mod conformance;
mod sim;
mod tidy;
mod validate;
