//! What is no protocol at all: random bytes, broken HTTP/2, connections cut anywhere. Each such connection ends alone.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use quorate_proto::v1;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::Server;
use quorate_tests::report;

use super::bad_input::still_serves;
use super::random::Random;

const ROUNDS: usize = 200;

/// What a connection of HTTP/2 begins with, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How long the server may take to hang up on garbage; it may also wait for more of it.
const ANSWER_MAX: Duration = Duration::from_millis(20);

#[tokio::test]
async fn garbage_harms_nobody_but_its_own_connection() {
    let mut random = Random::new("garbage");
    let server = Server::start();
    let before = server.stats();
    // A bystander, whose connection has to live through all of it.
    let mut bystander = ZnodeServiceClient::new(server.grpc().await);
    let rounds = ROUNDS * report::scale();
    let mut open = Vec::new();
    for round in 0..rounds {
        let bytes = garbage(round, &mut random);
        for door in ["grpc", "http"] {
            let mut stream = TcpStream::connect(server.address(door)).expect("the door is open");
            stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            // The server may hang up before it has read everything.
            let _ = stream.write_all(&bytes);
            if round % 10 == 0 {
                open.push(stream);
                continue;
            }
            // Whatever it answers: it hangs up, or waits for more.
            if let Err(error) = stream.read_to_end(&mut Vec::new()) {
                let expected =
                    [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
                assert!(expected.contains(&error.kind()), "{error}");
            }
        }
        if round % 20 == 0 {
            let request = v1::GetRequest { path: "/".into(), options: None };
            bystander.get(request).await.expect("the bystander's connection goes on");
        }
    }
    let during = server.stats();
    drop(open);
    still_serves(&server).await;
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    report::note(&format!(
        "garbage: {} connections with garbage; before: {before}; during: {during}; after: {}",
        2 * rounds,
        server.stats()
    ));
}

fn garbage(round: usize, random: &mut Random) -> Vec<u8> {
    let length = random.between(1, 3_000) as usize;
    match round % 10 {
        0 => random.bytes(length),
        1 => PREFACE[..random.between(1, PREFACE.len() as u64) as usize].to_vec(),
        2 => [PREFACE, &random.bytes(length)].concat(),
        3 => [PREFACE, &frame(random.next() as u8 % 12, random.next() as u8, random.next() as u32, random.bytes(200))]
            .concat(),
        // The header of a frame of 16 MiB, which never comes.
        4 => [PREFACE, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat(),
        // Headers of a call, and then a message that is cut short.
        5 => [PREFACE, &call_headers(), &frame(0, 0, 1, [&[0, 0, 0, 1, 0][..], &random.bytes(10)].concat())].concat(),
        // A whole call with a message that is none.
        6 => [PREFACE, &call_headers(), &frame(0, 1, 1, [&[0, 0, 0, 0, 10][..], &random.bytes(10)].concat())].concat(),
        // A compressed message, though nobody agreed on that.
        7 => [PREFACE, &call_headers(), &frame(0, 1, 1, [&[1, 0, 0, 0, 10][..], &random.bytes(10)].concat())].concat(),
        8 => [
            &b"GET /v1/znodes/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999\r\n\r\n"[..],
            &random.bytes(length),
        ]
        .concat(),
        _ => [
            &b"PUT /v1/znodes/cut HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n"[..],
            &random.bytes(length),
        ]
        .concat(),
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: Vec<u8>) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The headers of a call of `Get` on stream 1, without any compression.
fn call_headers() -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/quorate.v1.ZnodeService/Get"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in headers {
        block.extend([0, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    frame(1, 4, 1, block)
}
