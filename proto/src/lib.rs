//! The gRPC API of Quorate, a coordination service with ZooKeeper's model, as Rust types.
//!
//! Generated from `quorate/v1/*.proto` and `quorate/peer/v1/*.proto`, where everything is documented. Data of znodes is
//! [`bytes::Bytes`].

/// The public API, version 1.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("quorate.v1");

    /// The compiled descriptors of all files, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// What the servers of an ensemble say to each other. Not for clients.
pub mod peer {
    /// Version 1.
    #[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("quorate.peer.v1");
    }
}
