//! The shell of a Quorate server: everything around the deterministic replica that touches threads, files, sockets and
//! clocks.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`inbox`] | the one way from the front doors to the replica and back; `mailbox`, `calls`: its ends |
//! | `published`, `clock` | what everybody may read without asking; time |
//! | [`config`] | what can be set, and from where |
//! | [`server`] | one running server: recovery, wiring, the orderly end |
//! | `driver` | the loop: drain, step, flush, dispatch |
//! | `disk`, `handoff` | the two threads that wait for the device, and the queues into them |
//! | [`durable`] | what these threads do, without the threads |
//! | [`grpc`] | a front door: bytes to requests, replies to bytes |
//! | [`peers`] | the transport between the servers of an ensemble |
//! | [`connection`] | what is known about a connection, and how it is cut |
//! | `listener`, [`tls`] | accepts connections for a door; what encrypts them |
//! | [`admin`], `metrics`, `process`, `slow` | what is counted, what the process uses, and who may read it; what took long |
//!
//! Invariants: exactly one task changes the replica's state; no task is spawned and no lock is held across an await for
//! a request; every queue is bounded.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
mod calls;
mod clock;
pub mod config;
pub mod connection;
pub mod disk;
mod driver;
pub mod durable;
pub mod grpc;
mod handoff;
pub mod inbox;
pub mod listener;
mod mailbox;
mod metrics;
pub mod peers;
mod process;
mod published;
pub mod server;
mod slow;
pub mod tls;
