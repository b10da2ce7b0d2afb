//! Quorate's atomic broadcast: election, discovery, synchronization and broadcast over opaque payloads.
