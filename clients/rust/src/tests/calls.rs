//! Calls, when all goes well and when it does not.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use quorate_proto::v1;
use v1::channel_operation::Operation;

use crate::fake::{CLUSTER_ID, Fake, Fault};
use crate::{Access, CallOptions, Client, Consistency, Error, Reason, RequestId, Role};

fn operations(fake: &Fake) -> Vec<Operation> {
    let messages = fake.world.lock().messages.clone();
    messages.into_iter().flat_map(|(_, message)| message.operations).filter_map(|one| one.operation).collect()
}

fn request_ids(fake: &Fake) -> Vec<v1::RequestId> {
    let id = |operation| match operation {
        Operation::SetData(request) => request.options.and_then(|options| options.request_id),
        _ => None,
    };
    operations(fake).into_iter().filter_map(id).collect()
}

async fn both_ways(check: impl AsyncFn(Fake, Client)) {
    for access in [Access::Channel, Access::Unary] {
        let fake = Fake::default();
        let client = fake.builder().access(access).build();
        check(fake, client).await;
    }
}

#[tokio::test]
async fn calls_are_answered() {
    both_ways(async |_, client| {
        assert_eq!(client.last_header(), None);
        let created = client.create("/a", "").await.expect("created");
        assert_eq!(created.path, "/a");
        assert_eq!(created.zxid, created.stat.czxid);
        client.set("/a", "one").await.expect("set");
        let znode = client.get("/a").await.expect("read");
        assert_eq!(znode.data.as_deref(), Some(b"one".as_slice()));
        assert_eq!(znode.stat.version, 1);
        let error = client.get("/b").await.expect_err("there is none");
        assert_eq!((error.reason(), error.maybe_applied()), (Reason::NoNode, false));
        assert_eq!(client.create("/a", "").await.expect_err("exists").reason(), Reason::NodeExists);
        let header = client.last_header().expect("there were answers");
        assert_eq!((header.cluster_id, header.server_id, header.role), (CLUSTER_ID, 1, Role::Leading));
        let nodes: Vec<_> =
            client.stream_tree("/").await.expect("begun").map(|node| node.expect("whole").path).collect().await;
        assert_eq!(nodes, ["/a"]);
    })
    .await;
}

#[tokio::test]
async fn calls_that_wait_together_travel_together() {
    let fake = Fake::default();
    let client = fake.client();
    client.set("/a", "0").await.expect("connected");
    let answers = join_all((0..100).map(|_| client.get("/a").send())).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    let world = fake.world.lock();
    // One for the set, one or two for the reads: the first may go before the others are made.
    assert!(world.messages.len() <= 3, "{} messages", world.messages.len());
    assert_eq!(world.messages.iter().map(|(_, message)| message.operations.len()).sum::<usize>(), 101);
    assert_eq!(world.connections, 1);
}

