//! The calls that change nothing.

use quorate_proto::v1;

use super::wire::Wire;
use super::{Call, WireOperation, WireReply};
use crate::reply::{self, Children, Count, Ephemerals, Existence, Granted, MultiReadReply, Synced, Znode, ZnodeAcl};

/// See [`crate::Client::get`].
#[derive(Clone, Debug)]
pub struct Get(pub(crate) v1::GetRequest);

impl Wire for Get {
    type Output = Znode;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::Get(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Znode> {
        let WireReply::Get(reply) = reply else { return None };
        Some(reply::znode(reply, zxid))
    }
}

/// See [`crate::Client::exists`].
#[derive(Clone, Debug)]
pub struct Exists(pub(crate) v1::ExistsRequest);

impl Wire for Exists {
    type Output = Existence;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::Exists(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Existence> {
        let WireReply::Exists(reply) = reply else { return None };
        Some(reply::existence(reply, zxid))
    }
}

/// See [`crate::Client::children`].
#[derive(Clone, Debug)]
pub struct ListChildren(pub(crate) v1::ListChildrenRequest);

impl Call<ListChildren> {
    /// Only names after this one: the last name of the page before.
    pub fn after(mut self, name: impl Into<String>) -> Self {
        self.operation.0.after = name.into();
        self
    }

    /// At most so many; 0 for the greatest, 10,000.
    pub fn limit(mut self, limit: u32) -> Self {
        self.operation.0.limit = limit;
        self
    }

    /// With each child's stat.
    pub fn with_stat(mut self) -> Self {
        self.operation.0.with_stat = true;
        self
    }

    /// With each child's data and stat, where its ACL lets the caller read it.
    pub fn with_data(mut self) -> Self {
        self.operation.0.with_data = true;
        self
    }
}

impl Wire for ListChildren {
    type Output = Children;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::ListChildren(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Children> {
        let WireReply::ListChildren(reply) = reply else { return None };
        Some(reply::children(reply, zxid))
    }
}

/// See [`crate::Client::acl`].
#[derive(Clone, Debug)]
pub struct GetAcl(pub(crate) v1::GetAclRequest);

impl Wire for GetAcl {
    type Output = ZnodeAcl;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::GetAcl(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<ZnodeAcl> {
        let WireReply::GetAcl(reply) = reply else { return None };
        Some(reply::znode_acl(reply, zxid))
    }
}

/// See [`crate::Client::sync`].
#[derive(Clone, Debug)]
pub struct Sync(pub(crate) v1::SyncRequest);

impl Wire for Sync {
    type Output = Synced;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::Sync(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Synced> {
        let WireReply::Sync(_) = reply else { return None };
        Some(Synced { zxid })
    }
}

/// See [`crate::Client::check_access`].
#[derive(Clone, Debug)]
pub struct CheckAccess(pub(crate) v1::CheckAccessRequest);

impl Wire for CheckAccess {
    type Output = Granted;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::CheckAccess(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Granted> {
        let WireReply::CheckAccess(reply) = reply else { return None };
        Some(reply::granted(reply, zxid))
    }
}

/// See [`crate::Client::ephemerals`].
#[derive(Clone, Debug)]
pub struct GetEphemerals(pub(crate) v1::GetEphemeralsRequest);

impl Call<GetEphemerals> {
    /// Only paths that begin with this text.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.operation.0.prefix = prefix.into();
        self
    }
}

impl Wire for GetEphemerals {
    type Output = Ephemerals;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::GetEphemerals(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Ephemerals> {
        let WireReply::GetEphemerals(reply) = reply else { return None };
        Some(Ephemerals { paths: reply.paths, zxid })
    }
}

/// See [`crate::Client::count_descendants`].
#[derive(Clone, Debug)]
pub struct CountDescendants(pub(crate) v1::CountDescendantsRequest);

impl Wire for CountDescendants {
    type Output = Count;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::CountDescendants(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Count> {
        let WireReply::CountDescendants(reply) = reply else { return None };
        Some(Count { count: reply.count, zxid })
    }
}

/// See [`crate::Client::multi_read`].
#[derive(Clone, Debug, Default)]
pub struct MultiRead(pub(crate) v1::MultiReadRequest);

impl Call<MultiRead> {
    /// One read more. Only the options of the multi-read itself count.
    // The builders of this field call what is added so; nobody adds calls as numbers.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, read: impl MultiReadOperation) -> Self {
        let operation = Some(sealed::Read::into_wire(read));
        self.operation.0.operations.push(v1::ReadOperation { operation });
        self
    }
}

impl Wire for MultiRead {
    type Output = MultiReadReply;
    const WRITES: bool = false;

    fn into_wire(self) -> WireOperation {
        WireOperation::MultiRead(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<MultiReadReply> {
        let WireReply::MultiRead(reply) = reply else { return None };
        Some(reply::multi_read(reply, zxid))
    }
}

/// What a multi-read can hold: calls of get, exists, children and acl.
pub trait MultiReadOperation: sealed::Read {}

impl<R: sealed::Read> MultiReadOperation for R {}

mod sealed {
    use v1::read_operation::Operation;

    use super::{Call, Exists, Get, GetAcl, ListChildren, v1};

    pub trait Read {
        fn into_wire(self) -> Operation;
    }

    impl Read for Call<Get> {
        fn into_wire(self) -> Operation {
            Operation::Get(self.operation.0)
        }
    }

    impl Read for Call<Exists> {
        fn into_wire(self) -> Operation {
            Operation::Exists(self.operation.0)
        }
    }

    impl Read for Call<ListChildren> {
        fn into_wire(self) -> Operation {
            Operation::ListChildren(self.operation.0)
        }
    }

    impl Read for Call<GetAcl> {
        fn into_wire(self) -> Operation {
            Operation::GetAcl(self.operation.0)
        }
    }
}
