//! Watches as a whole: what clients are told, written down as text.

mod acl;
mod model;
mod replaced;
mod scale;
mod streaming;
mod trees;
pub(in crate::watch) mod world;
