//! What the replica asks of agreement: to propose, to change the ensemble, to hand over, to read, to talk to others.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use quorate_types::{Epoch, FrameKind, Member, ServerId, Zxid};

use crate::leading::reconfig::NotReconfigured;
use crate::leading::transfer::NotTransferred;
use crate::message::{ConnectionId, Digest};
use crate::output::Output;
use crate::zab::{State, Zab};

/// Why nothing was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotProposed {
    /// This server does not lead. Whoever asked has to ask the leader.
    NotLeading,
    /// This server leads and is between two epochs, not yet established, or handing over: ask again shortly.
    Later,
}

impl Zab {
    /// The zxid that the next proposal gets, if one can be made now. Begins a new epoch in place when the counter
    /// has come to its soft limit.
    ///
    /// # Errors
    /// [`NotProposed`]; nothing is lost, the request can be tried again.
    pub fn next_zxid(&mut self, out: &mut Vec<Output>) -> Result<Zxid, NotProposed> {
        let State::Leading(leader) = &mut self.state else { return Err(NotProposed::NotLeading) };
        let last = self.local.history.last();
        if !leader.is_open() {
            Err(NotProposed::Later)
        } else if last.counter() >= self.local.config.counter_soft_max {
            leader.begin_epoch(&mut self.local, out);
            Err(NotProposed::Later)
        } else {
            Ok(last.next())
        }
    }

    /// Begins a new epoch in place, as a leader who may propose now: one above `epoch`.
    ///
    /// # Panics
    /// If this server does not lead, or if there is no such epoch.
    pub fn begin_epoch_above(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        let State::Leading(leader) = &mut self.state else { panic!("an epoch begins without a leader") };
        leader.begin_epoch_above(epoch, &mut self.local, out);
    }

    /// Proposes a txn. `zxid` is what [`Zab::next_zxid`] has just said.
    ///
    /// # Panics
    /// If it is not, or if this server does not lead.
    pub fn propose(&mut self, zxid: Zxid, payload: &[u8], out: &mut Vec<Output>) {
        let State::Leading(leader) = &mut self.state else { panic!("proposed while not leading") };
        leader.propose(FrameKind::Txn, zxid, payload, &mut self.local, out);
    }

    /// Changes the ensemble to these servers, if it is as `if_version` says. `context` is opaque and goes into the
    /// record, see [`crate::Members::of_reconfig`]. The change is complete when the [`FrameKind::ConfigFinal`] record
    /// that names the returned version is delivered.
    ///
    /// # Errors
    /// [`NotReconfigured`]; nothing has changed.
    pub fn reconfigure(
        &mut self,
        servers: BTreeMap<ServerId, Member>,
        if_version: Option<Zxid>,
        context: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<Zxid, NotReconfigured> {
        match &mut self.state {
            State::Leading(leader) => leader.reconfigure(servers, if_version, context, &mut self.local, out),
            State::Looking(_) | State::Following(_) | State::Halted => Err(NotReconfigured::NotLeading),
        }
    }

    /// Hands leadership over, to `target` or to whoever has come furthest. Returns to whom; if that does not succeed
    /// soon, this server goes on leading.
    ///
    /// # Errors
    /// [`NotTransferred`]; nothing has changed.
    pub fn transfer(&mut self, target: Option<ServerId>) -> Result<ServerId, NotTransferred> {
        match &mut self.state {
            State::Leading(leader) => leader.transfer(target, &self.local),
            State::Looking(_) | State::Following(_) | State::Halted => Err(NotTransferred::NotLeading),
        }
    }

    /// Wants to know what a linearizable read, or a `sync`, has to wait for: answered by [`Output::ReadIndex`] unless
    /// [`Output::Looking`] comes first.
    ///
    /// # Errors
    /// [`NotProposed::NotLeading`] if this server has no leader, and is none.
    pub fn read_index(&mut self, id: u64) -> Result<(), NotProposed> {
        match &mut self.state {
            State::Leading(leader) if self.local.has_leader => leader.read_index(id),
            State::Following(follower) if self.local.has_leader => follower.read_index(id),
            _ => return Err(NotProposed::NotLeading),
        }
        Ok(())
    }

    /// Says something to the leader's replica.
    ///
    /// # Errors
    /// [`NotProposed::NotLeading`] if there is no leader to say it to, or if this server is the leader.
    pub fn to_leader(&mut self, payload: Bytes, out: &mut Vec<Output>) -> Result<(), NotProposed> {
        match &self.state {
            State::Following(follower) if self.local.has_leader => follower.to_leader(payload, &self.local, out),
            _ => return Err(NotProposed::NotLeading),
        }
        Ok(())
    }

    /// Says something to a learner's replica, if its session is still there.
    pub fn to_learner(&mut self, connection: ConnectionId, payload: Bytes, out: &mut Vec<Output>) {
        if let State::Leading(leader) = &self.state {
            leader.to_learner(connection, payload, &self.local, out);
        }
    }

    /// What this server's state is now: it travels with what the server sends as a leader.
    pub fn set_digest(&mut self, digest: Digest) {
        self.local.digest = digest;
    }
}
