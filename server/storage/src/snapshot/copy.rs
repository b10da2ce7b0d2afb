//! `SnapshotCopy`: the bytes of a snapshot file, as they are, for whoever keeps a copy of it elsewhere.

use bytes::Bytes;
use quorate_types::{ClusterId, Zxid};

use super::format::{FOOTER_BYTES, decode_footer};
use super::parser::SnapshotParser;
use super::reader::{corrupt, read_exactly, read_up_to};
use super::{SnapshotError, SnapshotFooter, SnapshotHeader, SnapshotReader};
use crate::DiskFile;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Hands out a snapshot file in pieces, each after what it holds was verified. That nothing is missing is certain when
/// [`SnapshotCopy::next_piece`] has returned `None`.
pub struct SnapshotCopy<F> {
    file: F,
    path: String,
    file_bytes: u64,
    header: SnapshotHeader,
    footer: SnapshotFooter,
    offset: u64,
    parser: SnapshotParser,
}

impl<F: DiskFile> SnapshotCopy<F> {
    pub(crate) fn open(
        file: F,
        path: String,
        cluster_id: ClusterId,
        zxid: Zxid,
    ) -> Result<SnapshotCopy<F>, SnapshotError> {
        let reader = SnapshotReader::open(file, path)?;
        reader.check_identity(cluster_id, zxid)?;
        let (file, path, header, file_bytes) = reader.into_parts();
        let at = file_bytes.saturating_sub(FOOTER_BYTES as u64);
        let footer = decode_footer(&read_exactly(&file, &path, at, FOOTER_BYTES)?);
        let (_, footer) = footer.ok_or_else(|| corrupt(&path, at, zxid, "the footer is not readable"))?;
        Ok(SnapshotCopy { file, path, file_bytes, header, footer, offset: 0, parser: SnapshotParser::default() })
    }

    /// What the snapshot says before its content.
    #[must_use]
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// What the snapshot says after its content.
    #[must_use]
    pub fn footer(&self) -> &SnapshotFooter {
        &self.footer
    }

    /// The length of the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The next piece, `None` after the last one.
    ///
    /// # Errors
    /// [`SnapshotError::Corrupt`] if it is not what was written.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, SnapshotError> {
        let piece = read_up_to(&self.file, &self.path, self.offset, PIECE_BYTES)?;
        self.offset += piece.len() as u64;
        self.parser.push(&piece);
        let parsed = std::iter::from_fn(|| self.parser.next().transpose()).try_for_each(|part| part.map(drop));
        let is_end = piece.is_empty();
        let checked = parsed.and_then(|()| if is_end { self.parser.finish() } else { Ok(()) });
        checked.map_err(|damage| corrupt(&self.path, damage.offset, self.header.position.zxid, damage.reason))?;
        Ok((!is_end).then_some(piece))
    }
}
