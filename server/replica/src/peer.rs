//! What the replicas of an ensemble say to each other, besides agreement: agreement carries it and never looks at it.
//!
//! A learner passes writes on to its leader and tells of signs of life; the leader answers what becomes no txn of the
//! learner's client, and says who speaks for a session. All of it is lost with the session between the two servers.

use alloc::vec::Vec;
use bytes::{BufMut, Bytes};
use quorate_types::codec::request::{put_request, request};
use quorate_types::codec::response::{put_response, response};
use quorate_types::codec::{DecodeError, Reader};
use quorate_types::{OutboxId, Request, Response, SessionId, Tag, Zxid};

/// From a learner to its leader.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and is moved on at once")]
pub(crate) enum ToLeader {
    /// A client wants this: a write, or something that concerns the ensemble.
    Write {
        /// Where its answer goes, on the learner.
        outbox: OutboxId,
        /// Likewise.
        tag: Tag,
        /// How long the client still waits, in milliseconds; `u64::MAX` for ever.
        left_ms: u64,
        /// The outbox speaks for the request's session: nobody else may, at the same time.
        speaks: bool,
        /// What it wants.
        request: Request,
    },
    /// Signs of life since the last such message.
    Touched(Vec<SessionId>),
    /// Outboxes of the learner speak for these sessions from now on; whoever did so elsewhere does not any more.
    Speaks(Vec<SessionId>),
}

/// From a leader to one of its learners.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToLearner {
    /// The answer to a write that has become no txn of its own. It is true once everything up to `barrier` is applied.
    Answer {
        /// As the learner said.
        outbox: OutboxId,
        /// Likewise.
        tag: Tag,
        /// What the decision rests on.
        barrier: Zxid,
        /// The answer.
        response: Response,
    },
    /// Another server's client speaks for the session now.
    Moved(SessionId),
}

const WRITE: u8 = 1;
const TOUCHED: u8 = 2;
const SPEAKS: u8 = 3;
const ANSWER: u8 = 4;
const MOVED: u8 = 5;

/// The binary form of [`ToLeader::Write`], without a copy of the request.
pub(crate) fn encode_write(outbox: OutboxId, tag: Tag, left_ms: u64, speaks: bool, request: &Request) -> Bytes {
    let mut out = Vec::with_capacity(64 + request.charge());
    out.put_u8(WRITE);
    out.put_u64_le(outbox.0);
    out.put_u64_le(tag.0);
    out.put_u64_le(left_ms);
    out.put_u8(u8::from(speaks));
    put_request(&mut out, request);
    Bytes::from(out)
}

impl ToLeader {
    /// Its binary form.
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            ToLeader::Write { outbox, tag, left_ms, speaks, request } => {
                encode_write(*outbox, *tag, *left_ms, *speaks, request)
            }
            ToLeader::Touched(sessions) => encode_sessions(TOUCHED, sessions),
            ToLeader::Speaks(sessions) => encode_sessions(SPEAKS, sessions),
        }
    }

    /// # Errors
    /// [`DecodeError`] for anything that [`ToLeader::encode`] does not write.
    pub(crate) fn decode(payload: Bytes) -> Result<ToLeader, DecodeError> {
        let mut reader = Reader::new(payload);
        let message = match reader.u8()? {
            WRITE => ToLeader::Write {
                outbox: OutboxId(reader.u64()?),
                tag: Tag(reader.u64()?),
                left_ms: reader.u64()?,
                speaks: match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(DecodeError::Invalid("flag")),
                },
                request: request(&mut reader)?,
            },
            TOUCHED => ToLeader::Touched(sessions(&mut reader)?),
            SPEAKS => ToLeader::Speaks(sessions(&mut reader)?),
            _ => return Err(DecodeError::Invalid("message to a leader")),
        };
        reader.finish()?;
        Ok(message)
    }
}

impl ToLearner {
    /// Its binary form.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            ToLearner::Answer { outbox, tag, barrier, response } => {
                out.put_u8(ANSWER);
                out.put_u64_le(outbox.0);
                out.put_u64_le(tag.0);
                out.put_u64_le(barrier.0);
                put_response(&mut out, response.as_ref());
            }
            ToLearner::Moved(session) => {
                out.put_u8(MOVED);
                out.put_u64_le(session.0);
            }
        }
        Bytes::from(out)
    }

    /// # Errors
    /// [`DecodeError`] for anything that [`ToLearner::encode`] does not write.
    pub(crate) fn decode(payload: Bytes) -> Result<ToLearner, DecodeError> {
        let mut reader = Reader::new(payload);
        let message = match reader.u8()? {
            ANSWER => ToLearner::Answer {
                outbox: OutboxId(reader.u64()?),
                tag: Tag(reader.u64()?),
                barrier: reader.zxid()?,
                response: response(&mut reader)?,
            },
            MOVED => ToLearner::Moved(SessionId(reader.u64()?)),
            _ => return Err(DecodeError::Invalid("message to a learner")),
        };
        reader.finish()?;
        Ok(message)
    }
}

fn encode_sessions(tag: u8, sessions: &[SessionId]) -> Bytes {
    let mut out = Vec::with_capacity(5 + 8 * sessions.len());
    out.put_u8(tag);
    out.put_u32_le(sessions.len() as u32);
    sessions.iter().for_each(|session| out.put_u64_le(session.0));
    Bytes::from(out)
}

fn sessions(reader: &mut Reader) -> Result<Vec<SessionId>, DecodeError> {
    let count = reader.count(8)?;
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        sessions.push(SessionId(reader.u64()?));
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec;

    use quorate_types::{Caller, Code, Error, Op, Reply};

    use super::*;

    #[test]
    fn what_replicas_say_survives_its_encoding_and_nothing_shorter_is_taken_for_it() {
        let request = Request::new(Op::CloseSession, Arc::new(Caller::server()));
        let (outbox, tag) = (OutboxId(u64::MAX), Tag(7));
        let asked = [
            ToLeader::Write { outbox, tag, left_ms: u64::MAX, speaks: true, request },
            ToLeader::Touched(vec![SessionId(1), SessionId(u64::MAX)]),
            ToLeader::Speaks(vec![]),
        ];
        for message in asked {
            let bytes = message.encode();
            assert_eq!(ToLeader::decode(bytes.clone()).as_ref(), Ok(&message));
            for cut in 0..bytes.len() {
                assert!(ToLeader::decode(bytes.slice(..cut)).is_err(), "{message:?} cut to {cut}");
            }
        }
        let answers = [Ok(Reply::Deleted), Err(Error::at(Code::NoNode, "/a", "gone"))];
        let answered = answers.map(|response| ToLearner::Answer { outbox, tag, barrier: Zxid(3), response });
        for message in answered.into_iter().chain([ToLearner::Moved(SessionId(9))]) {
            let bytes = message.encode();
            assert_eq!(ToLearner::decode(bytes.clone()).as_ref(), Ok(&message));
            for cut in 0..bytes.len() {
                assert!(ToLearner::decode(bytes.slice(..cut)).is_err(), "{message:?} cut to {cut}");
            }
        }
    }
}
