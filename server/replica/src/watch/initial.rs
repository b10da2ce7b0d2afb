//! `Initial`: the present state, for a watch that begins with it.
//!
//! The state is told as of one zxid, in slices if it is large. Changes after that zxid wait in the history meanwhile,
//! so nothing is buffered here.

use alloc::vec::Vec;

use quorate_tree::{Tree, WalkItem};
use quorate_types::{ChangeKind, Event, WatchId, WatchScope, Zxid};

use super::registry::Key;
use super::slice::{self, Slice};
use super::traversal::Traversal;

/// A watch whose initial state is to be told.
#[derive(Debug)]
pub(super) struct Initial {
    pub(super) watch: WatchId,
    pub(super) key: Key,
}

impl Initial {
    /// The next events of the initial state, and whether they are the last ones.
    pub(super) fn read(&self, traversal: &mut Traversal, tree: &Tree, slice: &mut Slice) -> (Vec<Event>, bool) {
        let mut events = Vec::new();
        while slice.has_room() {
            let Some(item) = traversal.next(tree, slice) else { return (events, true) };
            let may_read = self.key.may_read(&item.acl);
            let is_top = item.path.len() == self.key.path.len();
            let is_told = match self.key.scope {
                WatchScope::Node => {
                    traversal.finish();
                    may_read
                }
                // Who may not read the top may not be told of its children either.
                WatchScope::Children if is_top => {
                    if !may_read {
                        traversal.finish();
                    }
                    may_read
                }
                WatchScope::Children => {
                    traversal.skip_below();
                    true
                }
                WatchScope::Recursive => may_read,
            };
            if is_told {
                let event = self.event(item, traversal.zxid(), may_read);
                slice.charge_bytes(0, slice::event_bytes(&event));
                events.push(event);
            }
        }
        (events, false)
    }

    /// The event for a znode that is there. Its index is that of no change: a client that goes on behind it goes on
    /// behind the whole txn that the state was exact at.
    fn event(&self, item: WalkItem, zxid: Zxid, may_read: bool) -> Event {
        let WalkItem { path, stat, data, .. } = item;
        let data = data.filter(|_| self.key.options.with_data && may_read);
        Event { kind: ChangeKind::Created, zxid, index: u32::MAX, path, stat, data, previous_data: None }
    }
}
