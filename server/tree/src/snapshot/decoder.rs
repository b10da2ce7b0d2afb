//! `SnapshotDecoder`: reads a snapshot back, as it arrives, and believes none of it.

use alloc::string::String;
use alloc::vec::Vec;

use quorate_types::{NodeKind, Zxid, limits};

use super::SnapshotError;
use super::record::{self, Fields, Header, Kind, ZnodeRecord};
use crate::acl_table::AclId;
use crate::digest::Digest;
use crate::requests::{Client, ClientKey};
use crate::znode::{self, Birth, Znode, ZnodeId};
use crate::{Tree, reply, sessions};

/// Znodes that room is made for before they have arrived: more grow the index as they come.
const RESERVE_MAX: u64 = 1 << 22;

/// A tree being filled from a snapshot.
#[derive(Debug)]
pub struct SnapshotDecoder {
    tree: Tree,
    header: Option<Header>,
    before: Option<Kind>,
    /// The client whose results are being read.
    client: Option<(ClientKey, Client)>,
    /// By number; each holds one use of its ACL until the end.
    acls: Vec<AclId>,
    /// Ancestors of the next znode that still miss children, the root first.
    open: Vec<Open>,
    /// Of the last znode read; empty for the root.
    path: String,
    /// The beginning of a record that is not complete yet.
    carry: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    id: ZnodeId,
    num_children: u32,
    last_child: Option<ZnodeId>,
    path_len: usize,
}

impl SnapshotDecoder {
    /// Begins with nothing. `hash_seed` is that of the tree to come.
    #[must_use]
    pub fn new(hash_seed: u64) -> SnapshotDecoder {
        SnapshotDecoder {
            tree: Tree::without_znodes(hash_seed),
            header: None,
            before: None,
            client: None,
            acls: alloc::vec![AclId::OPEN],
            open: Vec::new(),
            path: String::new(),
            carry: Vec::new(),
        }
    }

