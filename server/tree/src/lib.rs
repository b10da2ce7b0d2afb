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

pub mod acl;
mod acl_table;
mod apply;
mod children;
mod digest;
mod index;
mod keys;
mod pending;
mod read;
mod reap;
mod reply;
mod requests;
mod reserved;
mod sessions;
mod slab;
mod snapshot;
mod tree;
mod view;
mod walk;
mod znode;

#[cfg(test)]
pub(crate) mod tests;

pub use pending::{Pending, Prepare, Prepared};
pub use reap::{CONTAINER_GRACE_MS, Reap};
pub use reply::reply;
pub use sessions::Session;
pub use snapshot::{CHUNK_BYTES_MAX, SnapshotDecoder, SnapshotEncoder, SnapshotError};
pub use tree::{Memory, Tree};
pub use view::ViewId;
pub use walk::{Walk, WalkItem};
