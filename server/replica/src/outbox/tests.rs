//! The queue against naive rules: nothing is lost but what is said to be.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use proptest::prelude::*;
use quorate_types::{ChangeKind, Epoch, Stat, Tag};

use super::*;

const LIMITS: OutboxLimits = OutboxLimits { bytes_max: 16_000, watch_bytes_max: 4_000, low_water_bytes: 2_000 };

fn event(zxid: u64, data_bytes: usize) -> Event {
    Event {
        kind: ChangeKind::DataChanged,
        zxid: z(zxid),
        index: 0,
        path: String::from("/a"),
        stat: Stat::default(),
        data: Some(Bytes::from(vec![0; data_bytes])),
        previous_data: None,
    }
}

fn z(counter: u64) -> Zxid {
    Zxid(Zxid::new(Epoch(1), 0).0 + counter)
}

fn events(ids: &[u64], zxid: u64, data_bytes: usize) -> Delivery {
    let watches = ids.iter().map(|id| WatchId(*id)).collect();
    Delivery::Watch { watches, item: WatchItem::Events(Arc::from([event(zxid, data_bytes)])) }
}

fn item(id: u64, item: WatchItem) -> Delivery {
    Delivery::Watch { watches: smallvec![WatchId(id)], item }
}

fn reply(tag: u64) -> Delivery {
    Delivery::Reply { tag: Tag(tag), zxid: z(0), response: Ok(Reply::Synced) }
}

fn pop_all(outbox: &mut Outbox) -> Vec<Delivery> {
    let mut all = Vec::new();
    outbox.pop(&mut all, usize::MAX);
    all
}

/// Where the client of `id` was told to go on, if it was canceled for being slow.
fn resume_of(deliveries: &[Delivery], id: u64) -> Option<Zxid> {
    deliveries.iter().find_map(|delivery| match delivery {
        Delivery::Watch { watches, item: WatchItem::Canceled { error: Some(error), resume, .. } }
            if watches.as_slice() == [WatchId(id)] =>
        {
            assert_eq!(error.code(), Code::Lagged);
            Some(*resume)
        }
        _ => None,
    })
}

fn zxids_of(deliveries: &[Delivery], id: u64) -> Vec<Zxid> {
    let mut zxids = Vec::new();
    for delivery in deliveries {
        if let Delivery::Watch { watches, item: WatchItem::Events(events) } = delivery
            && watches.contains(&WatchId(id))
        {
            zxids.extend(events.iter().map(|event| event.zxid));
        }
    }
    zxids
}

#[test]
fn deliveries_come_out_in_their_order_and_in_batches_of_the_size_asked_for() {
    let mut outbox = Outbox::new(LIMITS);
    let pushed = [reply(1), events(&[7], 1, 10), reply(2), events(&[7, 8], 2, 10), reply(3)];
    pushed.iter().for_each(|delivery| outbox.push(delivery.clone()));
    let mut popped = Vec::new();
    outbox.pop(&mut popped, 1);
    assert_eq!(popped, pushed[..1]);
    outbox.pop(&mut popped, delivery_bytes(&pushed[1]) + delivery_bytes(&pushed[2]));
    assert_eq!(popped, pushed[..3]);
    outbox.pop(&mut popped, usize::MAX);
    assert_eq!(popped, pushed);
    assert!(outbox.is_empty() && outbox.bytes() == 0);
}

#[test]
fn a_slow_watch_is_canceled_alone_and_can_resume_before_its_first_unread_event() {
    let mut outbox = Outbox::new(LIMITS);
    outbox.push(item(1, WatchItem::Created(z(5))));
    outbox.push(item(2, WatchItem::Created(z(5))));
    outbox.push(events(&[1, 2], 6, 0));
    assert_eq!(zxids_of(&pop_all(&mut outbox), 1), [z(6)]);
    for zxid in 10..30 {
        outbox.push(events(&[1], zxid, 100));
    }
    outbox.push(events(&[2], 30, 100));
    assert_eq!(outbox.take_lagged(), [WatchId(1)]);
    assert_eq!(outbox.take_lagged(), []);
    // What the replica sends before it has heard of it is dropped.
    outbox.push(events(&[1, 2], 31, 100));
    let popped = pop_all(&mut outbox);
    assert_eq!(zxids_of(&popped, 1), []);
    assert_eq!(resume_of(&popped, 1), Some(z(9)));
    assert_eq!(zxids_of(&popped, 2), [z(30), z(31)]);
    // The name can be used again.
    outbox.push(item(1, WatchItem::Created(z(9))));
    outbox.push(events(&[1], 10, 100));
    assert_eq!(zxids_of(&pop_all(&mut outbox), 1), [z(10)]);
}

