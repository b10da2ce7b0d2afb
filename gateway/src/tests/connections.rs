//! `serve`: what only a real connection shows.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::Handshake;

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(fake: &Fake, config: Config) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = config.shutdown.clone();
        let router = router(fake.client(), config.clone());
        let task = tokio::spawn(async move { crate::serve(listener, router, &config).await });
        Served { address, shutdown, task }
    }

    async fn connect(&self) -> Connection {
        Connection { stream: TcpStream::connect(self.address).await.unwrap(), text: String::new() }
    }

    /// Returns once there is a place for another connection, and a request on it is answered.
    async fn connect_when_free(&self) {
        let attempts = async {
            loop {
                let mut connection = self.connect().await;
                // Written to a connection that is closed at once, it may be lost.
                let _ = connection.stream.write_all(GET.as_bytes()).await;
                if connection.reaches("hello").await {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, attempts).await.expect("a place becomes free");
    }

    /// A write that waits for its body.
    async fn upload(&self) -> Connection {
        let mut connection = self.connect().await;
        let header = "Host: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        connection.write(format!("PUT /v1/znodes/a HTTP/1.1\r\n{header}")).await;
        connection.read_to("100 Continue\r\n\r\n").await;
        connection
    }
}

struct Connection {
    stream: TcpStream,
    text: String,
}

impl Connection {
    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until what was read contains `text`.
    async fn read_to(&mut self, text: &str) {
        while !self.text.contains(text) {
            assert!(self.read().await, "the connection ended after {:?}", self.text);
        }
    }

    /// Reads until what was read contains `text`, or the other side closes: whether it does.
    async fn reaches(&mut self, text: &str) -> bool {
        let mut piece = [0; 4096];
        while !self.text.contains(text) {
            match self.stream.read(&mut piece).await {
                Ok(read @ 1..) => self.text.push_str(&String::from_utf8_lossy(&piece[..read])),
                Ok(0) | Err(_) => return false,
            }
        }
        true
    }

    /// Reads until the other side closes.
    async fn read_to_end(mut self) -> String {
        while self.read().await {}
        self.text
    }

    async fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        let read = self.stream.read(&mut piece).await.unwrap();
        self.text.push_str(&String::from_utf8_lossy(&piece[..read]));
        read > 0
    }
}

/// What takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(10);

const GET: &str = "GET /v1/znodes/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn what_is_no_http_is_answered_before_the_connection_closes() {
    let served = Served::start(&tree(), Config::default()).await;
    for (request, status) in [
        ("GET /v1/znodes/a b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(63 * 1024)), "414"),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(30 * 1024)), "431"),
    ] {
        let mut connection = served.connect().await;
        connection.write(&request).await;
        connection.read_to("\r\n\r\n").await;
        assert!(connection.text.starts_with(&format!("HTTP/1.1 {status} ")), "{}", connection.text);
    }
}

#[tokio::test]
async fn whoever_sends_too_much_without_saying_so_is_told() {
    let served = Served::start(&tree(), Config { body_bytes_max: 100_000, ..Config::default() }).await;
    let mut connection = served.connect().await;
    connection.write("PUT /v1/znodes/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..64 {
        connection.write(format!("8000\r\n{}\r\n", "x".repeat(0x8000))).await;
    }
    connection.write("0\r\n\r\n").await;
    connection.read_to("\"code\":\"TOO_LARGE\"").await;
    assert!(connection.text.starts_with("HTTP/1.1 413 "), "{}", connection.text);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let served = Served::start(&tree(), Config::default()).await;
    let mut connection = served.connect().await;
    for _ in 0..3 {
        connection.write(GET).await;
        connection.read_to("\r\n\r\nhello").await;
        assert!(connection.text.starts_with("HTTP/1.1 200 OK\r\n"), "{}", connection.text);
        connection.text.clear();
    }
}

#[tokio::test]
async fn a_connection_that_sends_no_request_is_closed() {
    let served =
        Served::start(&tree(), Config { header_timeout: Duration::from_millis(30), ..Config::default() }).await;
    for beginning in ["", "G", "GET /livez HTTP/1.1\r\nHost: loc", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut connection = served.connect().await;
        connection.write(beginning).await;
        let ended = tokio::time::timeout(PATIENCE, connection.read_to_end()).await;
        let text = ended.unwrap_or_else(|_| panic!("still open after {beginning:?}"));
        assert!(!text.contains("200"), "{text}");
    }
}

