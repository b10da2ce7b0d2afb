//! `Peering`: the driver's end of the transport between servers.

use quorate_replica::{DiskOp, Effects, Input, Replica};
use quorate_types::Now;
use quorate_zab::{ConnectionId, PeerOutput};

use crate::disk::Disk;
use crate::inbox::PeerItem;
use crate::peers::{Peers, Received};

/// The transport, if this server has a door for others, and what the driver has to remember of it.
pub(crate) struct Peering {
    peers: Option<Peers>,
    /// The session whose snapshot is put aside, until the log begins with it or the session ends.
    received: Option<ConnectionId>,
}

impl Peering {
    /// Tells the transport with whom to keep links.
    pub(crate) fn new(peers: Option<Peers>, replica: &Replica) -> Peering {
        if let Some(peers) = &peers {
            peers.carry_out(&mut vec![PeerOutput::MembersChanged(replica.members())]);
        }
        Peering { peers, received: None }
    }

    /// Steps what was reported.
    pub(crate) fn step(&mut self, item: PeerItem, replica: &mut Replica, disk: &Disk, now: Now, effects: &mut Effects) {
        match item {
            PeerItem::Input(input) => {
                if let quorate_zab::Input::Disconnected(connection) = input {
                    self.ended(connection, disk);
                }
                replica.step(Input::Peer(input), now, effects);
            }
            PeerItem::Received(connection, received) => {
                let Received { snapshot, place } = *received;
                disk.received(snapshot.info, place);
                self.received = Some(connection);
                let (base, tree) = (snapshot.base, Box::new(snapshot.tree));
                replica.step(Input::SnapshotReceived { connection, base, tree }, now, effects);
                if matches!(effects.disk.last(), Some(DiskOp::Install { .. })) {
                    // From now on it is a matter of the disk, whatever becomes of the session.
                    self.received = None;
                }
            }
        }
    }

    /// Hands over what a turn has to say to others.
    pub(crate) fn dispatch(&mut self, disk: &Disk, outputs: &mut Vec<PeerOutput>) {
        let Some(peers) = &self.peers else { return outputs.clear() };
        if outputs.is_empty() {
            return;
        }
        let is_closed = |output: &PeerOutput| match output {
            PeerOutput::Close { connection } => self.received == Some(*connection),
            _ => false,
        };
        let is_over = self.received.is_some() && outputs.iter().any(is_closed);
        peers.carry_out(outputs);
        if is_over {
            self.received = None;
            disk.forget_received();
        }
    }

    /// Says what is left to be said, and ends all sessions.
    pub(crate) async fn stop(self) {
        if let Some(peers) = self.peers {
            peers.stop().await;
        }
    }

    fn ended(&mut self, connection: ConnectionId, disk: &Disk) {
        if self.received.take_if(|received| *received == connection).is_some() {
            disk.forget_received();
        }
    }
}
