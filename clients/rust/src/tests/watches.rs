//! Watches: nothing lost, nothing twice.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::fake::{Fake, WatchFault};
use crate::{Error, Event, Reason, Watch, WatchEvent, WatchKind};

async fn next(watch: &mut Watch) -> Result<WatchEvent, Error> {
    loop {
        match watch.next().await.expect("a watch does not just end") {
            Ok(WatchEvent::Progress { .. }) => {}
            told => return told,
        }
    }
}

async fn next_events(watch: &mut Watch) -> Vec<Event> {
    match next(watch).await.expect("the watch goes on") {
        WatchEvent::Events(events) => events,
        other => panic!("{other:?} instead of events"),
    }
}

/// A generator of arbitrary but always equal choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::test]
async fn a_watch_tells_what_happens_and_keeps_a_txn_together() {
    let fake = Fake::default();
    let client = fake.client();
    let mut watch = client.watch("/").kind(WatchKind::Recursive).with_data().start();
    assert!(matches!(next(&mut watch).await, Ok(WatchEvent::Created { .. })));
    fake.world.lock().set_all(&["/a", "/b"], "x");
    fake.world.lock().set_all(&["/a"], "y");
    let told: Vec<_> = next_events(&mut watch).await.into_iter().map(|event| (event.path, event.index)).collect();
    assert_eq!(told, [("/a".to_owned(), 0), ("/b".to_owned(), 1)]);
    let told = next_events(&mut watch).await;
    assert_eq!(told[0].data.as_deref(), Some(b"y".as_slice()));
    assert_eq!(told[0].stat.version, 1);
    let connections = fake.world.lock().connections;
    client.get("/a").await.expect("read");
    assert_eq!(fake.world.lock().connections, connections + 1, "calls do not share the watches' connection");
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_connection_breaks_loses_nothing_and_repeats_nothing() {
    for seed in 0..40 {
        let mut choices = Choices(seed);
        let fake = Fake::default();
        let faults = [WatchFault::Cut, WatchFault::Lag, WatchFault::Unavailable];
        for _ in 0..12 {
            let fault = (choices.below(6) as usize, faults[choices.below(3) as usize]);
            fake.world.lock().watch_faults.push_back(fault);
        }
        let begin = fake.world.lock().zxid;
        let client = fake.client();
        let mut watch = client.watch("/").kind(WatchKind::Recursive).from(begin, None).start();
        let writer = tokio::spawn({
            let fake = fake.clone();
            async move {
                for _ in 0..60 {
                    let paths = &["/a", "/b", "/c"][..1 + choices.below(3) as usize];
                    fake.world.lock().set_all(paths, "x");
                    tokio::time::sleep(Duration::from_millis(choices.below(30))).await;
                }
            }
        });
        let mut told = Vec::new();
        let mut txns = 0;
        assert!(matches!(next(&mut watch).await, Ok(WatchEvent::Created { .. })));
        while txns < 60 {
            let events = next_events(&mut watch).await;
            txns += 1;
            assert!(events.iter().all(|event| event.zxid == events[0].zxid), "seed {seed}: a txn for itself");
            told.extend(events.into_iter().map(|event| (event.zxid, event.index)));
        }
        writer.await.expect("written");
        let world = fake.world.lock();
        let expected: Vec<_> = world.history.iter().map(|event| (event.zxid, event.index)).collect();
        assert_eq!(told, expected, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_initial_state_that_breaks_begins_anew() {
    for (after, fault) in (0..8).flat_map(|after| [(after, WatchFault::Cut), (after, WatchFault::Lag)]) {
        let fake = Fake::default();
        for path in ["/a", "/b", "/c"] {
            fake.world.lock().set_all(&[path], "x");
        }
        fake.world.lock().watch_faults.push_back((after, fault));
        let client = fake.client();
        let mut watch = client.watch("/").kind(WatchKind::Recursive).send_initial().start();
        let mut paths = Vec::new();
        let mut begun = 0;
        loop {
            match next(&mut watch).await.expect("it goes on") {
                WatchEvent::Created { .. } => begun += 1,
                WatchEvent::Events(events) => paths.extend(events.into_iter().map(|event| event.path)),
                WatchEvent::Reset => {
                    assert!(!paths.is_empty(), "there was something to forget");
                    paths.clear();
                }
                WatchEvent::Synced { zxid } => {
                    assert_eq!(zxid, fake.world.lock().zxid);
                    break;
                }
                WatchEvent::Progress { .. } => {}
            }
        }
        assert_eq!(begun, 1);
        assert_eq!(paths, ["/a", "/b", "/c"], "{fault:?} after {after}");
        fake.world.lock().set_all(&["/d"], "x");
        assert_eq!(next_events(&mut watch).await[0].path, "/d");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_comes_too_late_says_so_or_begins_anew() {
    let fake = Fake::default();
    let begin = fake.world.lock().zxid;
    fake.world.lock().set_all(&["/a"], "x");
    let kept = fake.world.lock().set_all(&["/a"], "y").mzxid;
    fake.world.lock().compacted_zxid = kept;
    let client = fake.client();
    let mut watch = client.watch("/a").from(begin, None).start();
    let error = watch.next().await.expect("an end").expect_err("the history is gone");
    assert_eq!((error.reason(), error.zxid()), (Reason::Compacted, Some(kept)));
    assert!(watch.next().await.is_none());

    let mut watch = client.watch("/a").from(begin, None).with_data().restart_when_compacted().start();
    assert_eq!(next(&mut watch).await, Ok(WatchEvent::Reset));
    assert!(matches!(next(&mut watch).await, Ok(WatchEvent::Created { .. })));
    assert_eq!(next_events(&mut watch).await[0].data.as_deref(), Some(b"y".as_slice()));
    assert_eq!(next(&mut watch).await, Ok(WatchEvent::Synced { zxid: kept }));
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_at_another_server_that_has_seen_as_much() {
    let fake = Fake::default();
    let client = fake.client();
    let mut watch = client.watch("/").kind(WatchKind::Recursive).start();
    assert!(matches!(next(&mut watch).await, Ok(WatchEvent::Created { .. })));
    let seen = fake.world.lock().set_all(&["/a", "/b"], "x").mzxid;
    assert_eq!(next_events(&mut watch).await.len(), 2);
    fake.world.lock().down.insert(1);
    // The pipes end when the tasks that serve them do; the ping that finds out takes its time.
    fake.world.lock().watch_faults.clear();
    fake.cut_all();
    fake.world.lock().set_all(&["/c"], "x");
    assert_eq!(next_events(&mut watch).await[0].path, "/c");
    let world = fake.world.lock();
    let (server, resumed) = world.watches.last().expect("it began again");
    assert_eq!(*server, 2);
    assert_eq!((resumed.start_zxid, resumed.start_index), (Some(seen), Some(1)));
    let bound = resumed.options.as_ref().and_then(|options| options.min_zxid).expect("a bound");
    assert_eq!(bound.zxid, seen);
}

#[tokio::test(start_paused = true)]
async fn several_watches_share_a_stream_when_asked_to() {
    let fake = Fake::default();
    fake.world.lock().watch_faults.extend([(5, WatchFault::Cut), (3, WatchFault::Lag)]);
    let begin = fake.world.lock().zxid;
    let client = fake.client();
    let watches = (0..3).map(|_| client.watch("/").kind(WatchKind::Recursive).from(begin, None));
    let mut watches = client.watch_many(watches);
    for _ in 0..10 {
        fake.world.lock().set_all(&["/a"], "x");
    }
    let mut told = [const { Vec::new() }; 3];
    while told.iter().any(|zxids| zxids.len() < 10) {
        let (at, event) = watches.next().await.expect("they go on");
        if let WatchEvent::Events(events) = event.expect("no error") {
            told[at].extend(events.into_iter().map(|event| event.zxid));
        }
    }
    let expected: Vec<_> = fake.world.lock().history.iter().map(|event| event.zxid).collect();
    assert!(told.iter().all(|zxids| *zxids == expected), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_nobody_serves_ends_only_for_those_who_want_to_fail_fast() {
    let fake = Fake::default();
    fake.world.lock().down.extend([1, 2]);
    let mut hasty = fake.builder().fail_fast(true).build().watch("/a").start();
    let error = hasty.next().await.expect("an end").expect_err("nobody is there");
    assert_eq!(error.reason(), Reason::Unreachable);
    let mut patient = fake.client().watch("/a").start();
    assert!(tokio::time::timeout(Duration::from_secs(60), patient.next()).await.is_err());
    fake.world.lock().down.clear();
    assert!(matches!(next(&mut patient).await, Ok(WatchEvent::Created { .. })));
}

#[tokio::test]
async fn a_watch_that_nobody_reads_stops_neither_its_neighbours_nor_the_calls() {
    let fake = Fake::default();
    let client = fake.client();
    let mut idle = client.watch("/").kind(WatchKind::Recursive).with_data().start();
    let mut busy = client.watch("/").kind(WatchKind::Recursive).with_data().start();
    assert!(matches!(next(&mut idle).await, Ok(WatchEvent::Created { .. })));
    assert!(matches!(next(&mut busy).await, Ok(WatchEvent::Created { .. })));
    let large = "x".repeat(1_000_000);
    for n in 0..6 {
        // More than any window or buffer between the two holds.
        fake.world.lock().set_all(&["/a"], &large);
        assert_eq!(next_events(&mut busy).await[0].stat.version, n);
        assert_eq!(client.get("/a").await.expect("read").stat.version, n);
    }
    // What was not read was not lost.
    for n in 0..6 {
        assert_eq!(next_events(&mut idle).await[0].stat.version, n);
    }
}
