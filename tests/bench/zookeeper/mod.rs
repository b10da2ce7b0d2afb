//! Apache ZooKeeper, to compare with: its program, a process of it, and a small client of its protocol.
//!
//! | file | holds |
//! | --- | --- |
//! | `installation` | the program, fetched by Maven below `target/` |
//! | `process` | one standalone server |
//! | `wire` | requests and replies as bytes |
//! | `connection` | one session, with any number of requests outstanding |

mod connection;
mod installation;
mod process;
mod wire;

pub(crate) use connection::{Connection, pipelined};
pub(crate) use installation::Installation;
pub(crate) use process::ZooKeeper;
pub(crate) use wire::Request;
