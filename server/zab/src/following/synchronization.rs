//! Phase 2 as a learner: the log becomes a prefix of the leader's.
//!
//! Dropping what the leader's history does not hold is always safe, even if the server then crashes before it has the
//! marker. Dropping what it does hold never is: it may have been acknowledged and counted.

use alloc::vec::Vec;
use quorate_types::Zxid;
use quorate_types::mutation::mutated;

use super::{Follower, Stage};
use crate::input::SnapshotBase;
use crate::local::Local;
use crate::message::{Plan, Position, Standing};
use crate::output::{Halt, Output, PeerOutput};
use crate::zab::Turn;

impl Follower {
    /// The leader says how.
    pub(super) fn planned(
        &mut self,
        plan: Plan,
        base: Position,
        readmits: bool,
        local: &mut Local,
        out: &mut Vec<Output>,
    ) -> Option<Turn> {
        if self.stage != Stage::Promised {
            return Some(Turn::Look);
        }
        let (delivered, end) = (local.history.delivered(), local.history.end());
        if base.zxid < delivered && !mutated("snap-below-common") {
            return Some(Turn::Halt(Halt::Diverged { common: base.zxid }));
        }
        self.readmits = readmits;
        match plan {
            Plan::Diff | Plan::Trunc => {
                if plan == Plan::Diff && base.zxid != end.zxid || base.zxid > end.zxid {
                    return Some(Turn::Look);
                }
                if local.history.chain_at(base.zxid) != Some(base.chain) {
                    return Some(Turn::Halt(Halt::Diverged { common: base.zxid }));
                }
                if base.zxid < end.zxid {
                    local.truncate(base.zxid, out);
                }
                self.stage = Stage::Synchronizing;
                self.acknowledge(local, out);
            }
            Plan::Snap => {
                let (Some(connection), from) = (self.session, self.leader) else { return Some(Turn::Look) };
                self.stage = Stage::Receiving { base };
                out.push(Output::Peer(PeerOutput::ReceiveSnapshot { connection, from, base }));
            }
        }
        None
    }

    /// The snapshot is here, verified, and put aside: from now on it is a matter of the disk.
    pub(super) fn received(&mut self, base: SnapshotBase, local: &mut Local, out: &mut Vec<Output>) {
        // Another one may have been asked for in an epoch before this one.
        if self.stage == (Stage::Receiving { base: base.position }) {
            self.stage = Stage::Installing;
            self.progress += 1;
            local.install(base, out);
        }
    }

    /// The leader is established, and knows that its marker is durable here.
    pub(super) fn up_to_date(&mut self, commit: Zxid, local: &mut Local, out: &mut Vec<Output>) -> Option<Turn> {
        let epoch = self.epoch?;
        if self.stage != Stage::Synchronizing || local.durable < Zxid::new(epoch, 0) {
            return Some(Turn::Look);
        }
        self.stage = Stage::Broadcast;
        local.has_leader = true;
        local.commit = local.commit.max(commit);
        local.deliver(out);
        if (self.readmits || mutated("readmit-early")) && local.standing == Standing::Amnesiac {
            local.readmit(out);
        }
        out.push(Output::Following { leader: self.leader, epoch });
        None
    }
}
