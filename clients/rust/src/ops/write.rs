//! The calls that change something.

use quorate_proto::v1;

use super::wire::Wire;
use super::{Call, WireOperation, WireReply};
use crate::reply::{self, Created, Deleted, MultiReply, Updated};
use crate::{Acl, CreateMode};

/// See [`crate::Client::create`].
#[derive(Clone, Debug)]
pub struct Create(pub(crate) v1::CreateRequest);

impl Call<Create> {
    /// What kind of znode. Default: persistent.
    pub fn mode(mut self, mode: CreateMode) -> Self {
        let (mode, ttl_ms) = mode.to_wire();
        self.operation.0.set_mode(mode);
        self.operation.0.ttl_ms = ttl_ms;
        self
    }

    /// Who may do what. Default: everybody everything.
    pub fn acl(mut self, acl: Acl) -> Self {
        self.operation.0.acl = Some(acl.into_wire());
        self
    }

    /// Create missing ancestors, as persistent znodes with null data and the same ACL.
    pub fn parents(mut self) -> Self {
        self.operation.0.create_parents = true;
        self
    }
}

impl Wire for Create {
    type Output = Created;
    const WRITES: bool = true;

    fn into_wire(self) -> WireOperation {
        WireOperation::Create(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Created> {
        let WireReply::Create(reply) = reply else { return None };
        Some(reply::created(reply, zxid))
    }
}

/// See [`crate::Client::set`].
#[derive(Clone, Debug)]
pub struct SetData(pub(crate) v1::SetDataRequest);

impl Call<SetData> {
    /// Only if the stat's `version` is this.
    pub fn version(mut self, version: i32) -> Self {
        self.operation.0.precondition = Some(v1::set_data_request::Precondition::Version(version));
        self
    }

    /// Only if the stat's `mzxid` is this. Unlike a version, it notices that a znode was deleted and created again.
    pub fn mzxid(mut self, mzxid: u64) -> Self {
        self.operation.0.precondition = Some(v1::set_data_request::Precondition::Mzxid(mzxid));
        self
    }

    /// If there is no such znode and no precondition, create it as a persistent one.
    pub fn upsert(mut self) -> Self {
        self.operation.0.upsert = true;
        self
    }

    /// For a znode that `upsert` creates. Default: everybody may do everything.
    pub fn acl(mut self, acl: Acl) -> Self {
        self.operation.0.acl = Some(acl.into_wire());
        self
    }
}

impl Wire for SetData {
    type Output = Updated;
    const WRITES: bool = true;

    fn into_wire(self) -> WireOperation {
        WireOperation::SetData(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Updated> {
        let WireReply::SetData(reply) = reply else { return None };
        Some(reply::updated(reply, zxid))
    }
}

/// See [`crate::Client::delete`].
#[derive(Clone, Debug)]
pub struct Delete(pub(crate) v1::DeleteRequest);

impl Call<Delete> {
    /// Only if the stat's `version` is this.
    pub fn version(mut self, version: i32) -> Self {
        self.operation.0.precondition = Some(v1::delete_request::Precondition::Version(version));
        self
    }

    /// Only if the stat's `mzxid` is this.
    pub fn mzxid(mut self, mzxid: u64) -> Self {
        self.operation.0.precondition = Some(v1::delete_request::Precondition::Mzxid(mzxid));
        self
    }

    /// Everything below it too, in one txn, if that is at most `max` znodes (0 for the greatest maximum, 10,000).
    pub fn recursive(mut self, max: u32) -> Self {
        self.operation.0.recursive = true;
        self.operation.0.recursive_max = max;
        self
    }
}

impl Wire for Delete {
    type Output = Deleted;
    const WRITES: bool = true;

    fn into_wire(self) -> WireOperation {
        WireOperation::Delete(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Deleted> {
        let WireReply::Delete(reply) = reply else { return None };
        Some(reply::deleted(reply, zxid))
    }
}

/// See [`crate::Client::set_acl`].
#[derive(Clone, Debug)]
pub struct SetAcl(pub(crate) v1::SetAclRequest);

impl Call<SetAcl> {
    /// Only if the stat's `aversion` is this.
    pub fn aversion(mut self, aversion: i32) -> Self {
        self.operation.0.precondition = Some(v1::set_acl_request::Precondition::Aversion(aversion));
        self
    }

    /// Only if the stat's `mzxid` is this.
    pub fn mzxid(mut self, mzxid: u64) -> Self {
        self.operation.0.precondition = Some(v1::set_acl_request::Precondition::Mzxid(mzxid));
        self
    }
}

impl Wire for SetAcl {
    type Output = Updated;
    const WRITES: bool = true;

    fn into_wire(self) -> WireOperation {
        WireOperation::SetAcl(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<Updated> {
        let WireReply::SetAcl(reply) = reply else { return None };
        Some(reply::acl_set(reply, zxid))
    }
}

/// A guard in a multi: nothing changes, but the others are made only if it holds. See [`crate::Client::check`].
#[must_use = "a guard does nothing until it is added to a multi"]
#[derive(Clone, Debug)]
pub struct Check(pub(crate) v1::CheckRequest);

impl Check {
    /// The stat's `version` is this.
    pub fn version(mut self, version: i32) -> Self {
        self.0.precondition = Some(v1::check_request::Precondition::Version(version));
        self
    }

    /// The stat's `mzxid` is this.
    pub fn mzxid(mut self, mzxid: u64) -> Self {
        self.0.precondition = Some(v1::check_request::Precondition::Mzxid(mzxid));
        self
    }

    /// There is no such znode.
    pub fn not_exists(mut self) -> Self {
        self.0.precondition = Some(v1::check_request::Precondition::NotExists(true));
        self
    }
}

/// See [`crate::Client::multi`].
#[derive(Clone, Debug, Default)]
pub struct Multi(pub(crate) v1::MultiRequest);

impl Call<Multi> {
    /// One operation more. Only the options of the multi itself count.
    // The builders of this field call what is added so; nobody adds calls as numbers.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, operation: impl MultiOperation) -> Self {
        let operation = Some(sealed::Change::into_wire(operation));
        self.operation.0.operations.push(v1::MultiOperation { operation });
        self
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operation.0.operations.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operation.0.operations.is_empty()
    }
}

impl Wire for Multi {
    type Output = MultiReply;
    const WRITES: bool = true;

    fn into_wire(self) -> WireOperation {
        WireOperation::Multi(self.0)
    }

    fn from_wire(reply: WireReply, zxid: u64) -> Option<MultiReply> {
        let WireReply::Multi(reply) = reply else { return None };
        Some(reply::multi(reply, zxid))
    }
}

/// What a multi can hold: calls of create, set, delete and set_acl, and [`Check`].
pub trait MultiOperation: sealed::Change {}

impl<C: sealed::Change> MultiOperation for C {}

mod sealed {
    use v1::multi_operation::Operation;

    use super::{Call, Check, Create, Delete, SetAcl, SetData, v1};

    pub trait Change {
        fn into_wire(self) -> Operation;
    }

    impl Change for Call<Create> {
        fn into_wire(self) -> Operation {
            Operation::Create(self.operation.0)
        }
    }

    impl Change for Call<SetData> {
        fn into_wire(self) -> Operation {
            Operation::SetData(self.operation.0)
        }
    }

    impl Change for Call<Delete> {
        fn into_wire(self) -> Operation {
            Operation::Delete(self.operation.0)
        }
    }

    impl Change for Call<SetAcl> {
        fn into_wire(self) -> Operation {
            Operation::SetAcl(self.operation.0)
        }
    }

    impl Change for Check {
        fn into_wire(self) -> Operation {
            Operation::Check(self.0)
        }
    }
}
