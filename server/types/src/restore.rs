//! `Restore`: the steps by which the whole replicated state becomes that of a backup, each a txn of its own. The bytes of
//! the backup travel as what is agreed on, so every server has all of them at the same place of the history, durably, or
//! none has.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes};

use crate::codec::{DecodeError, Reader};
use crate::{Zxid, limits};

/// One step. A restore is named by the zxid of the txn that began it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restore {
    /// The state at `backup` will come. It is gathered aside, while everything else goes on.
    Begin {
        /// Nothing in the backup is later than this.
        backup: Zxid,
    },
    /// The next bytes of the backup's content.
    Chunk {
        /// Of the restore.
        id: Zxid,
        /// How many chunks came before it.
        index: u32,
        /// At most [`limits::RESTORE_CHUNK_BYTES_MAX`].
        bytes: Bytes,
    },
    /// All of it is there: it becomes the state.
    Finish {
        /// Of the restore.
        id: Zxid,
        /// What the backup says is the digest of its state.
        digest: u128,
    },
    /// What was gathered is dropped.
    Abort {
        /// Of the restore.
        id: Zxid,
    },
}

const BEGIN: u8 = 1;
const CHUNK: u8 = 2;
const FINISH: u8 = 3;
const ABORT: u8 = 4;

impl Restore {
    /// Bytes that [`Restore::encode`] writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        9 + match self {
            Restore::Begin { .. } | Restore::Abort { .. } => 0,
            Restore::Chunk { bytes, .. } => 4 + 4 + bytes.len(),
            Restore::Finish { .. } => 16,
        }
    }

    /// Appends its binary form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Restore::Begin { backup } => {
                out.put_u8(BEGIN);
                out.put_u64_le(backup.0);
            }
            Restore::Chunk { id, index, bytes } => {
                out.put_u8(CHUNK);
                out.put_u64_le(id.0);
                out.put_u32_le(*index);
                out.put_u32_le(bytes.len() as u32);
                out.put_slice(bytes);
            }
            Restore::Finish { id, digest } => {
                out.put_u8(FINISH);
                out.put_u64_le(id.0);
                out.put_u128_le(*digest);
            }
            Restore::Abort { id } => {
                out.put_u8(ABORT);
                out.put_u64_le(id.0);
            }
        }
    }

    /// Takes it off a reader; the bytes of a chunk share its memory.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Restore::encode`] does not write.
    pub fn decode(reader: &mut Reader) -> Result<Restore, DecodeError> {
        let kind = reader.u8()?;
        let zxid = reader.zxid()?;
        Ok(match kind {
            BEGIN => Restore::Begin { backup: zxid },
            CHUNK => {
                let (index, len) = (reader.u32()?, reader.u32()? as usize);
                if len > limits::RESTORE_CHUNK_BYTES_MAX {
                    return Err(DecodeError::Invalid("length of a chunk"));
                }
                Restore::Chunk { id: zxid, index, bytes: reader.raw(len)? }
            }
            FINISH => Restore::Finish { id: zxid, digest: reader.u128()? },
            ABORT => Restore::Abort { id: zxid },
            _ => return Err(DecodeError::Invalid("step of a restore")),
        })
    }
}
