//! Nobody gets through who is not the server that is wanted, and failing does not take long.

use std::time::Instant;

use quorate_proto::peer::v1;

use super::*;
use crate::peers::codec::{self, PiecesMut};
use crate::peers::dial::{self, DialError, Wish};
use crate::peers::hello::{self, HelloRefusal};

async fn refused(dialer: &TestServer, to: u8, at: SocketAddr) -> HelloRefusal {
    dialer.knows(&[(to, at.to_string())]);
    match dial::dial(&dialer.peers.core, ServerId(to), Wish::Session).await {
        Err(DialError::Refused { address, refusal }) if address == at => refusal,
        Err(error) => panic!("not refused, but: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn servers_of_other_ensembles_and_other_servers_are_told_apart() {
    let (us, them) = (TestServer::start(1).await, TestServer::start(2).await);
    let stranger = TestServer::start_with(2, Setup { cluster: ClusterId(8), ..Setup::default() }).await;
    assert_eq!(refused(&us, 2, stranger.address).await, HelloRefusal::Cluster(ClusterId(8)));
    assert_eq!(refused(&us, 3, them.address).await, HelloRefusal::Server(2));
    assert_eq!(refused(&us, 1, us.address).await, HelloRefusal::Unwelcome(v1::HelloRefusal::Caller.into()));
    us.knows(&[(2, stranger.address.to_string())]);
    us.carry_out([PeerOutput::Dial { to: ServerId(2) }]);
    assert_eq!(us.sink.next().await, Input::DialFailed { peer: ServerId(2) });
    assert!(stranger.sink.inputs.lock().is_empty(), "a caller that was refused is not reported");
}

/// What the server answers to this hello.
async fn answer(server: &TestServer, kind: Kind, change: impl FnOnce(&mut v1::Hello)) -> v1::HelloReply {
    let mut call = call(server.address, kind).await;
    let mut hello = hello::hello(Identity { cluster: CLUSTER, server: ServerId(9) }, server.id);
    change(&mut hello);
    let mut out = PiecesMut::default();
    match kind {
        Kind::Link => {
            let body = Some(v1::link_request::Body::Hello(hello));
            codec::put(&v1::LinkRequest { body }, &mut out);
        }
        Kind::Session => {
            let body = Some(v1::session_request::Body::Hello(hello));
            codec::put(&v1::SessionRequest { body }, &mut out);
        }
        Kind::Snapshot => {
            codec::put(&v1::SnapshotRequest { hello: Some(hello), session_token: 77, zxid: 1 }, &mut out);
        }
    }
    call.send(&mut out).unwrap();
    let answer = call.next().await.unwrap().expect("an answer");
    let reply = match kind {
        Kind::Link => match v1::LinkResponse::decode(answer).unwrap().body {
            Some(v1::link_response::Body::HelloReply(reply)) => Some(reply),
            _ => None,
        },
        Kind::Session => match v1::SessionResponse::decode(answer).unwrap().body {
            Some(v1::session_response::Body::HelloReply(reply)) => Some(reply),
            _ => None,
        },
        Kind::Snapshot => match v1::SnapshotResponse::decode(answer).unwrap().body {
            Some(v1::snapshot_response::Body::HelloReply(reply)) => Some(reply),
            _ => None,
        },
    };
    let reply = reply.expect("a reply to the hello");
    if reply.refusal != 0 {
        assert_eq!(call.next().await.unwrap(), None, "nothing follows a refusal");
    }
    reply
}

#[tokio::test]
async fn every_kind_of_call_is_refused_with_its_reason() {
    use v1::HelloRefusal as Wire;
    let server = TestServer::start(2).await;
    for kind in [Kind::Link, Kind::Session, Kind::Snapshot] {
        let check = async |change: fn(&mut v1::Hello), expected: Wire| {
            let reply = answer(&server, kind, change).await;
            assert_eq!(Wire::try_from(reply.refusal), Ok(expected), "{kind}");
            assert_eq!((reply.cluster_id, reply.server_id), (CLUSTER.0, 2), "{kind}");
        };
        check(|hello| hello.protocol_version += 1, Wire::ProtocolVersion).await;
        check(|hello| hello.cluster_id += 1, Wire::Cluster).await;
        check(|hello| hello.wanted_server_id = 3, Wire::Server).await;
        check(|hello| hello.server_id = 2, Wire::Caller).await;
        check(|hello| hello.server_id = 255, Wire::Caller).await;
        check(|_| {}, if kind == Kind::Snapshot { Wire::Snapshot } else { Wire::Unspecified }).await;
    }
    // Of all these, one link and one session were real.
    server.sink.until(|input| matches!(input, Input::Connected { peer: ServerId(9), .. }).then_some(())).await;
    server.sink.until(|input| matches!(input, Input::Disconnected(_)).then_some(())).await;
    assert!(server.sink.inputs.lock().is_empty());
}

#[tokio::test]
async fn noise_in_the_place_of_a_hello_is_no_hello() {
    let server = TestServer::start(2).await;
    for bytes in [&[0u8, 0, 0, 0, 2, 0xff, 0xff][..], &[0, 0, 0, 0, 0], &[0, 0, 1, 0, 0], &[9, 9, 9, 9, 9]] {
        let mut call = call(server.address, Kind::Session).await;
        let mut out = PiecesMut::default();
        out.put(&bytes::Bytes::copy_from_slice(bytes));
        call.send(&mut out).unwrap();
        assert!(call.next().await.is_err(), "{bytes:?} was answered");
    }
    assert!(server.sink.inputs.lock().is_empty());
}

#[tokio::test]
async fn dialing_nobody_fails_at_once_if_that_is_clear_and_in_time_if_not() {
    let dial = Duration::from_millis(100);
    let dialer = TestServer::start_with(1, Setup { timing: Timing { dial, ..PATIENT }, ..Setup::default() }).await;
    let fails = async |at: Option<SocketAddr>| {
        let known: Vec<(u8, String)> = at.map(|at| (2, at.to_string())).into_iter().collect();
        dialer.knows(&known);
        dialer.carry_out([PeerOutput::Dial { to: ServerId(2) }]);
        assert_eq!(dialer.sink.next().await, Input::DialFailed { peer: ServerId(2) });
    };
    fails(None).await;
    fails(Some(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap())).await;
    // It is there, but half of it only: the kernel accepts, and nobody ever reads.
    let (half, began) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Instant::now());
    fails(Some(half.local_addr().unwrap())).await;
    assert!(began.elapsed() >= dial, "given up after {:?}", began.elapsed());
}

#[tokio::test]
async fn every_address_of_a_name_is_tried_and_a_dead_one_takes_only_its_share() {
    let (dialer, server) = (TestServer::start(1).await, TestServer::start(2).await);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let half = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [nobody, half.local_addr().unwrap(), server.address];
    let deadline = tokio::time::Instant::now() + PATIENCE / 4;
    let dialed = dial::try_all(&dialer.peers.core, ServerId(2), Wish::Session, "name:1", &addresses, deadline).await;
    assert_eq!(dialed.unwrap().1.server_id, 2);

    // A name, and not an address.
    dialer.knows(&[(2, format!("localhost:{}", server.address.port()))]);
    dialer.carry_out([PeerOutput::Dial { to: ServerId(2) }]);
    dialer.sink.connected(Origin::Dialed).await;
    dialer.knows(&[(2, "no-such-host.invalid:7182".to_owned())]);
    dialer.carry_out([PeerOutput::Dial { to: ServerId(2) }]);
    assert_eq!(dialer.sink.next().await, Input::DialFailed { peer: ServerId(2) });
}
