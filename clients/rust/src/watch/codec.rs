//! The codec of a stream of watches, with buffers as large as the messages.
//!
//! tonic's own has 8 KiB for each direction from the beginning; a gateway has a stream for each of its readers, and most of
//! them are idle, most of the time.

use prost::Message;
use quorate_proto::v1;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The RPC that this codec is for.
pub(super) const PATH: &str = "/quorate.v1.WatchService/Watch";

/// Bytes of requests that are gathered before they are handed to the connection.
const YIELD_BYTES: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchCodec;

impl Codec for WatchCodec {
    type Encode = v1::WatchRequest;
    type Decode = v1::WatchResponse;
    type Encoder = WatchCodec;
    type Decoder = WatchCodec;

    fn encoder(&mut self) -> WatchCodec {
        WatchCodec
    }

    fn decoder(&mut self) -> WatchCodec {
        WatchCodec
    }
}

impl Encoder for WatchCodec {
    type Item = v1::WatchRequest;
    type Error = Status;

    fn encode(&mut self, message: v1::WatchRequest, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.encoded_len());
        message.encode(out).map_err(|error| Status::internal(format!("an unencodable message: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(0, YIELD_BYTES)
    }
}

impl Decoder for WatchCodec {
    type Item = v1::WatchResponse;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<v1::WatchResponse>, Status> {
        let decoded = v1::WatchResponse::decode(message);
        decoded.map(Some).map_err(|error| Status::internal(format!("an undecodable message: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(0, YIELD_BYTES)
    }
}
