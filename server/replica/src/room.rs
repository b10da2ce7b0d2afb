//! `Room`: which servers have room on their disks, so that writes need not stop because the leader has none.
//!
//! A leader whose disk is full refuses writes for everybody. If it stays full and another voter has room, that one should
//! lead. Learners tell their leader how it is with them; without that, servers that are all full would hand leadership
//! round and round, and each round writes to the log.

use alloc::collections::BTreeSet;
use quorate_types::{Now, ServerId};

use crate::effect::Effects;
use crate::limits::FULL_LEADER_MS;
use crate::peer::ToLeader;
use crate::replica::Replica;

/// What is known of the room on disks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    /// This server's disk is full.
    pub(crate) is_full: bool,
    /// While leading: since when it has been, or since it was last tried to hand over for that reason.
    full_since_ms: Option<u64>,
    /// While leading: other servers that have none either.
    full_elsewhere: BTreeSet<ServerId>,
}

impl Room {
    /// Nobody has told this leader anything yet.
    pub(crate) fn forget(&mut self) {
        self.full_since_ms = None;
        self.full_elsewhere.clear();
    }

    /// A learner has said whether its disk is full.
    pub(crate) fn hear(&mut self, server: ServerId, is_full: bool) {
        if is_full {
            self.full_elsewhere.insert(server);
        } else {
            self.full_elsewhere.remove(&server);
        }
    }
}

impl Replica {
    /// The disk is full, or has room again.
    pub(crate) fn room_changed(&mut self, is_full: bool, now: Now, out: &mut Effects) {
        self.room.is_full = is_full;
        if self.is_following() {
            self.tell_room(now, out);
        }
    }

    pub(crate) fn tell_room(&mut self, now: Now, out: &mut Effects) {
        self.tell_leader(&ToLeader::Full(self.room.is_full), now, out);
    }

    /// Begins to hand over to a server with room if this one leads and has had none for long.
    pub(crate) fn leave_to_others_with_room(&mut self, now: Now) {
        if !self.room.is_full {
            self.room.full_since_ms = None;
            return;
        }
        let since_ms = *self.room.full_since_ms.get_or_insert(now.monotonic_ms);
        if now.monotonic_ms < since_ms + FULL_LEADER_MS {
            return;
        }
        self.room.full_since_ms = Some(now.monotonic_ms);
        let members = self.zab.members();
        let has_room = |server: &ServerId| *server != self.config.server && !self.room.full_elsewhere.contains(server);
        // Those who do not vote, or are not up to date, are turned down.
        for target in members.into_keys().filter(has_room) {
            if self.zab.transfer(Some(target)).is_ok() {
                return;
            }
        }
    }
}
