//! The client against a fake server with faults.

mod calls;
mod chroots;
mod sessions;
mod watches;
