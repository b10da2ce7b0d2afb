//! Phase 0: who should try to lead.
//!
//! Never relevant to safety: an election only proposes who tries, and discovery and synchronization check
//! everything again. A server whose own vote is a quorum of every active configuration need ask nobody.

use alloc::vec::Vec;

use crate::Zab;
use crate::zab::{Output, Phase};

impl Zab {
    /// Enters the election.
    pub(crate) fn look(&mut self, out: &mut Vec<Output>) {
        self.phase = Phase::Election;
        self.marker = None;
        self.matched.clear();
        let me = self.config.server;
        if self.config.configs.is_quorum(|server| server == me) {
            self.discover(out);
        }
    }
}
