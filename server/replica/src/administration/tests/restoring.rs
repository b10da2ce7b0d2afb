//! Backups that are restored through any server, and what is left of them when the leader changes midway.

use quorate_tree::SnapshotEncoder;
use quorate_types::Restore;

use super::*;

/// What a server holds, as a backup.
fn backup(world: &mut World, of: ServerId) -> (Bytes, u128, Zxid) {
    let tree = &mut world.servers.get_mut(&of).unwrap().replica.tree;
    let mut encoder = SnapshotEncoder::new(tree);
    let bytes = encoder.next_chunk(tree, quorate_types::limits::RESTORE_CHUNK_BYTES_MAX).unwrap();
    encoder.close(tree);
    (bytes, tree.digest(), tree.applied())
}

fn create(at: &str) -> Op {
    let acl = quorate_types::Acl::OPEN.entries();
    let path = Path::new(at).unwrap();
    Op::Write(WriteOp::Create { path, data: None, acl, mode: CreateMode::Persistent, parents: false })
}

impl World {
    fn restore(&mut self, at: ServerId, step: Restore) -> Response {
        self.ask(at, Op::Restore(step)).expect("an answer")
    }

    fn begin(&mut self, at: ServerId, backup: Zxid) -> Zxid {
        match self.restore(at, Restore::Begin { backup }) {
            Ok(Reply::RestoreStep { zxid }) => zxid,
            other => panic!("{other:?}"),
        }
    }

    fn has(&self, at: ServerId, path: &str) -> bool {
        self.servers[&at].replica.tree().stat(path).is_some()
    }

    fn digests(&self, of: &[ServerId]) -> Vec<u128> {
        let mut digests: Vec<u128> = of.iter().map(|id| self.servers[id].replica.tree().digest()).collect();
        digests.dedup();
        digests
    }
}

#[test]
fn a_restore_dies_with_its_leader_and_another_one_reaches_everybody() {
    let mut world = World::new(&[FOUR]);
    let at = world.follower();
    world.ask(at, create("/old")).unwrap().unwrap();
    world.pass(100);
    let (bytes, digest, zxid) = backup(&mut world, at);
    world.ask(at, create("/new")).unwrap().unwrap();
    let id = world.begin(at, zxid);
    world.restore(at, Restore::Chunk { id, index: 0, bytes: bytes.clone() }).unwrap();
    world.pass(100);
    assert!(world.ids().iter().all(|server| world.servers[server].replica.tree().restoring() == Some(id)));

    let leader = world.leader();
    world.cut_off(leader);
    world.pass(5_000);
    let left: Vec<ServerId> = world.ids().into_iter().filter(|server| *server != leader).collect();
    let late = world.restore(at, Restore::Finish { id, digest });
    assert_eq!(late.unwrap_err().code(), Code::Unavailable);
    world.pass(200);
    for server in &left {
        assert_eq!(world.servers[server].replica.tree().restoring(), None, "{server}");
        assert!(world.has(*server, "/new"));
    }

    let id = world.begin(at, zxid);
    world.restore(at, Restore::Chunk { id, index: 0, bytes }).unwrap();
    world.restore(at, Restore::Finish { id, digest }).unwrap();
    world.pass(200);
    for server in &left {
        assert!(world.has(*server, "/old") && !world.has(*server, "/new"), "{server}");
    }
    assert_eq!(world.digests(&left).len(), 1);
    world.ask(at, create("/new")).unwrap().unwrap();
}
