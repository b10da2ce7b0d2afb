//! A backup that was taken under load is all that is left, and a new ensemble begins with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use quorate_client::{Client, CreateMode, Reason, TreeNode};
use quorate_storage::{SnapshotParser, SnapshotPart};
use quorate_tests::harness::Ensemble;
use quorate_tree::{SnapshotDecoder, Tree};
use quorate_types::Path;

use super::{PATIENCE, client};

/// A backup, as a program keeps it that asks for one.
struct Backup {
    zxid: u64,
    digest: Bytes,
    pieces: Vec<Bytes>,
}

impl Backup {
    async fn take(client: &Client) -> Backup {
        let snapshot = client.snapshot().await.unwrap();
        let (zxid, digest) = (snapshot.zxid, snapshot.digest.clone());
        Backup { zxid, digest, pieces: snapshot.try_collect().await.unwrap() }
    }

    /// The state that it holds, read as a server reads it.
    fn state(&self) -> Tree {
        let (mut parser, mut decoder) = (SnapshotParser::default(), SnapshotDecoder::new(1));
        self.pieces.iter().for_each(|piece| parser.push(piece));
        while let Some(part) = parser.next().unwrap() {
            if let SnapshotPart::Chunk(chunk) = part {
                decoder.push(&chunk).unwrap();
            }
        }
        parser.finish().unwrap();
        decoder.finish().unwrap()
    }

    async fn restore(&self, client: &Client) {
        let restoring = client.restore(stream::iter(self.pieces.clone()));
        tokio::time::timeout(PATIENCE, restoring.send()).await.expect("it takes too long").unwrap();
    }
}

/// Creates znodes until told to stop: by which txn each was made.
async fn load(client: Client, top: &'static str, stop: Arc<AtomicBool>) -> BTreeMap<String, u64> {
    let mut made = BTreeMap::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("{top}/{number}");
        // A restore in between may take the parent away.
        if let Ok(created) = client.create(&path, format!("{number}")).parents().timeout(Duration::from_secs(1)).await {
            made.insert(path, created.stat.czxid);
        }
    }
    made
}

async fn tree(client: &Client) -> BTreeMap<String, TreeNode> {
    client.sync().await.unwrap();
    let tree = client.stream_tree("/").with_data().with_acl().await.unwrap();
    tree.map_ok(|node| (node.path.clone(), node)).try_collect().await.unwrap()
}

#[tokio::test]
async fn a_new_ensemble_begins_with_a_backup_that_was_taken_under_load() {
    let before = Ensemble::start();
    before.serving(&[1, 2, 3]).await;
    let writer = client(&before, &[1, 2, 3]);
    writer.create("/kinds/container", "c").mode(CreateMode::Container).parents().await.unwrap();
    writer.create("/kinds/hour", "t").mode(CreateMode::Ttl(Duration::from_secs(3600))).await.unwrap();
    writer.create("/kinds/readable", "r").acl("world:anyone:ra".parse().unwrap()).await.unwrap();
    let session = writer.open_session(Duration::from_secs(30)).await.unwrap();
    session.create("/locks/held", "s").mode(CreateMode::Ephemeral).parents().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let loading = tokio::spawn(load(client(&before, &[2, 3, 1]), "/load", Arc::clone(&stop)));
    // Enough that the load is under way.
    while writer.exists("/load/20").await.unwrap().stat.is_none() {
        tokio::task::yield_now().await;
    }
    let backup = Backup::take(&client(&before, &[3])).await;
    let after = writer.create("/after-the-backup", "").await.unwrap();
    assert!(after.zxid > backup.zxid);
    stop.store(true, Ordering::Relaxed);
    let made = loading.await.unwrap();
    let credential = session.credential().clone();
    drop((session, writer, before));

    // Nothing is left of them. Clients of the new ensemble write already.
    let new = Ensemble::start();
    let leader = new.leader().await;
    new.serving(&[1, 2, 3]).await;
    let asked = client(&new, &new.others(leader));
    asked.create("/until-the-restore", "").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let loading = tokio::spawn(load(client(&new, &[1, 2, 3]), "/new-load", Arc::clone(&stop)));
    backup.restore(&asked).await;
    stop.store(true, Ordering::Relaxed);
    loading.await.unwrap();
    asked.delete("/new-load").recursive(0).await.map(drop).unwrap_or_else(|error| {
        assert_eq!(error.reason(), Reason::NoNode, "whoever wrote after the restore wrote to the restored state");
    });
    new.agreed().await;

    // Every znode is what it was at the backup's zxid, to the stat; but ephemerals went with their sessions.
    let (state, found) = (backup.state(), tree(&asked).await);
    assert_eq!((state.applied().0, &state.digest().to_be_bytes()[..]), (backup.zxid, &backup.digest[..]));
    assert_eq!((state.session_count(), state.ephemeral_count()), (1, 1));
    assert_eq!(found.len(), state.znode_count() - state.ephemeral_count(), "{:?}", found.keys());
    let kept = made.iter().filter(|(_, czxid)| **czxid <= backup.zxid).count();
    assert!(kept > 20, "it was taken under load");
    assert!(made.iter().all(|(path, czxid)| found.contains_key(path) == (*czxid <= backup.zxid)));
    for (path, node) in &found {
        let was = state.stat(path).unwrap_or_else(|| panic!("{path} was not in the backup"));
        assert_eq!(state.data(&Path::new(path).unwrap()), Some(node.data.clone()), "{path}");
        let is = &node.stat;
        let found = (is.czxid, is.mzxid, is.ctime_ms, is.mtime_ms, is.version, is.aversion);
        assert_eq!(found, (was.czxid.0, was.mzxid.0, was.ctime_ms, was.mtime_ms, was.version, was.aversion), "{path}");
    }
    assert_eq!(found["/kinds/container"].mode, CreateMode::Container);
    assert_eq!(found["/kinds/hour"].mode, CreateMode::Ttl(Duration::from_secs(3600)));
    assert_eq!(found["/kinds/readable"].acl, Some("world:anyone:ra".parse().unwrap()));
    assert_eq!(found["/locks"].stat.num_children, 0, "it was held by a session that is none of this ensemble's");
    let gone = asked.keep_alive_once(&credential).await.unwrap_err();
    assert_eq!(gone.reason(), Reason::SessionExpired);
}
