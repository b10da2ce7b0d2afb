//! The deterministic core of one server: agreement, replicated state, sessions, watches and the request pipeline,
//! without I/O and without a clock.
//!
//! [`Replica::step`] takes one [`Input`] and the time, and leaves [`Effects`]. The same code runs in production,
//! where a driver feeds it, and in the simulator, byte for byte.
//!
//! | file | holds |
//! | --- | --- |
//! | [`input`], [`effect`] | what goes in and what comes out, as plain data |
//! | [`replica`] | the composition: one step, one flush |
//! | [`recovery`] | how a replica comes out of a snapshot and a log |
//! | `writes` | request -> txn -> proposal |
//! | `commits` | committed record -> state -> events and reply |
//! | `ensemble`, `peer` | what is passed on to a leader, and what that answers |
//! | `administration` | who belongs to the ensemble, and who leads it, as clients ask for it |
//! | `locals` | what this server answers by itself: reads, sessions' attachments, watches |
//! | `timeliness` | how old the state may be that is shown |
//! | `effort`, `counting` | what keeps one client's large questions from delaying all others |
//! | `lanes` | the order of replies within an outbox |
//! | `waiting`, `under_way` | what waits for a leader, its word or a zxid; how much waits for the disk |
//! | `sessions`, `speaking` | who is alive, and which outbox speaks for whom |
//! | [`history`], `watch` | the window of past changes, and everybody who is told of changes |
//! | `restoring` | what it means that a backup becomes the state |
//! | `snapshotting`, `reaping` | what a replica does unasked |
//! | [`outbox`] | the bounded queue between a replica and one client |
//!
//! Invariants: exactly one thread changes state, and it is the one that calls `step`; an event of a watch that has
//! caught up is emitted before any reply that already shows its change (one that resumes from the past is behind until
//! its events reach the zxid of a reply); nothing that depends on the disk is emitted before the disk has
//! reported; every queue has a named maximum in [`limits`].
#![no_std]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod administration;
mod commits;
mod counting;
pub mod effect;
mod effort;
mod ensemble;
pub mod history;
pub mod input;
mod lanes;
pub mod limits;
mod locals;
pub mod outbox;
mod peer;
mod reaping;
pub mod recovery;
pub mod replica;
mod restoring;
mod room;
mod sessions;
mod snapshotting;
mod speaking;
mod timeliness;
mod under_way;
mod waiting;
mod watch;
mod writes;

pub use effect::{Delivery, DiskOp, Effects, Halted, Hint, SessionEnd, SnapshotOp, WatchItem, ZkEvent};
pub use input::{ClientInput, DiskInput, Input, Order};
pub use outbox::Outbox;
pub use recovery::{Found, Recovery};
pub use replica::{Config, Replica};

/// A hash map whose order never shows and whose hasher is seeded by [`Config::hash_seed`].
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;
