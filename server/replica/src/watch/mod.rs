//! `Watches`: everybody who is told of changes, and what they are told.
//!
//! ```text
//!                          ┌──────────── history ────────────┐
//! Starting ──Synced──▶ Behind: cohorts, in slices ──▶ Live: told by `applied`      streaming watches
//! (a view of the tree)     └─ window moved past: LAGGED                            (registry, telling)
//! classic: tables by path, told by `applied`                                       ZooKeeper's watches
//! ```
//! | file | holds |
//! | --- | --- |
//! | `streaming` | how a streaming watch begins and ends |
//! | `live`, `registry`, `telling` | who is told of a change, and what: one item for all who are told the same |
//! | `catchup`, `recent` | watches behind the end of the history, and what was just told to others of them |
//! | `job`, `initial`, `tree_stream`, `traversal` | states of a subtree at one zxid |
//! | `work`, `slice`, `streams` | what is done a slice at a time, as fast as the clients read |
//! | `replaced` | how all of them end when the state is replaced |
//! | `classic`, `tables` | ZooKeeper's watches |
//!
//! Invariants: a streaming watch is told every matching change after its start once and in order, all of one txn in
//! one item, or it ends with a reason and the zxid to go on from. Whoever may not read is told nothing. The order of
//! what is emitted never depends on the order of a hash map.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_tree::Tree;
use quorate_types::{
    Caller, Change, Code, Error, Now, OutboxId, ReadOp, Response, StreamTree, Tag, WatchId, WatchOp, Zxid,
};

use crate::history::{Changes, History};
use crate::{Effects, Map, limits};

mod catchup;
mod classic;
mod initial;
mod job;
mod live;
mod recent;
mod registry;
mod replaced;
mod slab;
mod slice;
mod streaming;
mod streams;
mod tables;
mod telling;
mod traversal;
mod tree_stream;
mod work;

use classic::Classic;
use job::What;
use live::Live;
use streams::Streams;
use telling::Telling;
use traversal::Traversal;
use tree_stream::TreeStream;

/// The bounds of watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchConfig {
    /// Shapes memory, never what is emitted.
    pub(crate) hash_seed: u64,
    /// Streaming watches of one outbox.
    pub(crate) streaming_max: usize,
    /// ZooKeeper watches of one outbox.
    pub(crate) classic_max: usize,
    /// Views of the tree that are held from one slice to the next.
    pub(crate) views_max: usize,
    /// Bytes that one of them may pin.
    pub(crate) pinned_bytes_max: usize,
    /// Bytes of one slice, and what an outbox is sent in slices until it has been read.
    pub(crate) slice_bytes: usize,
    /// Znodes or changes of one slice.
    pub(crate) slice_items: usize,
    /// The interval of progress markers for those who do not say.
    pub(crate) progress_ms: u32,
}

/// ZooKeeper watches of one outbox. ZooKeeper has no bound; a client that caches a large tree keeps two for each
/// znode, so this one is generous: some 20 MB.
const CLASSIC_WATCHES_PER_OUTBOX_MAX: usize = 200_000;

impl Default for WatchConfig {
    fn default() -> WatchConfig {
        WatchConfig {
            hash_seed: 0,
            streaming_max: limits::WATCHES_PER_OUTBOX_MAX,
            classic_max: CLASSIC_WATCHES_PER_OUTBOX_MAX,
            views_max: limits::STREAMED_TREES_MAX,
            pinned_bytes_max: limits::PINNED_BYTES_MAX,
            slice_bytes: limits::SLICE_BYTES,
            slice_items: limits::SLICE_ITEMS,
            progress_ms: limits::PROGRESS_MS,
        }
    }
}

/// All watches of one server's clients, and the trees that are being streamed to them.
#[derive(Debug)]
pub(crate) struct Watches {
    config: WatchConfig,
    history: History,
    live: Live,
    classic: Classic,
    streams: Map<OutboxId, Streams>,
    /// Outboxes with something to do and room for it, each once.
    runnable: VecDeque<OutboxId>,
    /// Outboxes whose first job holds a view.
    viewing: BTreeSet<OutboxId>,
    /// Outboxes whose first job waits until fewer views are held.
    waiting_for_view: VecDeque<OutboxId>,
    /// Traversals that nobody wants any more, until the tree is at hand to let their views go.
    abandoned: Vec<Traversal>,
    /// Streaming watches of all outboxes.
    streaming: usize,
    telling: Telling,
}

impl Watches {
    pub(crate) fn new(history: History, config: WatchConfig) -> Watches {
        let seed = config.hash_seed;
        Watches {
            config,
            history,
            live: Live::new(seed),
            classic: Classic::new(seed, config.classic_max),
            streams: Map::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            runnable: VecDeque::new(),
            viewing: BTreeSet::new(),
            waiting_for_view: VecDeque::new(),
            abandoned: Vec::new(),
            streaming: 0,
            telling: Telling::new(seed),
        }
    }

