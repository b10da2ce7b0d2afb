//! The Rust client of Quorate, a coordination service with ZooKeeper's model.
//!
//! ```no_run
//! # async fn example() -> Result<(), quorate_client::Error> {
//! use std::time::Duration;
//!
//! use futures_util::StreamExt as _;
//! use quorate_client::{Client, CreateMode, WatchKind};
//!
//! let client = Client::builder().addresses(["127.0.0.1:7181"]).build();
//!
//! client.create("/config/limits", "100").parents().await?;
//! let limits = client.get("/config/limits").await?;
//! client.set("/config/limits", "200").mzxid(limits.stat.mzxid).await?;
//!
//! let session = client.open_session(Duration::from_secs(10)).await?;
//! session.create("/workers/w-", "10.0.0.7").mode(CreateMode::EphemeralSequential).parents().await?;
//!
//! let mut workers = client.watch("/workers").kind(WatchKind::Children).send_initial().start();
//! while let Some(event) = workers.next().await {
//!     println!("{:?}", event?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Client`] makes calls: each is a builder that is awaited.
//! - [`Session`] is a client whose ephemeral znodes live as long as it does.
//! - [`recipes`] are what both are for: locks, leaders, queues, caches and so on.
//! - [`Watch`] is a stream of changes that misses nothing.
//! - [`Tls`] is how servers, and this client, prove who they are.
//! - [`Error`] says why, what to do, and whether a write may have taken effect.
//!
//! The client hides what can be hidden: it fails over between servers, repeats reads, repeats writes under a name by
//! which the server recognizes them, and never shows a state that is older than one it has shown before.

mod acl;
mod backoff;
mod channel;
mod chroot;
mod client;
mod connection;
mod core;
mod data;
mod error;
#[cfg(test)]
mod fake;
mod header;
mod members;
mod mode;
pub mod ops;
mod options;
pub mod recipes;
pub mod reply;
mod request_ids;
mod seen;
mod session;
mod stat;
#[cfg(test)]
mod tests;
mod tls;
mod trace;
mod unary;
mod watch;

/// The generated types and clients, for what this crate does not offer: see [`Client::grpc`].
pub use quorate_proto::v1 as proto;

pub use self::acl::{Acl, AclEntry, Perms};
pub use self::client::{Access, Builder, Client};
pub use self::data::Data;
pub use self::error::{Error, Reason};
pub use self::header::{Header, Role};
pub use self::members::{Digest, Member, MemberAddress, MemberSpec, MemberState, Members, Membership, Reconfigured};
pub use self::mode::CreateMode;
pub use self::ops::{Call, Check, ClusterCall, Restored, Snapshot, Status, Tree};
pub use self::options::{CallOptions, Consistency, RequestId, SessionCredential, ZxidBound};
pub use self::reply::{
    Child, Children, Count, Created, Deleted, Ephemerals, Existence, Granted, MultiReadReply, MultiReply, MultiResult,
    ReadResult, Synced, TreeNode, Updated, Znode, ZnodeAcl,
};
pub use self::session::{ConnectionState, ConnectionStates, KeptAlive, RawSession, Session, SessionState};
pub use self::stat::Stat;
pub use self::tls::Tls;
pub use self::trace::TraceContext;
pub use self::watch::{Event, EventKind, Watch, WatchBuilder, WatchEvent, WatchKind, Watches};
