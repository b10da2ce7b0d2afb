//! Quorate's durable storage: transaction log, snapshots and the meta record, over a small Disk trait.