    /// Records what a txn changed and tells everybody whom it concerns. To be called for every txn once `tree` has
    /// applied it, and before any reply that shows it is emitted.
    pub(crate) fn applied(&mut self, tree: &Tree, zxid: Zxid, changes: Vec<Change>, out: &mut Effects) {
        assert_eq!(tree.applied(), zxid, "watches are told of a txn as soon as it is applied");
        if !changes.is_empty() {
            self.classic.applied(&changes, out);
            self.live.tell(Changes::Applied(&changes), &mut self.telling, out);
        }
        self.history.push(zxid, changes);
    }

    /// Begins, ends or asks after watches. A streaming watch is answered by its own items; for one of ZooKeeper's the
    /// response is returned, and what a restored watch has missed is emitted before.
    pub(crate) fn operate(
        &mut self,
        tree: &mut Tree,
        outbox: OutboxId,
        caller: &Arc<Caller>,
        op: &WatchOp,
        now: Now,
        out: &mut Effects,
    ) -> Option<Response> {
        self.live.now(now.monotonic_ms);
        match op {
            WatchOp::Create(watch) => self.begin(tree.applied(), outbox, caller, watch, out),
            WatchOp::Cancel(watch) => self.cancel(tree.applied(), outbox, *watch, out),
            WatchOp::AddPersistent { .. } | WatchOp::RemovePersistent { .. } | WatchOp::Restore { .. } => {
                return Some(self.classic.operate(tree, outbox, caller, op, out));
            }
        }
        self.let_go(tree);
        None
    }

    /// Leaves the one-shot watch that a read with ZooKeeper's `watch` flag asks for, if `response` is one that it is
    /// left for.
    ///
    /// # Errors
    /// [`Code::QuotaExceeded`] if the outbox has too many: the read must then fail, for no watch was left.
    pub(crate) fn after_read(
        &mut self,
        outbox: OutboxId,
        caller: &Arc<Caller>,
        op: &ReadOp,
        response: &Response,
    ) -> Result<(), Error> {
        self.classic.after_read(outbox, caller, op, response)
    }

    /// Begins to stream a tree. What comes of it, an error included, is emitted by [`Watches::work`].
    ///
    /// # Errors
    /// [`Code::NoNode`] if there is nothing to stream, and [`Code::Throttled`] if the outbox streams too many trees
    /// already. Nothing is emitted then.
    pub(crate) fn stream_tree(
        &mut self,
        tree: &mut Tree,
        outbox: OutboxId,
        tag: Tag,
        caller: &Arc<Caller>,
        wanted: &StreamTree,
    ) -> Result<(), Error> {
        let path = wanted.path.as_str();
        if tree.stat(path).is_none() {
            return Err(Error::at(Code::NoNode, path, "there is no such znode to stream"));
        }
        let views_max = self.config.views_max;
        let streams = self.streams_of(outbox);
        if streams.tree_count() >= views_max {
            return Err(Error::new(Code::Throttled, "this connection streams too many trees at the same time"));
        }
        streams.add_job(What::Tree(TreeStream::new(tag, Arc::clone(caller), wanted)));
        self.queue(outbox);
        Ok(())
    }

    /// The outbox has been read: what waited for room in it goes on.
    pub(crate) fn ready(&mut self, outbox: OutboxId) {
        if let Some(streams) = self.streams.get_mut(&outbox) {
            streams.room = self.config.slice_bytes;
            self.queue(outbox);
        }
    }

    /// The outbox has ended a watch by itself, and told its client so.
    pub(crate) fn lagged(&mut self, outbox: OutboxId, watch: WatchId) {
        self.remove(outbox, watch);
    }

    /// The client is gone.
    pub(crate) fn closed(&mut self, tree: &mut Tree, outbox: OutboxId) {
        self.classic.closed(outbox);
        self.close_streams(outbox);
        self.let_go(tree);
    }

    /// Time has passed: watches that were told nothing for a while are told that nothing has happened.
    pub(crate) fn tick(&mut self, tree: &Tree, now: Now, out: &mut Effects) {
        self.live.now(now.monotonic_ms);
        self.live.mark_progress(tree.applied(), out);
        self.telling.tick();
    }

    /// Whoever has a streaming watch, or reads a tree.
    pub(crate) fn outboxes(&self) -> impl Iterator<Item = OutboxId> + '_ {
        self.streams.keys().copied()
    }

    /// Watches of all kinds.
    pub(crate) fn count(&self) -> usize {
        self.streaming + self.classic.count()
    }

    /// The oldest zxid from which a watch can resume.
    pub(crate) fn history_start(&self) -> Zxid {
        self.history.start()
    }
}

#[cfg(test)]
mod tests;
