//! `SnapshotEncoder`: writes the state at one zxid, in slices, while the tree goes on.

use alloc::sync::Arc;
use alloc::vec::{self, Vec};

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate_types::{Acl, Zxid, codec};

use super::CHUNK_BYTES_MAX;
use super::record::{self, Header, Kind};
use crate::requests::{Client, ClientKey};
use crate::{Session, Tree, ViewId, Walk};

/// A snapshot being written. It holds a view of the tree, which [`SnapshotEncoder::close`] gives back.
#[derive(Debug)]
pub struct SnapshotEncoder {
    header: Header,
    view: ViewId,
    stage: Stage,
    /// Sessions and clients are few and small: their tables are copied when the snapshot begins, the results of requests
    /// are shared.
    sessions: vec::IntoIter<Session>,
    clients: vec::IntoIter<(ClientKey, Arc<Client>)>,
    walk: Walk,
    /// Numbers of the ACLs written so far.
    acls: HashMap<Acl, u32, FixedState>,
    /// Encoded and not handed out.
    buffer: Vec<u8>,
}

/// What is to be written next.
#[derive(Debug)]
enum Stage {
    Sessions,
    Clients,
    /// Of the client, from this one on.
    Results(Arc<Client>, usize),
    Znodes,
    Done,
}

impl SnapshotEncoder {
    /// Begins a snapshot of the present state.
    pub fn new(tree: &mut Tree) -> SnapshotEncoder {
        let view = tree.open_view();
        let header = Header {
            zxid: tree.applied,
            last_time_ms: tree.last_time_ms,
            znodes: tree.znode_count() as u64,
            sessions: tree.session_count() as u64,
            results: tree.remembered_count() as u64,
            digest: tree.digest(),
        };
        let mut buffer = Vec::new();
        record::put(&mut buffer, Kind::Header, |out| header.put(out));
        let walk = tree.walk(view, "/").expect("the root always exists");
        let sessions: Vec<_> = tree.sessions().collect();
        let (sessions, clients) = (sessions.into_iter(), tree.requests.share().into_iter());
        // Never iterated over, so its seed shows nowhere.
        let acls = HashMap::with_hasher(FixedState::with_seed(0));
        SnapshotEncoder { header, view, stage: Stage::Sessions, sessions, clients, walk, acls, buffer }
    }

    /// Which state this is.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        self.header.zxid
    }

    /// The view that is held.
    #[must_use]
    pub fn view(&self) -> ViewId {
        self.view
    }

    /// The next bytes of the stream, at most `bytes_max` and [`CHUNK_BYTES_MAX`]; `None` at its end. The time that a
    /// call takes is in proportion to the bytes.
    ///
    /// # Panics
    /// If the view has been closed.
    pub fn next_chunk(&mut self, tree: &Tree, bytes_max: usize) -> Option<Bytes> {
        let bytes_max = bytes_max.clamp(1, CHUNK_BYTES_MAX);
        self.buffer.reserve(bytes_max.saturating_sub(self.buffer.len()));
        while self.buffer.len() < bytes_max && self.put_next(tree) {}
        if self.buffer.is_empty() {
            return None;
        }
        let rest = self.buffer.split_off(bytes_max.min(self.buffer.len()));
        Some(Bytes::from(core::mem::replace(&mut self.buffer, rest)))
    }

    /// Ends the snapshot, finished or not, and gives the view back.
    pub fn close(self, tree: &mut Tree) {
        tree.close_view(self.view);
    }

    /// Encodes one more record; whether there may be more.
    fn put_next(&mut self, tree: &Tree) -> bool {
        let out = &mut self.buffer;
        match &mut self.stage {
            Stage::Sessions => match self.sessions.next() {
                Some(session) => record::put(out, Kind::Session, |out| record::put_session(out, &session)),
                None => self.stage = Stage::Clients,
            },
            Stage::Clients => match self.clients.next() {
                Some((key, client)) => {
                    record::put(out, Kind::Client, |out| record::put_client(out, &key, client.forgotten_through));
                    self.stage = Stage::Results(client, 0);
                }
                None => self.stage = Stage::Znodes,
            },
            Stage::Results(client, at) => match client.results.get(*at) {
                Some(result) => {
                    record::put(out, Kind::Result, |out| record::put_result(out, result));
                    *at += 1;
                }
                None => self.stage = Stage::Clients,
            },
            Stage::Znodes => {
                if !put_znode(tree, &mut self.walk, &mut self.acls, out) {
                    record::put(out, Kind::End, |_| {});
                    self.stage = Stage::Done;
                }
            }
            Stage::Done => return false,
        }
        true
    }
}

fn put_znode(tree: &Tree, walk: &mut Walk, acls: &mut HashMap<Acl, u32, FixedState>, out: &mut Vec<u8>) -> bool {
    let Some(visit) = tree.visit_next(walk) else { return false };
    let acl = match acls.get(visit.acl) {
        _ if visit.acl.is_open() => 0,
        Some(number) => *number,
        None => {
            let number = acls.len() as u32 + 1;
            acls.insert(visit.acl.clone(), number);
            record::put(out, Kind::Acl, |out| codec::put_acl(out, visit.acl));
            number
        }
    };
    record::put(out, Kind::Znode, |out| record::put_znode(out, visit.depth, acl, visit.znode));
    true
}
