//! The binary form of an answer: as that to a write is remembered, and as a leader gives it to the server that was asked.

use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::BufMut;

use crate::codec::members::{ensemble, put_ensemble};
use crate::codec::{self, DecodeError, Reader};
use crate::{Code, Error, Members, Reply, Response, ServerId, SessionId, limits};

const ERROR: u8 = 0;
const CREATED: u8 = 1;
const DELETED: u8 = 2;
const TREE_DELETED: u8 = 3;
const CHANGED: u8 = 4;
const CHECKED: u8 = 5;
const RESULTS: u8 = 6;
const SESSION: u8 = 7;
const SESSION_CLOSED: u8 = 8;
const ENSEMBLE: u8 = 9;
const RECONFIGURED: u8 = 10;
const LEADERSHIP_TRANSFERRED: u8 = 11;
const RESTORE_STEP: u8 = 12;

/// Appends an answer.
///
/// # Panics
/// If it answers what no leader was asked for.
pub fn put_response(out: &mut Vec<u8>, response: Result<&Reply, &Error>) {
    match response {
        Ok(Reply::Multi(results)) => {
            out.put_u8(RESULTS);
            out.put_u32_le(results.len() as u32);
            results.iter().for_each(|result| put_single(out, result.as_ref()));
        }
        single => put_single(out, single),
    }
}

fn put_single(out: &mut Vec<u8>, response: Result<&Reply, &Error>) {
    match response {
        Err(error) => {
            out.put_u8(ERROR);
            out.put_u8(error.code() as u8);
            match error.path() {
                None => out.put_u8(0),
                Some(path) => {
                    out.put_u8(1);
                    codec::put_text(out, path);
                }
            }
            codec::put_text(out, error.detail());
        }
        Ok(Reply::Created { path, stat }) => {
            out.put_u8(CREATED);
            codec::put_text(out, path);
            codec::put_stat(out, stat);
        }
        Ok(Reply::Deleted) => out.put_u8(DELETED),
        Ok(Reply::TreeDeleted { count }) => {
            out.put_u8(TREE_DELETED);
            out.put_u32_le(*count);
        }
        Ok(Reply::Changed { stat }) => {
            out.put_u8(CHANGED);
            codec::put_stat(out, stat);
        }
        Ok(Reply::Checked) => out.put_u8(CHECKED),
        Ok(Reply::Session { id, timeout_ms }) => {
            out.put_u8(SESSION);
            out.put_u64_le(id.0);
            out.put_u32_le(*timeout_ms);
        }
        Ok(Reply::SessionClosed) => out.put_u8(SESSION_CLOSED),
        Ok(Reply::Ensemble(ensemble)) => {
            out.put_u8(ENSEMBLE);
            put_ensemble(out, ensemble);
        }
        Ok(Reply::Reconfigured(members)) => {
            out.put_u8(RECONFIGURED);
            members.encode(out);
        }
        Ok(Reply::LeadershipTransferred { leader }) => {
            out.put_u8(LEADERSHIP_TRANSFERRED);
            out.put_u8(leader.0);
        }
        Ok(Reply::RestoreStep { zxid }) => {
            out.put_u8(RESTORE_STEP);
            out.put_u64_le(zxid.0);
        }
        Ok(other) => panic!("{other:?} is no leader's answer"),
    }
}

/// Takes an answer off a reader.
///
/// # Errors
/// [`DecodeError`] for anything that [`put_response`] does not write.
pub fn response(reader: &mut Reader) -> Result<Response, DecodeError> {
    match reader.u8()? {
        RESULTS => {
            let count = reader.count(1)?;
            if count > limits::MULTI_OPS_MAX {
                return Err(DecodeError::Invalid("count of a multi's results"));
            }
            let mut results = Vec::with_capacity(count);
            for _ in 0..count {
                let tag = reader.u8()?;
                results.push(single(tag, reader)?);
            }
            Ok(Ok(Reply::Multi(results)))
        }
        tag => single(tag, reader),
    }
}

fn single(tag: u8, reader: &mut Reader) -> Result<Response, DecodeError> {
    Ok(match tag {
        ERROR => {
            let code = Code::from_number(reader.u8()?).ok_or(DecodeError::Invalid("error code"))?;
            Err(match reader.u8()? {
                0 => Error::new(code, reader.text()?),
                1 => Error::at(code, reader.text()?, reader.text()?),
                _ => return Err(DecodeError::Invalid("path of an error")),
            })
        }
        CREATED => Ok(Reply::Created { path: reader.text()?, stat: reader.stat()? }),
        DELETED => Ok(Reply::Deleted),
        TREE_DELETED => Ok(Reply::TreeDeleted { count: reader.u32()? }),
        CHANGED => Ok(Reply::Changed { stat: reader.stat()? }),
        CHECKED => Ok(Reply::Checked),
        SESSION => Ok(Reply::Session { id: SessionId(reader.u64()?), timeout_ms: reader.u32()? }),
        SESSION_CLOSED => Ok(Reply::SessionClosed),
        ENSEMBLE => Ok(Reply::Ensemble(Box::new(ensemble(reader)?))),
        RECONFIGURED => Ok(Reply::Reconfigured(Members::decode(reader)?)),
        RESTORE_STEP => Ok(Reply::RestoreStep { zxid: reader.zxid()? }),
        LEADERSHIP_TRANSFERRED => Ok(Reply::LeadershipTransferred { leader: ServerId(reader.u8()?) }),
        _ => return Err(DecodeError::Invalid("answer")),
    })
}

#[cfg(test)]
mod tests;
