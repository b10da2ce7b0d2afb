//! The harness for tests of real processes: the server's program, its process, and small clients of its doors.
//!
//! Nothing here has a fixed port, a fixed directory or a fixed duration: ports are the system's choice, directories
//! are temporary, and whatever is waited for is waited for by its effect. Several servers are an `Ensemble`, with a
//! `Network` between them that can fail. Disks and clocks of servers have `Faults`.

mod authority;
mod binary;
mod ensemble;
mod faults;
mod gateway;
mod network;
mod process;
mod pulse;
mod rest;
mod server;
mod sse;

pub use authority::{Authority, Papers};
pub use binary::server_binary;
pub use ensemble::{Ensemble, EnsembleOptions};
pub use faults::{FaultCounts, Faults, Files};
pub use gateway::Gateway;
pub use network::Network;
pub use process::ProcessStats;
pub use pulse::{Pulse, longest_gap};
pub use rest::{Answer, Rest, escape};
pub use server::{Server, ServerOptions};
pub use sse::{SseEvent, SseReader};
