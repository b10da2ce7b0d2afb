//! What a session promises: everything in order until the end, the end once, and nothing after one's own close.

use bytes::Bytes;
use quorate_proto::peer::v1;
use quorate_types::{Frame, FrameKind};
use quorate_zab::{Position, Standing};
use tokio::io::AsyncReadExt;

use super::*;
use crate::peers::codec::{self, PiecesMut};
use crate::peers::hello;
use crate::peers::limits;

fn ack(zxid: u64) -> Message {
    Message::Ack { epoch: Epoch(1), durable: Zxid(zxid), standing: Standing::Voter }
}

fn append(zxid: u64, bytes: usize) -> Message {
    let frame = Frame::encode(FrameKind::Txn, Zxid(zxid), 0, &vec![zxid as u8; bytes]);
    let (prev, digest) = (Position::default(), Digest::default());
    Message::Append { epoch: Epoch(1), prev, frames: vec![frame], commit: Zxid::ZERO, digest }
}

#[tokio::test]
async fn everything_arrives_in_order_in_both_directions_whatever_its_size() {
    let (learner, leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    let sizes = [10, 100_000, 20, 3_900_000, 1_000_000, 0, 16_384, 65_536];
    let down: Vec<Message> = (1..=40u64).map(|i| append(i, sizes[i as usize % sizes.len()])).collect();
    let up: Vec<Message> = (1..=1_000).map(ack).collect();
    let sending = async {
        for batch in down.chunks(3) {
            leader.send(at_leader, batch.iter().cloned());
            tokio::task::yield_now().await;
        }
    };
    let receiving = async {
        for expected in &down {
            assert_eq!(learner.sink.message().await, *expected);
        }
    };
    learner.send(at_learner, up.iter().cloned());
    tokio::join!(sending, receiving);
    for expected in &up {
        assert_eq!(leader.sink.message().await, *expected);
    }
    learner.peers.stop().await;
    leader.sink.until_input(&Input::Disconnected(at_leader)).await;
    leader.peers.stop().await;
}

#[tokio::test]
async fn a_close_delivers_what_was_said_before_it_and_the_closer_hears_nothing_more() {
    let (learner, leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    learner.send(at_learner, (1..=50).map(ack));
    let last = append(7, 2_000_000);
    let said = (1..=20).map(ping).chain([last.clone()]);
    let outputs = said.map(|message| PeerOutput::Send { connection: at_leader, message });
    leader.carry_out(outputs.chain([PeerOutput::Close { connection: at_leader }]));
    // Nothing was awaited since: the transport has had no chance to report anything before the close.
    for seq in 1..=20 {
        assert_eq!(learner.sink.message().await, ping(seq));
    }
    assert_eq!(learner.sink.message().await, last);
    assert_eq!(learner.sink.next().await, Input::Disconnected(at_learner));
    learner.send(at_learner, [ack(99)]);
    learner.carry_out([PeerOutput::Close { connection: at_learner }]);

    // The next session is another one, at both ends; what is reported before it would be of the old one.
    learner.carry_out([PeerOutput::Dial { to: leader.id }]);
    let Input::Connected { connection, origin: Origin::Accepted, peer: ServerId(1) } = leader.sink.next().await else {
        panic!("something was reported of a session after its close");
    };
    assert_ne!(connection, at_leader);
    assert!(matches!(learner.sink.next().await, Input::Connected { connection, .. } if connection != at_learner));
    leader.peers.stop().await;
    learner.peers.stop().await;
    assert!(leader.sink.inputs.lock().is_empty(), "a stopped transport reports nothing");
}

#[tokio::test]
async fn both_ends_may_close_at_once() {
    let (learner, leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    learner.carry_out([PeerOutput::Close { connection: at_learner }]);
    leader.carry_out([PeerOutput::Close { connection: at_leader }]);
    tokio::join!(learner.peers.stop(), leader.peers.stop());
    assert!(learner.sink.inputs.lock().is_empty());
    assert!(leader.sink.inputs.lock().is_empty());
}

#[tokio::test]
async fn one_broken_session_leaves_the_others_alone() {
    let (learner, leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let (_, at_leader) = connect(&learner, &leader).await;
    let check = async |bytes: &[u8]| {
        let mut call = greeted(&leader, 3).await;
        let other = leader.sink.connected(Origin::Accepted).await;
        let mut out = PiecesMut::default();
        out.put(&Bytes::copy_from_slice(bytes));
        call.send(&mut out).unwrap();
        // Only that session: and nothing of what came with the garbage.
        let driven = tokio::spawn(async move { while let Ok(Some(_)) = call.next().await {} });
        assert_eq!(leader.sink.next().await, Input::Disconnected(other));
        driven.await.unwrap();
    };
    check(&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff]).await;
    check(&[0, 0, 0, 0, 0]).await;
    check(&[1, 0, 0, 0, 1, 0]).await;
    let too_large = (limits::MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes();
    check(&[&[0], &too_large[..]].concat()).await;
    leader.send(at_leader, [ping(5)]);
    assert_eq!(learner.sink.message().await, ping(5));
}

/// The beginning of a session by a caller of our own making.
async fn greeted(leader: &TestServer, from: u8) -> Call {
    let mut call = call(leader.address, Kind::Session).await;
    let hello = hello::hello(Identity { cluster: CLUSTER, server: ServerId(from) }, leader.id);
    let mut out = PiecesMut::default();
    let body = Some(v1::session_request::Body::Hello(hello));
    codec::put(&v1::SessionRequest { body }, &mut out);
    call.send(&mut out).unwrap();
    call.next().await.unwrap().expect("the leader answers");
    call
}

#[tokio::test]
async fn who_does_not_read_is_cut_when_too_much_waits_for_it() {
    let leader = TestServer::start(2).await;
    // Never polled again: nothing is read, nor acknowledged.
    let call = greeted(&leader, 3).await;
    let connection = leader.sink.connected(Origin::Accepted).await;
    let message = append(1, 1_000_000);
    let mut handed_over = 0;
    let ended = loop {
        leader.send(connection, [message.clone()]);
        handed_over += codec::message_bytes(&message);
        assert!(handed_over < 3 * limits::SEND_BYTES_MAX, "nothing bounds what waits");
        tokio::task::yield_now().await;
        if let Some(input) = leader.sink.inputs.lock().pop_front() {
            break input;
        }
    };
    assert_eq!(ended, Input::Disconnected(connection));
    assert!(handed_over >= limits::SEND_BYTES_MAX, "cut after {handed_over} bytes");
    drop(call);
    leader.peers.stop().await;
}

#[tokio::test]
async fn a_close_does_not_wait_for_who_does_not_read() {
    let timing = Timing { close: Duration::from_millis(50), ..PATIENT };
    let leader = TestServer::start_with(2, Setup { timing, ..Setup::default() }).await;
    let _call = greeted(&leader, 3).await;
    let connection = leader.sink.connected(Origin::Accepted).await;
    leader.send(connection, (0..20).map(|i| append(i + 1, 1_000_000)));
    leader.carry_out([PeerOutput::Close { connection }]);
    tokio::time::timeout(PATIENCE, leader.peers.stop()).await.expect("it stops");
    assert!(leader.sink.inputs.lock().is_empty());
}

#[tokio::test]
async fn a_connection_that_breaks_ends_its_session_at_once_at_the_other_end() {
    let leader = TestServer::start(2).await;
    let call = greeted(&leader, 3).await;
    let connection = leader.sink.connected(Origin::Accepted).await;
    drop(call);
    assert_eq!(leader.sink.next().await, Input::Disconnected(connection));
    // Nobody is there any more; sending and closing are as good as done.
    leader.send(connection, [ping(1)]);
    leader.carry_out([PeerOutput::Close { connection }]);
    leader.peers.stop().await;
    assert!(leader.sink.inputs.lock().is_empty());
}

#[tokio::test]
async fn payloads_of_replicas_travel_as_they_are() {
    let (learner, leader) = (TestServer::start(1).await, TestServer::start(2).await);
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    for bytes in [0, 1, 100, 20_000, 4_000_000] {
        let payload = Bytes::from(vec![9; bytes]);
        let up = Message::ToLeader { epoch: Epoch(3), payload: payload.clone() };
        learner.send(at_learner, [up.clone()]);
        assert_eq!(leader.sink.message().await, up);
        let down = Message::ToLearner { epoch: Epoch(3), payload };
        leader.send(at_leader, [down.clone()]);
        assert_eq!(learner.sink.message().await, down);
    }
}

#[tokio::test]
async fn a_caller_that_says_nothing_is_not_kept() {
    let timing = Timing { hello: Duration::from_millis(50), ..PATIENT };
    let leader = TestServer::start_with(2, Setup { timing, ..Setup::default() }).await;
    let mut silent = TcpStream::connect(leader.address).await.unwrap();
    let mut into = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut into)).await;
    // Closed or reset, but over.
    let _ = closed.expect("the connection is closed");
    assert!(leader.sink.inputs.lock().is_empty());
}
