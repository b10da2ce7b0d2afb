//! Recipes: what coordination services are used for, made of znodes, sessions and watches.
//!
//! They are Curator's and kazoo's, by their names on the tree where it matters (locks, elections, permits), so that mixed
//! fleets exclude each other. All of them have in common:
//!
//! - What is held is held in the name of a [`crate::Session`] and ends with it. A recipe does not keep its session open:
//!   drop the session, and everything is given back.
//! - Every future can be dropped at any await. What it had created is deleted then, in the background, even if the answer
//!   to the creation was still under way.
//! - While the session has no connection they wait. When it is lost, waiting ends with an error, and what was held is
//!   lost: [`Guard::lost`] tells. Acting on something outside of the ensemble needs its [`Fence::token`] as well.
//! - A server that dies, or the leader, is no event for them.
//! - Nobody waits for more than one znode, if there is any other way, so that no change wakes a herd.

mod atomic;
mod barrier;
mod cache;
mod configuration;
mod discovery;
mod double_barrier;
mod fence;
mod guard;
mod leader_elector;
mod leader_latch;
mod line;
mod lock;
mod locking_queue;
mod membership;
mod names;
mod partitioner;
mod patience;
mod persistent_ephemeral;
mod queue;
mod reentrant_lock;
mod rw_lock;
mod semaphore;
mod task;
#[cfg(test)]
mod tests;
mod value;

pub use self::atomic::{Atomic, Counter, Versioned};
pub use self::barrier::Barrier;
pub use self::cache::{CacheState, CachedChildren, CachedNode, CachedTree, CachedZnode};
pub use self::configuration::{Configuration, Setting};
pub use self::discovery::{Instances, Services};
pub use self::double_barrier::{DoubleBarrier, Inside};
pub use self::fence::Fence;
pub use self::guard::Guard;
pub use self::leader_elector::LeaderElector;
pub use self::leader_latch::{LeaderLatch, Leadership};
pub use self::line::Standing;
pub use self::lock::Lock;
pub use self::locking_queue::{LockingQueue, Taken};
pub use self::membership::Membership;
pub use self::partitioner::Partitioner;
pub use self::persistent_ephemeral::{PersistentEphemeral, Presence};
pub use self::queue::Queue;
pub use self::reentrant_lock::{ReentrantLock, SharedGuard};
pub use self::rw_lock::RwLock;
pub use self::semaphore::Semaphore;
pub use self::value::Value;
