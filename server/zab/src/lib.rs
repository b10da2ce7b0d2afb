//! Agreement on one history: ZooKeeper's atomic broadcast (Junqueira, Reed and Serafini, DSN 2011), with the
//! new-leader marker as a record of the log.
//!
//! [`Zab`] is a state machine without I/O and without a clock of its own. Payloads are opaque. What it wants done
//! comes out as [`Output`]s; what the disk has made durable comes in as tokens. Nothing that is only true once the disk has it is
//! said, counted or delivered before the token has come back.
//!
//! | file | holds |
//! | --- | --- |
//! | [`quorum`] | members, configurations, and the one predicate that gates every decision |
//! | [`history`] | what is in the log: its end, its epochs, and the records that are not yet delivered |
//! | [`zab`] | the machine: roles, phases, and what moves it from one to the next |
//! | `election`, `discovery`, `synchronization`, `broadcast` | one file for each phase |
//!
//! An ensemble of one goes through every phase, too: it elects itself, promises itself the next epoch and makes the
//! promise durable, writes its marker, and commits what its own disk reports. Links to other servers are not here
//! yet; they add inputs to these phases and change no rule.
#![no_std]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod broadcast;
mod discovery;
mod election;
pub mod history;
pub mod quorum;
mod synchronization;
pub mod zab;

pub use history::History;
pub use quorum::Configs;
pub use zab::{Config, NotProposed, Output, Phase, Promise, Zab};
