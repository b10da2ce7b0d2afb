//! A snapshot gets from one disk to another, within the session that it belongs to.

use bytes::Bytes;
use quorate_storage::{Position as StoredPosition, SnapshotFooter, SnapshotHeader};
use quorate_tree::{Pending, Prepare, Prepared, SnapshotEncoder, Tree};
use quorate_types::txn::Route;
use quorate_types::{AclEntry, Caller, CreateMode, Op, Path, Perms, SessionId, WriteOp};
use quorate_zab::Position;

use super::*;

/// A state that takes some hundred chunks.
fn tree() -> Tree {
    let (mut tree, mut pending) = (Tree::new(1), Pending::new(1));
    tree.advance(Zxid::new(Epoch(3), 0));
    for i in 0..40u8 {
        let zxid = tree.applied().next();
        let op = Op::Write(WriteOp::Create {
            path: Path::new(format!("/znode-{i}")).unwrap(),
            data: Some(Bytes::from(vec![i; 100_000])),
            acl: vec![AclEntry { perms: Perms::ALL, scheme: "world".to_owned(), id: "anyone".to_owned() }],
            mode: CreateMode::Persistent,
            parents: false,
        });
        let request = Prepare {
            op: &op,
            caller: &Caller::anonymous(),
            session: SessionId::NONE,
            request_id: None,
            route: Route::default(),
            zxid,
            wall_ms: 1,
            new_session: SessionId::NONE,
        };
        let Prepared::Txn(txn) = pending.prepare(&tree, &request) else { panic!("not prepared") };
        let _ = tree.apply(zxid, &txn);
        pending.applied(zxid);
    }
    tree
}

/// Writes a snapshot of it; the footer says that its digest is `digest`.
fn write_snapshot(server: &mut TestServer, tree: &mut Tree, digest: u128) -> Position {
    let position = Position { zxid: tree.applied(), chain: 99 };
    let header = SnapshotHeader {
        cluster_id: CLUSTER,
        position: StoredPosition { zxid: position.zxid, chain: position.chain },
        epochs: vec![(Epoch(1), 5), (Epoch(3), position.zxid.counter())],
        config: Bytes::from_static(b"members"),
    };
    let mut writer = server.snapshots.begin(&header).unwrap();
    let mut encoder = SnapshotEncoder::new(tree);
    while let Some(chunk) = encoder.next_chunk(tree, 10_000) {
        writer.chunk(&chunk).unwrap();
    }
    encoder.close(tree);
    let footer = SnapshotFooter { digest, ..SnapshotFooter::default() };
    server.snapshots.add(writer.finish(&footer, || true).unwrap().unwrap());
    position
}

fn offer(connection: ConnectionId, to: &TestServer, base: Position) -> PeerOutput {
    PeerOutput::SendSnapshot { connection, to: to.id, zxid: base.zxid }
}

fn want(connection: ConnectionId, from: &TestServer, base: Position) -> PeerOutput {
    PeerOutput::ReceiveSnapshot { connection, from: from.id, base }
}

#[tokio::test]
async fn a_snapshot_arrives_whole_is_put_aside_and_tells_what_agreement_needs() {
    let (learner, mut leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let mut tree = tree();
    let digest = tree.digest();
    let base = write_snapshot(&mut leader, &mut tree, digest);
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(at_learner, &leader, base)]);
    let received = learner.sink.until(|input| match input {
        Input::SnapshotProgress(connection) => {
            assert_eq!(connection, at_learner);
            None
        }
        other => Some(other),
    });
    let Input::SnapshotReceived { connection, base: found } = received.await else { panic!("not received") };
    assert_eq!((connection, found.position), (at_learner, base));
    assert_eq!(found.epochs, [(Epoch(1), 5), (Epoch(3), 40)]);
    assert_eq!(found.configs, Bytes::from_static(b"members"));

    let (connection, received) = learner.sink.received.lock().pop().unwrap();
    assert_eq!(connection, at_learner);
    let snapshot = &received.snapshot;
    assert_eq!((snapshot.tree.digest(), snapshot.tree.applied()), (digest, base.zxid));
    assert_eq!(snapshot.info.generation, 2, "it lies beside the current generation");
    assert!(snapshot.info.verified);
    assert_eq!(snapshot.base, found);
    assert_eq!(learner.snapshots.list().len(), 0, "the current generation is as it was");

    // What was offered once is sent once.
    learner.carry_out([want(at_learner, &leader, base)]);
    drop(received);
    assert_eq!(learner.sink.next().await, Input::SnapshotFailed(at_learner));
    // The session goes on.
    leader.send(at_leader, [ping(3)]);
    assert_eq!(learner.sink.message().await, ping(3));
    learner.peers.stop().await;
    leader.peers.stop().await;
}

