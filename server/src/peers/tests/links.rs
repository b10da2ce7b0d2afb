//! Links come up, carry the newest notification, and come back.

use quorate_proto::peer::v1;

use super::*;
use crate::peers::codec::{self, PiecesMut};
use crate::peers::hello;

/// Servers 1, 2, ... that all know each other.
async fn ensemble(size: u8) -> Vec<TestServer> {
    let mut servers = vec![];
    for id in 1..=size {
        servers.push(TestServer::start(id).await);
    }
    for server in &servers {
        server.carry_out([PeerOutput::MembersChanged(members(&addresses(&servers)))]);
    }
    servers
}

fn addresses(servers: &[TestServer]) -> Vec<(u8, String)> {
    servers.iter().map(|server| (server.id.0, server.address.to_string())).collect()
}

fn notify(to: u8, round: u64) -> PeerOutput {
    PeerOutput::Notify { to: ServerId(to), notification: notification(round) }
}

#[tokio::test]
async fn every_server_hears_every_other_one() {
    let servers = ensemble(3).await;
    for server in &servers {
        for _ in 0..2 {
            server.sink.until(|input| matches!(input, Input::LinkUp(_)).then_some(())).await;
        }
    }
    for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)] {
        let (from, to) = (&servers[from], &servers[to]);
        let round = u64::from(from.id.0 * 10 + to.id.0);
        from.carry_out([notify(to.id.0, round)]);
        assert_eq!(to.sink.notified().await, (from.id, notification(round)));
    }
    for server in servers {
        server.peers.stop().await;
    }
}

#[tokio::test]
async fn what_was_to_be_said_before_somebody_was_there_is_not_said() {
    let first = TestServer::start(1).await;
    // Bound, but nobody answers yet.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    first.carry_out([PeerOutput::MembersChanged(members(&[(2, listener.local_addr().unwrap().to_string())]))]);
    first.carry_out((1..=100).map(|round| notify(2, round)));
    let second = TestServer::start_on(listener, 2, Setup::default());
    assert_eq!(first.sink.next().await, Input::LinkUp(ServerId(2)));
    first.carry_out([notify(2, 101)]);
    assert_eq!(second.sink.notified().await, (first.id, notification(101)));
}

#[tokio::test]
async fn a_link_goes_down_with_its_server_and_comes_back_with_it_even_elsewhere() {
    let mut servers = ensemble(2).await;
    let (second, first) = (servers.pop().unwrap(), servers.pop().unwrap());
    first.sink.until_input(&Input::LinkUp(ServerId(2))).await;
    second.peers.stop().await;
    first.sink.until_input(&Input::LinkDown(ServerId(2))).await;

    let reborn = TestServer::start(2).await;
    assert_ne!(reborn.address, second.address);
    first.carry_out([PeerOutput::MembersChanged(members(&[(2, reborn.address.to_string())]))]);
    first.sink.until_input(&Input::LinkUp(ServerId(2))).await;
    first.carry_out([notify(2, 5)]);
    assert_eq!(reborn.sink.notified().await, (ServerId(1), notification(5)));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_reported_down_once() {
    let first = TestServer::start(1).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    first.carry_out([PeerOutput::MembersChanged(members(&[(2, nobody.to_string())]))]);
    assert_eq!(first.sink.next().await, Input::LinkDown(ServerId(2)));
    // Somebody else at that address is no better, and nothing that anybody wants to hear twice.
    let listener = TcpListener::bind(nobody).await.unwrap();
    let other = TestServer::start_on(listener, 3, Setup::default());
    first.carry_out([PeerOutput::MembersChanged(members(&[(2, nobody.to_string()), (3, nobody.to_string())]))]);
    assert_eq!(first.sink.next().await, Input::LinkUp(ServerId(3)));
    drop(other);
}

#[tokio::test]
async fn a_removed_member_loses_its_link_without_a_word_and_may_come_back() {
    let servers = ensemble(2).await;
    let (first, second) = (&servers[0], &servers[1]);
    first.sink.until_input(&Input::LinkUp(ServerId(2))).await;
    first.carry_out([PeerOutput::MembersChanged(members(&[(1, first.address.to_string())])), notify(2, 1)]);
    first.carry_out([PeerOutput::MembersChanged(members(&addresses(&servers)))]);
    assert_eq!(first.sink.next().await, Input::LinkUp(ServerId(2)));
    first.carry_out([notify(2, 2)]);
    second
        .sink
        .until(|input| match input {
            Input::Notified { notification: said, .. } => (said == notification(2)).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn who_is_no_member_is_answered_on_its_own_link() {
    let (member, joiner) = (TestServer::start(1).await, TestServer::start(9).await);
    member.carry_out([PeerOutput::MembersChanged(members(&[(1, member.address.to_string())]))]);
    joiner.carry_out([PeerOutput::MembersChanged(members(&[(1, member.address.to_string())]))]);
    joiner.sink.until_input(&Input::LinkUp(member.id)).await;
    joiner.carry_out([notify(1, 3)]);
    assert_eq!(member.sink.notified().await, (ServerId(9), notification(3)));
    member.carry_out([notify(9, 4)]);
    assert_eq!(joiner.sink.notified().await, (ServerId(1), notification(4)));
}

#[tokio::test]
async fn a_link_to_a_server_that_is_not_there_any_more_goes_down_although_nobody_says_so() {
    let timing = Timing { keepalive: Duration::from_millis(50), ..PATIENT };
    let first = TestServer::start_with(1, Setup { timing, ..Setup::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    first.carry_out([PeerOutput::MembersChanged(members(&[(2, listener.local_addr().unwrap().to_string())]))]);
    let (stream, _) = listener.accept().await.unwrap();
    let (mut frozen, kind) = Call::accept(Io::Left(stream), PATIENCE).await.unwrap();
    assert_eq!(kind, Kind::Link);
    frozen.next().await.unwrap().expect("a hello");
    let reply = hello::reply(Identity { cluster: CLUSTER, server: ServerId(2) }, 0, None);
    let body = Some(v1::link_response::Body::HelloReply(reply));
    let mut out = PiecesMut::default();
    codec::put(&v1::LinkResponse { body }, &mut out);
    frozen.send(&mut out).unwrap();
    // Polled until the answer is out, and never again.
    let said = tokio::time::timeout(Duration::from_millis(20), frozen.next()).await;
    assert!(said.is_err(), "only the newest notification is ever said here");
    assert_eq!(first.sink.next().await, Input::LinkUp(ServerId(2)));
    assert_eq!(first.sink.next().await, Input::LinkDown(ServerId(2)));
    // Not to be dropped before: that would be noticed, too.
    drop(frozen);
}
