//! Streaming watches held against the simplest possible model of them, over random histories: every change is in one
//! list, and every watch is owed what a loop over that list says.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;
use quorate_types::{Acl, ChangeFilter, ChangeKind, Event, Resume, Stat, StreamWatch, WatchScope, path};

use super::super::*;
use super::world::{Do, World, anyone, only, spec, user};
use crate::{Delivery, WatchItem};

/// Where things happen, and what is always there: `/` is watched too.
const PATHS: [&str; 9] = ["/a", "/a/b", "/a/b/c", "/a/b/d", "/a/bb", "/ab", "/ab/c", "/ab/c/d", "/ab/c/d/e"];
const RESERVED: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// Something that happens, in numbers that always mean something.
#[derive(Clone, Debug)]
enum Action {
    Txn(Vec<(u8, u8, u8)>),
    Begin { outbox: u64, id: u64, what: What },
    Cancel { outbox: u64, id: u64 },
    Lagged { outbox: u64, id: u64 },
    Ready { outbox: u64 },
    Close { outbox: u64 },
    Work,
    Tick(u64),
}

#[derive(Clone, Debug)]
struct What {
    scope: WatchScope,
    path: usize,
    start: Start,
    is_ann: bool,
    with_data: bool,
    with_previous_data: bool,
    exclude: u8,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Now,
    Initial,
    /// So many txns back (a negative number: in the future), after this index.
    Back(i64, u32),
    /// Where the watch of this name ended before.
    WhereItEnded,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let name = || (0..3u64, 0..4u64);
    let scope = prop_oneof![Just(WatchScope::Node), Just(WatchScope::Children), Just(WatchScope::Recursive)];
    let start = prop_oneof![
        2 => Just(Start::Now),
        3 => Just(Start::Initial),
        3 => (-1..20i64, prop_oneof![Just(u32::MAX), 0..3u32]).prop_map(|(back, index)| Start::Back(back, index)),
        4 => Just(Start::WhereItEnded),
    ];
    let exclude = prop_oneof![3 => Just(0u8), 1 => 0..16u8];
    let what = (scope, 0..=PATHS.len(), start, any::<[bool; 3]>(), exclude).prop_map(
        |(scope, path, start, [is_ann, with_data, with_previous_data], exclude)| What {
            scope,
            path,
            start,
            is_ann,
            with_data,
            with_previous_data,
            exclude,
        },
    );
    let action = prop_oneof![
        12 => prop::collection::vec((0..8u8, 0..PATHS.len() as u8, 0..100u8), 0..4).prop_map(Action::Txn),
        8 => (name(), what).prop_map(|((outbox, id), what)| Action::Begin { outbox, id, what }),
        1 => name().prop_map(|(outbox, id)| Action::Cancel { outbox, id }),
        1 => name().prop_map(|(outbox, id)| Action::Lagged { outbox, id }),
        4 => (0..3u64).prop_map(|outbox| Action::Ready { outbox }),
        1 => (0..3u64).prop_map(|outbox| Action::Close { outbox }),
        8 => Just(Action::Work),
        1 => (1..6_000u64).prop_map(Action::Tick),
    ];
    prop::collection::vec(action, 1..150)
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    stat: Stat,
    data: Option<Bytes>,
    acl: Acl,
}

/// The whole state at one zxid.
type States = BTreeMap<String, State>;

/// What one watch's client knows, and what it is owed.
#[derive(Debug)]
struct Client {
    watch: StreamWatch,
    is_ann: bool,
    /// What was applied when it began.
    applied: Zxid,
    has_begun: bool,
    /// While its initial state is told.
    initial: Option<Vec<Event>>,
    /// The last change that it was told, or knows that there was none up to.
    seen: Resume,
    /// What its events add up to.
    shown: BTreeMap<String, Option<Bytes>>,
}

struct Run {
    world: World,
    states: BTreeMap<Zxid, States>,
    clients: BTreeMap<(u64, u64), Client>,
    /// Where watches ended, by name.
    ended: BTreeMap<(u64, u64), Zxid>,
    /// Bytes emitted in slices since the outbox was read.
    unread: BTreeMap<OutboxId, usize>,
    config: WatchConfig,
}

