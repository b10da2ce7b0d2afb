//! With TLS, both ends need a certificate of the ensemble's authority.

use super::*;
use crate::peers::dial::{self, DialError, Wish};
use crate::peers::tls::Tls;
use crate::tls::TlsError;
use crate::tls::authority::{Authority, Papers};

/// The files of a server on a host, of an authority, whose holder trusts `trusted`.
fn files(authority: &Authority, host: &str, trusted: &Authority) -> TlsFiles {
    let Papers { cert, key } = authority.papers(host);
    TlsFiles { cert, key, ca: trusted.ca() }
}

async fn start(id: u8, files: TlsFiles) -> TestServer {
    TestServer::start_with(id, Setup { tls: Some(files), ..Setup::default() }).await
}

async fn failure(dialer: &TestServer, to: &TestServer) -> DialError {
    dialer.knows(&[(to.id.0, to.address.to_string())]);
    match dial::dial(&dialer.peers.core, to.id, Wish::Session).await {
        Err(error) => error,
        Ok(_) => panic!("{} was believed", to.id),
    }
}

#[tokio::test]
async fn servers_that_trust_one_authority_talk_and_large_messages_pass() {
    let authority = Authority::new();
    let learner = start(1, files(&authority, "127.0.0.1", &authority)).await;
    let leader = start(2, files(&authority, "127.0.0.1", &authority)).await;
    let (at_learner, at_leader) = connect(&learner, &leader).await;
    let said = Message::ToLearner { epoch: Epoch(1), payload: vec![3; 3_000_000].into() };
    leader.send(at_leader, [ping(1), said.clone(), ping(2)]);
    for expected in [ping(1), said, ping(2)] {
        assert_eq!(learner.sink.message().await, expected);
    }
    leader.carry_out([PeerOutput::Close { connection: at_leader }]);
    assert_eq!(learner.sink.next().await, Input::Disconnected(at_learner));
}

#[tokio::test]
async fn who_has_no_certificate_of_the_authority_is_refused_from_either_end() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = start(2, files(&ours, "127.0.0.1", &ours)).await;
    // It believes us, but we do not believe it.
    let impostor = start(3, files(&other, "127.0.0.1", &ours)).await;
    assert!(matches!(failure(&impostor, &server).await, DialError::Call { .. } | DialError::Tls { .. }));
    assert!(matches!(failure(&server, &impostor).await, DialError::Tls { .. }));
    // It has a certificate of ours, for another host.
    let elsewhere = start(4, files(&ours, "elsewhere.example", &ours)).await;
    assert!(matches!(failure(&server, &elsewhere).await, DialError::Tls { .. }));
    // It has none at all.
    let plain = TestServer::start(5).await;
    assert!(matches!(failure(&plain, &server).await, DialError::Call { .. } | DialError::TimedOut));
    assert!(matches!(failure(&server, &plain).await, DialError::Tls { .. } | DialError::TimedOut));
    assert!(server.sink.inputs.lock().is_empty());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let good = files(&authority, "127.0.0.1", &authority);
    let empty = TlsFiles { ca: good.key.clone(), ..good.clone() };
    assert!(matches!(Tls::load(&empty), Err(TlsError::NoCertificate(path)) if path == good.key));
    let strange = TlsFiles { key: files(&authority, "other", &authority).key, ..good.clone() };
    assert!(matches!(Tls::load(&strange), Err(TlsError::Mismatch { .. })));
    assert!(Tls::load(&good).is_ok());
}

#[tokio::test]
async fn new_certificates_are_used_without_a_restart() {
    let (before, after) = (Authority::new(), Authority::new());
    let ours = files(&before, "127.0.0.1", &before);
    let server = start(2, ours.clone()).await;
    let newcomer = start(3, files(&after, "127.0.0.1", &after)).await;
    assert!(matches!(failure(&newcomer, &server).await, DialError::Tls { .. }));
    let Papers { cert, key } = after.papers("127.0.0.1");
    for (from, to) in [(cert, &ours.cert), (key, &ours.key), (after.ca(), &ours.ca)] {
        std::fs::copy(from, to).unwrap();
    }
    let dialing = async {
        while dial::dial(&newcomer.peers.core, server.id, Wish::Session).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        newcomer.id
    };
    assert_eq!(tokio::time::timeout(PATIENCE, dialing).await, Ok(newcomer.id));
    // In the other role, too.
    server.knows(&[(3, newcomer.address.to_string())]);
    assert!(dial::dial(&server.peers.core, newcomer.id, Wish::Session).await.is_ok());
}