#[tokio::test]
async fn more_calls_than_may_be_under_way_wait_for_their_turn() {
    let fake = Fake::default();
    let client = fake.builder().outstanding_max(4).build();
    let answers = join_all((0..50).map(|n| client.set("/a", n.to_string()).send())).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    let world = fake.world.lock();
    assert!(world.messages.iter().all(|(_, message)| message.operations.len() <= 4));
    assert_eq!(world.history.len(), 50);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_sent_again_and_takes_effect_once() {
    both_ways(async |fake, client| {
        client.set("/a", "0").await.expect("connected");
        fake.world.lock().faults.push_back(Fault::CutAfter);
        let second = client.set("/a", "1").await.expect("answered in the end");
        assert_eq!(second.stat.version, 1, "set once");
        assert_eq!(fake.world.lock().history.len(), 2);
        let ids = request_ids(&fake);
        assert_eq!(ids.iter().map(|id| id.sequence).collect::<Vec<_>>(), [1, 2, 2]);
        assert!(ids.iter().all(|id| id.client_id.len() == 16 && id.client_id == ids[0].client_id));
        assert_eq!(ids[1].acknowledged_through, 1);
    })
    .await;
}

#[tokio::test]
async fn no_more_named_writes_are_under_way_than_a_server_remembers() {
    both_ways(async |fake, client| {
        client.set("/a", "0").await.expect("connected");
        fake.world.lock().faults.extend([Fault::CutAfter, Fault::CutBefore]);
        let writes = join_all((0..1_000).map(|n| client.set(format!("/{n}"), "").send())).await;
        assert!(writes.into_iter().all(|write| write.is_ok()));
        let apart = request_ids(&fake).into_iter().map(|id| id.sequence - id.acknowledged_through);
        assert!(apart.max() <= Some(256));
    })
    .await;
}

#[tokio::test]
async fn a_write_without_a_name_is_not_sent_again() {
    for access in [Access::Channel, Access::Unary] {
        for (fault, applied) in [(Fault::CutBefore, 1), (Fault::CutAfter, 2)] {
            let fake = Fake::default();
            let client = fake.builder().access(access).idempotent_writes(false).build();
            client.set("/a", "0").await.expect("connected");
            fake.world.lock().faults.push_back(fault);
            let error = client.set("/a", "1").await.expect_err("the connection broke");
            assert_eq!((error.reason(), error.maybe_applied()), (Reason::ConnectionLost, true));
            assert_eq!(fake.world.lock().history.len(), applied);
            // What did not go out yet, and reads, are not concerned.
            assert_eq!(client.get("/a").await.expect("connected again").stat.version, applied as i32 - 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_not_said_to_be_unmade() {
    for access in [Access::Channel, Access::Unary] {
        for fail_fast in [false, true] {
            let fake = Fake::default();
            let client = fake.builder().access(access).fail_fast(fail_fast).build();
            client.set("/a", "0").await.expect("connected");
            {
                let mut world = fake.world.lock();
                world.faults.push_back(Fault::CutAfter);
                world.down.extend([1, 2]);
            }
            let error = client.set("/a", "1").await.expect_err("nobody is there any more");
            assert_eq!((error.reason(), error.maybe_applied()), (Reason::Unreachable, true), "{access:?} {fail_fast}");
            assert_eq!(fake.world.lock().history.len(), 2, "it took effect");
        }
    }
}

#[tokio::test]
async fn the_callers_own_request_id_is_used() {
    both_ways(async |fake, client| {
        let id = RequestId { client_id: vec![9; 16].into(), sequence: 5, acknowledged_through: 4 };
        let first = client.set("/a", "0").request_id(id.clone()).await.expect("set");
        let again = client.set("/a", "0").options(CallOptions { request_id: Some(id), ..Default::default() });
        assert_eq!(again.await.expect("remembered").stat, first.stat);
        assert_eq!(fake.world.lock().history.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn many_calls_survive_connections_that_break_all_the_time() {
    let fake = Fake::default();
    let client = fake.builder().request_timeout(Duration::from_secs(60)).build();
    for seed in 0..20 {
        let fault = [Fault::CutBefore, Fault::CutAfter, Fault::None, Fault::Refuse(v1::ErrorReason::Unavailable)];
        fake.world.lock().faults.push_back(fault[seed * 7 % 4]);
    }
    let writes = join_all((0..64).map(|n| {
        let client = &client;
        async move {
            for round in 0..4 {
                client.create(format!("/{n}-{round}"), "").await?;
                client.get(format!("/{n}-{round}")).await?;
            }
            Ok::<(), Error>(())
        }
    }));
    for outcome in writes.await {
        outcome.expect("every create took effect once, and was seen");
    }
    assert_eq!(fake.world.lock().history.len(), 256);
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    both_ways(async |fake, client| {
        let refusals = [v1::ErrorReason::Throttled, v1::ErrorReason::Unavailable];
        fake.world.lock().faults.extend(refusals.map(Fault::Refuse));
        client.set("/a", "0").await.expect("at last");
        assert_eq!(request_ids(&fake).iter().map(|id| id.sequence).collect::<Vec<_>>(), [1, 1, 1]);
        fake.world.lock().faults.push_back(Fault::Refuse(v1::ErrorReason::NoAuth));
        assert_eq!(client.set("/a", "1").await.expect_err("refused").reason(), Reason::NoAuth);
    })
    .await;
}

#[tokio::test]
async fn another_server_is_asked_for_no_older_state() {
    let fake = Fake::default();
    let client = fake.client();
    let zxid = client.set("/a", "0").await.expect("set").zxid;
    assert!(
        matches!(&operations(&fake)[0], Operation::SetData(request) if request.options.as_ref().is_some_and(|o| o.min_zxid.is_none()))
    );
    client.get("/a").await.expect("read");
    assert!(matches!(&operations(&fake)[1], Operation::Get(request) if request.options.is_none()));
    {
        let mut world = fake.world.lock();
        world.down.insert(1);
        world.faults.push_back(Fault::CutBefore);
    }
    client.get("/a").await.expect("read from server 2");
    client.get("/a").consistency(Consistency::Local).await.expect("read");
    assert_eq!(client.last_header().map(|header| header.server_id), Some(2));
    let demanded: Vec<_> = operations(&fake)
        .into_iter()
        .filter_map(|operation| match operation {
            Operation::Get(request) => Some(request.options.and_then(|options| options.min_zxid)),
            _ => None,
        })
        .collect();
    let bound = v1::ZxidBound { cluster_id: CLUSTER_ID, zxid };
    assert_eq!(demanded, [None, None, Some(bound), None], "only the first read from server 2 could see too little");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_runs_out_of_time() {
    both_ways(async |fake, client| {
        client.set("/a", "0").await.expect("connected");
        fake.world.lock().faults.extend([Fault::Silence, Fault::Silence]);
        let began = tokio::time::Instant::now();
        let read = client.get("/a").timeout(Duration::from_millis(300)).await.expect_err("no answer");
        assert!(matches!(read.reason(), Reason::Timeout | Reason::DeadlineExceeded), "{read:?}");
        assert!(!read.maybe_applied());
        let write = client.set("/a", "1").timeout(Duration::from_millis(300)).await.expect_err("no answer");
        assert!(matches!(write.reason(), Reason::Timeout | Reason::DeadlineExceeded), "{write:?}");
        assert!(write.maybe_applied());
        assert!(began.elapsed() < Duration::from_secs(2));
        client.get("/a").await.expect("the connection is fine");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_ensemble_that_cannot_be_reached_is_named() {
    both_ways(async |fake, client| {
        fake.world.lock().down.extend([1, 2]);
        let error = client.set("/a", "0").timeout(Duration::from_secs(1)).await.expect_err("nobody is there");
        assert_eq!((error.reason(), error.maybe_applied()), (Reason::Unreachable, false));
        assert!(error.message().contains("server:1") && error.message().contains("server:2"), "{error}");
        fake.world.lock().down.clear();
        client.set("/a", "0").await.expect("found again");
    })
    .await;
    let fake = Fake::default();
    fake.world.lock().down.extend([1, 2]);
    let began = tokio::time::Instant::now();
    let client = fake.builder().fail_fast(true).build();
    assert_eq!(client.get("/a").await.expect_err("nobody is there").reason(), Reason::Unreachable);
    assert_eq!(client.status().await.expect_err("nobody is there").reason(), Reason::Unreachable);
    assert!(began.elapsed() < Duration::from_secs(1), "it does not wait for its timeout of 10 s");
}

#[tokio::test]
async fn a_call_that_is_given_up_frees_its_place() {
    let fake = Fake::default();
    let client = fake.builder().outstanding_max(1).build();
    client.set("/a", "0").await.expect("connected");
    fake.world.lock().faults.push_back(Fault::Silence);
    let given_up = client.set("/a", "1").send();
    assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
    client.set("/a", "2").await.expect("there is a place");
}

#[tokio::test]
async fn nothing_happens_before_the_first_call() {
    let fake = Fake::default();
    let client = fake.client();
    let call = client.get("/a");
    tokio::task::yield_now().await;
    assert_eq!(fake.world.lock().connections, 0);
    drop(call);
    assert_eq!(client.get("/a").await.expect_err("there is none").reason(), Reason::NoNode);
    assert_eq!(fake.world.lock().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_finds_no_leader_is_left_for_another() {
    both_ways(async |fake, client| {
        client.set("/a", "0").await.expect("connected to server 1");
        fake.world.lock().looking.insert(1);
        let began = tokio::time::Instant::now();
        client.set("/a", "1").await.expect("server 2 can");
        let waited = began.elapsed();
        assert!((1..5).contains(&waited.as_secs()), "elections take a moment: {waited:?}");
        assert_eq!(client.last_header().map(|header| header.server_id), Some(2));
        assert_eq!(fake.world.lock().history.len(), 2);
    })
    .await;
}
