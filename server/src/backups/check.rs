//! `Check`: verifies a snapshot file as it comes: every checksum, the state that it holds, and that nothing is missing.

use quorate_storage::{Damage, SnapshotFooter, SnapshotHeader, SnapshotParser, SnapshotPart};
use quorate_tree::SnapshotDecoder;
use thiserror::Error;

/// Nobody else reads the tree that is decoded here.
const HASH_SEED: u64 = 0;

/// What is wrong with a file.
#[derive(Debug, Error)]
pub(super) enum Wrong {
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("every byte is as it was written, but it holds no state: {0}")]
    State(#[from] quorate_tree::SnapshotError),
    #[error("every byte is as it was written, but it holds another state than it says")]
    Other,
}

/// A file that is being verified. Takes as much memory as the state does.
pub(super) struct Check {
    parser: SnapshotParser,
    decoder: SnapshotDecoder,
    header: Option<SnapshotHeader>,
    footer: Option<SnapshotFooter>,
}

/// A file in which everything is right.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) header: SnapshotHeader,
    pub(super) bytes: u64,
    pub(super) digest: u128,
    pub(super) znodes: u64,
    pub(super) data_bytes: u64,
    pub(super) sessions: u64,
    pub(super) ephemerals: u64,
}

impl Check {
    pub(super) fn new() -> Check {
        let (parser, decoder) = (SnapshotParser::default(), SnapshotDecoder::new(HASH_SEED));
        Check { parser, decoder, header: None, footer: None }
    }

    /// Takes the next bytes of the file.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Wrong> {
        self.parser.push(piece);
        while let Some(part) = self.parser.next()? {
            match part {
                SnapshotPart::Header(header) => self.header = Some(header),
                SnapshotPart::Chunk(chunk) => self.decoder.push(&chunk)?,
                SnapshotPart::Footer(footer) => self.footer = Some(footer),
            }
        }
        Ok(())
    }

    /// There is nothing more.
    pub(super) fn finish(self) -> Result<Checked, Wrong> {
        self.parser.finish()?;
        let tree = self.decoder.finish()?;
        let (Some(header), Some(footer)) = (self.header, self.footer) else { return Err(Wrong::Other) };
        let znodes = tree.znode_count() as u64;
        let found = (tree.applied(), tree.digest(), znodes);
        if found != (header.position.zxid, footer.digest, footer.counts[0]) {
            return Err(Wrong::Other);
        }
        Ok(Checked {
            header,
            bytes: self.parser.offset(),
            digest: footer.digest,
            znodes,
            data_bytes: tree.data_bytes() as u64,
            sessions: tree.session_count() as u64,
            ephemerals: tree.ephemeral_count() as u64,
        })
    }
}
