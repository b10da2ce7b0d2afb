//! Phase 2: the leader's whole history, and the marker of its epoch after it, reach a quorum.
//!
//! The marker is a record like any other, so "has the history" and "has entered the epoch" are one durable fact. No
//! record of an older epoch is ever committed by counting: the marker's commit covers them.

use alloc::vec::Vec;
use quorate_types::{Epoch, FrameKind, Zxid};

use crate::Zab;
use crate::zab::{Output, Phase, Submitted};

impl Zab {
    /// Discovery is finished: nothing that this history lacks was or will be committed in an older epoch.
    pub(crate) fn synchronize(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        let marker = Zxid::new(epoch, 0);
        self.phase = Phase::Synchronization;
        self.marker = Some(marker);
        self.matched.clear();
        let frame = self.history.extend(FrameKind::Marker, marker, &[self.config.server.0]);
        let token = self.submit(Submitted::Record(marker));
        out.push(Output::Append { token, frame });
    }

    /// A quorum has the marker: from now on this leader proposes.
    pub(crate) fn establish(&mut self, out: &mut Vec<Output>) {
        self.phase = Phase::Broadcast;
        out.push(Output::Established(self.epoch()));
    }
}
