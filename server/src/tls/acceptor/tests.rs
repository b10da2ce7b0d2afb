//! A real socket on either side of a handshake.

use std::path::Path;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;
use crate::tls::authority::{Authority, Papers};
use crate::tls::{Clients, VERSIONS, files, provider};

/// What a client that trusts `authority` sees of a door: the protocol that both speak, or its error.
async fn visit(acceptor: &Acceptor, authority: &Authority, papers: Option<&Papers>) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).unwrap();
    let builder = builder.with_root_certificates(files::roots(&authority.ca()).unwrap());
    let mut config = match papers {
        None => builder.with_no_client_auth(),
        Some(Papers { cert, key }) => {
            let (chain, key) = (files::certificates(cert).unwrap(), files::key(key).unwrap());
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec(), H2.to_vec()];
    let accepting = async {
        let Io::Right(mut stream) = acceptor.accept(stream).await.map_err(io::Error::other)? else {
            panic!("a handshake leads to TLS")
        };
        stream.write_all(b"!").await?;
        stream.shutdown().await
    };
    let visiting = async {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, client).await?;
        // With TLS 1.3 a client learns only now whether it was believed.
        stream.read_exact(&mut [0]).await?;
        Ok(stream.get_ref().1.alpn_protocol().unwrap_or_default().to_vec())
    };
    let (_, visited) = tokio::join!(accepting, visiting);
    visited
}

fn door(authority: &Authority, clients: Option<Clients>) -> DoorFiles {
    let Papers { cert, key } = authority.papers("127.0.0.1");
    DoorFiles { cert, key, clients }
}

#[tokio::test]
async fn each_door_says_what_it_speaks() {
    let authority = Authority::new();
    let files = door(&authority, None);
    let grpc = visit(&Acceptor::grpc(&files).unwrap(), &authority, None).await.unwrap();
    let http = visit(&Acceptor::http(&files).unwrap(), &authority, None).await.unwrap();
    assert_eq!((&*grpc, &*http), (&b"h2"[..], &b"h2"[..]));
    let stranger = visit(&Acceptor::http(&files).unwrap(), &Authority::new(), None).await.unwrap_err();
    assert!(stranger.to_string().contains("UnknownIssuer"), "{stranger}");
}

#[tokio::test]
async fn clients_prove_who_they_are_where_they_have_to() {
    let (authority, staff, others) = (Authority::new(), Authority::new(), Authority::new());
    let (member, outsider) = (staff.papers("somebody"), others.papers("nobody"));
    for is_required in [true, false] {
        let clients = Clients { ca: staff.ca(), is_required };
        let acceptor = Acceptor::grpc(&door(&authority, Some(clients))).unwrap();
        assert!(visit(&acceptor, &authority, Some(&member)).await.is_ok());
        assert!(visit(&acceptor, &authority, Some(&outsider)).await.is_err());
        assert_eq!(visit(&acceptor, &authority, None).await.is_err(), is_required);
    }
}

#[tokio::test]
async fn whoever_speaks_plainly_is_told() {
    let authority = Authority::new();
    let acceptor = Acceptor::http(&door(&authority, None)).unwrap();
    let say = async |words: &[u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(words).await.unwrap();
        let listening = async {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            drop(client);
            answer
        };
        let (accepted, answer) = tokio::join!(acceptor.accept(stream), listening);
        (accepted.expect_err("there was no handshake"), answer)
    };
    let (error, answer) = say(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(matches!(error, HandshakeError::Plain));
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("https://"), "{answer}");
    assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{answer}");
    // HTTP/2 is answered by an alert.
    let (error, answer) = say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(matches!(error, HandshakeError::Io(_)));
    assert_eq!((answer[0], answer[1]), (21, 3));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_silent_loses_the_connection_and_has_taken_no_place() {
    let authority = Authority::new();
    let acceptor = Acceptor::http(&door(&authority, None)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut accepting = Box::pin(acceptor.accept(stream));
    assert!(time::timeout(HANDSHAKE_TIMEOUT / 2, &mut accepting).await.is_err());
    assert_eq!(acceptor.places.available_permits(), HANDSHAKES_MAX);
    assert!(matches!(accepting.await, Err(HandshakeError::TimedOut)));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let good = door(&authority, None);
    let error = |files: DoorFiles| Acceptor::http(&files).err().expect("the files cannot be used");
    let missing = error(DoorFiles { cert: Path::new("/nonexistent/cert.pem").to_owned(), ..good.clone() });
    assert!(missing.to_string().contains("/nonexistent/cert.pem"), "{missing}");
    assert!(matches!(error(DoorFiles { cert: good.key.clone(), ..good.clone() }), TlsError::NoCertificate(_)));
    assert!(matches!(error(DoorFiles { key: good.cert.clone(), ..good.clone() }), TlsError::NoKey(_)));
    let other = authority.papers("other").key;
    assert!(matches!(error(DoorFiles { key: other, ..good.clone() }), TlsError::Mismatch { .. }));
    let garbage = authority.dir().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let strange = error(DoorFiles { cert: garbage.clone(), ..good.clone() });
    assert!(matches!(&strange, TlsError::Unusable { path, .. } if *path == garbage), "{strange}");
    let clients = Some(Clients { ca: garbage.clone(), is_required: true });
    let strange = error(DoorFiles { clients, ..good.clone() });
    assert!(matches!(&strange, TlsError::Unusable { path, .. } if *path == garbage), "{strange}");
}
