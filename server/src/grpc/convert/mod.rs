//! The contract's messages as the core's words, and back. Nothing is decided here but whether a message is well
//! formed; data and paths are moved, never copied.

mod members;
mod read;
mod refusal;
mod reply;
mod stat;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub(super) use members::{ensemble, members, reconfigure, reconfigured, transfer_leadership, transferred};
pub(super) use read::{
    check_access, count_descendants, exists, get, get_acl, get_ephemerals, list_children, multi_read, stream_tree, sync,
};
pub(super) use refusal::Refusal;
pub(super) use reply::{Shape, answer, channel_result, mismatch};
pub(super) use stat::{role, tree_node};
pub(super) use watch::{cancel_watch, create_watch, watch_item};
pub(super) use write::{create, delete, multi, set_acl, set_data};

use quorate_proto::v1;
use quorate_types::{Code, Op, Path};

/// An operation as a client asked for it, with options that are still to be understood.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    /// What is to be done.
    pub(super) op: Op,
    /// As they came.
    pub(super) options: Option<v1::RequestOptions>,
}

fn path(field: &'static str, text: String) -> Result<Path, Refusal> {
    Path::new(text).map_err(|error| Refusal::new(field, Code::InvalidPath, error.to_string()))
}

/// Operations inside another have no options of their own: they could only contradict each other.
fn no_options(options: Option<v1::RequestOptions>) -> Result<(), Refusal> {
    match options {
        None => Ok(()),
        Some(_) => Err(Refusal::bad("options", "only those of the whole request count")),
    }
}
