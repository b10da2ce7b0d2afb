//! Tests of real processes: killed at any moment, fed with real data and with garbage, short of disk, ignored by
//! their clients.

mod bad_input;
mod durability;
mod full_disk;
mod garbage;
mod idle;
mod import;
mod random;
mod slow_reader;
mod tracked;