#[tokio::test]
async fn there_is_one_place_aside_and_who_keeps_it_keeps_the_others_waiting() {
    let (learner, mut leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let mut tree = tree();
    let digest = tree.digest();
    let base = write_snapshot(&mut leader, &mut tree, digest);
    let is_received = |input| matches!(input, Input::SnapshotReceived { .. }).then_some(());
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(at_learner, &leader, base)]);
    learner.sink.until(is_received).await;
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(at_learner, &leader, base)]);
    assert_eq!(learner.peers.core.receiving.available_permits(), 0);
    assert!(leader.peers.core.session(at_leader).unwrap().offered.lock().is_some(), "it was fetched meanwhile");
    learner.sink.received.lock().clear();
    learner.sink.until(is_received).await;
}

#[tokio::test]
async fn what_cannot_be_had_is_reported_at_both_ends() {
    let (learner, mut leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let mut tree = tree();
    let digest = tree.digest();
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    // Nothing was offered.
    let base = Position { zxid: tree.applied(), chain: 99 };
    learner.carry_out([want(at_learner, &leader, base)]);
    assert_eq!(learner.sink.next().await, Input::SnapshotFailed(at_learner));
    // What was offered is not there.
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(at_learner, &leader, base)]);
    assert_eq!(leader.sink.next().await, Input::SnapshotFailed(at_leader));
    assert_eq!(learner.sink.next().await, Input::SnapshotFailed(at_learner));
    // It is there, but has another history.
    write_snapshot(&mut leader, &mut tree, digest);
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(at_learner, &leader, Position { chain: 98, ..base })]);
    assert_eq!(learner.sink.next().await, Input::SnapshotFailed(at_learner));
}

#[tokio::test]
async fn a_snapshot_with_another_state_than_it_says_is_not_received() {
    let (learner, mut leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let mut tree = tree();
    let wrong = tree.digest() ^ 1;
    let base = write_snapshot(&mut leader, &mut tree, wrong);
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(at_learner, &leader, base)]);
    let failed = |input| matches!(input, Input::SnapshotFailed(_) | Input::SnapshotReceived { .. }).then_some(input);
    assert_eq!(learner.sink.until(failed).await, Input::SnapshotFailed(at_learner));
    assert!(learner.sink.received.lock().is_empty());
}

#[tokio::test]
async fn a_transfer_ends_with_its_session_and_the_next_one_begins_anew() {
    let (learner, mut leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let mut tree = tree();
    let digest = tree.digest();
    let base = write_snapshot(&mut leader, &mut tree, digest);
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(at_learner, &leader, base), PeerOutput::Close { connection: at_learner }]);
    leader.sink.until_input(&Input::Disconnected(at_leader)).await;
    // Whether it had begun or not: the next one is not in its way, and nothing more is heard of it.
    let (again, at_leader) = connect(&learner, &leader).await;
    leader.carry_out([offer(at_leader, &learner, base)]);
    learner.carry_out([want(again, &leader, base)]);
    let received = learner.sink.until(|input| match input {
        Input::SnapshotReceived { connection, .. } => Some(connection),
        Input::SnapshotProgress(connection) => {
            assert_eq!(connection, again);
            None
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(received.await, again);
    learner.peers.stop().await;
    leader.peers.stop().await;
}