#[test]
fn a_watch_that_lags_in_its_initial_state_has_to_begin_anew() {
    let mut outbox = Outbox::new(LIMITS);
    outbox.push(item(1, WatchItem::Created(z(50))));
    for _ in 0..20 {
        outbox.push(events(&[1], 50, 100));
    }
    let popped = pop_all(&mut outbox);
    assert_eq!(popped.first(), Some(&item(1, WatchItem::Created(z(50)))));
    assert_eq!(resume_of(&popped, 1), Some(Zxid::ZERO));

    outbox.push(item(2, WatchItem::Created(z(50))));
    outbox.push(events(&[2], 50, 100));
    pop_all(&mut outbox);
    outbox.push(item(2, WatchItem::Synced(z(50))));
    for zxid in 70..90 {
        outbox.push(events(&[2], zxid, 100));
    }
    assert_eq!(resume_of(&pop_all(&mut outbox), 2), Some(z(50)));
}

#[test]
fn a_single_item_over_every_budget_is_delivered_to_a_client_that_reads() {
    let mut outbox = Outbox::new(LIMITS);
    for zxid in 1..5 {
        outbox.push(events(&[1, 2], zxid, 20_000));
        assert_eq!(outbox.take_lagged(), []);
        assert_eq!(zxids_of(&pop_all(&mut outbox), 2), [z(zxid)]);
    }
    assert!(!outbox.is_lost());
}

#[test]
fn an_outbox_over_its_budget_keeps_only_the_reason_of_its_end() {
    let mut outbox = Outbox::new(LIMITS);
    for tag in 0..200 {
        outbox.push(reply(tag));
    }
    assert!(outbox.is_lost());
    let popped = pop_all(&mut outbox);
    assert!(matches!(popped.as_slice(), [Delivery::Close(error)] if error.code() == Code::Lagged), "{popped:?}");
    outbox.push(reply(1));
    assert_eq!(outbox.pop(&mut Vec::new(), 1), Popped { ready: false, closed: true });
}

#[test]
fn what_slow_watches_leave_behind_does_not_cost_the_others_their_connection() {
    let mut outbox = Outbox::new(LIMITS);
    for round in 0..20 {
        let id = 100 + round;
        for step in 0..20 {
            outbox.push(events(&[id], 1 + round * 20 + step, 100));
        }
        if round % 2 == 0 {
            outbox.push(events(&[1], 1_000 + round, 0));
        }
    }
    assert!(!outbox.is_lost());
    assert_eq!(outbox.take_lagged().len(), 20);
    let popped = pop_all(&mut outbox);
    assert_eq!(zxids_of(&popped, 1).len(), 10);
    assert_eq!(resume_of(&popped, 119), Some(z(380)));
}

#[test]
fn a_close_is_the_last_thing_and_is_reported_when_it_was_read() {
    let mut outbox = Outbox::new(LIMITS);
    outbox.push(reply(1));
    outbox.push(Delivery::Close(Error::new(Code::SessionMoved, "")));
    outbox.push(reply(2));
    let mut popped = Vec::new();
    assert_eq!(outbox.pop(&mut popped, 1), Popped { ready: false, closed: false });
    assert_eq!(outbox.pop(&mut popped, 1), Popped { ready: false, closed: true });
    assert_eq!(popped.len(), 2);
    assert!(!outbox.is_lost());
}

#[test]
fn whoever_waits_after_a_slice_is_told_when_it_was_read() {
    let mut outbox = Outbox::new(LIMITS);
    let slice = LIMITS.low_water_bytes;
    let mut told = 0;
    for zxid in 1..100 {
        outbox.push(events(&[1], zxid, slice));
        let mut readies = 0;
        while !outbox.is_empty() {
            readies += usize::from(outbox.pop(&mut Vec::new(), 1).ready);
        }
        assert_eq!(readies, 1, "after {zxid}");
        told += readies;
    }
    assert_eq!(told, 99);
    // Small things that are read at once are no reason to tell.
    outbox.push(reply(1));
    assert!(!outbox.pop(&mut Vec::new(), 1).ready);
}

