//! Quorate's HTTP gateway: REST, JSON and server-sent events over the Rust client.
