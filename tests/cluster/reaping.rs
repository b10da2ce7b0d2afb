//! Containers that have lost their children, and znodes whose time to live is over, go by themselves: watches see it,
//! and a restart neither saves nor hurts anything.

use std::time::{Duration, Instant};

use quorate_proto::v1::{CreateMode, EventType};
use quorate_tests::harness::Server;

use super::calls::{Calls, Watcher};

const SHORT: Duration = Duration::from_millis(400);
/// Enough to create a child.
const MIDDLE: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(3_600);

/// How long a container stays after its last child went.
const CONTAINER_GRACE: Duration = Duration::from_secs(10);

/// How much later than due a znode may go: the server looks once a second, and the machine may be busy.
const LATE_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn containers_and_ttl_znodes_go_when_their_time_is_up_through_a_restart() {
    let mut server = Server::start();
    let mut calls = Calls::to(&server).await;
    calls.create("/reap", CreateMode::Persistent).await;
    let mut watcher = Watcher::below(&server, "/reap", None).await;
    // What has to stay.
    for kept in ["/reap/kept", "/reap/new"] {
        calls.create(kept, CreateMode::Container).await;
    }
    calls.create_ttl("/reap/parent", MIDDLE).await;
    for child in ["/reap/kept/child", "/reap/parent/child"] {
        calls.create(child, CreateMode::Persistent).await;
    }
    calls.create_ttl("/reap/young", LONG).await;
    // What has to go.
    calls.create("/reap/container", CreateMode::Container).await;
    calls.create("/reap/container/child", CreateMode::Persistent).await;
    let (emptied, created) = (Instant::now(), Instant::now());
    calls.delete("/reap/container/child").await;
    calls.create_ttl("/reap/before", SHORT).await;
    while watcher.events().await != [(EventType::Created, "/reap/before".to_owned())] {}
    assert_eq!(watcher.events().await, [(EventType::Deleted, "/reap/before".to_owned())]);
    check_moment("a ttl znode", created, SHORT);

    // One whose time passes while no server runs.
    calls.create_ttl("/reap/after", SHORT).await;
    assert_eq!(watcher.events().await, [(EventType::Created, "/reap/after".to_owned())]);
    server.kill();
    tokio::time::sleep(SHORT).await;
    server.restart();
    let mut watcher = Watcher::below(&server, "/reap", Some(watcher.told)).await;
    assert_eq!(watcher.events().await, [(EventType::Deleted, "/reap/after".to_owned())]);
    assert_eq!(watcher.events().await, [(EventType::Deleted, "/reap/container".to_owned())]);
    check_moment("a container", emptied, CONTAINER_GRACE);

    server.kill();
    server.restart();
    let mut calls = Calls::to(&server).await;
    assert_eq!(calls.children("/reap").await, ["kept", "new", "parent", "young"]);
    let gone = server.rest().get("/v1/znodes/reap/container").await.unwrap();
    assert_eq!((gone.status.as_u16(), gone.reason().as_str()), (404, "NO_NODE"));
    // Once its child is gone, a ttl znode that was kept by it goes, too.
    let mut watcher = Watcher::below(&server, "/reap", None).await;
    calls.delete("/reap/parent/child").await;
    assert_eq!(watcher.events().await, [(EventType::Deleted, "/reap/parent/child".to_owned())]);
    assert_eq!(watcher.events().await, [(EventType::Deleted, "/reap/parent".to_owned())]);
}

fn check_moment(what: &str, since: Instant, due: Duration) {
    let after = since.elapsed();
    assert!(after >= due && after <= due + LATE_MAX, "{what} went after {after:?}, but was due after {due:?}");
}
