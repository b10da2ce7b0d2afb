//! What becomes of watches when the whole state is replaced by another one.
//!
//! Nobody knows the changes that lie between the two, so nobody can be told of them: whoever watches has to look at the
//! new state and begin again.

use alloc::vec::Vec;

use quorate_tree::Tree;
use quorate_types::mutation::mutated;
use quorate_types::{Code, Error, OutboxId, WatchId, Zxid};

use super::Watches;
use super::job::What;
use super::live::Live;
use super::telling::Telling;
use crate::{Delivery, Effects, WatchItem};

impl Watches {
    /// The state is another one since `zxid`. Streaming watches end, and what was read from the old state for somebody
    /// does; ZooKeeper's watches, which cannot end, are told that what they are about has changed. The views of the old
    /// state are gone with it.
    pub(crate) fn state_replaced(&mut self, tree: &Tree, zxid: Zxid, out: &mut Effects) {
        let mut outboxes: Vec<OutboxId> = self.streams.keys().copied().collect();
        outboxes.sort_unstable();
        for outbox in outboxes {
            self.end_streams(outbox, zxid, out);
        }
        self.classic.state_replaced(tree, zxid, out);
        let seed = self.config.hash_seed;
        (self.live, self.telling) = (Live::new(seed), Telling::new(seed));
        self.streams.clear();
        self.runnable.clear();
        self.viewing.clear();
        self.waiting_for_view.clear();
        self.abandoned.clear();
        self.streaming = 0;
        match mutated("watch-resumes-across-restore") {
            true => self.history.push(zxid, Vec::new()),
            false => self.history.push_gap(zxid),
        }
    }

    fn end_streams(&self, outbox: OutboxId, zxid: Zxid, out: &mut Effects) {
        let Some(streams) = self.streams.get(&outbox) else { return };
        for job in streams.jobs.values() {
            if let What::Tree(stream) = &job.what {
                let error = Error::new(Code::Unavailable, "the state was replaced while it was streamed; begin again");
                out.outbox.push((outbox, Delivery::Reply { tag: stream.tag, zxid, response: Err(error) }));
            }
        }
        let watches: Vec<WatchId> = streams.watches.keys().copied().collect();
        if !watches.is_empty() {
            let detail = "the whole state was replaced; look at the present one and begin again";
            let error = Some(Error::new(Code::Compacted, detail));
            // What each of them was told last does not matter: there is no going on from there.
            let item = WatchItem::Canceled { error, resume: Zxid::ZERO, compacted: Some(zxid) };
            out.outbox.push((outbox, Delivery::Watch { watches: watches.into(), item }));
        }
    }
}
