//! `Watches`: what a stream has to remember of its watches to know when it is over, and to tell of one that could not
//! even be asked for.

use std::collections::{HashSet, VecDeque};

use quorate_replica::WatchItem;
use quorate_types::{Error, Tag, WatchId, Zxid};

/// Set in the tags of requests that begin or end watches: their answers are watch items and not replies.
const WATCH: u64 = 1 << 63;

/// The watches of one stream.
#[derive(Default)]
pub(super) struct Watches {
    /// Begun and not canceled yet.
    alive: HashSet<WatchId>,
    /// Requests that were not answered yet, in their order.
    asked: VecDeque<AskedWatch>,
    /// For the next tag.
    count: u64,
}

struct AskedWatch {
    tag: Tag,
    id: WatchId,
    begins: bool,
    /// Why it ends the watch, if it is not the client that wants that.
    refusal: Option<Error>,
}

impl Watches {
    /// Notes that a watch is asked for; the tag is that of the request.
    pub(super) fn begin(&mut self, id: WatchId) -> Tag {
        self.ask(id, true, None)
    }

    /// Notes that a watch is asked to end.
    pub(super) fn cancel(&mut self, id: WatchId) -> Tag {
        self.ask(id, false, None)
    }

    /// Notes that a watch was refused by the door. Nothing may follow its end: so if another has its name, that is asked
    /// to end too, by the request with this tag, and its end will tell of both.
    pub(super) fn refuse(&mut self, id: WatchId, refusal: &Error) -> Option<Tag> {
        let lives = self.alive.contains(&id) || self.asked.iter().any(|asked| asked.id == id && asked.begins);
        lives.then(|| self.ask(id, false, Some(refusal.clone())))
    }

    fn ask(&mut self, id: WatchId, begins: bool, refusal: Option<Error>) -> Tag {
        let tag = Tag(WATCH | self.count);
        self.count += 1;
        self.asked.push_back(AskedWatch { tag, id, begins, refusal });
        tag
    }

    /// Whether a reply with this tag answers a request that begins or ends a watch.
    pub(super) fn is_of(tag: Tag) -> bool {
        tag.0 & WATCH != 0
    }

    /// Notes what watches are told, and puts in why one ends that the door has asked to.
    pub(super) fn told(&mut self, watches: &[WatchId], item: &mut WatchItem) {
        match item {
            WatchItem::Created(_) => {
                for id in watches {
                    self.alive.insert(*id);
                    self.settle(|asked| asked.id == *id && asked.begins);
                }
            }
            // Whatever has this name has ended: a second watch of one name takes the first one down.
            WatchItem::Canceled { error, .. } => {
                for id in watches {
                    self.alive.remove(id);
                    let settled = self.settle(|asked| asked.id == *id);
                    if let Some(refusal) = settled.and_then(|asked| asked.refusal) {
                        *error = Some(refusal);
                    }
                }
            }
            WatchItem::Events(_) | WatchItem::Synced(_) | WatchItem::Progress(_) => {}
        }
    }

    /// Answers come in about the order of the questions, so the first one that fits is the one that is looked for.
    fn settle(&mut self, answered: impl Fn(&AskedWatch) -> bool) -> Option<AskedWatch> {
        let at = self.asked.iter().position(answered)?;
        self.asked.remove(at)
    }

    /// The reply to a request of a watch. One that failed before there was a watch is told as the watch's end; one that
    /// did not has been told by an item, or will be.
    pub(super) fn replied(&mut self, tag: Tag, failed: Option<Error>, zxid: Zxid) -> Option<(WatchId, WatchItem)> {
        let error = failed?;
        let asked = self.settle(|asked| asked.tag == tag)?;
        Some((asked.id, WatchItem::Canceled { error: Some(error), resume: zxid, compacted: None }))
    }

    /// Requests that were not answered yet.
    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }

    /// Whether no watch is left, and none is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.alive.is_empty() && self.asked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::Code;

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
        watches.told(&[WatchId(1)], &mut WatchItem::Created(Zxid(1)));
        watches.told(&[WatchId(2)], &mut WatchItem::Created(Zxid(1)));
        watches.cancel(WatchId(1));
        watches.told(&[WatchId(1)], &mut canceled(None));
        assert!(!watches.is_empty());
        watches.told(&[WatchId(2)], &mut canceled(Some(Code::Lagged)));
        assert!(watches.is_empty());
    }

    #[test]
    fn canceling_an_unknown_watch_ends_no_other() {
        let mut watches = Watches::default();
        watches.begin(WatchId(1));
        watches.told(&[WatchId(1)], &mut WatchItem::Created(Zxid(1)));
        watches.cancel(WatchId(9));
        watches.told(&[WatchId(9)], &mut canceled(Some(Code::NoWatcher)));
        assert!(!watches.is_empty());
        assert_eq!(watches.asked.len(), 0);
    }

    #[test]
    fn a_second_watch_of_one_name_ends_both() {
        let mut watches = Watches::default();
        watches.begin(WatchId(1));
        watches.told(&[WatchId(1)], &mut WatchItem::Created(Zxid(1)));
        watches.begin(WatchId(1));
        watches.told(&[WatchId(1)], &mut canceled(Some(Code::BadArguments)));
        assert!(watches.is_empty());
    }

    #[test]
    fn one_that_is_refused_ends_the_one_that_has_its_name() {
        let mut watches = Watches::default();
        let refusal = Error::new(Code::InvalidPath, "relative");
        assert_eq!(watches.refuse(WatchId(1), &refusal), None, "there is none");
        watches.begin(WatchId(1));
        watches.told(&[WatchId(1)], &mut WatchItem::Created(Zxid(1)));
        watches.cancel(WatchId(1));
        assert!(watches.refuse(WatchId(1), &refusal).is_some());
        let (mut asked_for, mut refused) = (canceled(None), canceled(Some(Code::NoWatcher)));
        watches.told(&[WatchId(1)], &mut asked_for);
        assert_eq!(asked_for, canceled(None), "the client's own wish comes first");
        watches.told(&[WatchId(1)], &mut refused);
        assert!(matches!(refused, WatchItem::Canceled { error: Some(error), .. } if error == refusal));
        assert!(watches.is_empty());
    }

    #[test]
    fn a_name_can_be_used_again_before_its_end_is_told() {
        let mut watches = Watches::default();
        watches.begin(WatchId(1));
        watches.told(&[WatchId(1)], &mut WatchItem::Created(Zxid(1)));
        watches.cancel(WatchId(1));
        watches.begin(WatchId(1));
        watches.told(&[WatchId(1)], &mut canceled(None));
        assert!(!watches.is_empty());
        watches.told(&[WatchId(1)], &mut WatchItem::Created(Zxid(2)));
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
