//! Message codecs with buffers as large as the messages: an idle stream keeps none.
//!
//! tonic's own codec allocates 8 KiB for each direction of each call up front, which ten thousand idle streams
//! multiply; and it calls a malformed message an internal error, though it is the client's.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Buf;
use prost::{Message, Name};
use quorate_types::Code;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, EncodeBuf};

use super::convert::Refusal;
use super::error;
use super::lists::Lists;
use super::receiving::Account;

/// Bytes that come before each message: whether it is compressed, and its length.
const ENVELOPE_BYTES: usize = 5;

/// Bytes of encoded messages that are gathered before they are handed to the connection.
const YIELD_BYTES: usize = 64 * 1024;

fn buffer_settings() -> BufferSettings {
    BufferSettings::new(0, YIELD_BYTES)
}

/// Encodes messages.
pub(super) struct Encoder<M>(PhantomData<fn(M)>);

impl<M> Encoder<M> {
    pub(super) fn new() -> Encoder<M> {
        Encoder(PhantomData)
    }
}

impl<M: Message> tonic::codec::Encoder for Encoder<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, item: M, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(item.encoded_len());
        item.encode_raw(into);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

/// Decodes messages.
pub(super) struct Decoder<M> {
    lists: Option<Lists>,
    account: Arc<Account>,
    message: PhantomData<fn() -> M>,
}

impl<M: Name> Decoder<M> {
    pub(super) fn new(account: Arc<Account>) -> Decoder<M> {
        Decoder { lists: Lists::of::<M>(), account, message: PhantomData }
    }
}

impl<M: Message + Default> tonic::codec::Decoder for Decoder<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        self.account.decoded(ENVELOPE_BYTES + from.remaining());
        let malformed = |failed: prost::DecodeError| Refusal::bad("message", failed.to_string());
        // A message is decoded from the one buffer into which all of it was gathered.
        let counted = self.lists.map_or(Ok(()), |lists| lists.check(from.chunk()));
        counted.and_then(|()| M::decode(from).map_err(malformed)).map(Some).map_err(|refusal| error::refused(&refusal))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

/// A failure to receive a message, in our own terms: the one that tonic finds before decoding is that of size.
pub(super) fn receive_failure(status: Status) -> Status {
    match status.code() {
        tonic::Code::OutOfRange => error::refused(&Refusal::new("message", Code::TooLarge, status.message())),
        _ => status,
    }
}
