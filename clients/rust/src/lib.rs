//! The Rust client of Quorate, a coordination service with ZooKeeper's model.
