//! What arrives of what is said, for whoever simulates the transport and wants the bytes to be those of production.

use bytes::Buf;
use quorate_zab::{Message, Origin};

use super::{Assembler, PiecesMut, Unsent, message_from_leader, message_from_learner, put_message};

/// Encodes a message that this end of a session says, and decodes it as the other end does.
///
/// # Panics
/// If the other end cannot read it.
#[must_use]
pub fn carried(message: &Message, by: Origin) -> Message {
    let mut out = PiecesMut::default();
    put_message(message, &mut out);
    let mut pieces = out.take(&Unsent::default());
    let mut assembler = Assembler::new(usize::MAX);
    assembler.push(pieces.copy_to_bytes(pieces.remaining())).expect("no message is too large here");
    let bytes = assembler.next().expect("no message is too large here").expect("all of it is there");
    let arrived = match by {
        Origin::Dialed => message_from_learner(bytes),
        Origin::Accepted => message_from_leader(bytes),
    };
    arrived.unwrap_or_else(|error| panic!("{message:?} cannot be read: {error}"))
}
