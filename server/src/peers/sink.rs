//! `Sink`: where what the peers do is reported.

use quorate_zab::{ConnectionId, Input};

use super::Received;

/// Takes what happens. Called from the tasks of the transport, in the order of what is reported of one connection; it must
/// not wait, and must not call the transport.
pub trait Sink: Send + Sync + 'static {
    /// Something that agreement is to be told.
    fn push(&self, input: Input);

    /// A snapshot is there, aside and durable: takes the place of [`Input::SnapshotReceived`].
    fn received(&self, connection: ConnectionId, snapshot: Received);
}
