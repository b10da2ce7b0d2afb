//! Phase 3: the leader proposes, a quorum logs, the leader commits, everybody delivers in order.

use alloc::vec::Vec;
use quorate_types::{FrameKind, Zxid};

use crate::Zab;
use crate::zab::{NotProposed, Output, Phase, Submitted};

impl Zab {
    /// The zxid that the next proposal gets, if one can be made now. Begins a new epoch in place when the counter
    /// has come to its soft limit.
    ///
    /// # Errors
    /// [`NotProposed`]; nothing is lost, the request can be tried again.
    pub fn next_zxid(&mut self, out: &mut Vec<Output>) -> Result<Zxid, NotProposed> {
        match self.phase {
            Phase::Election => Err(NotProposed::NotLeading),
            Phase::Discovery { .. } | Phase::Synchronization => Err(NotProposed::Later),
            Phase::Broadcast if self.history.last().counter() >= self.config.counter_soft_max => {
                self.discover(out);
                Err(NotProposed::Later)
            }
            Phase::Broadcast => Ok(self.history.last().next()),
        }
    }

    /// Proposes a txn. `zxid` is what [`Zab::next_zxid`] has just said.
    ///
    /// # Panics
    /// If it is not, or if this server does not lead.
    pub fn propose(&mut self, zxid: Zxid, payload: &[u8], out: &mut Vec<Output>) {
        assert_eq!(self.phase, Phase::Broadcast, "proposed outside broadcast");
        assert_eq!(zxid, self.history.last().next(), "proposed with a stale zxid");
        let frame = self.history.extend(FrameKind::Txn, zxid, payload);
        let token = self.submit(Submitted::Record(zxid));
        out.push(Output::Append { token, frame });
    }

    /// This server's own log has grown durable: its vote counts like everybody's.
    pub(crate) fn own_log_is_durable(&mut self, out: &mut Vec<Output>) {
        if let Some(marker) = self.marker {
            self.matched.insert(self.config.server, self.durable);
            let reached = self.config.configs.reached(|s| self.matched.get(&s).copied().unwrap_or(Zxid::ZERO));
            // Records of older epochs are never committed by counting, only together with the marker.
            if reached >= marker && reached > self.commit {
                self.commit = reached;
            }
        }
        self.deliver(out);
        if self.phase == Phase::Synchronization && self.marker.is_some_and(|marker| self.commit >= marker) {
            self.establish(out);
        }
    }
}
