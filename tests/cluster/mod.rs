//! Tests of real processes: killed at any moment, fed with real data and with garbage, short of disk, ignored by
//! their clients; and of what they have to keep through that: sessions, deadlines, request ids, the history.

mod bad_input;
mod calls;
mod cli;
mod compacted;
mod dev_cluster;
mod durability;
mod ensemble;
mod ephemeral_cap;
mod examples;
mod failing_disk;
mod full_disk;
mod garbage;
mod idle;
mod import;
mod linearizable;
mod metrics;
mod moved_sessions;
mod polls;
mod random;
mod reaping;
mod recipes;
mod reconfiguration;
mod request_ids;
mod slow_reader;
mod slow_requests;
mod tls;
mod tracked;
