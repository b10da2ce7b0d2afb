//! `Watches`: what a stream has to remember of its watches to know when it is over, and to tell of one that could not
//! even be asked for.

use std::collections::VecDeque;

use quorate_replica::WatchItem;
use quorate_types::{Code, Error, Tag, WatchId, Zxid};

/// Set in the tags of requests that begin or end watches: their answers are watch items and not replies.
const WATCH: u64 = 1 << 63;

/// The watches of one stream.
#[derive(Default)]
pub(super) struct Watches {
    /// Begun or about to be, and not yet canceled.
    alive: u64,
    /// Requests that were not answered yet, in their order.
    asked: VecDeque<AskedWatch>,
    /// For the next tag.
    count: u64,
}

struct AskedWatch {
    tag: Tag,
    id: WatchId,
    begins: bool,
}

impl Watches {
    /// Notes that a watch is asked for; the tag is that of the request.
    pub(super) fn begin(&mut self, id: WatchId) -> Tag {
        self.alive += 1;
        self.ask(id, true)
    }

    /// Notes that a watch is asked to end.
    pub(super) fn cancel(&mut self, id: WatchId) -> Tag {
        self.ask(id, false)
    }

    fn ask(&mut self, id: WatchId, begins: bool) -> Tag {
        let tag = Tag(WATCH | self.count);
        self.count += 1;
        self.asked.push_back(AskedWatch { tag, id, begins });
        tag
    }

    /// Whether a reply with this tag answers a request that begins or ends a watch.
    pub(super) fn is_of(tag: Tag) -> bool {
        tag.0 & WATCH != 0
    }

    /// Notes what watches are told.
    pub(super) fn told(&mut self, watches: &[WatchId], item: &WatchItem) {
        let begins = match item {
            WatchItem::Created(_) => true,
            WatchItem::Canceled { error, .. } => {
                let unknown = error.as_ref().is_some_and(|error| error.code() == Code::NoWatcher);
                if !unknown {
                    self.alive = self.alive.saturating_sub(watches.len() as u64);
                }
                false
            }
            WatchItem::Events(_) | WatchItem::Synced(_) | WatchItem::Progress(_) => return,
        };
        for id in watches {
            // Answers come in about the order of the questions, so the first one is the one that is looked for.
            let answered = |asked: &AskedWatch| asked.id == *id && (asked.begins || !begins);
            if let Some(at) = self.asked.iter().position(answered) {
                self.asked.remove(at);
            }
        }
    }

    /// The reply to a request of a watch: one that failed before there was a watch is told as the watch's end.
    pub(super) fn replied(&mut self, tag: Tag, failed: Option<Error>, zxid: Zxid) -> Option<(WatchId, WatchItem)> {
        let error = failed?;
        let at = self.asked.iter().position(|asked| asked.tag == tag)?;
        let asked = self.asked.remove(at)?;
        if asked.begins {
            self.alive = self.alive.saturating_sub(1);
        }
        Some((asked.id, WatchItem::Canceled { error: Some(error), resume: zxid, compacted: None }))
    }

    /// Whether no watch is left, and none is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.alive == 0 && self.asked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canceled(code: Option<Code>) -> WatchItem {
        let error = code.map(|code| Error::new(code, ""));
        WatchItem::Canceled { error, resume: Zxid(1), compacted: None }
    }

    #[test]
    fn a_stream_is_empty_when_its_last_watch_has_ended() {
        let mut watches = Watches::default();
        assert!(watches.is_empty());
        watches.begin(WatchId(1));
        watches.begin(WatchId(2));
        watches.told(&[WatchId(1)], &WatchItem::Created(Zxid(1)));
        watches.told(&[WatchId(2)], &WatchItem::Created(Zxid(1)));
        watches.cancel(WatchId(1));
        watches.told(&[WatchId(1)], &canceled(None));
        assert!(!watches.is_empty());
        watches.told(&[WatchId(2)], &canceled(Some(Code::Lagged)));
        assert!(watches.is_empty());
    }

    #[test]
    fn canceling_an_unknown_watch_ends_no_other() {
        let mut watches = Watches::default();
        watches.begin(WatchId(1));
        watches.told(&[WatchId(1)], &WatchItem::Created(Zxid(1)));
        watches.cancel(WatchId(9));
        watches.told(&[WatchId(9)], &canceled(Some(Code::NoWatcher)));
        assert!(!watches.is_empty());
        assert_eq!(watches.asked.len(), 0);
    }

    #[test]
    fn a_watch_that_could_not_be_asked_for_is_canceled() {
        let mut watches = Watches::default();
        let tag = watches.begin(WatchId(7));
        assert!(Watches::is_of(tag));
        let busy = Error::new(Code::Throttled, "busy");
        let (id, item) = watches.replied(tag, Some(busy.clone()), Zxid(5)).unwrap();
        assert_eq!(id, WatchId(7));
        assert_eq!(item, WatchItem::Canceled { error: Some(busy), resume: Zxid(5), compacted: None });
        assert!(watches.is_empty());
    }
}
