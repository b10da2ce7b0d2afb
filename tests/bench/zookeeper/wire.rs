//! What the measurements need of ZooKeeper's client protocol: requests and replies as bytes.
//!
//! A message is its length and then its records. Numbers are big-endian; strings and buffers begin with their length.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::load::Operation;

/// The number of a ping: it may be sent at any time, and stands outside of a client's own numbers.
const PING_XID: i32 = -2;

/// Bytes of a session's password. A new session is asked for with zeros.
const PASSWORD_BYTES: usize = 16;

/// Bytes of the header of a reply: the request's number, a zxid, an error.
const REPLY_HEADER_BYTES: usize = 16;

/// A reply longer than this is not understood: no workload asks for so much.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Read, write, create, delete and administer: everything.
const PERMISSIONS_ALL: i32 = 31;

/// What a client asks.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Create {
        path: String,
        data: Bytes,
        ephemeral: bool,
    },
    Get {
        path: String,
    },
    Set {
        path: String,
        data: Bytes,
    },
    Delete {
        path: String,
    },
    Ping,
    /// Ends the session.
    Close,
}

/// What a server answers, without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    pub(crate) xid: i32,
    /// 0 if all went well.
    pub(crate) error: i32,
}

impl Request {
    pub(crate) fn new(operation: Operation, data: &Bytes) -> Request {
        match operation {
            // It knows no other read; what compares the two asks for none.
            Operation::Get(path) | Operation::GetLinearizable(path) => Request::Get { path },
            Operation::Set(path) => Request::Set { path, data: data.clone() },
            Operation::Create(path) => Request::Create { path, data: data.clone(), ephemeral: false },
            Operation::Delete(path) => Request::Delete { path },
        }
    }

    /// Its number, if the client's next one is `next`.
    pub(crate) fn xid(&self, next: i32) -> i32 {
        match self {
            Request::Ping => PING_XID,
            _ => next,
        }
    }

    fn code(&self) -> i32 {
        match self {
            Request::Create { .. } => 1,
            Request::Delete { .. } => 2,
            Request::Get { .. } => 4,
            Request::Set { .. } => 5,
            Request::Ping => 11,
            Request::Close => -11,
        }
    }

    /// Appends its message.
    pub(crate) fn encode(&self, xid: i32, out: &mut BytesMut) {
        framed(out, |out| {
            out.put_i32(xid);
            out.put_i32(self.code());
            match self {
                Request::Create { path, data, ephemeral } => {
                    put_buffer(path.as_bytes(), out);
                    put_buffer(data, out);
                    // Open to everybody: one entry.
                    out.put_i32(1);
                    out.put_i32(PERMISSIONS_ALL);
                    put_buffer(b"world", out);
                    put_buffer(b"anyone", out);
                    out.put_i32((*ephemeral).into());
                }
                Request::Get { path } => {
                    put_buffer(path.as_bytes(), out);
                    // No watch.
                    out.put_u8(0);
                }
                Request::Set { path, data } => {
                    put_buffer(path.as_bytes(), out);
                    put_buffer(data, out);
                    put_any_version(out);
                }
                Request::Delete { path } => {
                    put_buffer(path.as_bytes(), out);
                    put_any_version(out);
                }
                Request::Ping | Request::Close => {}
            }
        });
    }
}

/// Appends the first message of a connection: it asks for a new session.
pub(crate) fn encode_connect(timeout_ms: i32, out: &mut BytesMut) {
    framed(out, |out| {
        // The protocol's version and the last zxid seen.
        out.put_i32(0);
        out.put_i64(0);
        out.put_i32(timeout_ms);
        // No session yet.
        out.put_i64(0);
        put_buffer(&[0; PASSWORD_BYTES], out);
        // Not content with a server that can only be read.
        out.put_u8(0);
    });
}

/// The session that the answer to the first message names; `None` if the server refuses.
pub(crate) fn decode_connected(mut message: Bytes) -> Option<i64> {
    // The protocol's version, the granted timeout, the session; what follows is of no use here.
    let _version = message.try_get_i32().ok()?;
    let timeout_ms = message.try_get_i32().ok()?;
    let session = message.try_get_i64().ok()?;
    (timeout_ms > 0 && session != 0).then_some(session)
}

/// Takes one message from what has been received, if it is there.
pub(crate) fn next_message(received: &mut BytesMut) -> Option<Bytes> {
    let length = received.get(..4)?.get_u32() as usize;
    assert!(length <= FRAME_BYTES_MAX, "a message of {length} bytes");
    if received.len() < 4 + length {
        return None;
    }
    received.advance(4);
    Some(received.split_to(length).freeze())
}

/// Reads the header of a reply.
pub(crate) fn decode_reply(mut message: Bytes) -> ReplyHeader {
    assert!(message.len() >= REPLY_HEADER_BYTES, "a reply of {} bytes", message.len());
    let xid = message.get_i32();
    let _zxid = message.get_i64();
    ReplyHeader { xid, error: message.get_i32() }
}

fn framed(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_i32(0);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_buffer(bytes: &[u8], out: &mut BytesMut) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

fn put_any_version(out: &mut BytesMut) {
    out.put_i32(-1);
}
