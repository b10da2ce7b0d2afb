//! Chroots: what a client in one names and sees.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::fake::Fake;
use crate::{Access, CreateMode, EventKind, Reason, WatchEvent, WatchKind};

#[tokio::test]
async fn a_client_in_a_chroot_sees_nothing_of_what_is_around_it() {
    for access in [Access::Channel, Access::Unary] {
        let fake = Fake::default();
        let whole = fake.builder().access(access).build();
        let client = whole.chroot("/app").and_then(|app| app.chroot("/red")).expect("sound");
        client.create("/", "").parents().await.expect("the root itself");
        assert_eq!(client.create("/a", "1").await.expect("created").path, "/a");
        assert_eq!(whole.get("/app/red/a").await.expect("there").data.as_deref(), Some(b"1".as_slice()));
        assert_eq!(client.get("/a").await.expect("there").stat.version, 0);
        let error = client.get("/b").await.expect_err("there is none");
        // What comes without the protocol's own error says nothing of a path.
        let expected = if access == Access::Channel { Some("/b") } else { None };
        assert_eq!((error.reason(), error.path()), (Reason::NoNode, expected));
        assert_eq!(client.get("/app/red/a").await.expect_err("not in there").reason(), Reason::NoNode);
    }
}

#[tokio::test]
async fn sessions_and_watches_of_a_chroot_are_in_it() {
    let fake = Fake::default();
    fake.world.lock().set_all(&["/app"], "");
    let client = fake.client().chroot("/app").expect("sound");
    let mut watch = client.watch("/").kind(WatchKind::Recursive).start();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Created { .. }))));
    let session = client.open_session(Duration::from_secs(3)).await.expect("opened");
    let created = session.create("/w-", "").mode(CreateMode::EphemeralSequential).await.expect("created");
    assert_eq!(created.path, "/w-0000000000");
    let Some(Ok(WatchEvent::Events(events))) = watch.next().await else { panic!("it was created") };
    assert_eq!((events[0].path.as_str(), events[0].kind), ("/w-0000000000", EventKind::Created));
    assert_eq!(fake.world.lock().children("/app"), ["w-0000000000"]);
    let nodes: Vec<_> =
        client.stream_tree("/").await.expect("begun").map(|node| node.expect("whole").path).collect().await;
    assert_eq!(nodes, ["/", "/w-0000000000"]);
}