fn whole(zxid: Zxid) -> Resume {
    Resume { zxid, index: u32::MAX }
}

impl Client {
    fn may_read(&self, acl: &Acl) -> bool {
        acl.is_open() || self.is_ann || *acl != only("ann")
    }

    fn owed(&self, change: &Change) -> Option<Event> {
        let comes_or_goes = change.kind != ChangeKind::DataChanged;
        let at = self.watch.path.as_str();
        let is_child = path::parent(&change.path) == Some(at);
        let (is_told, may_see) = match self.watch.scope {
            WatchScope::Node => (change.path == at && self.may_read(&change.acl), true),
            WatchScope::Recursive => (path::is_at_or_below(&change.path, at) && self.may_read(&change.acl), true),
            WatchScope::Children if change.path == at => (comes_or_goes && self.may_read(&change.acl), true),
            WatchScope::Children => {
                (is_child && comes_or_goes && self.may_read(&change.parent_acl), self.may_read(&change.acl))
            }
        };
        (is_told && !self.watch.exclude.contains(change.kind)).then(|| Event {
            kind: change.kind,
            zxid: change.zxid,
            index: change.index,
            path: change.path.clone(),
            stat: change.stat,
            data: change.data.clone().filter(|_| self.watch.with_data && may_see),
            previous_data: change.previous_data.clone().filter(|_| self.watch.with_previous_data && may_see),
        })
    }

    /// What it is owed after what it has seen, up to `end`.
    fn owed_up_to(&self, log: &[Change], end: Zxid) -> Vec<Event> {
        let is_between =
            |change: &&Change| Resume { zxid: change.zxid, index: change.index } > self.seen && change.zxid <= end;
        log.iter().filter(is_between).filter_map(|change| self.owed(change)).collect()
    }

    /// The initial state that it is owed, out of the whole state at `zxid`.
    fn owed_initially(&self, states: &States, zxid: Zxid) -> Vec<Event> {
        let at = self.watch.path.as_str();
        let may_read_top = states.get(at).is_some_and(|top| self.may_read(&top.acl));
        let mut owed: Vec<Event> = states
            .iter()
            .filter_map(|(path, state)| {
                let may_read = self.may_read(&state.acl);
                let is_told = match self.watch.scope {
                    WatchScope::Node => path == at && may_read,
                    WatchScope::Children => may_read_top && (path == at || path::parent(path) == Some(at)),
                    WatchScope::Recursive => path::is_at_or_below(path, at) && may_read,
                };
                is_told.then(|| Event {
                    kind: ChangeKind::Created,
                    zxid,
                    index: u32::MAX,
                    path: path.clone(),
                    stat: state.stat,
                    data: state.data.clone().filter(|_| self.watch.with_data && may_read),
                    previous_data: None,
                })
            })
            .collect();
        owed.sort_by(|one, other| path::components(&one.path).cmp(path::components(&other.path)));
        owed
    }

    fn show(&mut self, events: &[Event]) {
        for event in events {
            match event.kind {
                ChangeKind::Created | ChangeKind::DataChanged => {
                    self.shown.insert(event.path.clone(), event.data.clone());
                }
                ChangeKind::Deleted => {
                    self.shown.remove(&event.path);
                }
            }
        }
    }
}

impl Run {
    fn new(history_bytes: usize, config: WatchConfig) -> Run {
        let world = World::new(history_bytes, config);
        let (clients, ended, unread) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut run = Run { world, states: BTreeMap::new(), clients, ended, unread, config };
        run.remember_state();
        run
    }

