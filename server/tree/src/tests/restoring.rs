//! The state of a backup becomes the state, without what belonged to sessions; or it does not, and nothing has changed.

use alloc::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;
use quorate_types::{
    Code, CreateMode, Epoch, NodeKind, Op, Perms, Reply, RequestId, Response, Restore, SessionId, Zxid,
};

use super::fixture::*;
use super::properties::{any_history, walk_all};
use crate::{SnapshotEncoder, Tree, WalkItem};

fn content(tree: &mut Tree) -> Vec<WalkItem> {
    let view = tree.open_view();
    let items = walk_all(tree, view, "/");
    tree.close_view(view);
    items
}

/// The content of a backup.
fn snapshot(tree: &mut Tree) -> Vec<u8> {
    let mut encoder = SnapshotEncoder::new(tree);
    let mut bytes = Vec::new();
    while let Some(chunk) = encoder.next_chunk(tree, 4096) {
        bytes.extend_from_slice(&chunk);
    }
    encoder.close(tree);
    bytes
}

/// An ensemble that is in a later epoch than all others.
fn later() -> Ensemble {
    let mut ensemble = Ensemble::new();
    ensemble.last = Zxid::new(Epoch(7), 0);
    ensemble
}

fn code(response: &Response) -> Option<Code> {
    response.as_ref().err().map(quorate_types::Error::code)
}

impl Ensemble {
    /// On nobody's behalf, whoever acts otherwise.
    fn step(&mut self, step: Restore) -> Response {
        let session = core::mem::replace(&mut self.session, SessionId::NONE);
        self.request_id = None;
        let response = self.run(&Op::Restore(step));
        self.session = session;
        response
    }

    fn begin(&mut self, backup: Zxid) -> Zxid {
        match self.step(Restore::Begin { backup }) {
            Ok(Reply::RestoreStep { zxid }) => zxid,
            other => panic!("{other:?}"),
        }
    }

