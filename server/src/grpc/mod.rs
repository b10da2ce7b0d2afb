//! The gRPC front door: bytes -> `Request`, `Reply` -> bytes, and nothing else.
//!
//! ```text
//! door ──────── one accepted byte stream: which HTTP it is, its limits and its age
//!   route ───── a call's path -> the function that answers it; the deadline; the encodings
//!     web ───── what is no plain gRPC: calls of pages in browsers
//!     receiving ─ bytes that are no whole message yet: their time and their room
//!     lists ───── elements of a message, counted before it is decoded
//!     znode · session · watch · cluster · health ── the services
//!       options ── headers and `RequestOptions` -> what a `Request` needs besides its operation
//!       convert ── messages <-> the core's words
//!       snapshot · restore ─ files that leave and come
//!       exchange ─ the one state machine of all streams, with a dialogue for each: channel, keep_alive, ..
//!   error ───── errors -> statuses and messages
//! ```
//!
//! A unary call asks the inbox by itself. A stream has an outbox: batches of operations go in as batches of requests,
//! and batches of deliveries come out as one message. Nothing is queued here without bound: what a client does not
//! read stays in its outbox, whose owner decides what becomes of it.

mod channel;
mod cluster;
mod codec;
mod config;
mod convert;
mod deadline;
mod door;
mod error;
mod exchange;
mod greeting;
mod health;
mod keep_alive;
mod lists;
mod options;
mod receiving;
mod reflection;
mod restore;
mod route;
mod seldom;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;
mod tree;
mod watch;
mod watches;
mod web;
mod znode;

pub use config::Config;
pub use door::Door;
