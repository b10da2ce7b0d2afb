//! With TLS, both ends need a certificate of the ensemble's authority.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;
use crate::peers::dial::{self, DialError, Wish};
use crate::peers::tls::{Tls, TlsError};

/// An authority, and the files of servers that it vouches for.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer, dir: tempfile::tempdir().unwrap() }
    }

    /// A certificate for a host, of this authority, whose holder trusts `trusted`.
    fn files(&self, host: &str, trusted: &Authority) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let write = |name: &str, text: String| {
            let path = self.dir.path().join(format!("{host}-{name}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            cert: write("cert.pem", cert.pem()),
            key: write("key.pem", key.serialize_pem()),
            ca: write("ca.pem", trusted.issuer.pem()),
        }
    }
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
    let learner = start(1, authority.files("127.0.0.1", &authority)).await;
    let leader = start(2, authority.files("127.0.0.1", &authority)).await;
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
    let server = start(2, ours.files("127.0.0.1", &ours)).await;
    // It believes us, but we do not believe it.
    let impostor = start(3, other.files("127.0.0.1", &ours)).await;
    assert!(matches!(failure(&impostor, &server).await, DialError::Call { .. } | DialError::Tls { .. }));
    assert!(matches!(failure(&server, &impostor).await, DialError::Tls { .. }));
    // It has a certificate of ours, for another host.
    let elsewhere = start(4, ours.files("elsewhere.example", &ours)).await;
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
    let good = authority.files("127.0.0.1", &authority);
    let missing = TlsFiles { cert: Path::new("/nonexistent/cert.pem").to_owned(), ..good.clone() };
    let error = Tls::load(&missing).err().expect("there is no such file");
    assert!(error.to_string().contains("/nonexistent/cert.pem"), "{error}");
    let empty = TlsFiles { ca: good.key.clone(), ..good.clone() };
    assert!(matches!(Tls::load(&empty), Err(TlsError::Empty(path)) if path == good.key));
    let strange = TlsFiles { key: authority.files("other", &authority).key, ..good.clone() };
    assert!(matches!(Tls::load(&strange), Err(TlsError::Unusable(_))));
    assert!(Tls::load(&good).is_ok());
}
