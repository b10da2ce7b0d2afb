//! `SnapshotReader`: streams the chunks of a snapshot, each verified before it is handed out.

use bytes::{Bytes, BytesMut};
use quorate_types::{ClusterId, Zxid};

use super::format::{
    CHUNK_HEADER_BYTES, ChunkHeader, FOOTER_BYTES, HEADER_BYTES, Tag, Totals, decode_footer, decode_header,
    decode_lengths,
};
use super::{SnapshotError, SnapshotFooter, SnapshotHeader, file_len};
use crate::DiskFile;
use crate::error::{Corruption, During};

/// Streams one snapshot. What it hands out is what was written; that nothing is missing is certain when
/// [`SnapshotReader::next_chunk`] has returned `None`.
pub struct SnapshotReader<F> {
    file: F,
    path: String,
    file_bytes: u64,
    header: SnapshotHeader,
    offset: u64,
    totals: Totals,
    footer: Option<SnapshotFooter>,
}

impl<F: DiskFile> SnapshotReader<F> {
    pub(crate) fn open(file: F, path: String) -> Result<SnapshotReader<F>, SnapshotError> {
        let file_bytes = file_len(&file, &path)?;
        let damaged = || corrupt(&path, 0, Zxid::ZERO, "the header is not readable");
        let fixed = read_exactly(&file, &path, 0, HEADER_BYTES)?;
        let lengths = decode_lengths(&fixed).ok_or_else(damaged)?;
        let whole = read_exactly(&file, &path, 0, HEADER_BYTES + lengths.body_bytes())?;
        let (header, snapshot) = decode_header(&whole).ok_or_else(damaged)?;
        let offset = whole.len() as u64;
        let totals = Totals { snapshot, ..Totals::default() };
        Ok(SnapshotReader { file, path, file_bytes, header, offset, totals, footer: None })
    }

    pub(crate) fn check_identity(&self, cluster_id: ClusterId, zxid: Zxid) -> Result<(), SnapshotError> {
        let found = (self.header.cluster_id, self.header.position.zxid);
        if found == (cluster_id, zxid) {
            Ok(())
        } else {
            let reason = format!("it is the snapshot of ensemble {} at zxid {}", found.0, found.1);
            Err(corrupt(&self.path, 0, Zxid::ZERO, reason))
        }
    }

    /// The file, its name, what it says before its content, and its length.
    pub(crate) fn into_parts(self) -> (F, String, SnapshotHeader, u64) {
        (self.file, self.path, self.header, self.file_bytes)
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What the snapshot says before its content.
    #[must_use]
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// The length of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// What the snapshot says after its content, once that was read.
    #[must_use]
    pub fn footer(&self) -> Option<&SnapshotFooter> {
        self.footer.as_ref()
    }

    /// The next chunk, `None` after the last one.
    ///
    /// # Errors
    /// [`SnapshotError::Corrupt`] if it is not what was written.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotError> {
        if self.footer.is_some() {
            return Ok(None);
        }
        let start = read_up_to(&self.file, &self.path, self.offset, FOOTER_BYTES)?;
        match Tag::of(&start) {
            Tag::Chunk => self.chunk(&start).map(Some),
            Tag::Footer => self.end(&start).map(|()| None),
            Tag::Unknown => Err(self.corrupt("neither a chunk nor the footer begins here")),
        }
    }

    /// Reads all that is left.
    ///
    /// # Errors
    /// [`SnapshotError::Corrupt`] if something is not what was written.
    pub fn read_to_end(mut self) -> Result<SnapshotFooter, SnapshotError> {
        while self.next_chunk()?.is_some() {}
        Ok(self.footer.expect("the footer was read before the end was reported"))
    }

    fn chunk(&mut self, start: &[u8]) -> Result<Bytes, SnapshotError> {
        let header = ChunkHeader::decode(start)
            .filter(|header| (header.snapshot, header.index) == (self.totals.snapshot, self.totals.chunks))
            .ok_or_else(|| self.corrupt("the chunk does not belong here"))?;
        let content =
            read_up_to(&self.file, &self.path, self.offset + CHUNK_HEADER_BYTES as u64, header.bytes as usize)?;
        if content.len() != header.bytes as usize || !header.is_of(&content) {
            return Err(self.corrupt("the chunk does not match its checksum"));
        }
        self.offset += (CHUNK_HEADER_BYTES + content.len()) as u64;
        self.totals.add(&content, header.crc);
        Ok(content)
    }

    fn end(&mut self, start: &[u8]) -> Result<(), SnapshotError> {
        let Some((totals, footer)) = decode_footer(start) else {
            return Err(self.corrupt("the footer does not match its checksum"));
        };
        if totals != self.totals || self.offset + FOOTER_BYTES as u64 != self.file_bytes {
            return Err(self.corrupt("the footer does not match the content"));
        }
        self.footer = Some(footer);
        Ok(())
    }

    fn corrupt(&self, reason: &str) -> SnapshotError {
        corrupt(&self.path, self.offset, self.header.position.zxid, reason)
    }
}

pub(super) fn corrupt(path: &str, offset: u64, after: Zxid, reason: impl Into<String>) -> SnapshotError {
    SnapshotError::Corrupt(Corruption { file: path.to_owned(), offset, batch: None, after, reason: reason.into() })
}

pub(super) fn read_up_to<F: DiskFile>(file: &F, path: &str, offset: u64, len: usize) -> Result<Bytes, SnapshotError> {
    let mut bytes = BytesMut::zeroed(len);
    let read = file.read_at(&mut bytes, offset).during("read", path)?;
    bytes.truncate(read);
    Ok(bytes.freeze())
}

pub(super) fn read_exactly<F: DiskFile>(file: &F, path: &str, offset: u64, len: usize) -> Result<Bytes, SnapshotError> {
    let bytes = read_up_to(file, path, offset, len)?;
    if bytes.len() == len { Ok(bytes) } else { Err(corrupt(path, offset, Zxid::ZERO, "the file is too short")) }
}
