//! How an ensemble begins without anybody saying so: when all voters that it is to begin with are there, with blank disks.
//!
//! A server with an empty disk may have lost one, so it counts nowhere; and nobody would ever count in an ensemble whose
//! servers are all like that. But if each of the voters says, after this server has started, that it never promised nor
//! logged anything, then nothing was ever decided, or every disk that knew of it is gone. And no attempt to lead is under
//! way that counts on what this server may have promised before it lost its disk: whoever makes one has promised his
//! epoch to himself first. So there is nothing that this server could have forgotten, and it counts from now on.
//!
//! One that is told of anything else, and be it by a server that did not vote in the beginning, waits for a leader to take
//! it in, as every amnesiac server does: there is an ensemble already, perhaps with other voters.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use quorate_types::mutation::mutated;
use quorate_types::{Members, ServerId};

use crate::local::Local;
use crate::message::{Notification, Standing};
use crate::output::Output;

/// So long those who have found out first wait for the others before they elect a leader. Whoever comes later is no less
/// a part of the ensemble, but has to learn what was decided without him before he counts.
const GATHERING_MS: u64 = 1_000;

/// Who else is blank.
#[derive(Clone, Debug, Default)]
pub(super) struct Founding {
    /// Those who have said so last, since this server's start.
    blank: BTreeSet<ServerId>,
    /// Those who have said last that they have promised or logged something.
    begun: BTreeSet<ServerId>,
    /// It is on its way to the disk that this server counts.
    is_under_way: bool,
    /// When it became durable.
    done_ms: Option<u64>,
}

impl Founding {
    /// Somebody has said something.
    pub(super) fn heard(&mut self, from: ServerId, notification: &Notification, local: &Local) {
        self.blank.remove(&from);
        self.begun.remove(&from);
        if !notification.is_blank {
            self.begun.insert(from);
        } else if is_same(&notification.members, &local.config.founding) {
            // Whoever is to begin with others begins another ensemble.
            self.blank.insert(from);
        }
    }

    /// Has it made durable that this server counts, if there is nothing to wait for any more.
    pub(super) fn begin_if_all_are_blank(&mut self, local: &mut Local, out: &mut Vec<Output>) {
        let Some(awaited) = self.awaits(local) else { return };
        let voters = local.config.founding.voters().count();
        let is_enough = awaited.is_empty() || mutated("found-by-quorum") && awaited.len() < voters.div_ceil(2);
        if is_enough && self.begun.is_empty() && !self.is_under_way {
            self.is_under_way = true;
            local.readmit(out);
        }
    }

    /// The voters that have not said yet that they are blank; `None` if this is no server to begin an ensemble with.
    pub(super) fn awaits(&self, local: &Local) -> Option<Vec<ServerId>> {
        let founding = &local.config.founding;
        let is_founder = founding.servers.contains_key(&local.me()) && founding.voters().next().is_some();
        if local.standing == Standing::Voter || !is_founder || !local.is_blank() {
            return None;
        }
        let is_awaited = |server: &ServerId| *server != local.me() && !self.blank.contains(server);
        Some(founding.voters().filter(is_awaited).collect())
    }

    /// Whether that has just become durable.
    pub(super) fn is_done(&mut self, local: &Local) -> bool {
        let is_done = self.is_under_way && local.standing == Standing::Voter;
        if is_done {
            (self.is_under_way, self.done_ms) = (false, Some(local.now_ms));
        }
        is_done
    }

    /// Whether nothing is to be decided before everybody has voted: see [`GATHERING_MS`].
    pub(super) fn gathers(&self, local: &Local) -> bool {
        self.done_ms.is_some_and(|done_ms| local.now_ms < done_ms + GATHERING_MS)
    }
}

/// Whether the same servers vote, wherever they are.
fn is_same(one: &Members, other: &Members) -> bool {
    one.voters().eq(other.voters())
}
