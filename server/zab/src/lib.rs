//! Agreement on one history: ZooKeeper's atomic broadcast (Junqueira, Reed and Serafini, DSN 2011), with the
//! new-leader marker as a record of the log.
//!
//! [`Zab`] is a state machine without I/O and without a clock of its own. Payloads are opaque. What it wants done comes
//! out as [`Output`]s; what the disk has made durable comes in as tokens. Nothing that is only true once the disk has
//! it is said, counted or delivered before the token has come back.
//!
//! | file | holds |
//! | --- | --- |
//! | [`message`] | what servers say to each other |
//! | [`input`], [`output`] | what comes in, and what is to be done or was decided |
//! | [`zab`] | how a server goes from one role to the next |
//! | `requests`, `status`, `view` | what the replica asks for, and what it can look at |
//! | `election/` | phase 0: who should try to lead |
//! | `leading/` | the leader's side of phases 1 to 3, and what only a leader does |
//! | `following/` | the learner's side of phases 1 to 3 |
//! | `local` | what is true of a server whatever its role |
//! | [`history`], `disk` | what is in the log, and what is on its way there |
//! | [`quorum`] | the one predicate that gates every decision |
//! | `links`, [`config`] | whom a server hears and is connected with; what was configured |
//!
//! The phases are those of the paper. Discovery: a quorum promises an epoch above every earlier one. Synchronization:
//! the leader's history and its marker reach a quorum. Broadcast: records are proposed, acknowledged and committed. An
//! ensemble of one goes through all of them, too.
//!
//! What makes it safe, in short: a promise is durable before it counts, and counts for one leader in an epoch; a leader
//! has everything that anybody in its quorum of promises has; only the marker, or what comes after it, is committed by
//! counting; and every quorum is one of every configuration that is active at the end of the leader's own log. An
//! election decides nothing but who tries.
#![no_std]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
mod disk;
mod election;
mod following;
mod hearsay;
pub mod history;
pub mod input;
mod leading;
mod links;
mod local;
pub mod message;
pub mod output;
pub mod quorum;
mod requests;
mod status;
mod view;
pub mod zab;

pub use config::{Config, Limits, Timing};
pub use history::History;
pub use input::{Input, LogRead, Origin, SnapshotBase};
pub use leading::reconfig::NotReconfigured;
pub use leading::transfer::NotTransferred;
pub use message::{ConnectionId, Digest, Message, Notification, Plan, Position, Refusal, Standing, Vote};
pub use output::{Halt, Output, PeerOutput, Promise};
pub use quorate_types::{Member, MemberRole, Members};
pub use quorum::Configs;
pub use requests::NotProposed;
pub use zab::{Phase, Start, Zab};
