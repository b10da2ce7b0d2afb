//! The vocabulary of Quorate: every word that travels between its parts, and nothing that acts.
//!
//! A front door turns bytes into a [`Request`]; the leader turns a request into a [`Txn`]; every server applies
//! the txn, which yields a [`Reply`] for the client that asked and [`Event`]s for the clients that watch. This crate
//! defines those words, their limits and the binary form in which txns are logged and replicated.
//!
//! Invariant: nothing here reads a clock, a file, a socket or an environment variable (`no_std`), and nothing here
//! depends on another crate of ours.
#![no_std]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod acl;
mod charge;
pub mod code;
pub mod codec;
pub mod ensemble;
pub mod event;
pub mod frame;
pub mod id;
pub mod limits;
pub mod members;
pub mod mode;
pub mod mutation;
pub mod path;
pub mod reply;
pub mod request;
pub mod restore;
pub mod stat;
pub mod time;
pub mod txn;
pub mod zxid;

pub use acl::{Acl, AclEntry, Caller, Identity, Perms};
pub use code::{Code, Error};
pub use ensemble::{Ensemble, MemberState, MemberStatus};
pub use event::{Change, ChangeKind, Event};
pub use frame::{Frame, FrameKind};
pub use id::{ClusterId, OutboxId, ServerId, SessionId, SessionSecret, Tag, WatchId};
pub use members::{Member, MemberRole, Members, MembersChange, NewMember};
pub use mode::{CreateMode, NodeKind};
pub use path::Path;
pub use reply::{Child, Reply, Response, Role, Status, TreeNode};
pub use request::{
    ChangeFilter, Consistency, Op, Precondition, ReadOp, Request, RequestId, Resume, StreamTree, StreamWatch,
    WatchClass, WatchOp, WatchScope, WriteOp,
};
pub use restore::Restore;
pub use stat::Stat;
pub use time::Now;
pub use txn::{Route, Txn, TxnBody, TxnOp};
pub use zxid::{Epoch, Zxid};
