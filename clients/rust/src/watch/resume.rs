//! `Resume`: where one watch stands, and how it goes on after a break. No I/O.
//!
//! Invariant: every change is told exactly once, in order; only inside an initial state, which has no place in that
//! order, it begins anew, and says so by a `Reset`.

use quorate_proto::v1;
use v1::watch_item::Item;

use super::event::{Event, WatchEvent};
use crate::chroot::Chroot;
use crate::{Error, Reason};

/// The last change told: its txn and its index within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    zxid: u64,
    index: u32,
}

impl Position {
    /// After all of a txn.
    fn after_txn(zxid: u64) -> Position {
        Position { zxid, index: u32::MAX }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not begun by any server.
    New,
    /// Within the initial state; whether a part of it was told.
    Initial {
        told: bool,
    },
    /// Everything up to here was told.
    Live(Position),
    Ended,
}

/// One watch.
#[derive(Debug)]
pub(super) struct Resume {
    request: v1::WatchCreate,
    /// In which the watch's owner lives.
    root: Chroot,
    /// Begin again with the present state when the history is gone, instead of ending.
    restart_when_compacted: bool,
    announced: bool,
    phase: Phase,
}

/// What follows from an item.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Nothing,
    Tell(WatchEvent),
    /// The watch has to be begun again, on the same stream; maybe something is told before.
    Again(Option<WatchEvent>),
    /// The server cannot serve watches now: all of the stream's watches should go on elsewhere.
    Leave,
    End(Option<Error>),
}

impl Resume {
    pub(super) fn new(request: v1::WatchCreate, root: Chroot, restart_when_compacted: bool) -> Resume {
        Resume { request, root, restart_when_compacted, announced: false, phase: Phase::New }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    pub(super) fn has_begun(&self) -> bool {
        self.announced
    }

    pub(super) fn end(&mut self) {
        self.phase = Phase::Ended;
    }

    /// What begins the watch, or lets it go on: to a server of this ensemble that has seen at least `missing`.
    pub(super) fn request(
        &self,
        watch_id: u64,
        cluster_id: Option<u64>,
        missing: Option<v1::ZxidBound>,
    ) -> v1::WatchCreate {
        let mut request = v1::WatchCreate { watch_id, ..self.request.clone() };
        let mut bound = missing;
        if let Phase::Live(at) = self.phase {
            request.start_zxid = Some(at.zxid);
            request.start_index = (at.index != u32::MAX).then_some(at.index);
            request.send_initial = false;
            // A server that is behind must catch up first: it would take the start for one in the future.
            bound = cluster_id.map(|cluster_id| v1::ZxidBound {
                cluster_id,
                zxid: at.zxid.max(missing.map_or(0, |bound| bound.zxid)),
            });
        }
        if let Some(bound) = bound {
            let demanded = &mut request.options.get_or_insert_default().min_zxid;
            if demanded.is_none_or(|own| own.cluster_id == bound.cluster_id && own.zxid < bound.zxid) {
                *demanded = Some(bound);
            }
        }
        request
    }

    /// The stream broke: what has to be told because of that.
    pub(super) fn on_break(&mut self) -> Option<WatchEvent> {
        let Phase::Initial { told } = self.phase else { return None };
        self.phase = Phase::New;
        told.then_some(WatchEvent::Reset)
    }

    pub(super) fn on_item(&mut self, item: Item) -> Outcome {
        match item {
            Item::Created(created) => self.on_created(created.zxid),
            Item::Events(events) => self.on_events(events.events),
            Item::Synced(synced) => match self.phase {
                Phase::Initial { .. } => {
                    self.phase = Phase::Live(Position::after_txn(synced.zxid));
                    Outcome::Tell(WatchEvent::Synced { zxid: synced.zxid })
                }
                Phase::New | Phase::Live(_) | Phase::Ended => Outcome::Nothing,
            },
            Item::Progress(progress) => match &mut self.phase {
                Phase::Live(at) if *at < Position::after_txn(progress.zxid) => {
                    *at = Position::after_txn(progress.zxid);
                    Outcome::Tell(WatchEvent::Progress { zxid: progress.zxid })
                }
                Phase::New | Phase::Initial { .. } | Phase::Live(_) | Phase::Ended => Outcome::Nothing,
            },
            Item::Canceled(canceled) => self.on_canceled(canceled),
        }
    }

    fn on_created(&mut self, zxid: u64) -> Outcome {
        if self.phase == Phase::New {
            self.phase = match (self.request.send_initial, self.request.start_zxid) {
                (true, _) => Phase::Initial { told: false },
                (false, Some(zxid)) => {
                    Phase::Live(Position { zxid, index: self.request.start_index.unwrap_or(u32::MAX) })
                }
                (false, None) => Phase::Live(Position::after_txn(zxid)),
            };
        }
        if std::mem::replace(&mut self.announced, true) {
            return Outcome::Nothing;
        }
        Outcome::Tell(WatchEvent::Created { zxid })
    }

    fn on_events(&mut self, mut events: Vec<v1::Event>) -> Outcome {
        match &mut self.phase {
            Phase::Initial { told } => *told = true,
            Phase::Live(at) => {
                // A server that began the watch anew may tell again what was told.
                events.retain(|event| Position { zxid: event.zxid, index: event.index } > *at);
                let Some(last) = events.last() else { return Outcome::Nothing };
                *at = Position { zxid: last.zxid, index: last.index };
            }
            Phase::New | Phase::Ended => return Outcome::Nothing,
        }
        let seen = |event: v1::Event| {
            let event = Event::from(event);
            Event { path: self.root.inside(event.path), ..event }
        };
        Outcome::Tell(WatchEvent::Events(events.into_iter().map(seen).collect()))
    }

    /// Whether it was begun after a certain txn, so that without that it can begin where it could not go on. If not, it
    /// is the caller's own `min_zxid` that no server knows, and would not know when asked again.
    fn begins_in_the_past(&self) -> bool {
        self.phase != Phase::New || self.request.start_zxid.is_some()
    }

    fn on_canceled(&mut self, canceled: v1::WatchCanceled) -> Outcome {
        let Some(error) = canceled.error.map(Error::from) else {
            self.phase = Phase::Ended;
            return Outcome::End(None);
        };
        match error.reason() {
            Reason::Compacted | Reason::ZxidUnknown if self.restart_when_compacted && self.begins_in_the_past() => {
                self.phase = Phase::New;
                self.request.send_initial = true;
                self.request.start_zxid = None;
                self.request.start_index = None;
                Outcome::Again(Some(WatchEvent::Reset))
            }
            Reason::Lagged => {
                if let Phase::Live(at) = &mut self.phase {
                    *at = (*at).max(Position::after_txn(canceled.resume_zxid));
                }
                Outcome::Again(self.on_break())
            }
            reason if reason.is_retryable() => Outcome::Leave,
            _ => {
                self.phase = Phase::Ended;
                Outcome::End(Some(self.root.error(error).at_zxid(canceled.compacted_zxid.unwrap_or(0))))
            }
        }
    }
}

#[cfg(test)]
mod tests;
