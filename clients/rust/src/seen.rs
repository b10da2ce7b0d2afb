//! `Seen`: the newest state that this client has seen, so that it never sees an older one, whatever server it asks.

use parking_lot::Mutex;
use quorate_proto::v1;

use crate::{Header, ZxidBound};

/// What the answers' headers told.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Header>,
    newest: Option<ZxidBound>,
}

impl Seen {
    /// Takes note of an answer's header.
    pub(crate) fn note(&self, header: Header) {
        let mut state = self.0.lock();
        state.last = Some(header);
        match &mut state.newest {
            Some(newest) if newest.cluster_id == header.cluster_id => newest.zxid = newest.zxid.max(header.zxid),
            Some(newest) => {
                // A zxid means nothing in another ensemble, which would refuse it for ever.
                tracing::warn!(was = newest.cluster_id, is = header.cluster_id, "another ensemble answers now");
                *newest = header.bound();
            }
            None => state.newest = Some(header.bound()),
        }
    }

    /// The newest answer's header.
    pub(crate) fn last(&self) -> Option<Header> {
        self.0.lock().last
    }

    /// The newest state seen, if it is newer than `zxid`.
    pub(crate) fn newer_than(&self, zxid: u64) -> Option<v1::ZxidBound> {
        self.0.lock().newest.filter(|newest| newest.zxid > zxid).map(ZxidBound::to_wire)
    }

    /// The ensemble, once one has answered.
    pub(crate) fn cluster_id(&self) -> Option<u64> {
        self.0.lock().newest.map(|newest| newest.cluster_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cluster_id: u64, zxid: u64) -> Header {
        Header { cluster_id, zxid, ..Header::default() }
    }

    #[test]
    fn a_server_that_is_behind_is_asked_for_what_was_seen_elsewhere() {
        let seen = Seen::default();
        assert_eq!(seen.newer_than(0), None);
        seen.note(header(1, 7));
        seen.note(header(1, 5));
        assert_eq!(seen.last(), Some(header(1, 5)));
        assert_eq!(seen.newer_than(6), Some(v1::ZxidBound { cluster_id: 1, zxid: 7 }));
        assert_eq!(seen.newer_than(7), None);
    }

    #[test]
    fn another_ensemble_is_not_asked_for_this_ones_states() {
        let seen = Seen::default();
        seen.note(header(1, 7));
        seen.note(header(2, 3));
        assert_eq!(seen.newer_than(0), Some(v1::ZxidBound { cluster_id: 2, zxid: 3 }));
        assert_eq!(seen.cluster_id(), Some(2));
    }
}
