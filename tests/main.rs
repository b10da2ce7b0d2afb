//! The one integration-test binary: what the source must look like, what the replicated tree must do, which rules make
//! agreement safe, and what a real server must do at each of its doors.
#![allow(clippy::unwrap_used)]

mod cluster;
mod conformance;
mod protocol;
mod sim;
mod tidy;
mod validate;