    /// Chunk after chunk, up to one that is refused.
    fn send(&mut self, id: Zxid, bytes: &[u8], size: usize) -> Response {
        let step = |(index, chunk)| Restore::Chunk { id, index: index as u32, bytes: Bytes::copy_from_slice(chunk) };
        let mut sent = bytes.chunks(size).enumerate().map(|chunk| self.step(step(chunk)));
        sent.find(Result::is_err).unwrap_or(Ok(Reply::RestoreStep { zxid: id }))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn what_is_restored_is_the_backup_without_its_sessions(
        history in any_history(120), other in any_history(60), meanwhile in any_history(20), size in 50usize..5000,
    ) {
        let mut source = Ensemble::new();
        history.iter().for_each(|step| { source.take(step); });
        source.apply_all();
        let (bytes, digest, backup) = (snapshot(&mut source.leader), source.leader.digest(), source.leader.applied());
        let mut ensemble = later();
        other.iter().for_each(|step| { ensemble.take(step); });
        ensemble.apply_all();
        let id = ensemble.begin(backup);
        for (index, chunk) in bytes.chunks(size).enumerate() {
            // Others go on writing.
            if let Some(step) = meanwhile.get(index) {
                ensemble.take(step);
                ensemble.apply_all();
            }
            let bytes = Bytes::copy_from_slice(chunk);
            ensemble.step(Restore::Chunk { id, index: index as u32, bytes }).unwrap();
        }
        let before = ensemble.leader.last_time_ms();
        let done = ensemble.step(Restore::Finish { id, digest });
        let zxid = ensemble.leader.applied();
        prop_assert_eq!(done, Ok(Reply::RestoreStep { zxid }));

        let tree = &mut ensemble.leader;
        prop_assert_eq!((tree.session_count(), tree.ephemeral_count(), tree.remembered_count()), (0, 0, 0));
        prop_assert_eq!(tree.last_time_ms(), before.max(source.leader.last_time_ms()));
        super::properties::assert_consistent(tree);
        let expected = content(&mut source.leader);
        let is_ephemeral = |item: &&WalkItem| matches!(item.kind, NodeKind::Ephemeral(_));
        let parents: Vec<_> = expected.iter().filter(is_ephemeral).filter_map(|item| quorate_types::path::parent(&item.path)).collect();
        let restored = content(tree);
        prop_assert_eq!(restored.len(), expected.iter().filter(|item| !is_ephemeral(item)).count());
        for (found, expected) in restored.iter().zip(expected.iter().filter(|item| !is_ephemeral(item))) {
            if parents.contains(&&*expected.path) {
                prop_assert_eq!(found.stat.pzxid, zxid, "its children went now");
                prop_assert_eq!((&found.path, &found.data, &found.acl, found.kind), (&expected.path, &expected.data, &expected.acl, expected.kind));
                prop_assert_eq!((found.stat.mzxid, found.stat.version, found.creations), (expected.stat.mzxid, expected.stat.version, expected.creations));
            } else {
                prop_assert_eq!(found, expected);
            }
        }
        // All servers go on from there alike.
        ensemble.session = SessionId::NONE;
        other.iter().for_each(|step| { ensemble.take(step); });
        ensemble.apply_all();
        super::properties::assert_consistent(&mut ensemble.leader);
    }

    #[test]
    fn a_backup_that_is_not_whole_is_never_the_state(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut source = sample();
        let (bytes, digest, backup) = (snapshot(&mut source.leader), source.leader.digest(), source.leader.applied());
        let mut ensemble = later();
        ensemble.must(create("/present"));
        let before = ensemble.leader.digest();
        let mut flipped = bytes.clone();
        let at = at.index(bytes.len());
        flipped[at] ^= flip;
        for damaged in [bytes[..cut.index(bytes.len())].to_vec(), flipped] {
            let id = ensemble.begin(backup);
            let sent = ensemble.send(id, &damaged, 300);
            let finished = ensemble.step(Restore::Finish { id, digest });
            prop_assert_eq!(code(&finished), Some(Code::BadArguments));
            prop_assert!(matches!(code(&sent), None | Some(Code::BadArguments)));
            ensemble.step(Restore::Abort { id }).unwrap();
            prop_assert_eq!((ensemble.leader.digest(), ensemble.leader.restoring()), (before, None));
        }
        prop_assert!(ensemble.leader.stat("/present").is_some());
    }
}

fn sample() -> Ensemble {
    let mut source = Ensemble::new();
    source.open_session();
    source.must(create("/a"));
    source.must(create_as("/a/e", CreateMode::Ephemeral));
    source.must(create_with_acl("/locked", [entry(Perms::ALL, "digest", "u:p")].into()));
    source.session = SessionId::NONE;
    source.request_id = Some(RequestId { client: 7, sequence: 3, acknowledged_through: 0 });
    source.must(create("/remembered"));
    source
}

#[test]
fn one_backup_is_restored_at_a_time_and_in_order() {
    let mut source = sample();
    let (bytes, digest, backup) = (snapshot(&mut source.leader), source.leader.digest(), source.leader.applied());
    let mut ensemble = later();
    let id = ensemble.begin(backup);
    let check = |ensemble: &mut Ensemble, step, expected| assert_eq!(code(&ensemble.step(step)), expected);
    check(&mut ensemble, Restore::Begin { backup }, Some(Code::RestoreInProgress));
    let chunk = |id, index| Restore::Chunk { id, index, bytes: Bytes::copy_from_slice(&bytes) };
    check(&mut ensemble, chunk(id, 1), Some(Code::BadArguments));
    check(&mut ensemble, chunk(Zxid(id.0 - 1), 0), Some(Code::Unavailable));
    check(&mut ensemble, Restore::Abort { id: Zxid(id.0 + 1) }, Some(Code::Unavailable));
    check(&mut ensemble, chunk(id, 0), None);
    check(&mut ensemble, chunk(id, 0), Some(Code::BadArguments));
    check(&mut ensemble, Restore::Finish { id, digest: digest ^ 1 }, Some(Code::BadArguments));
    check(&mut ensemble, Restore::Finish { id, digest }, None);
    check(&mut ensemble, Restore::Finish { id, digest }, Some(Code::Unavailable));
    assert!(ensemble.leader.stat("/remembered").is_some() && ensemble.leader.stat("/a/e").is_none());
    // The zxid is what the file has to be of, and the past.
    let id = ensemble.begin(Zxid(backup.0 - 1));
    check(&mut ensemble, chunk(id, 0), None);
    check(&mut ensemble, Restore::Finish { id, digest }, Some(Code::BadArguments));
    check(&mut ensemble, Restore::Abort { id }, None);
    let next = ensemble.last.next();
    check(&mut ensemble, Restore::Begin { backup: next }, Some(Code::BadArguments));
}

#[test]
fn nothing_is_decided_about_a_state_that_is_about_to_be_replaced() {
    let mut source = sample();
    let (bytes, digest, backup) = (snapshot(&mut source.leader), source.leader.digest(), source.leader.applied());
    let mut ensemble = later();
    let (write, abort) = (Op::Write(create("/x")), |id| Op::Restore(Restore::Abort { id }));
    let id = ensemble.begin(backup);
    ensemble.prepare(&Op::Restore(Restore::Chunk { id, index: 0, bytes: Bytes::copy_from_slice(&bytes) }));
    let waits = |ensemble: &Ensemble| (ensemble.pending.must_wait(&write), ensemble.pending.must_wait(&abort(id)));
    assert_eq!(waits(&ensemble), (false, true), "another step only, which follows from this one");
    ensemble.prepare(&write);
    ensemble.apply_all();
    assert_eq!(waits(&ensemble), (false, false));
    ensemble.prepare(&Op::Restore(Restore::Finish { id, digest }));
    assert_eq!(waits(&ensemble), (true, true));
    ensemble.apply_all();
    assert_eq!(waits(&ensemble), (false, false));
    assert!(ensemble.leader.stat("/x").is_none(), "it belonged to the state before");
    assert!(ensemble.leader.memory().views > 0, "which is freed later");
    while ensemble.leader.sweep(1) {}
    assert_eq!(ensemble.leader.memory().views, 0);
}

#[test]
fn what_is_gathered_dies_with_its_epoch() {
    let mut source = sample();
    let (bytes, digest, backup) = (snapshot(&mut source.leader), source.leader.digest(), source.leader.applied());
    let mut ensemble = later();
    let id = ensemble.begin(backup);
    ensemble.send(id, &bytes, 1000).unwrap();
    let marker = Zxid::new(Epoch(8), 0);
    ensemble.last = marker;
    for tree in [&mut ensemble.leader, &mut ensemble.follower] {
        tree.advance(marker);
        assert_eq!(tree.restoring(), None);
    }
    assert_eq!(code(&ensemble.step(Restore::Finish { id, digest })), Some(Code::Unavailable));
}
