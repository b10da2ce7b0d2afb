//! `Recovery`: how a replica comes out of a snapshot and the log after it.

use alloc::vec::Vec;
use bytes::Bytes;
use quorate_tree::Tree;
use quorate_types::{Frame, FrameKind, Now, Zxid};
use quorate_zab::{Position, Promise, SnapshotBase, Standing, Start, Zab};

use crate::effect::Effects;
use crate::history::History;
use crate::replica::{Config, Replica};
use crate::watch::{WatchConfig, Watches};
use crate::writes::decode;

/// What a server's disk holds besides its records, all of it durable.
#[derive(Clone, Debug)]
pub struct Found {
    /// The last promise.
    pub promise: Promise,
    /// Whether this server counts.
    pub standing: Standing,
    /// Whether an ensemble may begin with it: see [`Start::may_found`].
    pub may_found: bool,
    /// What the state begins with: a snapshot's place, or the beginning of all history.
    pub base: SnapshotBase,
    /// Everything up to here is known to have been committed.
    pub commit: Zxid,
    /// Before the first record that the log still holds.
    pub log_start: Zxid,
}

impl Found {
    /// What an empty disk holds.
    #[must_use]
    pub fn nothing() -> Found {
        Found {
            promise: Promise::default(),
            standing: Standing::Voter,
            may_found: false,
            base: SnapshotBase { position: Position::default(), epochs: Vec::new(), configs: Bytes::new() },
            commit: Zxid::ZERO,
            log_start: Zxid::ZERO,
        }
    }
}

/// A replica in the making. Every record of the log that is still there is pushed, in order; those that the snapshot
/// holds already only help to rebuild the watch history.
#[derive(Debug)]
pub struct Recovery {
    config: Config,
    found: Found,
    tree: Tree,
    log: quorate_zab::History,
    past: History,
    last_pushed: Option<Zxid>,
    /// After the snapshot.
    replayed_records: u64,
    replayed_bytes: u64,
}

impl Recovery {
    /// Begins from the state `tree`, exact at the base. Everything that will be pushed is durable.
    ///
    /// # Panics
    /// If the tree is not at the base, or if the base names configurations that cannot be read.
    #[must_use]
    pub fn new(config: Config, found: Found, tree: Tree) -> Recovery {
        let base = found.base.position.zxid;
        assert_eq!(tree.applied(), base, "the snapshot's state is not at the snapshot's zxid");
        Recovery {
            past: History::new(base, config.history_bytes),
            log: quorate_zab::History::from_snapshot(&found.base),
            found: Found { commit: found.commit.max(base), ..found },
            config,
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
        if zxid <= self.found.base.position.zxid {
            self.remember(&frame, is_first);
            return;
        }
        self.replayed_records += 1;
        self.replayed_bytes += frame.bytes().len() as u64;
        self.log.append(frame);
        while let Some(frame) = self.log.deliver(self.found.commit) {
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
                let txn = decode(zxid, frame.payload());
                let changes = self.tree.apply(zxid, &txn);
                match txn.replaces_state() {
                    true => self.past.push_gap(zxid),
                    false => self.past.push(zxid, changes),
                }
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
        let Found { promise, standing, may_found, base, commit, log_start } = self.found;
        let me = self.config.server;
        let founding = self.config.founding.clone();
        let is_alone = match self.log.configs() {
            Some(configs) => configs.is_quorum(|server| server == me),
            None => founding.servers.len() == 1,
        };
        // Whoever is a quorum by itself has committed whatever it has logged: nobody sees a state without it.
        let commit = if is_alone { self.log.last() } else { commit };
        let zab_config = quorate_zab::Config {
            counter_soft_max: self.config.counter_soft_max,
            timing: self.config.timing,
            limits: self.config.window,
            ..quorate_zab::Config::new(me, founding)
        };
        let at_snapshot = base.position.zxid;
        let snapshot = (at_snapshot != Zxid::ZERO).then_some(base.position);
        let start = Start { promise, standing, may_found, history: self.log, commit, log_start, snapshot };
        let zab = Zab::new(zab_config, start);
        let watches =
            Watches::new(self.past, WatchConfig { hash_seed: self.config.hash_seed, ..WatchConfig::default() });
        let mut replica = Replica::new(self.config, zab, self.tree, at_snapshot, watches);
        replica.under_way.replayed(self.replayed_records, self.replayed_bytes);
        replica.sessions.advance(now.monotonic_ms);
        replica.begin_sessions();
        replica.with_outputs(now, out, |zab, outputs| zab.start(now.monotonic_ms, outputs));
        replica
    }
}
