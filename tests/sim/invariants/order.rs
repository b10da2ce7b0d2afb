//! SessionFifo: the committed writes of one connection are in the order in which it sent them, each at most once, and
//! none is committed if one before it was lost.

use std::collections::BTreeMap;

use quorate_types::{OutboxId, Route, ServerId, Tag};

/// What was committed for each connection, and what was left unanswered on it when it ended.
#[derive(Default)]
pub(crate) struct Order {
    committed: BTreeMap<(ServerId, OutboxId), Vec<Tag>>,
    unanswered: Vec<((ServerId, OutboxId), Vec<Tag>)>,
}

impl Order {
    /// A txn is committed whose answer goes there.
    pub(crate) fn committed(&mut self, route: Route) {
        if route.server == ServerId::default() {
            return;
        }
        let tags = self.committed.entry((route.server, route.outbox)).or_default();
        let last = tags.last().copied();
        assert!(last < Some(route.tag), "SessionFifo: {route:?} is committed after {last:?}");
        tags.push(route.tag);
    }

    /// A connection has ended, and these writes, each of which leads to a txn if it is decided at all, have no answer.
    pub(crate) fn ended(&mut self, server: ServerId, outbox: OutboxId, unanswered: Vec<Tag>) {
        if unanswered.len() > 1 {
            self.unanswered.push(((server, outbox), unanswered));
        }
    }

    /// At the end of a run.
    pub(crate) fn check(&self) {
        for (connection, unanswered) in &self.unanswered {
            let committed = self.committed.get(connection).map_or(&[][..], Vec::as_slice);
            let happened: Vec<bool> = unanswered.iter().map(|tag| committed.binary_search(tag).is_ok()).collect();
            let is_prefix = happened.is_sorted_by(|earlier, later| earlier >= later);
            assert!(
                is_prefix,
                "SessionFifo: of {unanswered:?} on {connection:?} only these were committed: {happened:?}"
            );
        }
    }
}
