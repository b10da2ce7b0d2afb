//! The door, from the bytes of a real HTTP client to a replica that does as the test says.

mod channel;
mod cluster;
mod limits;
mod restore;
mod script;
mod streams;
mod unary;
mod web;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Holds a status to its code and to the reason in its details.
fn check_status(status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details();
    let found = details.error_info().map(|info| info.reason.as_str()).unwrap_or_default();
    assert_eq!((status.code(), found), (code, reason), "{status:?}");
}
