//! The Channel's codec: requests go out as bytes that were already encoded.
//!
//! The generated client would take messages that own their operations. But an operation has to stay with its call
//! until it is answered, to be sent again if the connection breaks; so they are encoded where they stand instead of
//! being cloned for every message.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use quorate_proto::v1;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The RPC that this codec is for.
pub(super) const PATH: &str = "/quorate.v1.SessionService/Channel";

/// The keys of the fields of a `ChannelRequest`: number and wire type 2.
const ATTACH: u8 = 1 << 3 | 2;
const OPERATIONS: u8 = 2 << 3 | 2;

/// Appends the field `attach` to an encoded `ChannelRequest`.
pub(super) fn put_attach(message: &mut BytesMut, attach: &v1::SessionCredential) {
    message.put_u8(ATTACH);
    attach.encode_length_delimited(message).expect("a BytesMut grows");
}

/// Appends one element of the field `operations`.
pub(super) fn put_operation(message: &mut BytesMut, operation: &v1::ChannelOperation) {
    message.put_u8(OPERATIONS);
    operation.encode_length_delimited(message).expect("a BytesMut grows");
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChannelCodec;

impl Codec for ChannelCodec {
    type Encode = Bytes;
    type Decode = v1::ChannelResponse;
    type Encoder = ChannelCodec;
    type Decoder = ChannelCodec;

    fn encoder(&mut self) -> ChannelCodec {
        ChannelCodec
    }

    fn decoder(&mut self) -> ChannelCodec {
        ChannelCodec
    }
}

impl Encoder for ChannelCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for ChannelCodec {
    type Item = v1::ChannelResponse;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<v1::ChannelResponse>, Status> {
        let decoded = v1::ChannelResponse::decode(message);
        decoded.map(Some).map_err(|error| Status::internal(format!("an undecodable message: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_put_together_are_the_message() {
        let attach = v1::SessionCredential { session_id: 7, secret: Bytes::from_static(b"0123456789abcdef") };
        let get = v1::GetRequest { path: "/a".into(), options: None };
        let operation =
            v1::ChannelOperation { id: 3, timeout_ms: 10, operation: Some(v1::channel_operation::Operation::Get(get)) };
        let mut bytes = BytesMut::new();
        put_attach(&mut bytes, &attach);
        put_operation(&mut bytes, &operation);
        put_operation(&mut bytes, &v1::ChannelOperation::default());
        let message =
            v1::ChannelRequest { attach: Some(attach), operations: vec![operation, v1::ChannelOperation::default()] };
        assert_eq!(bytes, message.encode_to_vec());
    }
}
