//! `Assembler`: cuts what arrives into the messages that were sent.
//!
//! The other end sends a message in one frame of HTTP/2 if it can: then it is handed out as it arrived. One that arrives in
//! pieces is put together.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Bytes before each message of gRPC: whether it is compressed, then its length.
pub(super) const PREFIX_BYTES: usize = 5;

/// Why no message can be had from what arrived.
#[derive(Debug, Error, PartialEq)]
pub(in crate::peers) enum AssembleError {
    /// It announces more than it may have.
    #[error("a message of {bytes} bytes; at most {bytes_max} are accepted")]
    TooLarge {
        /// What it announces.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Nobody was asked to compress.
    #[error("a message that begins with {0:#04x} instead of zero")]
    Compressed(u8),
}

/// Puts messages together.
#[derive(Debug)]
pub(in crate::peers) struct Assembler {
    /// What arrived last, as far as it was not taken.
    arrived: Bytes,
    /// The beginning of a message. Empty unless `arrived` is.
    partial: BytesMut,
    /// A message that was put together, to be taken before what is in `arrived`.
    whole: Option<Bytes>,
    bytes_max: usize,
}

impl Assembler {
    /// Messages may have so many bytes.
    pub(in crate::peers) fn new(bytes_max: usize) -> Assembler {
        Assembler { arrived: Bytes::new(), partial: BytesMut::new(), whole: None, bytes_max }
    }

    pub(in crate::peers) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Whether a message has begun that is not complete.
    pub(in crate::peers) fn is_in_message(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Takes what arrived. To be called when [`Assembler::next`] has nothing more.
    pub(in crate::peers) fn push(&mut self, mut data: Bytes) -> Result<(), AssembleError> {
        assert!(self.arrived.is_empty() && self.whole.is_none(), "messages were left behind");
        if !self.partial.is_empty() {
            self.complete(&mut data, PREFIX_BYTES);
            if let Some(bytes) = self.announced(&self.partial)? {
                self.partial.reserve(PREFIX_BYTES + bytes - self.partial.len());
                self.complete(&mut data, PREFIX_BYTES + bytes);
                if self.partial.len() == PREFIX_BYTES + bytes {
                    let mut whole = self.partial.split().freeze();
                    whole.advance(PREFIX_BYTES);
                    self.whole = Some(whole);
                }
            }
        }
        self.arrived = data;
        Ok(())
    }

    /// The next message that is complete.
    pub(in crate::peers) fn next(&mut self) -> Result<Option<Bytes>, AssembleError> {
        if let Some(whole) = self.whole.take() {
            return Ok(Some(whole));
        }
        match self.announced(&self.arrived)? {
            Some(bytes) if self.arrived.len() >= PREFIX_BYTES + bytes => {
                self.arrived.advance(PREFIX_BYTES);
                Ok(Some(self.arrived.split_to(bytes)))
            }
            _ => {
                self.partial.extend_from_slice(&self.arrived);
                self.arrived.clear();
                Ok(None)
            }
        }
    }

    /// Moves bytes from `data` to `partial` until that has `wanted`.
    fn complete(&mut self, data: &mut Bytes, wanted: usize) {
        let missing = wanted.saturating_sub(self.partial.len()).min(data.len());
        self.partial.extend_from_slice(&data.split_to(missing));
    }

    /// The length of the message that begins here, once its prefix is complete.
    fn announced(&self, bytes: &[u8]) -> Result<Option<usize>, AssembleError> {
        let Some((&[compressed, a, b, c, d], _)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let (bytes, bytes_max) = (u32::from_be_bytes([a, b, c, d]) as usize, self.bytes_max);
        match compressed {
            0 if bytes <= bytes_max => Ok(Some(bytes)),
            0 => Err(AssembleError::TooLarge { bytes, bytes_max }),
            other => Err(AssembleError::Compressed(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    fn encode(messages: &[&[u8]]) -> Bytes {
        let mut bytes = BytesMut::new();
        for message in messages {
            bytes.put_u8(0);
            bytes.put_u32(message.len() as u32);
            bytes.put_slice(message);
        }
        bytes.freeze()
    }

    #[test]
    fn messages_come_out_as_they_went_in_wherever_the_stream_is_cut() {
        let messages: [&[u8]; 5] = [b"one", b"", b"three", &[4; 300], b"5"];
        let stream = encode(&messages);
        for cut in 1..stream.len() {
            let mut assembler = Assembler::new(1_000);
            let mut found: Vec<Bytes> = vec![];
            for data in stream.chunks(cut) {
                assembler.push(Bytes::copy_from_slice(data)).unwrap();
                while let Some(message) = assembler.next().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, messages, "cut every {cut} bytes");
            assert!(!assembler.is_in_message());
        }
    }

    #[test]
    fn a_message_that_arrives_whole_is_not_copied() {
        let stream = encode(&[b"first", b"second"]);
        let mut assembler = Assembler::new(100);
        assembler.push(stream.clone()).unwrap();
        assert_eq!(assembler.next().unwrap().unwrap().as_ptr(), stream[5..].as_ptr());
        assert_eq!(assembler.next().unwrap().unwrap().as_ptr(), stream[15..].as_ptr());
    }

    #[test]
    fn what_is_too_large_or_compressed_is_refused_as_soon_as_it_is_announced() {
        let check = |prefix: &[u8], expected: AssembleError| {
            let mut assembler = Assembler::new(100);
            assembler.push(Bytes::copy_from_slice(prefix)).unwrap();
            assert_eq!(assembler.next(), Err(expected));
            let mut cut = Assembler::new(100);
            cut.push(Bytes::copy_from_slice(&prefix[..3])).unwrap();
            assert_eq!(cut.next(), Ok(None));
            assert!(cut.is_in_message());
            assert!(cut.push(Bytes::copy_from_slice(&prefix[3..])).is_err());
        };
        check(&[0, 0, 0, 0, 101], AssembleError::TooLarge { bytes: 101, bytes_max: 100 });
        check(&[0, 255, 255, 255, 255], AssembleError::TooLarge { bytes: u32::MAX as usize, bytes_max: 100 });
        check(&[1, 0, 0, 0, 1], AssembleError::Compressed(1));
    }
}