#[tokio::test]
async fn a_connection_that_has_begun_to_speak_http_2_is_not_closed_for_being_idle() {
    let served =
        Served::start(&tree(), Config { header_timeout: Duration::from_millis(30), ..Config::default() }).await;
    let mut connection = served.connect().await;
    // The preface in pieces, and empty settings.
    for piece in [&b"PRI * HT"[..], b"TP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"] {
        connection.write(piece).await;
    }
    assert!(connection.read().await);
    let ended = async { while connection.read().await {} };
    assert!(tokio::time::timeout(Duration::from_millis(150), ended).await.is_err(), "the connection was closed");
}

#[tokio::test]
async fn a_connection_that_is_not_read_is_closed() {
    // Together more than the buffers of both sides hold.
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let config = Config { write_timeout: Duration::from_millis(50), connections_max: 1, ..Config::default() };
    let served = Served::start(&tree(), config).await;
    let mut deaf = served.connect().await;
    // It may be closed before all is sent.
    let _ = deaf.stream.write_all(requests.as_bytes()).await;
    served.connect_when_free().await;
}

#[tokio::test]
async fn one_whose_bytes_wait_to_be_flushed_is_closed_likewise() {
    // As where they are encrypted: they are taken before they are written.
    let buffered = Handshake::new(async |stream| Ok(BufStream::with_capacity(1024, 1024 * 1024, stream)));
    let limits = Config { write_timeout: Duration::from_millis(50), connections_max: 1, ..Config::default() };
    let served = Served::start(&tree(), Config { handshake: Some(buffered), ..limits }).await;
    let mut deaf = served.connect().await;
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let _ = deaf.stream.write_all(requests.as_bytes()).await;
    served.connect_when_free().await;
}

#[tokio::test]
async fn a_handshake_holds_up_its_own_connection_alone() {
    let knock = Handshake::new(async |mut stream: TcpStream| stream.read_exact(&mut [0]).await.map(|_| stream));
    let served = Served::start(&tree(), Config { handshake: Some(knock), ..Config::default() }).await;
    let silent = served.connect().await;
    let mut visitor = served.connect().await;
    visitor.write(format!("!{GET}")).await;
    visitor.read_to("\r\n\r\nhello").await;
    served.shutdown.cancel();
    assert_eq!(tokio::time::timeout(PATIENCE, silent.read_to_end()).await.as_deref(), Ok(""));
    drop(visitor);
    tokio::time::timeout(PATIENCE, served.task).await.expect("nobody is waited for").unwrap();
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed_at_once() {
    let config = Config { connections_max: 1, ..Config::default() };
    let served = Served::start(&tree(), config).await;
    let mut first = served.connect().await;
    first.write(GET).await;
    first.read_to("hello").await;
    let second = served.connect().await;
    assert_eq!(tokio::time::timeout(PATIENCE, second.read_to_end()).await.expect("it is closed"), "");
    first.text.clear();
    first.write("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    first.read_to("quorate_gateway_connections_refused_total 1\n").await;
    drop(first);
    served.connect_when_free().await;
}

#[tokio::test]
async fn a_shutdown_ends_streams_cleanly_and_lets_requests_end() {
    let fake = Fake::telling(|_| vec![v1::watch_item::Item::Created(v1::WatchCreated { zxid: 0x10 })]);
    let served = Served::start(&fake, Config::default()).await;
    let mut events = served.connect().await;
    events.write("GET /v1/watch?path=/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    events.read_to("event: bookmark").await;
    let mut upload = served.upload().await;
    let mut idle = served.connect().await;
    idle.write("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    idle.read_to("ok\n").await;

    served.shutdown.cancel();
    // An empty chunk, the end of a body that is whole.
    assert!(events.read_to_end().await.ends_with("0\r\n\r\n"));
    idle.read_to_end().await;
    upload.write("hello").await;
    // The fake refuses every write, but it is asked, and its answer arrives.
    assert!(upload.read_to_end().await.contains("\"code\":\"INTERNAL\""));
    served.task.await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let config = Config { drain_timeout: Duration::from_millis(30), ..Config::default() };
    let served = Served::start(&tree(), config).await;
    let _upload = served.upload().await;
    served.shutdown.cancel();
    served.task.await.unwrap();
}