/// The rules, without any cleverness: everything is counted anew whenever it is needed.
#[derive(Default)]
struct Model {
    queue: Vec<(Vec<u64>, Delivery, usize)>,
    dead: BTreeSet<u64>,
    lagged: Vec<WatchId>,
    lost: bool,
}

impl Model {
    fn usage(&self, id: u64) -> usize {
        let counts = |item: &WatchItem| matches!(item, WatchItem::Events(_) | WatchItem::Progress(_));
        self.queue
            .iter()
            .filter(|(ids, delivery, _)| {
                ids.contains(&id) && matches!(delivery, Delivery::Watch { item, .. } if counts(item))
            })
            .map(|(_, _, bytes)| bytes)
            .sum()
    }

    fn bytes(&self) -> usize {
        self.queue.iter().map(|(_, _, bytes)| bytes).sum()
    }

    fn push(&mut self, delivery: Delivery) {
        if self.lost {
            return;
        }
        match &delivery {
            Delivery::Watch { watches, item } => self.push_watch(watches.iter().map(|id| id.0).collect(), item),
            other => self.queue.push((Vec::new(), other.clone(), delivery_bytes(other))),
        }
        if self.bytes() > LIMITS.bytes_max && self.queue.len() > 1 {
            self.queue.retain(|(ids, delivery, _)| !ids.is_empty() || !matches!(delivery, Delivery::Watch { .. }));
            if self.bytes() > LIMITS.bytes_max - LIMITS.bytes_max / 8 {
                (self.lost, self.queue, self.lagged) = (true, Vec::new(), Vec::new());
            }
        }
    }

    fn push_watch(&mut self, mut ids: Vec<u64>, item: &WatchItem) {
        if matches!(item, WatchItem::Created(_)) {
            ids.iter().for_each(|id| {
                self.dead.remove(id);
            });
        }
        ids.retain(|id| !self.dead.contains(id));
        if ids.is_empty() {
            return;
        }
        let bytes = item_bytes(ids.len(), item);
        let mut lagging = Vec::new();
        if matches!(item, WatchItem::Events(_) | WatchItem::Progress(_)) {
            let over = |used: usize| used > 0 && used + bytes > LIMITS.watch_bytes_max;
            lagging = ids.iter().copied().filter(|id| over(self.usage(*id))).collect();
        }
        lagging.sort_unstable();
        for id in &lagging {
            for (ids, delivery, _) in &mut self.queue {
                if !matches!(delivery, Delivery::Watch { item: WatchItem::Created(_) | WatchItem::Canceled { .. }, .. })
                {
                    ids.retain(|other| other != id);
                }
            }
            let canceled = WatchItem::Canceled { error: None, resume: Zxid::ZERO, compacted: None };
            self.queue.push((vec![*id], self::item(*id, canceled.clone()), item_bytes(1, &canceled)));
            self.dead.insert(*id);
            self.lagged.push(WatchId(*id));
        }
        ids.retain(|id| !lagging.contains(id));
        if !ids.is_empty() {
            let watches = ids.iter().map(|id| WatchId(*id)).collect();
            self.queue.push((ids, Delivery::Watch { watches, item: item.clone() }, bytes));
        }
    }

    fn pop(&mut self, bytes_max: usize) -> Vec<Delivery> {
        let (mut moved, mut popped) = (0, Vec::new());
        while let Some((ids, delivery, bytes)) = self.queue.first().cloned() {
            let is_ghost = ids.is_empty() && matches!(delivery, Delivery::Watch { .. });
            if !is_ghost && moved > 0 && moved + bytes > bytes_max {
                break;
            }
            self.queue.remove(0);
            if !is_ghost {
                moved += bytes;
                popped.push(match delivery {
                    Delivery::Watch { item, .. } => {
                        Delivery::Watch { watches: ids.into_iter().map(WatchId).collect(), item }
                    }
                    other => other,
                });
            }
        }
        popped
    }
}

/// The two differ in what the model does not know: the reason and the place of a cancellation.
fn without_reasons(mut deliveries: Vec<Delivery>) -> Vec<Delivery> {
    for delivery in &mut deliveries {
        if let Delivery::Watch { item: WatchItem::Canceled { error, resume, .. }, .. } = delivery {
            (*error, *resume) = (None, Zxid::ZERO);
        }
    }
    deliveries
}

