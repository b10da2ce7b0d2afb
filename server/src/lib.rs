//! The shell of a Quorate server: everything around the deterministic replica that touches threads, files, sockets and
//! clocks.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`inbox`] | the one way from the front doors to the replica and back; `mailbox`, `calls`: its ends |
//! | `published`, `clock`, `request_size` | what everybody may read without asking; time; what a request is charged |
//! | [`connection`] | what is known about a connection, and how it is cut |
//!
//! Invariants: exactly one task changes the replica's state; no task is spawned and no lock is held across an await for
//! a request; every queue is bounded.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod calls;
mod clock;
pub mod connection;
pub mod inbox;
mod mailbox;
mod published;
mod request_size;
