//! Several servers agree: scripts of what went wrong elsewhere, and a random walk through what else could.
//!
//! | file | holds |
//! | --- | --- |
//! | `rng` | the only source of chance: one seed, one run |
//! | `disk` | a disk that forgets what was not synced |
//! | `network` | sessions that lose a suffix when they are cut, and links |
//! | `world`, `disks`, `wires` | servers, disks and network on one virtual clock |
//! | `ghost` | what nobody in the world knows: everything that was ever committed, durable, promised |
//! | `invariants` | what has to hold at every step, one function each |
//! | `faults` | what the random walk does to the world, and how much of it |
//! | `walk` | the random walk: chaos with all faults, then peace, in which everybody has to get on |
//! | `mutations` | errors put in on purpose, in a build of `tests/mutations` alone |
//! | `scenarios` | scripts, each named after what it shows |

#![allow(clippy::unwrap_used)]

mod disk;
mod disks;
mod faults;
mod ghost;
mod invariants;
#[cfg(quorate_mutations)]
mod mutations;
mod network;
mod rng;
mod scenarios;
mod walk;
mod wires;
mod world;