#[derive(Clone, Debug)]
enum Action {
    Events { ids: Vec<u64>, data_bytes: usize },
    Progress(u64),
    Begin(u64),
    Reply,
    Pop(usize),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let ids = prop::collection::btree_set(0..6u64, 1..5).prop_map(|ids| ids.into_iter().collect::<Vec<_>>());
    let action = prop_oneof![
        10 => (ids, prop_oneof![Just(0usize), 0..800usize, Just(5_000)])
            .prop_map(|(ids, data_bytes)| Action::Events { ids, data_bytes }),
        1 => (0..6u64).prop_map(Action::Progress),
        2 => (0..6u64).prop_map(Action::Begin),
        2 => Just(Action::Reply),
        5 => (1..6_000usize).prop_map(Action::Pop),
    ];
    prop::collection::vec(action, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_outbox_does_what_the_naive_rules_say(actions in actions()) {
        let (mut outbox, mut model) = (Outbox::new(LIMITS), Model::default());
        for (step, action) in actions.into_iter().enumerate() {
            let zxid = step as u64 + 1;
            let delivery = match action {
                Action::Events { ids, data_bytes } => events(&ids, zxid, data_bytes),
                Action::Progress(id) => item(id, WatchItem::Progress(z(zxid))),
                Action::Begin(id) => item(id, WatchItem::Created(z(zxid))),
                Action::Reply => reply(zxid),
                Action::Pop(bytes_max) => {
                    let mut popped = Vec::new();
                    outbox.pop(&mut popped, bytes_max);
                    if model.lost {
                        prop_assert!(matches!(popped.as_slice(), [] | [Delivery::Close(_)]));
                    } else {
                        prop_assert_eq!(without_reasons(popped), model.pop(bytes_max));
                    }
                    continue;
                }
            };
            outbox.push(delivery.clone());
            model.push(delivery);
            prop_assert_eq!(outbox.is_lost(), model.lost);
            prop_assert_eq!(outbox.take_lagged(), core::mem::take(&mut model.lagged));
            prop_assert!(model.lost || outbox.bytes() == model.bytes());
        }
    }

    /// What a client may rely on, whatever the budgets: it has been told every event of a watch up to where the watch
    /// was canceled and none after, each once and in order, if it goes on from there with another watch.
    #[test]
    fn no_event_is_lost_or_told_twice_by_a_client_that_resumes(actions in actions()) {
        let mut outbox = Outbox::new(LIMITS);
        let mut fired: BTreeMap<u64, Vec<Zxid>> = BTreeMap::new();
        let mut told: BTreeMap<u64, Vec<Zxid>> = BTreeMap::new();
        let mut alive: BTreeSet<u64> = BTreeSet::new();
        let actions = actions.into_iter().chain([Action::Pop(usize::MAX)]);
        for (step, action) in actions.enumerate() {
            let zxid = step as u64 + 1;
            match action {
                Action::Events { ids, data_bytes } => {
                    let ids: Vec<u64> = ids.into_iter().filter(|id| alive.contains(id)).collect();
                    ids.iter().for_each(|id| fired.entry(*id).or_default().push(z(zxid)));
                    if !ids.is_empty() {
                        outbox.push(events(&ids, zxid, data_bytes));
                    }
                }
                Action::Progress(id) if alive.contains(&id) => outbox.push(item(id, WatchItem::Progress(z(zxid)))),
                Action::Progress(_) => {}
                Action::Begin(id) => {
                    if alive.insert(id) {
                        fired.insert(id, Vec::new());
                        told.insert(id, Vec::new());
                        outbox.push(item(id, WatchItem::Created(z(zxid))));
                    }
                }
                Action::Reply => outbox.push(reply(zxid)),
                Action::Pop(bytes_max) => {
                    let mut popped = Vec::new();
                    outbox.pop(&mut popped, bytes_max);
                    for (id, told) in &mut told {
                        told.extend(zxids_of(&popped, *id));
                        if let Some(resume) = resume_of(&popped, *id) {
                            let until: Vec<Zxid> = fired[id].iter().copied().filter(|zxid| *zxid <= resume).collect();
                            prop_assert_eq!(&*told, &until);
                            alive.remove(id);
                        }
                    }
                }
            }
            if outbox.is_lost() {
                return Ok(());
            }
            outbox.take_lagged();
        }
        for id in alive {
            prop_assert_eq!(&told[&id], &fired[&id]);
        }
    }
}
