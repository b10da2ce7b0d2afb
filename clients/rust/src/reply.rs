//! The results of calls: plain structs.
//!
//! Each has the `zxid` of its answer: for a write its txn, for a read the state that it saw. (In the answer of a
//! unary write it may be a later state that includes the txn.)

use bytes::Bytes;
use quorate_proto::v1;

use crate::{Acl, CreateMode, Error, Perms, Stat};

/// Of a get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    /// `None` is null, which differs from empty.
    pub data: Option<Bytes>,
    /// Its metadata.
    pub stat: Stat,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a question for existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Existence {
    /// `None` says that there is no such znode.
    pub stat: Option<Stat>,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// With the digits of a sequential mode.
    pub path: String,
    /// Of the new znode.
    pub stat: Stat,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a change of data or of the ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updated {
    /// After the change.
    pub stat: Stat,
    /// The znode was created, by `upsert`.
    pub created: bool,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Znodes that went: 1, or more if it was recursive.
    pub count: u32,
    /// See the [module](self).
    pub zxid: u64,
}

/// A page of children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Children {
    /// In the order of their names' bytes.
    pub children: Vec<Child>,
    /// Of the parent.
    pub stat: Stat,
    /// There are more after the last one: ask again with `after` its name.
    pub more: bool,
    /// See the [module](self).
    pub zxid: u64,
}

/// One child in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Without the parent's path.
    pub name: String,
    /// If asked for.
    pub stat: Option<Stat>,
    /// If asked for, allowed and not null.
    pub data: Option<Bytes>,
}

/// Of a read of an ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZnodeAcl {
    /// Digests are masked for callers who may not change it.
    pub acl: Acl,
    /// Of the znode.
    pub stat: Stat,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a question for what the caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Everything that he may do with the znode.
    pub perms: Perms,
    /// The entries of its ACL that grant it; none if he passes every check. Digests are masked for callers who may not
    /// change it.
    pub entries: Acl,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a listing of a session's ephemeral znodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemerals {
    /// In the order of their bytes.
    pub paths: Vec<String>,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a count of descendants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Without the znode itself.
    pub count: u64,
    /// See the [module](self).
    pub zxid: u64,
}

/// Of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The server has applied at least everything that was committed before the call, up to this txn.
    pub zxid: u64,
}

/// Of a multi.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiReply {
    /// All operations were made; otherwise none was.
    pub committed: bool,
    /// One for each operation, in order. If the multi failed, the operation that failed has its own error and every
    /// other one [`crate::Reason::NotApplied`].
    pub results: Vec<Result<MultiResult, Error>>,
    /// See the [module](self).
    pub zxid: u64,
}

impl MultiReply {
    /// The results if all operations were made, else the error of the one that failed.
    ///
    /// # Errors
    /// See there.
    pub fn into_result(self) -> Result<Vec<MultiResult>, Error> {
        if let Some(at) = self.first_failure() {
            let mut results = self.results;
            return results.swap_remove(at).map(|result| vec![result]);
        }
        self.results.into_iter().collect()
    }

    /// The position of the operation that failed, if the multi did.
    #[must_use]
    pub fn first_failure(&self) -> Option<usize> {
        let own = |result: &Result<MultiResult, Error>| {
            result.as_ref().is_err_and(|error| error.reason() != crate::Reason::NotApplied)
        };
        self.results.iter().position(own).or_else(|| self.results.iter().position(Result::is_err))
    }
}

/// Of one operation of a multi.
#[derive(Clone, Debug, PartialEq)]
pub enum MultiResult {
    /// Of a create.
    Created(Created),
    /// Of a change of data.
    Updated(Updated),
    /// Of a delete.
    Deleted(Deleted),
    /// Of a change of the ACL.
    AclSet(Updated),
    /// Of a guard that held.
    Checked,
}

/// Of a multi-read.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiReadReply {
    /// One for each operation, in order; each succeeds or fails by itself.
    pub results: Vec<Result<ReadResult, Error>>,
    /// The one state that all of them saw.
    pub zxid: u64,
}

/// Of one operation of a multi-read.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadResult {
    /// Of a get.
    Znode(Znode),
    /// Of a question for existence.
    Existence(Existence),
    /// Of a listing.
    Children(Children),
    /// Of a read of an ACL.
    Acl(ZnodeAcl),
}

/// One znode of a streamed tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeNode {
    /// The whole path.
    pub path: String,
    /// As of the stream's zxid.
    pub stat: Stat,
    /// If asked for and not null.
    pub data: Option<Bytes>,
    /// If asked for and allowed.
    pub acl: Option<Acl>,
    /// What kind of znode, never a sequential one.
    pub mode: CreateMode,
}

