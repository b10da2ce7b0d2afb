//! WatchOrder: a watch that resumes where it was cut off, at whatever server, sees every change exactly once, in order;
//! where the history no longer reaches back, it is told so; and once it has caught up, no reply on its connection shows a
//! change of which it was not told before; and it ends, and says so, where the whole state was replaced by that of a backup.

use quorate_replica::WatchItem;
use quorate_types::{
    Change, ChangeFilter, ChangeKind, Code, Path, Resume, StreamWatch, WatchId, WatchOp, WatchScope, Zxid, path,
};

/// What one watch has been told, over all its resumptions.
pub(crate) struct Watching {
    pub(crate) id: WatchId,
    root: &'static str,
    /// Strictly after this.
    begun: Option<Zxid>,
    seen: Vec<(Zxid, u32, ChangeKind, String)>,
    /// Everything up to here was told.
    told: Resume,
    /// The watch runs on the present outbox.
    pub(crate) running: bool,
    /// It has been told of everything that replies on its connection had shown by then.
    is_live: bool,
    /// What replies on its connection have shown.
    shown: Zxid,
    pub(crate) resumed: u64,
    pub(crate) compacted: u64,
}

impl Watching {
    pub(crate) fn new(id: u64, root: &'static str) -> Watching {
        let told = Resume { zxid: Zxid::ZERO, index: u32::MAX };
        Watching {
            id: WatchId(id),
            root,
            begun: None,
            seen: Vec::new(),
            told,
            running: false,
            is_live: false,
            shown: Zxid::ZERO,
            resumed: 0,
            compacted: 0,
        }
    }

    /// The request that begins or resumes it.
    pub(crate) fn begin(&mut self) -> WatchOp {
        self.running = true;
        self.is_live = false;
        self.resumed += u64::from(self.begun.is_some());
        WatchOp::Create(StreamWatch {
            id: self.id,
            path: Path::new(self.root).unwrap(),
            scope: WatchScope::Recursive,
            start: self.begun.map(|_| self.told),
            send_initial: false,
            with_data: false,
            with_previous_data: false,
            exclude: ChangeFilter::default(),
            progress_ms: 500,
        })
    }

    /// The connection is another one.
    pub(crate) fn disconnected(&mut self) {
        (self.running, self.is_live, self.shown) = (false, false, Zxid::ZERO);
    }

    /// A reply on its connection shows the state at `zxid`, whose last restore was at `restored`.
    pub(crate) fn replied(&mut self, zxid: Zxid, restored: Zxid) {
        self.shown = self.shown.max(zxid);
        let is_told = !self.running || !self.is_live || self.begun.is_none_or(|begun| begun >= restored);
        assert!(is_told, "WatchOrder: {zxid:?} is shown before a watch is told that the state was replaced");
    }

    /// What an item shows of the state, if it shows anything.
    pub(crate) fn shown_by(item: &WatchItem) -> Option<Zxid> {
        match item {
            WatchItem::Created(zxid) | WatchItem::Synced(zxid) | WatchItem::Progress(zxid) => Some(*zxid),
            WatchItem::Events(events) => events.iter().map(|event| event.zxid).next_back(),
            WatchItem::Canceled { compacted, .. } => *compacted,
        }
    }

    pub(crate) fn receive(&mut self, item: &WatchItem) {
        match item {
            WatchItem::Created(zxid) => {
                if self.begun.is_none() {
                    self.begun = Some(*zxid);
                    self.told.zxid = *zxid;
                    self.is_live = true;
                }
            }
            WatchItem::Events(events) => {
                for event in events.iter() {
                    let (shown, zxid) = (self.shown, event.zxid);
                    assert!(!self.is_live || zxid > shown, "WatchOrder: told of {zxid:?} after a reply at {shown:?}");
                    let at = Resume { zxid: event.zxid, index: event.index };
                    let whole = self.told.index == u32::MAX;
                    assert!(
                        at > self.told || (whole && event.zxid > self.told.zxid),
                        "WatchOrder: {at:?} told after {:?}",
                        self.told
                    );
                    self.told = at;
                    self.seen.push((event.zxid, event.index, event.kind, event.path.clone()));
                }
                // All that one txn did stands in one item.
                self.told.index = u32::MAX;
                self.is_live |= self.told.zxid >= self.shown;
            }
            WatchItem::Synced(zxid) | WatchItem::Progress(zxid) => {
                assert!(*zxid >= self.told.zxid, "WatchOrder: progress went back to {zxid:?} from {:?}", self.told);
                self.told = Resume { zxid: *zxid, index: u32::MAX };
                self.is_live |= self.told.zxid >= self.shown;
            }
            WatchItem::Canceled { error, resume, .. } => {
                self.running = false;
                match error.as_ref().map(|error| error.code()) {
                    // What is between is lost to it, and it knows.
                    Some(Code::Compacted) => {
                        self.compacted += 1;
                        self.begun = None;
                        self.seen.clear();
                    }
                    Some(Code::Lagged) => {
                        assert!(*resume >= self.told.zxid || self.told.index != u32::MAX);
                    }
                    other => panic!("WatchOrder: a watch ended with {other:?}"),
                }
            }
        }
    }

    /// Whether it runs, and was told of everything up to there as far as it matches.
    pub(crate) fn is_at(&self, zxid: Zxid) -> bool {
        self.running && self.told.zxid >= zxid
    }

    /// Compares what was seen with the history, whose last restore was at `restored`.
    pub(crate) fn check(&self, history: &[Change], restored: Zxid) {
        let Some(begun) = self.begun else { return };
        assert!(begun >= restored, "WatchOrder: watch {:?} goes on, and the state was replaced", self.id);
        let expected: Vec<_> = history
            .iter()
            .filter(|change| change.zxid > begun && path::is_at_or_below(&change.path, self.root))
            .map(|change| (change.zxid, change.index, change.kind, change.path.clone()))
            .collect();
        for (at, (seen, expected)) in self.seen.iter().zip(&expected).enumerate() {
            assert_eq!(seen, expected, "WatchOrder: event {at} of watch {:?}", self.id);
        }
        assert_eq!(self.seen.len(), expected.len(), "WatchOrder: events of watch {:?}", self.id);
    }
}
