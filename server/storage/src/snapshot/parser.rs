//! `SnapshotParser`: reads a snapshot file that arrives in pieces, cut anywhere: from a connection, a pipe, a copy of the
//! file. Everything is verified before it is handed out, as [`super::SnapshotReader`] does for files of the data directory.

use bytes::{Buf, Bytes, BytesMut};

use super::format::{
    CHUNK_HEADER_BYTES, ChunkHeader, FOOTER_BYTES, HEADER_BYTES, Tag, Totals, decode_footer, decode_header,
    decode_lengths,
};
use super::{SnapshotFooter, SnapshotHeader};

/// What stands next in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// What it says before its content. Comes first.
    Header(SnapshotHeader),
    /// A part of the content.
    Chunk(Bytes),
    /// What it says after its content. Comes last: whoever has seen it has seen everything.
    Footer(SnapshotFooter),
}

/// What is no snapshot, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged at offset {offset}: {reason}")]
pub struct Damage {
    /// In the file.
    pub offset: u64,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Takes pieces of a file and hands out parts of a snapshot.
#[derive(Debug, Default)]
pub struct SnapshotParser {
    /// What has come and was not handed out: never more than a part and a piece.
    bytes: BytesMut,
    /// Of the file, before `bytes`.
    offset: u64,
    totals: Totals,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Content,
    /// The footer was handed out: the file ends there.
    End,
}

impl SnapshotParser {
    /// Takes the next piece of the file. Then [`SnapshotParser::next`] is to be called until there is nothing more.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The next part, if all of it has come.
    ///
    /// # Errors
    /// [`Damage`]; there is no use in going on.
    #[expect(clippy::should_implement_trait, reason = "it ends for want of bytes, and goes on when there are more")]
    pub fn next(&mut self) -> Result<Option<SnapshotPart>, Damage> {
        match self.state {
            State::Header => self.header(),
            State::Content => match Tag::of(&self.bytes) {
                _ if self.bytes.len() < 4 => Ok(None),
                Tag::Chunk => self.chunk(),
                Tag::Footer => self.footer(),
                Tag::Unknown => Err(self.damage("neither a chunk nor the footer begins here")),
            },
            State::End if self.bytes.is_empty() => Ok(None),
            State::End => Err(self.damage("something follows the end")),
        }
    }

    /// Says that nothing more will come.
    ///
    /// # Errors
    /// [`Damage`] if the snapshot is not complete.
    pub fn finish(&self) -> Result<(), Damage> {
        match self.state {
            State::End if self.bytes.is_empty() => Ok(()),
            State::End => Err(self.damage("something follows the end")),
            State::Header | State::Content => {
                let offset = self.offset + self.bytes.len() as u64;
                Err(Damage { offset, reason: "it ends there, before its end" })
            }
        }
    }

    /// Bytes of the file that were handed out, with what envelops them.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn header(&mut self) -> Result<Option<SnapshotPart>, Damage> {
        if self.bytes.len() < HEADER_BYTES {
            return Ok(None);
        }
        let lengths =
            decode_lengths(&self.bytes).ok_or_else(|| self.damage("no snapshot of a known format begins here"))?;
        let len = HEADER_BYTES + lengths.body_bytes();
        if self.bytes.len() < len {
            return Ok(None);
        }
        let damage = self.damage("the header does not match its checksum");
        let (header, snapshot) = decode_header(&self.take(len)).ok_or(damage)?;
        self.totals.snapshot = snapshot;
        self.state = State::Content;
        Ok(Some(SnapshotPart::Header(header)))
    }

    fn chunk(&mut self) -> Result<Option<SnapshotPart>, Damage> {
        if self.bytes.len() < CHUNK_HEADER_BYTES {
            return Ok(None);
        }
        let header = ChunkHeader::decode(&self.bytes)
            .filter(|header| (header.snapshot, header.index) == (self.totals.snapshot, self.totals.chunks))
            .ok_or_else(|| self.damage("the chunk does not belong here"))?;
        if self.bytes.len() < CHUNK_HEADER_BYTES + header.bytes as usize {
            return Ok(None);
        }
        let damage = self.damage("the chunk does not match its checksum");
        let content = self.take(CHUNK_HEADER_BYTES + header.bytes as usize).split_off(CHUNK_HEADER_BYTES);
        if !header.is_of(&content) {
            return Err(damage);
        }
        self.totals.add(&content, header.crc);
        Ok(Some(SnapshotPart::Chunk(content)))
    }

    fn footer(&mut self) -> Result<Option<SnapshotPart>, Damage> {
        if self.bytes.len() < FOOTER_BYTES {
            return Ok(None);
        }
        let (totals, footer) =
            decode_footer(&self.bytes).ok_or_else(|| self.damage("the footer does not match its checksum"))?;
        if totals != self.totals {
            return Err(self.damage("the footer does not match the content"));
        }
        self.take(FOOTER_BYTES);
        self.state = State::End;
        Ok(Some(SnapshotPart::Footer(footer)))
    }

    fn take(&mut self, len: usize) -> Bytes {
        self.offset += len as u64;
        if self.bytes.len() == len {
            return self.bytes.split().freeze();
        }
        // A copy, so that what is handed out keeps no more memory than it needs.
        let taken = Bytes::copy_from_slice(&self.bytes[..len]);
        self.bytes.advance(len);
        taken
    }

    fn damage(&self, reason: &'static str) -> Damage {
        Damage { offset: self.offset, reason }
    }
}
