//! `Pieces`: bytes on their way out, in as few pieces as worth while and without copying the large ones.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes, BytesMut};

/// What is at least this long is shared and not copied: below, a copy costs less than one more piece in a write.
const SHARED_BYTES_MIN: usize = 16 * 1024;

/// How many bytes of one call were handed over, but not taken by the connection yet.
#[derive(Clone, Debug, Default)]
pub(in crate::peers) struct Unsent(Arc<AtomicUsize>);

impl Unsent {
    pub(in crate::peers) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes being put together.
#[derive(Debug, Default)]
pub(in crate::peers) struct PiecesMut {
    parts: VecDeque<Bytes>,
    parts_bytes: usize,
    /// What comes after the parts.
    open: BytesMut,
}

impl PiecesMut {
    pub(in crate::peers) fn len(&self) -> usize {
        self.parts_bytes + self.open.len()
    }

    pub(in crate::peers) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where small things are appended.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    /// Appends bytes, sharing them if they are many.
    pub(in crate::peers) fn put(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            self.open.extend_from_slice(bytes);
        } else {
            self.close_part();
            self.push(bytes.clone());
        }
    }

    /// Takes everything out, to be counted in `unsent` until it is sent.
    pub(in crate::peers) fn take(&mut self, unsent: &Unsent) -> Pieces {
        self.close_part();
        let bytes = std::mem::take(&mut self.parts_bytes);
        unsent.0.fetch_add(bytes, Ordering::Relaxed);
        Pieces { parts: std::mem::take(&mut self.parts), bytes, unsent: unsent.clone() }
    }

    fn close_part(&mut self) {
        if !self.open.is_empty() {
            let part = self.open.split().freeze();
            self.push(part);
        }
    }

    fn push(&mut self, part: Bytes) {
        self.parts_bytes += part.len();
        self.parts.push_back(part);
    }
}

/// Bytes to be sent. No part is empty.
#[derive(Debug)]
pub(in crate::peers) struct Pieces {
    parts: VecDeque<Bytes>,
    /// Of all parts.
    bytes: usize,
    unsent: Unsent,
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let slices = into.iter_mut().zip(&self.parts);
        slices.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes, "{count} bytes of {}", self.bytes);
        self.bytes -= count;
        self.unsent.0.fetch_sub(count, Ordering::Relaxed);
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.unsent.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_yield_their_bytes_in_order_share_the_large_ones_and_count_what_is_left() {
        let unsent = Unsent::default();
        let large = Bytes::from(vec![7; SHARED_BYTES_MIN]);
        let mut made = PiecesMut::default();
        made.put(&Bytes::from_static(b"abc"));
        made.put(&large);
        made.put(&Bytes::from_static(b"de"));
        made.put(&Bytes::from_static(b"f"));
        assert_eq!(made.len(), SHARED_BYTES_MIN + 6);
        let mut pieces = made.take(&unsent);
        assert!(made.is_empty());
        assert_eq!(unsent.bytes(), SHARED_BYTES_MIN + 6);

        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(pieces.chunks_vectored(&mut slices), 3);
        assert_eq!(slices[1].as_ptr(), large.as_ptr(), "the large part was copied");
        let mut first = [0; 5];
        pieces.copy_to_slice(&mut first);
        assert_eq!(&first, b"abc\x07\x07");
        pieces.advance(SHARED_BYTES_MIN - 2);
        assert_eq!((pieces.chunk(), unsent.bytes()), (&b"def"[..], 3));
        drop(pieces);
        assert_eq!(unsent.bytes(), 0);
    }
}
