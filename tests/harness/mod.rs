//! The harness for tests of real processes: the server's program, its process, and small clients of its doors.
//!
//! Nothing here has a fixed port, a fixed directory or a fixed duration: ports are the system's choice, directories
//! are temporary, and whatever is waited for is waited for by its effect.

mod binary;
mod process;
mod rest;
mod server;
mod sse;

pub use binary::server_binary;
pub use process::ProcessStats;
pub use rest::{Answer, Rest, escape};
pub use server::{Server, ServerOptions};
pub use sse::{SseEvent, SseReader};
