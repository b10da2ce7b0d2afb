//! A watch that resumes from before the history begins is told so, by every door, and is told from where it could; it
//! is never let miss anything in silence.

use futures_util::{StreamExt, stream};
use quorate_proto::v1;
use quorate_proto::v1::watch_item::Item;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::{CreateMode, ErrorReason, EventType};
use quorate_tests::harness::{Server, ServerOptions, SseEvent, SseReader};

use super::calls::{Calls, PATIENCE, Watcher};

/// What the server remembers, and several times as much.
const HISTORY: &str = "64KiB";
const WRITES: usize = 40;
const DATA_BYTES: usize = 8 * 1024;

/// A server with a short memory, all of which is about `/busy`; and two zxids that it has forgotten.
async fn forgetful() -> (Server, u64, u64) {
    let arguments = ["--history-bytes", HISTORY].map(str::to_owned).to_vec();
    let server = Server::start_with(ServerOptions { arguments, ..ServerOptions::default() });
    let mut calls = Calls::to(&server).await;
    let created = calls.create("/busy", CreateMode::Persistent).await.czxid;
    let mut last = created;
    for _ in 0..WRITES {
        last = calls.set("/busy", vec![7; DATA_BYTES]).await.mzxid;
    }
    (server, created, last)
}

#[tokio::test]
async fn grpc_says_compacted_and_from_where_a_watch_can_resume() {
    let (mut server, forgotten, last) = forgetful().await;
    let oldest = check_boundary(&server, forgotten, last).await;
    assert!(last - oldest < WRITES as u64 / 2, "{} txns were remembered in {HISTORY}", last - oldest);
    // What is rebuilt after a restart may reach back further, but not so far, and its boundary is as exact.
    server.kill();
    server.restart();
    check_boundary(&server, forgotten, last).await;
}

/// A watch that begins at the boundary which the server names is told everything after it; one txn earlier is too
/// early. Answers where the boundary is.
async fn check_boundary(server: &Server, forgotten: u64, last: u64) -> u64 {
    let canceled = Watcher::below(server, "/busy", Some(forgotten)).await.canceled().await;
    let error = canceled.error.expect("nobody asked for the end");
    assert_eq!(error.reason(), ErrorReason::Compacted, "{error:?}");
    let oldest = canceled.compacted_zxid.expect("COMPACTED names the oldest zxid that is possible");
    assert!(forgotten < oldest && oldest < last, "{forgotten:#x} < {oldest:#x} < {last:#x}");

    let early = Watcher::below(server, "/busy", Some(oldest - 1)).await.canceled().await;
    assert_eq!((early.error.unwrap().reason(), early.compacted_zxid), (ErrorReason::Compacted, Some(oldest)));
    let mut resumed = Watcher::below(server, "/busy", Some(oldest)).await;
    for zxid in oldest + 1..=last {
        let told = resumed.events().await;
        assert_eq!((told.as_slice(), resumed.told), (&[(EventType::Changed, "/busy".to_owned())][..], zxid));
    }
    oldest
}

#[tokio::test]
async fn a_watch_stream_goes_on_after_one_of_its_watches_was_compacted() {
    let (server, forgotten, last) = forgetful().await;
    let watch = |watch_id, start_zxid| v1::WatchRequest {
        action: Some(v1::watch_request::Action::Create(v1::WatchCreate {
            watch_id,
            path: "/busy".to_owned(),
            start_zxid: Some(start_zxid),
            ..v1::WatchCreate::default()
        })),
    };
    // The stream of requests stays open: its end would end the watches.
    let asked = stream::iter([watch(1, forgotten), watch(2, last - 1)]).chain(stream::pending());
    let mut told = WatchServiceClient::new(server.grpc().await).watch(asked).await.unwrap().into_inner();
    let (mut canceled, mut changed) = (false, false);
    while !(canceled && changed) {
        let message = tokio::time::timeout(PATIENCE, told.message()).await.expect("both watches are told");
        for item in message.unwrap().expect("the stream goes on").items {
            match (item.watch_ids.as_slice(), item.item.unwrap()) {
                ([1], Item::Canceled(end)) => canceled = end.error.unwrap().reason() == ErrorReason::Compacted,
                ([2], Item::Events(events)) => changed = events.events[0].zxid == last,
                ([_], Item::Created(_) | Item::Progress(_)) => {}
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn http_answers_410_to_who_asks_and_resets_who_only_reconnects() {
    let (server, forgotten, last) = forgetful().await;
    let rest = server.rest();
    // Whoever asks for a zxid can do something with an error.
    let gone = rest.get(&format!("/v1/watch?path=/busy&from={forgotten:#x}")).await.unwrap();
    assert_eq!((gone.status.as_u16(), gone.reason().as_str()), (410, "COMPACTED"), "{:?}", gone.body);
    assert_eq!(gone.header("content-type"), "application/problem+json");

    // A browser that reconnects cannot: it is told to forget what it knows, then the present state, then changes.
    let id = format!("{forgotten:#x}.0");
    let mut events = rest.events("/v1/watch?path=/busy&recursive=true", Some(&id)).await.unwrap();
    assert_eq!(next(&mut events).await.event, "reset");
    let present = next(&mut events).await;
    assert_eq!((present.event.as_str(), present.id.as_str()), ("created", ""), "cut off here, it has to begin again");
    assert_eq!((&present.json()["initial"], &present.json()["path"]), (&true.into(), &"/busy".into()));
    let bookmark = next(&mut events).await;
    assert_eq!((bookmark.event.as_str(), &bookmark.json()["zxid"]), ("bookmark", &format!("{last:#x}").into()));
    rest.put("/v1/znodes/busy", "live").await.unwrap();
    let changed = next(&mut events).await;
    assert_eq!((changed.event, changed.id), ("changed".to_owned(), format!("{:#x}.0", last + 1)));

    // From the bookmark it goes on without a reset.
    let mut resumed = rest.events("/v1/watch?path=/busy&recursive=true", Some(&bookmark.id)).await.unwrap();
    let told = next(&mut resumed).await;
    let told = if told.event == "bookmark" { next(&mut resumed).await } else { told };
    assert_eq!((told.event, told.id), ("changed".to_owned(), format!("{:#x}.0", last + 1)));
}

async fn next(events: &mut SseReader) -> SseEvent {
    tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes").unwrap().expect("the stream goes on")
}
