//! `Connection`: one ZooKeeper session over one TCP connection, which is how that protocol has it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Request;
use super::wire;
use crate::load::Done;
use crate::table::histogram;

/// Asked for: longer than any pause of a measurement.
const TIMEOUT_MS: i32 = 30_000;

/// A session and its connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Encoded, but not sent yet.
    outgoing: BytesMut,
    /// Received, but not looked at yet.
    incoming: BytesMut,
    /// Requests that are not answered yet; the answers come in the same order.
    expected: VecDeque<i32>,
    next_xid: i32,
}

impl Connection {
    /// Connects and opens a session.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (outgoing, incoming) = (BytesMut::new(), BytesMut::new());
        let mut connection = Connection { stream, outgoing, incoming, expected: VecDeque::new(), next_xid: 1 };
        wire::encode_connect(TIMEOUT_MS, &mut connection.outgoing);
        connection.flush().await?;
        let answer = connection.message().await?;
        let refused = || io::Error::other("the server refuses to open a session");
        wire::decode_connected(answer).ok_or_else(refused)?;
        Ok(connection)
    }

    /// Encodes a request, to be sent by [`Connection::flush`].
    pub(crate) fn push(&mut self, request: &Request) {
        let xid = request.xid(self.next_xid);
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        request.encode(xid, &mut self.outgoing);
        self.expected.push_back(xid);
    }

    /// Sends what was pushed.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.outgoing).await?;
        self.outgoing.clear();
        Ok(())
    }

    /// Waits for at least one reply. Returns how many came together; that one of them is an error is an error.
    pub(crate) async fn replies(&mut self) -> io::Result<u64> {
        let mut message = Some(self.message().await?);
        let mut count = 0;
        while let Some(reply) = message {
            let wire::ReplyHeader { xid, error } = wire::decode_reply(reply);
            let expected = self.expected.pop_front();
            if expected != Some(xid) || error != 0 {
                return Err(io::Error::other(format!("request {expected:?} is answered by {xid} with error {error}")));
            }
            count += 1;
            message = wire::next_message(&mut self.incoming);
        }
        Ok(count)
    }

    /// Sends one request and waits for its answer; nothing else is outstanding.
    pub(crate) async fn call(&mut self, request: &Request) -> io::Result<()> {
        self.push(request);
        self.flush().await?;
        let count = self.replies().await?;
        assert_eq!(count, 1, "replies to one request");
        Ok(())
    }

    async fn message(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(message) = wire::next_message(&mut self.incoming) {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Runs `outstanding` requests at a time until `until`, or until `next` has no more, and closes the session.
pub(crate) async fn pipelined(
    mut connection: Connection,
    outstanding: u64,
    until: Instant,
    mut next: impl FnMut(u64) -> Option<Request>,
) -> Done {
    let began = Instant::now();
    let mut done = Done { operations: 0, seconds: 0.0, latencies: histogram() };
    let mut sent: VecDeque<Instant> = VecDeque::new();
    let (mut id, mut room) = (0, outstanding);
    loop {
        let now = Instant::now();
        while room > 0 && now < until {
            let Some(request) = next(id) else { break };
            connection.push(&request);
            sent.push_back(now);
            (id, room) = (id + 1, room - 1);
        }
        connection.flush().await.unwrap();
        if sent.is_empty() {
            break;
        }
        room = connection.replies().await.unwrap();
        let now = Instant::now();
        for began in sent.drain(..room as usize) {
            done.latencies.saturating_record((now - began).as_micros() as u64);
        }
        done.operations += room;
    }
    done.seconds = began.elapsed().as_secs_f64();
    connection.call(&Request::Close).await.unwrap();
    done
}