    fn remember_state(&mut self) {
        let tree = &self.world.tree;
        let state = |at: &&str| {
            let stat = tree.stat(at)?;
            let data = tree.data(&super::world::path(at))?;
            Some((String::from(*at), State { stat, data, acl: tree.acl(at)? }))
        };
        let states = PATHS.iter().chain(&RESERVED).filter_map(state).collect();
        self.states.insert(tree.applied(), states);
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Txn(ops) => self.txn(ops),
            Action::Begin { outbox, id, what } => self.begin(*outbox, *id, what),
            Action::Cancel { outbox, id } => {
                let op = WatchOp::Cancel(WatchId(*id));
                self.world.operate(*outbox, &anyone(), &op);
            }
            Action::Lagged { outbox, id } => {
                self.world.watches.lagged(OutboxId(*outbox), WatchId(*id));
                if let Some(client) = self.clients.remove(&(*outbox, *id)) {
                    let is_complete = client.has_begun && client.initial.is_none();
                    let ended =
                        if is_complete && client.seen.index == u32::MAX { client.seen.zxid } else { Zxid::ZERO };
                    self.ended.insert((*outbox, *id), ended);
                }
            }
            Action::Ready { outbox } => {
                // Only what was sent in slices can be read to make room for more of it.
                if self.unread.remove(&OutboxId(*outbox)).is_some() {
                    self.world.ready(*outbox);
                }
            }
            Action::Close { outbox } => {
                self.world.close(*outbox);
                self.unread.remove(&OutboxId(*outbox));
                self.clients.retain(|(of, _), _| of != outbox);
            }
            Action::Work => {
                self.world.work();
                self.check_room();
            }
            Action::Tick(ms) => self.world.tick(*ms),
        }
        self.listen();
    }

    /// Makes a txn of whatever of these operations is possible.
    fn txn(&mut self, ops: &[(u8, u8, u8)]) {
        let mut there: BTreeSet<&str> = PATHS.into_iter().filter(|path| self.world.tree.stat(path).is_some()).collect();
        let mut changes = Vec::new();
        for (kind, at, value) in ops {
            let at = PATHS[*at as usize];
            let parent = path::parent(at).unwrap();
            let data = (value % 5 > 0).then(|| Bytes::from(alloc::vec![b'x'; usize::from(*value)]));
            let acl = if value % 3 == 0 { only("ann") } else { Acl::OPEN };
            let is_there = there.contains(at);
            let has_children = there.iter().any(|path| path::parent(path) == Some(at));
            match kind {
                0..3 if !is_there && (parent == "/" || there.contains(parent)) => {
                    there.insert(at);
                    changes.push(Do::Create(at.into(), data, acl));
                }
                0..5 if is_there => changes.push(Do::Set(at.into(), data)),
                5 if is_there => changes.push(Do::SetAcl(at.into(), acl)),
                5..8 if is_there && !has_children => {
                    there.remove(at);
                    changes.push(Do::Delete(at.into()));
                }
                _ => {}
            }
        }
        self.world.txn(&changes);
        self.remember_state();
    }

    fn begin(&mut self, outbox: u64, id: u64, what: &What) {
        let What { scope, path, start, is_ann, with_data, with_previous_data, exclude } = what;
        let applied = self.world.tree.applied();
        let start = match start {
            Start::Now | Start::Initial => None,
            Start::Back(back, index) => {
                let zxid = Zxid(applied.0.saturating_add_signed(-back));
                Some(Resume { zxid, index: *index })
            }
            Start::WhereItEnded => Some(whole(self.ended.get(&(outbox, id)).copied().unwrap_or(applied))),
        };
        let watch = StreamWatch {
            start,
            send_initial: matches!(what.start, Start::Initial),
            with_data: *with_data,
            with_previous_data: *with_previous_data,
            exclude: ChangeFilter(*exclude),
            ..spec(id, *scope, PATHS.get(*path).unwrap_or(&"/"))
        };
        let caller = if *is_ann { user("ann") } else { anyone() };
        // A name that is taken ends the watch that has it: the client that listens by that name is still the old one.
        self.clients.entry((outbox, id)).or_insert_with(|| Client {
            watch: watch.clone(),
            is_ann: *is_ann,
            applied,
            has_begun: false,
            initial: None,
            seen: start.unwrap_or(whole(applied)),
            shown: BTreeMap::new(),
        });
        self.world.begin(outbox, &caller, &watch);
    }

    /// No outbox was sent more in slices than it has room for, but for the last txn or part of an initial state.
    fn check_room(&mut self) {
        let mut before = None;
        for (outbox, delivery) in &self.world.out.outbox {
            if let Delivery::Watch { item: WatchItem::Events(events), .. } = delivery {
                let unread = self.unread.entry(*outbox).or_default();
                let txn = (*outbox, whole(events[0].zxid));
                let is_same_txn = before == Some(txn) && events[0].index < u32::MAX;
                assert!(
                    is_same_txn || *unread < self.config.slice_bytes,
                    "{outbox:?} has {unread} bytes to read already"
                );
                *unread += events.iter().map(super::super::slice::event_bytes).sum::<usize>();
                before = Some(txn);
            }
        }
    }

    fn listen(&mut self) {
        for (outbox, delivery) in self.world.take() {
            let Delivery::Watch { watches, item } = delivery else { panic!("{delivery:?}") };
            let names: BTreeSet<WatchId> = watches.iter().copied().collect();
            assert_eq!(names.len(), watches.len(), "told twice: {watches:?} {item:?}");
            for watch in watches {
                self.hear((outbox.0, watch.0), &item);
            }
        }
    }

    fn hear(&mut self, name: (u64, u64), item: &WatchItem) {
        let Some(client) = self.clients.get_mut(&name) else {
            let is_unknown = |error: &Error| error.code() == Code::NoWatcher;
            let is_answer = matches!(item, WatchItem::Canceled { error: Some(error), .. } if is_unknown(error));
            return assert!(is_answer, "{name:?} has ended, and is told {item:?}");
        };
        let log = &self.world.log;
        match item {
            WatchItem::Created(zxid) => {
                assert!(!client.has_begun, "{name:?} begins twice");
                client.has_begun = true;
                match client.watch.start {
                    Some(Resume { zxid: start, index: u32::MAX }) => assert_eq!(*zxid, start),
                    Some(Resume { zxid: start, .. }) => assert_eq!(zxid.0, start.0.saturating_sub(1)),
                    None if client.watch.send_initial => {
                        assert!(*zxid >= client.applied);
                        client.initial = Some(Vec::new());
                        client.seen = whole(*zxid);
                    }
                    None => assert_eq!(*zxid, client.applied),
                }
            }
            WatchItem::Events(events) if client.initial.is_some() => {
                client.initial.as_mut().unwrap().extend(events.iter().cloned());
            }
            WatchItem::Events(events) => {
                assert!(client.has_begun);
                let zxid = events.last().expect("an item has events").zxid;
                assert_eq!(client.owed_up_to(log, zxid), events.to_vec(), "{name:?} {:?}", client.seen);
                client.seen = whole(zxid);
                client.show(events);
            }
            WatchItem::Synced(zxid) => {
                let told = client.initial.take().expect("an initial state comes before its end");
                assert_eq!(client.seen, whole(*zxid));
                assert_eq!(told, client.owed_initially(&self.states[zxid], *zxid), "{name:?} at {zxid:?}");
                client.show(&told);
            }
            WatchItem::Progress(zxid) => {
                assert!(client.has_begun && client.initial.is_none());
                assert!(*zxid >= client.seen.zxid);
                assert_eq!(client.owed_up_to(log, *zxid), [], "{name:?} progressed over this");
                client.seen = client.seen.max(whole(*zxid));
            }
            WatchItem::Canceled { error, resume, compacted } => {
                self.ended.insert(name, *resume);
                let client = self.clients.remove(&name).unwrap();
                check_end(&client, log, error.as_ref(), *resume, *compacted);
            }
        }
    }

    /// At last everybody reads everything, and everybody has been told everything.
    fn finish(&mut self) {
        loop {
            (0..3).for_each(|outbox| self.act(&Action::Ready { outbox }));
            let has_more = self.world.work();
            self.check_room();
            self.listen();
            if !has_more && self.unread.is_empty() {
                break;
            }
        }
        assert!(!self.world.watches.streams.values().any(Streams::has_work), "nobody will ever go on with this");
        let end = self.world.tree.applied();
        for (name, client) in &self.clients {
            assert!(client.has_begun && client.initial.is_none(), "{name:?} never began");
            assert_eq!(client.owed_up_to(&self.world.log, end), [], "{name:?} was never told");
            let shows_all = client.watch.send_initial
                && client.is_ann
                && client.watch.with_data
                && client.watch.scope == WatchScope::Recursive
                && client.watch.exclude == ChangeFilter::default();
            if shows_all {
                let at = client.watch.path.as_str();
                let there = self.states[&end].iter().filter(|(path, _)| path::is_at_or_below(path, at));
                let there: BTreeMap<_, _> = there.map(|(path, state)| (path.clone(), state.data.clone())).collect();
                assert_eq!(client.shown, there, "{name:?}");
            }
        }
        assert_eq!(self.world.tree.view_count(), 0);
        assert_eq!(self.world.watches.count(), self.clients.len());
        (0..3).for_each(|outbox| self.world.close(outbox));
        assert_eq!(self.world.watches.count(), 0);
    }
}

