//! The client against a fake server with faults.

mod calls;
mod sessions;
mod watches;
