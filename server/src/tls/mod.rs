//! TLS of every door and link: certificates come from files, and what is made of them is made again when they change.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`files`] | which files there are for what, and what can be wrong with them |
//! | [`rotating`] | something made of files, made again when they change |
//! | [`acceptor`] | a door's side of a handshake, with limits of time and number |
//! | [`io`] | a byte stream with or without TLS |
//!
//! Only TLS 1.3 is spoken. The client has its own side in its own crate; servers among themselves play both parts.

pub mod acceptor;
#[cfg(test)]
pub(crate) mod authority;
pub mod files;
pub(crate) mod io;
pub(crate) mod rotating;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use acceptor::Acceptor;
pub use files::{Clients, DoorFiles, TlsError};

/// The versions that are spoken.
pub(crate) const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// HTTP/2, as it is called during a handshake.
pub(crate) const H2: &[u8] = b"h2";

/// What computes.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
