//! Whether what clients saw could have happened in one order that respects real time (Herlihy and Wing,
//! "Linearizability: a correctness condition for concurrent objects", TOPLAS 1990).
//!
//! The judgement rests on nothing but when each operation began and ended, as its client saw it, and what it was
//! answered: zxids are not looked at, so a server cannot be believed when it is wrong about its own order. A history
//! is linearizable if that of each znode is (locality), so each path is judged by itself.
//!
//! | file | holds |
//! | --- | --- |
//! | `operation` | what a client asked for, what it was answered, and when |
//! | `znode` | what a znode answers, operation by operation: the sequential specification |
//! | `search` | the search for an order that explains all answers |

mod operation;
mod search;
mod znode;

pub use operation::{Action, Answer, Clock, Operation, Outcome};
pub use search::{Verdict, judge};
pub use znode::Znode;

use std::collections::BTreeMap;

/// Judges all operations, path by path. The error is the history of one znode for which there is no order.
///
/// # Errors
/// The first path that is not linearizable, or could not be judged within `steps_max` steps, with what happened there.
pub fn check(operations: &[Operation], steps_max: u64) -> Result<Checked, String> {
    let mut paths: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        paths.entry(&operation.path).or_default().push(operation);
    }
    let mut checked = Checked { paths: paths.len(), ..Checked::default() };
    for (path, operations) in paths {
        let verdict = judge(&operations, steps_max);
        let Verdict::Linearizable { steps } = verdict else {
            let lines: Vec<String> = operations.iter().map(|operation| format!("  {operation}")).collect();
            return Err(format!("{path}: {verdict:?}\n{}", lines.join("\n")));
        };
        checked.operations += operations.len();
        checked.lost += operations.iter().filter(|operation| !operation.answer.is_seen()).count();
        checked.steps += steps;
    }
    Ok(checked)
}

/// How much was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Znodes.
    pub paths: usize,
    /// Operations on them.
    pub operations: usize,
    /// Of these, those of which no client knows what came of them.
    pub lost: usize,
    /// Places in an order that were tried.
    pub steps: u64,
}
