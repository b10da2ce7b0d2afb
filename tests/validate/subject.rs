//! `Subject`: the real tree, used as a leader uses it, and beside it a follower's that only ever sees encoded txns.

use std::collections::VecDeque;

use bytes::Bytes;
use quorate_tests::model::{Ask, Model};
use quorate_tree::{Pending, Prepare, Prepared, SnapshotDecoder, SnapshotEncoder, Tree};
use quorate_types::txn::Route;
use quorate_types::{Acl, Change, Path, Txn, Zxid};

/// Small, so that a snapshot has many chunks.
const CHUNK_BYTES: usize = 100;

pub(super) struct Subject {
    leader: Tree,
    follower: Tree,
    pending: Pending,
    /// Proposed and not yet applied, oldest first.
    proposed: VecDeque<(Zxid, Txn)>,
}

impl Subject {
    pub(super) fn new() -> Subject {
        // What differs between servers must not matter.
        Subject { leader: Tree::new(1), follower: Tree::new(2), pending: Pending::new(3), proposed: VecDeque::new() }
    }

    /// The applied state.
    pub(super) fn tree(&self) -> &Tree {
        &self.leader
    }

    /// Decides a request; a txn is proposed at once.
    pub(super) fn prepare(&mut self, ask: &Ask) -> Prepared {
        let prepared = self.pending.prepare(
            &self.leader,
            &Prepare {
                op: &ask.op,
                caller: &ask.caller,
                session: ask.session,
                request_id: ask.request_id,
                route: Route::default(),
                zxid: ask.zxid,
                wall_ms: ask.wall_ms,
                new_session: ask.new_session,
            },
        );
        if let Prepared::Txn(txn) = &prepared {
            self.proposed.push_back((ask.zxid, txn.clone()));
        }
        prepared
    }

    /// Applies the oldest proposal on both sides; the changes, or where the two differ.
    pub(super) fn apply(&mut self) -> Result<Vec<Change>, String> {
        let (zxid, txn) = self.proposed.pop_front().expect("something is pending");
        let encoded = txn.encode();
        assert_eq!(encoded.len(), txn.encoded_len(), "{txn:?}");
        let changes = self.leader.apply(zxid, &txn);
        self.pending.applied(zxid);
        let decoded = Txn::decode(Bytes::from(encoded)).map_err(|error| format!("{txn:?} is decoded: {error}"))?;
        let followed = self.follower.apply(zxid, &decoded);
        if changes != followed {
            return Err(format!("the leader tells {changes:?}, the follower {followed:?}"));
        }
        if self.leader.digest() != self.follower.digest() {
            return Err(format!("the digests differ after {zxid:?}, {txn:?}"));
        }
        self.compare_with_history(zxid, &txn, &changes)?;
        Ok(changes)
    }

    /// What is rebuilt from the log after a restart must be what was told at first, but for previous data.
    fn compare_with_history(&self, zxid: Zxid, txn: &Txn, told: &[Change]) -> Result<(), String> {
        let Some(rebuilt) = txn.changes(zxid) else { return Ok(()) };
        let told: Vec<Change> = told.iter().map(|change| Change { previous_data: None, ..change.clone() }).collect();
        if rebuilt == told { Ok(()) } else { Err(format!("told {told:?}, but the log says {rebuilt:?}")) }
    }

    /// Writes a snapshot and goes on with what is read back of it.
    pub(super) fn restart_from_snapshot(&mut self) -> Result<(), String> {
        let digest = self.leader.digest();
        let mut encoder = SnapshotEncoder::new(&mut self.leader);
        let mut decoder = SnapshotDecoder::new(7);
        while let Some(chunk) = encoder.next_chunk(&self.leader, CHUNK_BYTES) {
            decoder.push(&chunk).map_err(|error| format!("the snapshot is refused: {error:?}"))?;
        }
        encoder.close(&mut self.leader);
        self.leader = decoder.finish().map_err(|error| format!("the snapshot is refused: {error:?}"))?;
        if self.leader.digest() == digest { Ok(()) } else { Err("the snapshot has another digest".to_owned()) }
    }

    /// Compares the whole applied state with the model's.
    pub(super) fn compare(&self, model: &Model) -> Result<(), String> {
        let tree = &self.leader;
        if tree.znode_count() != model.znodes().len() {
            let paths: Vec<&String> = model.znodes().keys().collect();
            return Err(format!("{} znodes, but the model has {paths:?}", tree.znode_count()));
        }
        for (text, znode) in model.znodes() {
            let path = Path::new(text.as_str()).expect("a znode has a valid path");
            let (stat, expected) = (tree.stat(text), model.stat(text));
            if stat != Some(expected) {
                return Err(format!("the stat of {text} is {stat:?}, but {expected:?} by the model"));
            }
            let (data, acl) = (tree.data(&path), tree.acl(text));
            if data.as_ref() != Some(&znode.data) {
                return Err(format!("the data of {text} is {data:?}, but {:?} by the model", znode.data));
            }
            if acl.as_ref() != Some(&Acl::new(znode.acl.clone())) {
                return Err(format!("the ACL of {text} is {acl:?}, but {:?} by the model", znode.acl));
            }
        }
        let sessions: Vec<_> = tree.sessions().map(|session| session.id).collect();
        let expected: Vec<_> = model.sessions().collect();
        if sessions != expected {
            return Err(format!("sessions {sessions:?}, but {expected:?} by the model"));
        }
        for session in sessions {
            let (owned, expected) = (tree.ephemerals(session), model.ephemerals(session));
            if owned != expected {
                return Err(format!("{session} owns {owned:?}, but {expected:?} by the model"));
            }
        }
        Ok(())
    }
}
