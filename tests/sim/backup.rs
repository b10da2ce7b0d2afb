//! `Backup`: the state of an ensemble at one zxid, as whoever keeps it has it.

use std::collections::BTreeSet;

use bytes::Bytes;
use quorate_storage::sim::Rng;
use quorate_storage::{DiskFile, SnapshotCopy, SnapshotError, SnapshotParser, SnapshotPart};
use quorate_tree::{CHUNK_BYTES_MAX, Pending, Prepare, Prepared, SnapshotDecoder, SnapshotEncoder, Tree, WalkItem};
use quorate_types::{
    Acl, Caller, CreateMode, Epoch, NodeKind, Op, Path, RequestId, Route, SessionId, SessionSecret, WriteOp, Zxid, path,
};

use super::invariants::judged::SHARED;

/// A backup, and what has to be so once it is restored.
pub(crate) struct Backup {
    pub(crate) zxid: Zxid,
    pub(crate) digest: u128,
    pub(crate) content: Bytes,
    /// It is of a state that this ensemble was in.
    pub(crate) is_own: bool,
    /// All that do not go with a session, in the order of a walk.
    znodes: Vec<WalkItem>,
    /// Those that lose children with the sessions.
    parents: BTreeSet<String>,
}

impl Backup {
    /// What a server's snapshot file holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn of_file<F: DiskFile>(mut copy: SnapshotCopy<F>) -> Result<Backup, SnapshotError> {
        let (mut parser, mut content) = (SnapshotParser::default(), Vec::new());
        while let Some(piece) = copy.next_piece()? {
            parser.push(&piece);
            while let Some(part) = parser.next().expect("a copy verifies what it hands out") {
                if let SnapshotPart::Chunk(chunk) = part {
                    content.extend_from_slice(&chunk);
                }
            }
        }
        let backup = Backup::new(content.into(), true);
        let said = (copy.header().position.zxid, copy.footer().digest);
        assert_eq!((backup.zxid, backup.digest), said, "SnapshotTruth: a file holds another state than it says");
        Ok(backup)
    }

    /// That of another ensemble, which has come further than `after`.
    pub(crate) fn of_the_future(after: Zxid, rng: &mut Rng) -> Backup {
        let mut other = Other::new(Epoch(after.epoch().0 + 1 + rng.below(3) as u32));
        let session = other.next_session();
        other.make(SessionId::NONE, &Op::OpenSession { timeout_ms: 1_000, secret: SessionSecret::default() });
        let value = u64::from(u32::MAX) << 32 | u64::from(other.tree.applied().epoch().0);
        other.create(SessionId::NONE, SHARED[0], &value.to_string(), CreateMode::Persistent);
        other.create(session, "/e/other", "", CreateMode::Ephemeral);
        for _ in 0..rng.below(20) {
            other.create(session, "/other/n-", "other", CreateMode::PersistentSequential);
        }
        let (mut encoder, mut content) = (SnapshotEncoder::new(&mut other.tree), Vec::new());
        while let Some(chunk) = encoder.next_chunk(&other.tree, CHUNK_BYTES_MAX) {
            content.extend_from_slice(&chunk);
        }
        Backup::new(content.into(), false)
    }

    fn new(content: Bytes, is_own: bool) -> Backup {
        let mut decoder = SnapshotDecoder::new(0);
        decoder.push(&content).expect("a snapshot can be read");
        let mut tree = decoder.finish().expect("a snapshot is whole");
        let (sessions, mut znodes): (Vec<WalkItem>, _) = walk(&mut tree).into_iter().partition(is_ephemeral);
        let parents = sessions.iter().filter_map(|item| path::parent(&item.path)).map(str::to_owned).collect();
        forget_children(&mut znodes, &parents);
        Backup { zxid: tree.applied(), digest: tree.digest(), content, is_own, znodes, parents }
    }

    /// The version and the data of one of its znodes.
    pub(crate) fn value(&self, path: &str) -> Option<(i32, Vec<u8>)> {
        let found = self.znodes.iter().find(|znode| znode.path == path)?;
        Some((found.stat.version, found.data.as_deref().unwrap_or_default().to_vec()))
    }

    /// RestoreTruth: this is the state that it was restored to.
    pub(crate) fn check(&self, tree: &mut Tree) {
        let zxid = tree.applied();
        let left = (tree.session_count(), tree.ephemeral_count(), tree.remembered_count());
        assert_eq!(left, (0, 0, 0), "RestoreTruth: sessions, ephemerals and requests of before are left at {zxid:?}");
        let mut found = walk(tree);
        forget_children(&mut found, &self.parents);
        assert_eq!(found.len(), self.znodes.len(), "RestoreTruth: so many znodes are there at {zxid:?}");
        for (found, expected) in found.iter().zip(&self.znodes) {
            assert_eq!(found, expected, "RestoreTruth: of {:?}, restored at {zxid:?}", self.zxid);
        }
    }
}

fn is_ephemeral(item: &WalkItem) -> bool {
    matches!(item.kind, NodeKind::Ephemeral(_))
}

fn walk(tree: &mut Tree) -> Vec<WalkItem> {
    let view = tree.open_view();
    let mut walk = tree.walk(view, "/").expect("there is a root");
    let items = std::iter::from_fn(|| tree.walk_next(&mut walk)).collect();
    tree.close_view(view);
    items
}

/// When the ephemerals of these have gone is another question.
fn forget_children(znodes: &mut [WalkItem], parents: &BTreeSet<String>) {
    for znode in znodes.iter_mut().filter(|znode| parents.contains(&znode.path)) {
        (znode.stat.pzxid, znode.stat.cversion, znode.stat.num_children) = (Zxid::ZERO, 0, 0);
    }
}

/// An ensemble of which nobody here knows.
struct Other {
    tree: Tree,
    pending: Pending,
    requests: u64,
}

impl Other {
    fn new(epoch: Epoch) -> Other {
        let mut tree = Tree::new(0);
        tree.advance(Zxid::new(epoch, 0));
        Other { tree, pending: Pending::new(0), requests: 0 }
    }

    /// What a session will be called that is opened next. None of our servers has this number.
    fn next_session(&self) -> SessionId {
        SessionId(0xff << 56 | self.tree.applied().next().0)
    }

    fn create(&mut self, session: SessionId, path: &str, data: &str, mode: CreateMode) {
        let (path, data, acl) = (Path::new(path).unwrap(), Some(data.to_owned().into()), Acl::OPEN.entries());
        self.make(session, &Op::Write(WriteOp::Create { path, data, acl, mode, parents: true }));
    }

    fn make(&mut self, session: SessionId, op: &Op) {
        self.requests += 1;
        let zxid = self.tree.applied().next();
        let request = Prepare {
            op,
            caller: &Caller::anonymous(),
            session,
            request_id: Some(RequestId { client: 1, sequence: self.requests, acknowledged_through: 0 }),
            route: Route::default(),
            zxid,
            wall_ms: 0,
            new_session: self.next_session(),
        };
        match self.pending.prepare(&self.tree, &request) {
            Prepared::Txn(txn) => drop(self.tree.apply(zxid, &txn)),
            other => panic!("{op:?} leads to {other:?}"),
        }
        self.pending.applied(zxid);
    }
}
