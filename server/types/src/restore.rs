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

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn any_restore() -> impl Strategy<Value = Restore> {
        let bytes = prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from);
        prop_oneof![
            any::<u64>().prop_map(|backup| Restore::Begin { backup: Zxid(backup) }),
            (any::<u64>(), any::<u32>(), bytes).prop_map(|(id, index, bytes)| Restore::Chunk {
                id: Zxid(id),
                index,
                bytes
            }),
            (any::<u64>(), any::<u128>()).prop_map(|(id, digest)| Restore::Finish { id: Zxid(id), digest }),
            any::<u64>().prop_map(|id| Restore::Abort { id: Zxid(id) }),
        ]
    }

    #[test]
    fn a_step_has_one_encoding_and_a_bound() {
        let encoded = |step: &Restore| {
            let mut out = Vec::new();
            step.encode(&mut out);
            assert_eq!(out.len(), step.encoded_len());
            out
        };
        let (id, digest) = (Zxid(0x0102_0304_0506_0708), 0x0f << 120 | 1);
        let head = [8, 7, 6, 5, 4, 3, 2, 1];
        assert_eq!(encoded(&Restore::Begin { backup: id }), [&[BEGIN], &head[..]].concat());
        assert_eq!(encoded(&Restore::Abort { id }), [&[ABORT], &head[..]].concat());
        let finish = encoded(&Restore::Finish { id, digest });
        assert_eq!(finish, [&[FINISH], &head[..], &[1], &[0; 14][..], &[0x0f]].concat());
        let chunk = |bytes: usize| encoded(&Restore::Chunk { id, index: 9, bytes: alloc::vec![7; bytes].into() });
        assert_eq!(chunk(2), [&[CHUNK], &head[..], &[9, 0, 0, 0, 2, 0, 0, 0, 7, 7]].concat());
        let decode = |bytes: Vec<u8>| Restore::decode(&mut Reader::new(Bytes::from(bytes)));
        assert!(decode(chunk(limits::RESTORE_CHUNK_BYTES_MAX)).is_ok());
        let too_long = Err(DecodeError::Invalid("length of a chunk"));
        assert_eq!(decode(chunk(limits::RESTORE_CHUNK_BYTES_MAX + 1)), too_long);
        assert_eq!(decode(alloc::vec![5; 40]), Err(DecodeError::Invalid("step of a restore")));
    }
}
