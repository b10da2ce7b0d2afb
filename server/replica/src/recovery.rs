//! `Recovery`: how a replica comes out of a snapshot and the log after it.

use alloc::vec::Vec;
use quorate_tree::Tree;
use quorate_types::{Epoch, Frame, FrameKind, Now, Zxid};
use quorate_zab::{Configs, Promise, Zab};

use crate::effect::Effects;
use crate::history::History;
use crate::replica::{Config, Replica};
use crate::watch::{WatchConfig, Watches};
use crate::writes::decode;

/// Where the state begins that a recovery starts from: at a snapshot, or at nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The snapshot's zxid.
    pub zxid: Zxid,
    /// The chain hash of the history up to there.
    pub chain: u64,
    /// Every epoch up to there with its last counter.
    pub epochs: Vec<(Epoch, u32)>,
}

/// A replica in the making. Every record of the log that is still there is pushed, in order; those that the snapshot
/// holds already only help to rebuild the watch history.
#[derive(Debug)]
pub struct Recovery {
    config: Config,
    promise: Promise,
    tree: Tree,
    base: Zxid,
    commit: Zxid,
    log: quorate_zab::History,
    past: History,
    last_pushed: Option<Zxid>,
    /// After the snapshot.
    replayed_records: u64,
    replayed_bytes: u64,
}

impl Recovery {
    /// Begins from the state `tree`, exact at `base`. Everything up to `commit` is known to have been committed, and
    /// everything that will be pushed is durable.
    ///
    /// # Panics
    /// If the tree is not at `base`.
    #[must_use]
    pub fn new(config: Config, promise: Promise, tree: Tree, base: Base, commit: Zxid) -> Recovery {
        assert_eq!(tree.applied(), base.zxid, "the snapshot's state is not at the snapshot's zxid");
        Recovery {
            past: History::new(base.zxid, config.history_bytes),
            log: quorate_zab::History::new(base.zxid, base.chain, base.epochs),
            base: base.zxid,
            commit: commit.max(base.zxid),
            config,
            promise,
            tree,
            last_pushed: None,
            replayed_records: 0,
            replayed_bytes: 0,
        }
    }

    /// Takes the next record of the log.
    ///
    /// # Panics
    /// If it does not continue the one before: the storage has verified that it does.
    pub fn push(&mut self, frame: Frame) {
        let zxid = frame.zxid();
        if let Some(last) = self.last_pushed {
            assert!(zxid.follows(last), "{zxid:?} was pushed after {last:?}");
        }
        let is_first = self.last_pushed.replace(zxid).is_none();
        if zxid <= self.base {
            self.remember(&frame, is_first);
            return;
        }
        self.replayed_records += 1;
        self.replayed_bytes += frame.bytes().len() as u64;
        self.log.append(frame);
        while let Some(frame) = self.log.deliver(self.commit) {
            self.apply(&frame);
        }
    }

    /// A record that the snapshot holds: only watches want to know.
    fn remember(&mut self, frame: &Frame, is_first: bool) {
        if is_first {
            // What came before the first record that is left is not known.
            self.past = History::new(Zxid(frame.zxid().0 - 1), self.config.history_bytes);
        }
        match frame.kind() {
            FrameKind::Txn => match decode(frame.zxid(), frame.payload()).changes(frame.zxid()) {
                Some(changes) => self.past.push(frame.zxid(), changes),
                None => self.past.push_gap(frame.zxid()),
            },
            FrameKind::Marker | FrameKind::Reconfig | FrameKind::ConfigFinal => {
                self.past.push(frame.zxid(), Vec::new());
            }
        }
    }

    fn apply(&mut self, frame: &Frame) {
        let zxid = frame.zxid();
        match frame.kind() {
            FrameKind::Txn => {
                let changes = self.tree.apply(zxid, &decode(zxid, frame.payload()));
                self.past.push(zxid, changes);
            }
            FrameKind::Marker | FrameKind::Reconfig | FrameKind::ConfigFinal => {
                self.tree.advance(zxid);
                self.past.push(zxid, Vec::new());
            }
        }
    }

    /// The state so far.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// All records were pushed: the replica begins its work.
    #[must_use]
    pub fn finish(self, now: Now, out: &mut Effects) -> Replica {
        let me = self.config.server;
        let configs = Configs::new([me]);
        // Whoever is a quorum by itself has committed whatever it has logged: nobody sees a state without it.
        let commit = if configs.is_quorum(|server| server == me) { self.log.last() } else { self.commit };
        let zab_config = quorate_zab::Config { server: me, configs, counter_soft_max: self.config.counter_soft_max };
        let zab = Zab::new(zab_config, self.promise, self.log, commit);
        let watches =
            Watches::new(self.past, WatchConfig { hash_seed: self.config.hash_seed, ..WatchConfig::default() });
        let mut replica = Replica::new(self.config, zab, self.tree, self.base, watches);
        replica.under_way.replayed(self.replayed_records, self.replayed_bytes);
        replica.sessions.advance(now.monotonic_ms);
        replica.begin_sessions();
        replica.with_outputs(now, out, Zab::start);
        replica
    }
}
