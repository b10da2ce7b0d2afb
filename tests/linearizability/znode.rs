//! `Znode`: what one znode answers if operations come one after the other.

use super::{Action, Outcome};

/// The state of a znode that may not exist: its data and its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Znode(pub Option<(u64, i32)>);

impl Znode {
    /// What the operation makes of it, and what it answers.
    #[must_use]
    pub fn after(self, action: Action) -> (Znode, Outcome) {
        let unless = |expected: Option<i32>, version: i32| expected.is_some_and(|expected| expected != version);
        match (action, self.0) {
            (Action::Restore { znode }, _) => (Znode(znode), Outcome::Restored),
            (Action::Create { value }, None) => (Znode(Some((value, 0))), Outcome::Written { version: 0 }),
            (Action::Create { .. }, Some(_)) => (self, Outcome::Exists),
            (Action::Set { .. } | Action::Delete { .. } | Action::Get, None) => (self, Outcome::Absent),
            (Action::Set { version: expected, .. } | Action::Delete { version: expected }, Some((_, version)))
                if unless(expected, version) =>
            {
                (self, Outcome::BadVersion)
            }
            (Action::Set { value, .. }, Some((_, version))) => {
                (Znode(Some((value, version + 1))), Outcome::Written { version: version + 1 })
            }
            (Action::Delete { .. }, Some(_)) => (Znode(None), Outcome::Deleted),
            (Action::Get, Some((value, version))) => (self, Outcome::Found { value, version }),
        }
    }
}
