//! What the replicas of an ensemble say to each other, besides agreement: agreement carries it and never looks at it.
//!
//! A learner passes writes on to its leader and tells of signs of life; the leader answers what becomes no txn of the
//! learner's client, and says who speaks for a session. All of it is lost with the session between the two servers.

use alloc::vec::Vec;
use bytes::{BufMut, Bytes};
use quorate_types::codec::request::{put_request, request};
use quorate_types::codec::response::{put_response, response};
use quorate_types::codec::{DecodeError, Reader};
use quorate_types::{Epoch, OutboxId, Request, Response, SessionId, Tag, Zxid};

use crate::speaking::{Grant, Speaker};

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
    /// An outbox of the learner wants to speak for the session.
    Claim {
        /// Which.
        outbox: OutboxId,
        /// Where the answer goes.
        tag: Tag,
        /// For which.
        session: SessionId,
    },
    /// Outboxes of the learner speak for these sessions since they were granted that, perhaps by another leader.
    Speaks(Vec<(SessionId, Speaker)>),
    /// Whether the learner's disk is full.
    Full(bool),
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
    /// Answers [`ToLeader::Claim`].
    Granted {
        /// As the learner said.
        outbox: OutboxId,
        /// Likewise.
        tag: Tag,
        /// Likewise.
        session: SessionId,
        /// What it speaks by.
        grant: Grant,
    },
    /// Another outbox than this one speaks for the session now.
    Moved {
        /// Which.
        session: SessionId,
        /// The learner's.
        outbox: OutboxId,
    },
}

const WRITE: u8 = 1;
const TOUCHED: u8 = 2;
const SPEAKS: u8 = 3;
const ANSWER: u8 = 4;
const MOVED: u8 = 5;
const CLAIM: u8 = 6;
const GRANTED: u8 = 7;
const FULL: u8 = 8;

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
            ToLeader::Touched(sessions) => {
                let mut out = header(TOUCHED, sessions.len(), 8);
                sessions.iter().for_each(|session| out.put_u64_le(session.0));
                Bytes::from(out)
            }
            ToLeader::Claim { outbox, tag, session } => {
                let mut out = Vec::with_capacity(25);
                out.put_u8(CLAIM);
                out.put_u64_le(outbox.0);
                out.put_u64_le(tag.0);
                out.put_u64_le(session.0);
                Bytes::from(out)
            }
            ToLeader::Speaks(sessions) => {
                let mut out = header(SPEAKS, sessions.len(), SPEAKS_BYTES);
                for (session, Speaker { outbox, grant }) in sessions {
                    out.put_u64_le(session.0);
                    out.put_u64_le(outbox.0);
                    put_grant(&mut out, *grant);
                }
                Bytes::from(out)
            }
            ToLeader::Full(is_full) => Bytes::copy_from_slice(&[FULL, u8::from(*is_full)]),
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
                speaks: flag(&mut reader)?,
                request: request(&mut reader)?,
            },
            TOUCHED => ToLeader::Touched(sessions(&mut reader)?),
            CLAIM => ToLeader::Claim {
                outbox: OutboxId(reader.u64()?),
                tag: Tag(reader.u64()?),
                session: SessionId(reader.u64()?),
            },
            SPEAKS => {
                let count = reader.count(SPEAKS_BYTES)?;
                let mut sessions = Vec::with_capacity(count);
                for _ in 0..count {
                    let session = SessionId(reader.u64()?);
                    let outbox = OutboxId(reader.u64()?);
                    sessions.push((session, Speaker { outbox, grant: grant(&mut reader)? }));
                }
                ToLeader::Speaks(sessions)
            }
            FULL => ToLeader::Full(flag(&mut reader)?),
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
            ToLearner::Granted { outbox, tag, session, grant } => {
                out.put_u8(GRANTED);
                out.put_u64_le(outbox.0);
                out.put_u64_le(tag.0);
                out.put_u64_le(session.0);
                put_grant(&mut out, *grant);
            }
            ToLearner::Moved { session, outbox } => {
                out.put_u8(MOVED);
                out.put_u64_le(session.0);
                out.put_u64_le(outbox.0);
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
            GRANTED => ToLearner::Granted {
                outbox: OutboxId(reader.u64()?),
                tag: Tag(reader.u64()?),
                session: SessionId(reader.u64()?),
                grant: grant(&mut reader)?,
            },
            MOVED => ToLearner::Moved { session: SessionId(reader.u64()?), outbox: OutboxId(reader.u64()?) },
            _ => return Err(DecodeError::Invalid("message to a learner")),
        };
        reader.finish()?;
        Ok(message)
    }
}

/// Bytes of one entry of [`ToLeader::Speaks`].
const SPEAKS_BYTES: usize = 28;

fn header(kind: u8, count: usize, bytes_each: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + count * bytes_each);
    out.put_u8(kind);
    out.put_u32_le(count as u32);
    out
}

fn put_grant(out: &mut Vec<u8>, grant: Grant) {
    out.put_u32_le(grant.epoch.0);
    out.put_u64_le(grant.number);
}

fn grant(reader: &mut Reader) -> Result<Grant, DecodeError> {
    Ok(Grant { epoch: Epoch(reader.u32()?), number: reader.u64()? })
}

fn flag(reader: &mut Reader) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("flag")),
    }
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

    const GRANT: Grant = Grant { epoch: Epoch(3), number: u64::MAX };

    #[test]
    fn what_replicas_say_survives_its_encoding_and_nothing_shorter_is_taken_for_it() {
        let request = Request::new(Op::CloseSession, Arc::new(Caller::server()));
        let (outbox, tag) = (OutboxId(u64::MAX), Tag(7));
        let asked = [
            ToLeader::Write { outbox, tag, left_ms: u64::MAX, speaks: true, request },
            ToLeader::Touched(vec![SessionId(1), SessionId(u64::MAX)]),
            ToLeader::Claim { outbox, tag, session: SessionId(8) },
            ToLeader::Speaks(vec![(SessionId(8), Speaker { outbox, grant: GRANT })]),
            ToLeader::Full(true),
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
        let session = SessionId(9);
        let told = [ToLearner::Granted { outbox, tag, session, grant: GRANT }, ToLearner::Moved { session, outbox }];
        for message in answered.into_iter().chain(told) {
            let bytes = message.encode();
            assert_eq!(ToLearner::decode(bytes.clone()).as_ref(), Ok(&message));
            for cut in 0..bytes.len() {
                assert!(ToLearner::decode(bytes.slice(..cut)).is_err(), "{message:?} cut to {cut}");
            }
        }
    }
}
