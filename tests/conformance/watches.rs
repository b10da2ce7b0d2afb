//! `WatchLog`: what the watches of one stream have been told and the case has not asked for yet.

use std::collections::{BTreeMap, VecDeque};

use quorate_proto::v1;
use serde_json::{Value, json};

use super::messages;

/// For each watch, by its id, a queue.
#[derive(Default)]
pub(super) struct WatchLog {
    told: BTreeMap<u64, VecDeque<Value>>,
}

impl WatchLog {
    /// Files what a stream brought.
    pub(super) fn take(&mut self, items: Vec<v1::WatchItem>) {
        for item in items {
            let told = match item.item.as_ref().expect("an item says something") {
                v1::watch_item::Item::Created(created) => vec![json!({"type": "begun", "zxid": created.zxid})],
                item => messages::told(item),
            };
            assert!(!item.watch_ids.is_empty(), "an item is for nobody: {item:?}");
            for id in &item.watch_ids {
                self.told.entry(*id).or_default().extend(told.iter().cloned());
            }
        }
    }

    /// The next thing that a watch was told.
    pub(super) fn next(&mut self, id: u64) -> Option<Value> {
        self.told.entry(id).or_default().pop_front()
    }
}
