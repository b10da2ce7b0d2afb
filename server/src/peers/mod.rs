//! The transport between the servers of an ensemble: connections, bytes and proofs of identity. What is said, and why,
//! is agreement's; it is told in `quorate_zab::message`.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`transport`] | what the driver uses: outputs of agreement in, and, through [`sink`], its inputs out |
//! | [`limits`], [`config`] | how much and how long; what may be chosen |
//! | [`hello`], [`tls`] | who a server is, and how it proves it |
//! | `dial`, `door`, `address_book` | how two servers find each other, from either end |
//! | `call` | one call on one HTTP/2 connection, driven by whoever owns it |
//! | `codec` | what agreement says, as bytes and back |
//! | `session`, `link`, [`snapshot`] | the three things that are called for |
//! | `outbound` | from the driver to the task that has the call |
//! | `core`, `quiet` | what tasks share; what is not said twice |
//!
//! Invariants: every call begins with a hello, and nothing that comes before it is reported; what comes in of one session
//! is reported in its order, its end exactly once and nothing after it; once the driver has closed a session, nothing more
//! of it is reported; nobody waits for a peer but the task that has its call.

mod address_book;
mod call;
mod codec;
pub mod config;
mod core;
mod dial;
mod door;
pub mod hello;
pub mod limits;
mod link;
mod outbound;
mod quiet;
mod session;
pub mod sink;
pub mod snapshot;
pub mod tls;
pub mod transport;

pub use codec::carried;
pub use config::{Config, Timing};
pub use hello::{HelloRefusal, Identity, PROTOCOL_VERSION};
pub use sink::Sink;
pub use snapshot::{Place, Received};
pub use tls::TlsFiles;
pub use transport::Peers;

#[cfg(test)]
mod tests;
