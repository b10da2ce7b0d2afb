//! Phase 1: a prospective leader finds an epoch above every one that a quorum has promised, and has a quorum promise
//! it. Whoever promised follows no older leader any more, so the history that is synchronized next is final.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::Zab;
use crate::zab::{Output, Phase, Promise, Submitted};

impl Zab {
    /// Begins a new epoch as its prospective leader: after an election, or in place, when the counter runs out.
    pub(crate) fn discover(&mut self, out: &mut Vec<Output>) {
        let epoch = self.promise.epoch.next();
        self.phase = Phase::Discovery { epoch, promised: BTreeSet::new() };
        self.promise = Promise { epoch, leader: Some(self.config.server) };
        let token = self.submit(Submitted::Promise(self.promise));
        out.push(Output::Promise { token, promise: self.promise });
    }

    /// This server's promise is durable, so it may be counted.
    pub(crate) fn promise_is_durable(&mut self, promise: Promise, out: &mut Vec<Output>) {
        let Phase::Discovery { epoch, promised } = &mut self.phase else { return };
        if promise != (Promise { epoch: *epoch, leader: Some(self.config.server) }) {
            return;
        }
        promised.insert(self.config.server);
        if self.config.configs.is_quorum(|server| promised.contains(&server)) {
            let epoch = *epoch;
            self.synchronize(epoch, out);
        }
    }
}