/// A watch may end, but not in the dark: whoever goes on from `resume` misses nothing and is told nothing twice.
fn check_end(client: &Client, log: &[Change], error: Option<&Error>, resume: Zxid, compacted: Option<Zxid>) {
    let is_before_start = client.watch.start.is_some_and(|start| whole(resume) <= start.max(whole(resume)));
    if !client.has_begun {
        match error.map(Error::code) {
            Some(Code::Compacted) => {
                let start = client.watch.start.unwrap();
                let oldest = compacted.unwrap();
                assert!(start.zxid < oldest || (start.zxid == oldest && start.index < u32::MAX));
            }
            Some(Code::ZxidUnknown) => assert!(client.watch.start.unwrap().zxid > client.applied),
            // It was canceled, or its name was used again, before its initial state was begun with.
            Some(Code::BadArguments) | None => assert_eq!(resume, Zxid::ZERO),
            other => panic!("refused for {other:?}"),
        }
        return assert!(client.watch.start.is_none() || is_before_start);
    }
    match error.map(Error::code) {
        Some(Code::Lagged | Code::BadArguments) | None => {}
        other => panic!("ended for {other:?}"),
    }
    if client.initial.is_some() {
        return assert_eq!(resume, Zxid::ZERO, "half a state is nothing to go on from");
    }
    assert_eq!(client.owed_up_to(log, resume), [], "resuming from {resume:?} misses this");
    let told_last = if client.seen.index == u32::MAX { client.seen.zxid } else { Zxid(client.seen.zxid.0 - 1) };
    assert!(resume >= told_last, "resuming from {resume:?} repeats what was told up to {told_last:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_watch_is_told_every_change_once_and_in_order_or_ends_with_a_zxid_to_go_on_from(
        actions in actions(),
        history_bytes in prop_oneof![0..5_000usize, Just(1 << 20)],
        slice_bytes in prop_oneof![1..700usize, 1..3_000usize],
        (slice_items, views_max) in (1..12usize, prop_oneof![3 => Just(1usize), 1 => Just(2)]),
        pinned_bytes_max in 0..5_000usize,
        (hash_seed, begins_full) in any::<(u64, bool)>(),
    ) {
        let config = WatchConfig {
            hash_seed,
            slice_bytes,
            slice_items,
            views_max,
            pinned_bytes_max,
            ..WatchConfig::default()
        };
        let mut run = Run::new(history_bytes, config);
        if begins_full {
            run.txn(&[0, 1, 2, 3, 4, 5, 6, 7, 8].map(|at| (0, at, 1)));
        }
        actions.iter().for_each(|action| run.act(action));
        run.finish();
    }

    #[test]
    fn what_is_emitted_does_not_depend_on_the_hash_seed(actions in actions(), seeds in any::<[u64; 2]>()) {
        let emitted = seeds.map(|hash_seed| {
            let config = WatchConfig { hash_seed, slice_bytes: 500, slice_items: 7, views_max: 1, ..WatchConfig::default() };
            let mut run = Run::new(10_000, config);
            let mut emitted = Vec::new();
            for action in &actions {
                match action {
                    Action::Begin { outbox, id, what } => run.begin(*outbox, *id, what),
                    Action::Work => {
                        run.world.work();
                        run.check_room();
                    }
                    Action::Txn(ops) => run.txn(ops),
                    other => {
                        run.act(other);
                        continue;
                    }
                }
                emitted.extend(run.world.out.outbox.iter().cloned());
                run.listen();
            }
            emitted
        });
        prop_assert_eq!(&emitted[0], &emitted[1]);
    }
}
