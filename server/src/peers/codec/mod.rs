//! What agreement says, as bytes and back: messages in the form of `quorate.peer.v1`, each behind the five bytes with
//! which gRPC begins a message.
//!
//! Records are the bulk of what is sent, so they are handed on as they are: large ones are never copied on their way from
//! the log's memory to the socket, and none is copied on the way back. Nothing of what comes in is believed: every number
//! is checked to be one that the other end could have meant, every record is parsed by the decoder of frames.

mod assembler;
mod carried;
mod from_wire;
mod pieces;
mod to_wire;

use quorate_types::ServerId;
use quorate_types::codec::DecodeError as FieldError;
use quorate_types::frame::FrameError;
use thiserror::Error;

pub(super) use assembler::{AssembleError, Assembler};
pub use carried::carried;
pub(super) use from_wire::{message_from_leader, message_from_learner, notification};
pub(super) use pieces::{Pieces, PiecesMut, Unsent};
pub(super) use to_wire::{message_bytes, put, put_bytes_field, put_message, wire_notification};

/// Why bytes are no message of this protocol.
#[derive(Debug, Error)]
pub(super) enum DecodeError {
    /// They are no protobuf message of that type.
    #[error("malformed message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// What it says is nothing that this version knows, or that is said in this place.
    #[error("unexpected message")]
    Unexpected,
    /// A field that has to be there is not, or has no value that it may have.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// A record is none.
    #[error("invalid record: {0:?}")]
    Frame(FrameError),
    /// A configuration is none.
    #[error("invalid configuration: {0}")]
    Members(FieldError),
}

/// The server with this number, if there can be one.
pub(super) fn server_id(number: u32) -> Option<ServerId> {
    let id = ServerId(u8::try_from(number).ok()?);
    (ServerId::MIN..=ServerId::MAX).contains(&id).then_some(id)
}

#[cfg(test)]
mod tests;
