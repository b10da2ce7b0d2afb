//! Quorate's replicated state: the tree of znodes and the sessions, identical on every server at a zxid.
//!
//! ```text
//! leader:        Request ── Pending::prepare(&Tree) ──▶ Txn        decides everything, changes nothing but itself
//! every server:  (zxid, Txn) ── Tree::apply ──▶ Changes            decides nothing
//! every server:  ReadOp ── Tree::read ──▶ Response
//! asker:         (zxid, Txn) ── reply() ──▶ Reply
//! ```
//!
//! Invariants: what [`Tree::digest`] covers is a function of the history alone. Nothing that differs between servers
//! (ids of znodes in memory, hash seeds, open views) may influence it, the order of changes, or an answer. Every
//! operation on one znode passes [`acl::permits`], and so does every event that a watch is told of.
#![no_std]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

// One znode, and where it is kept.
mod children;
mod index;
mod keys;
mod slab;
mod znode;

// The state, and all that belongs to it besides znodes.
mod acl_table;
mod digest;
mod reap;
mod requests;
mod reserved;
mod sessions;
mod tree;

// What is done with it.
pub mod acl;
mod apply;
mod count;
mod pending;
mod read;
mod reply;
mod restore;

// What it was at an earlier zxid.
mod snapshot;
mod view;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

pub use count::Count;
pub use pending::{Pending, Prepare, Prepared};
pub use reap::{CONTAINER_GRACE_MS, Reap};
pub use reply::reply;
pub use sessions::Session;
pub use snapshot::{CHUNK_BYTES_MAX, SnapshotDecoder, SnapshotEncoder, SnapshotError};
pub use tree::{Memory, Tree};
pub use view::ViewId;
pub use walk::{Walk, WalkItem};