    /// Takes the next bytes of the stream, cut anywhere.
    ///
    /// # Errors
    /// [`SnapshotError`]; then there is no use in going on.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), SnapshotError> {
        if self.carry.is_empty() {
            let rest = self.take_records(chunk)?;
            self.carry.extend_from_slice(rest);
            return Ok(());
        }
        let mut bytes = core::mem::take(&mut self.carry);
        bytes.extend_from_slice(chunk);
        let rest = self.take_records(&bytes)?.len();
        bytes.drain(..bytes.len() - rest);
        self.carry = bytes;
        Ok(())
    }

    /// The state, once all bytes have been taken.
    ///
    /// # Errors
    /// [`SnapshotError`] if something is missing or the digest differs.
    pub fn finish(self) -> Result<Tree, SnapshotError> {
        self.check()?;
        let header = self.header.ok_or(SnapshotError::Incomplete)?;
        let mut tree = self.tree;
        self.acls.into_iter().for_each(|acl| tree.acls.release(acl));
        (tree.applied, tree.last_time_ms) = (header.zxid, header.last_time_ms);
        Ok(tree)
    }

    /// Whether [`SnapshotDecoder::finish`] would succeed.
    pub(crate) fn check(&self) -> Result<(), SnapshotError> {
        if self.before != Some(Kind::End) || !self.carry.is_empty() {
            return Err(SnapshotError::Incomplete);
        }
        let (header, tree) = (self.header.ok_or(SnapshotError::Incomplete)?, &self.tree);
        check_count("znodes", header.znodes, tree.znode_count())?;
        check_count("sessions", header.sessions, tree.session_count())?;
        check_count("results", header.results, tree.remembered_count())?;
        let (expected, found) = (header.digest, tree.digest());
        if expected != found {
            return Err(SnapshotError::WrongDigest { expected, found });
        }
        Ok(())
    }

    /// Which state it is, once that was read.
    pub(crate) fn zxid(&self) -> Option<Zxid> {
        self.header.map(|header| header.zxid)
    }

    /// The digest of what was read.
    pub(crate) fn digest(&self) -> u128 {
        self.tree.digest()
    }

    /// Whether there was such a znode so far.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.tree.znode_count() > 0 && self.tree.lookup(path).is_some()
    }

    /// Takes all complete records off the front and returns the rest.
    fn take_records<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], SnapshotError> {
        while let Some((head, rest)) = bytes.split_first_chunk::<{ record::HEAD_BYTES }>() {
            let [kind, len @ ..] = *head;
            let len = u32::from_le_bytes(len) as usize;
            if len > record::BODY_BYTES_MAX {
                return Err(SnapshotError::Invalid("length of a record"));
            }
            let Some((body, rest)) = rest.split_at_checked(len) else { break };
            self.take_record(Kind::from_byte(kind)?, Fields(body))?;
            bytes = rest;
        }
        Ok(bytes)
    }

    fn take_record(&mut self, kind: Kind, mut fields: Fields<'_>) -> Result<(), SnapshotError> {
        if !kind.may_follow(self.before) {
            return Err(SnapshotError::Invalid("order of records"));
        }
        self.before = Some(kind);
        if kind != Kind::Result {
            self.close_client();
        }
        match kind {
            Kind::Header => {
                let header = Header::take(&mut fields)?;
                self.tree.index.reserve(&self.tree.slab, header.znodes.min(RESERVE_MAX) as usize);
                // Containers get their grace from here on.
                self.tree.last_time_ms = header.last_time_ms;
                self.header = Some(header);
            }
            Kind::Session => self.take_session(&mut fields)?,
            Kind::Client => self.take_client(&mut fields)?,
            Kind::Result => self.take_result(&mut fields)?,
            Kind::Acl => {
                let acl = record::take_acl(&mut fields)?;
                self.acls.push(self.tree.acls.acquire(&acl));
            }
            Kind::Znode => self.take_znode(&ZnodeRecord::take(&mut fields)?)?,
            Kind::End => self.close_deeper_than(0)?,
        }
        fields.finish()
    }

    fn take_session(&mut self, fields: &mut Fields<'_>) -> Result<(), SnapshotError> {
        let session = record::take_session(fields)?;
        if !session.id.is_some() || self.tree.session(session.id).is_some() {
            return Err(SnapshotError::Invalid("session"));
        }
        self.tree.sessions.open(session.id, session.timeout_ms, session.secret);
        self.tree.digest.add(sessions::term(session.id, session.timeout_ms, session.secret));
        Ok(())
    }

    fn take_client(&mut self, fields: &mut Fields<'_>) -> Result<(), SnapshotError> {
        let (key, forgotten_through) = record::take_client(fields)?;
        let is_session = key.session.is_some();
        let is_known = !is_session || self.tree.session(key.session).is_some();
        if !is_known || (is_session && (key.caller, key.client) != (0, 0)) || self.tree.requests.knows(key) {
            return Err(SnapshotError::Invalid("client"));
        }
        self.client = Some((key, Client::new(forgotten_through)));
        Ok(())
    }

    fn take_result(&mut self, fields: &mut Fields<'_>) -> Result<(), SnapshotError> {
        let result = record::take_result(fields)?;
        let (key, client) = self.client.as_mut().ok_or(SnapshotError::Invalid("order of records"))?;
        let in_order = client.results.back().is_none_or(|last| last.sequence < result.sequence);
        let is_new = key.session.is_some() || !self.tree.requests.has_sessionless_at(result.zxid);
        let is_new = is_new && client.results.iter().all(|other| other.zxid != result.zxid);
        if !in_order || !is_new || reply::decode(&result.reply).is_err() {
            return Err(SnapshotError::Invalid("remembered request"));
        }
        client.results.push_back(result);
        if client.results.len() > limits::REMEMBERED_REQUESTS_MAX {
            return Err(SnapshotError::Invalid("number of remembered requests"));
        }
        Ok(())
    }

    fn close_client(&mut self) {
        if let Some((key, client)) = self.client.take() {
            self.tree.requests.restore(&mut self.tree.digest, key, client);
        }
    }

    fn take_znode(&mut self, record: &ZnodeRecord<'_>) -> Result<(), SnapshotError> {
        let depth = usize::from(record.depth);
        self.close_deeper_than(depth)?;
        let name = core::str::from_utf8(record.name).map_err(|_| SnapshotError::Invalid("name"))?;
        let parent = match (self.open.last(), depth) {
            (None, 0) if self.tree.znode_count() == 0 && name.is_empty() => ZnodeId::ROOT,
            (Some(parent), 1..) if self.open.len() == depth => {
                let (parent_id, last_child, path_len) = (parent.id, parent.last_child, parent.path_len);
                let is_sorted = last_child.is_none_or(|last| self.tree.slab[last].name() < record.name);
                if !is_sorted || name.contains('/') || matches!(name, "" | "." | "..") {
                    return Err(SnapshotError::Invalid("name"));
                }
                self.path.truncate(path_len);
                self.path.push('/');
                self.path.push_str(name);
                parent_id
            }
            _ => return Err(SnapshotError::Invalid("depth")),
        };
        let data_len = record.data.map_or(0, <[u8]>::len);
        if self.path.len() > limits::PATH_BYTES_MAX || data_len > limits::DATA_BYTES_MAX {
            return Err(SnapshotError::Invalid("length of a path or data"));
        }
        let id = self.insert(record, parent, name)?;
        if depth > 0 {
            self.tree.index.insert(&self.tree.slab, id);
            self.tree.link_last(parent, id);
            let open = self.open.last_mut().expect("a znode below the root has an open parent");
            open.last_child = Some(id);
        }
        let open = Open { id, num_children: record.num_children, last_child: None, path_len: self.path.len() };
        if record.num_children > 0 {
            self.open.push(open);
            return Ok(());
        }
        self.tree.deadlines.update(id, &self.tree.slab[id], self.tree.last_time_ms);
        self.complete(&open)
    }

    fn insert(&mut self, record: &ZnodeRecord<'_>, parent: ZnodeId, name: &str) -> Result<ZnodeId, SnapshotError> {
        let kind = znode::kind_from_parts(record.kind_tag, record.kind_value);
        let kind = kind.ok_or(SnapshotError::Invalid("kind of znode"))?;
        let acl = *self.acls.get(record.acl as usize).ok_or(SnapshotError::Invalid("ACL number"))?;
        let newest = self.header.map_or(Zxid::ZERO, |header| header.zxid);
        if record.czxid.max(record.mzxid).max(record.pzxid) > newest {
            return Err(SnapshotError::Invalid("zxid of a znode"));
        }
        let owner = kind.owner();
        if owner.is_some() && (self.tree.session(owner).is_none() || record.num_children > 0) {
            return Err(SnapshotError::Invalid("ephemeral"));
        }
        let (zxid, time_ms) = (record.czxid, record.ctime_ms);
        self.tree.acls.share(acl);
        let mut znode = Znode::new(&Birth { parent, name, data: record.data, kind, acl, zxid, time_ms, stamp: 0 });
        (znode.mzxid, znode.mtime_ms) = (record.mzxid, record.mtime_ms);
        (znode.version, znode.aversion) = (record.version, record.aversion);
        znode.set_lineage(record.creations, record.pzxid);
        let id = self.tree.slab.insert(znode);
        if let NodeKind::Ephemeral(session) = kind {
            self.tree.sessions.own(session, id);
        }
        Ok(id)
    }

    /// Ends all open znodes whose children cannot come at `depth` any more.
    fn close_deeper_than(&mut self, depth: usize) -> Result<(), SnapshotError> {
        while self.open.len() > depth
            && let Some(open) = self.open.pop()
        {
            self.path.truncate(open.path_len);
            self.complete(&open)?;
        }
        Ok(())
    }

    /// A znode has all its children: only now its stat is whole. `self.path` is its path.
    fn complete(&mut self, open: &Open) -> Result<(), SnapshotError> {
        let found = self.tree.slab[open.id].num_children();
        check_count("children", open.num_children.into(), found as usize)?;
        let path = if self.path.is_empty() { "/" } else { &self.path };
        self.tree.digest_whole(open.id, path, Digest::add);
        self.tree.count_in(open.id, path);
        Ok(())
    }
}

fn check_count(what: &'static str, expected: u64, found: usize) -> Result<(), SnapshotError> {
    let found = found as u64;
    if expected == found { Ok(()) } else { Err(SnapshotError::WrongCount { what, expected, found }) }
}