/// The stat that every successful answer has.
pub(crate) fn stat(stat: Option<v1::Stat>) -> Stat {
    stat.map(Stat::from).unwrap_or_default()
}

pub(crate) fn znode(reply: v1::GetResponse, zxid: u64) -> Znode {
    Znode { data: reply.data, stat: stat(reply.stat), zxid }
}

pub(crate) fn existence(reply: v1::ExistsResponse, zxid: u64) -> Existence {
    Existence { stat: reply.stat.map(Stat::from), zxid }
}

pub(crate) fn created(reply: v1::CreateResponse, zxid: u64) -> Created {
    Created { path: reply.path, stat: stat(reply.stat), zxid }
}

pub(crate) fn updated(reply: v1::SetDataResponse, zxid: u64) -> Updated {
    Updated { stat: stat(reply.stat), created: reply.created, zxid }
}

pub(crate) fn acl_set(reply: v1::SetAclResponse, zxid: u64) -> Updated {
    Updated { stat: stat(reply.stat), created: false, zxid }
}

pub(crate) fn deleted(reply: v1::DeleteResponse, zxid: u64) -> Deleted {
    Deleted { count: reply.deleted, zxid }
}

pub(crate) fn znode_acl(reply: v1::GetAclResponse, zxid: u64) -> ZnodeAcl {
    ZnodeAcl { acl: reply.acl.unwrap_or_default().into(), stat: stat(reply.stat), zxid }
}

pub(crate) fn granted(reply: v1::CheckAccessResponse, zxid: u64) -> Granted {
    let entries = v1::Acl { entries: reply.entries };
    Granted { perms: Perms(reply.perms), entries: entries.into(), zxid }
}

pub(crate) fn children(reply: v1::ListChildrenResponse, zxid: u64) -> Children {
    let child = |child: v1::Child| Child { name: child.name, stat: child.stat.map(Stat::from), data: child.data };
    Children {
        children: reply.children.into_iter().map(child).collect(),
        stat: stat(reply.stat),
        more: reply.more,
        zxid,
    }
}

pub(crate) fn multi(reply: v1::MultiResponse, zxid: u64) -> MultiReply {
    let results = reply.results.into_iter().map(|result| multi_result(result, zxid)).collect();
    MultiReply { committed: reply.committed, results, zxid }
}

fn multi_result(result: v1::MultiResult, zxid: u64) -> Result<MultiResult, Error> {
    use v1::multi_result::Result as Wire;
    match result.result {
        Some(Wire::Create(reply)) => Ok(MultiResult::Created(created(reply, zxid))),
        Some(Wire::Delete(reply)) => Ok(MultiResult::Deleted(deleted(reply, zxid))),
        Some(Wire::SetData(reply)) => Ok(MultiResult::Updated(updated(reply, zxid))),
        Some(Wire::SetAcl(reply)) => Ok(MultiResult::AclSet(acl_set(reply, zxid))),
        Some(Wire::Check(v1::CheckResponse {})) => Ok(MultiResult::Checked),
        Some(Wire::Error(error)) => Err(Error::from(error).at_zxid(zxid)),
        Some(Wire::Get(_) | Wire::Exists(_) | Wire::ListChildren(_) | Wire::GetAcl(_)) | None => {
            Err(Error::unexpected_answer())
        }
    }
}

pub(crate) fn multi_read(reply: v1::MultiReadResponse, zxid: u64) -> MultiReadReply {
    let results = reply.results.into_iter().map(|result| read_result(result, zxid)).collect();
    MultiReadReply { results, zxid }
}

fn read_result(result: v1::MultiResult, zxid: u64) -> Result<ReadResult, Error> {
    use v1::multi_result::Result as Wire;
    match result.result {
        Some(Wire::Get(reply)) => Ok(ReadResult::Znode(znode(reply, zxid))),
        Some(Wire::Exists(reply)) => Ok(ReadResult::Existence(existence(reply, zxid))),
        Some(Wire::ListChildren(reply)) => Ok(ReadResult::Children(children(reply, zxid))),
        Some(Wire::GetAcl(reply)) => Ok(ReadResult::Acl(znode_acl(reply, zxid))),
        Some(Wire::Error(error)) => Err(Error::from(error).at_zxid(zxid)),
        Some(Wire::Create(_) | Wire::Delete(_) | Wire::SetData(_) | Wire::SetAcl(_) | Wire::Check(_)) | None => {
            Err(Error::unexpected_answer())
        }
    }
}

pub(crate) fn tree_node(node: v1::TreeNode) -> TreeNode {
    let mode = CreateMode::from_wire(node.mode(), node.ttl_ms);
    TreeNode { path: node.path, stat: stat(node.stat), data: node.data, acl: node.acl.map(Acl::from), mode }
}
