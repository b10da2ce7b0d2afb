//! `Hearsay`: configurations that others tell of and this server's log does not hold.
//!
//! They help to find a leader, and never count a quorum. Of each server only the last one is kept: what it has told
//! before may have come to nothing, together with a leader.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use quorate_types::{Member, Members, ServerId, Zxid};

/// What others have told of the ensemble.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearsay {
    told: BTreeMap<ServerId, Members>,
}

impl Hearsay {
    /// A server has told of a configuration. This server's own is that of `version`.
    pub(crate) fn hear(&mut self, from: ServerId, members: &Members, version: Zxid) {
        if members.version <= version {
            self.told.remove(&from);
        } else if self.told.get(&from) != Some(members) {
            self.told.insert(from, members.clone());
        }
    }

    /// This server's own configuration is that of `version` now.
    pub(crate) fn forget_through(&mut self, version: Zxid) {
        self.told.retain(|_, members| members.version > version);
    }

    /// The newest.
    pub(crate) fn newest(&self) -> Option<&Members> {
        self.told.values().max_by_key(|members| members.version)
    }

    /// Everybody whom any of them names, as the newest of those does.
    pub(crate) fn servers(&self) -> BTreeMap<ServerId, Member> {
        let mut told: Vec<&Members> = self.told.values().collect();
        told.sort_by_key(|members| members.version);
        told.into_iter().flat_map(|members| members.servers.clone()).collect()
    }

    /// Whether any of them names this server as a voter.
    pub(crate) fn is_voter(&self, server: ServerId) -> bool {
        self.told.values().any(|members| members.is_voter(server))
    }
}
