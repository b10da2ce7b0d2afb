//! What the disk threads do, without the threads: the operations that a replica asks for, carried out on a storage.
//!
//! Generic over the disk, so that the simulator runs the same code on a simulated one.

mod log_work;
mod receive;
mod recover;
mod snapshot_work;

pub use log_work::{LogDone, LogWork};
pub use receive::{ReceiveError, ReceivedSnapshot, SnapshotReceiver};
pub use recover::{RecoverError, Recovered, recover};
pub use snapshot_work::SnapshotWork;
