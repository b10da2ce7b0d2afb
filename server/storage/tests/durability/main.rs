//! What storage promises, tried against everything that a disk may do: random schedules of operations, crashes and
//! faults over a simulated disk, every single crash point of short schedules, and files damaged in every way.
#![allow(clippy::unwrap_used)]

mod crash_points;
mod damage;
mod full_disk;
mod lying_disk;
mod model;
mod promises;
mod real_disk;
mod run;
mod schedule;
