//! The calls: each is a builder that is awaited. `client.get("/a").timeout(..).await`.

pub(crate) mod cluster;
mod read;
mod restore;
mod snapshot;
mod status;
mod tree;
mod write;

use std::time::Duration;

use futures_util::future::BoxFuture;
use quorate_proto::v1;

use crate::{CallOptions, Client, Consistency, Error, RequestId, SessionCredential, ZxidBound};

pub use self::cluster::{ClusterCall, GetDigest, GetMembers, GetStatus, Reconfigure, TransferLeadership};
pub use self::read::{
    CheckAccess, CountDescendants, Exists, Get, GetAcl, GetEphemerals, ListChildren, MultiRead, MultiReadOperation,
    Sync,
};
pub use self::restore::{Restore, Restored};
pub use self::snapshot::{Snapshot, TakeSnapshot};
pub use self::status::Status;
pub use self::tree::{StreamTree, Tree};
pub use self::write::{Check, Create, Delete, Multi, MultiOperation, SetAcl, SetData};

/// An operation as it stands on a Channel.
pub(crate) type WireOperation = v1::channel_operation::Operation;
/// Its answer.
pub(crate) type WireReply = v1::channel_reply::Result;

/// What can be called: the operations of this module.
pub trait Operation: wire::Wire {}

impl<O: wire::Wire> Operation for O {}

/// Seals [`Operation`]: how operations travel is nobody else's concern.
pub(crate) mod wire {
    use super::{WireOperation, WireReply};

    pub trait Wire: Send + 'static {
        type Output: Send;

        /// Whether it changes anything, so that doing it twice could be wrong.
        const WRITES: bool;

        fn into_wire(self) -> WireOperation;

        /// `None` if the answer is of another kind.
        fn from_wire(reply: WireReply, zxid: u64) -> Option<Self::Output>;
    }
}

/// A call that is being put together; awaiting it makes it.
///
/// What can be said about it depends on the operation: see the methods of `Call<Create>` and so on.
#[must_use = "a call is made when it is awaited"]
#[derive(Clone, Debug)]
pub struct Call<O> {
    client: Client,
    operation: O,
    options: CallOptions,
}

impl<O> Call<O> {
    pub(crate) fn new(client: &Client, operation: O) -> Call<O> {
        Call { client: client.clone(), operation, options: CallOptions::default() }
    }

    /// All options at once.
    pub fn options(mut self, options: CallOptions) -> Call<O> {
        self.options = options;
        self
    }

    /// How long to wait for the answer.
    pub fn timeout(mut self, timeout: Duration) -> Call<O> {
        self.options.timeout = Some(timeout);
        self
    }

    /// How fresh the state that a read sees must be.
    pub fn consistency(mut self, consistency: Consistency) -> Call<O> {
        self.options.consistency = Some(consistency);
        self
    }

    /// Answer only from a state that has at least this txn.
    pub fn min_zxid(mut self, bound: ZxidBound) -> Call<O> {
        self.options.min_zxid = Some(bound);
        self
    }

    /// Names the write, so that it can be sent again.
    pub fn request_id(mut self, id: RequestId) -> Call<O> {
        self.options.request_id = Some(id);
        self
    }

    /// The session that the call belongs to.
    pub fn session(mut self, session: SessionCredential) -> Call<O> {
        self.options.session = Some(session);
        self
    }
}

impl<O: Operation> Call<O> {
    /// Makes the call. The same as awaiting it, but without an allocation for the future.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(self) -> Result<O::Output, Error> {
        let answer = self.client.execute(self.operation.into_wire(), O::WRITES, self.options).await?;
        O::from_wire(answer.reply, answer.zxid).ok_or_else(|| {
            let error = Error::unexpected_answer();
            if O::WRITES { error.of_sent_write() } else { error }
        })
    }
}

impl<O: Operation> IntoFuture for Call<O> {
    type Output = Result<O::Output, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Where the options of an operation stand; those that only keep sessions have none.
pub(crate) fn options_mut(operation: &mut WireOperation) -> Option<&mut Option<v1::RequestOptions>> {
    match operation {
        WireOperation::Get(request) => Some(&mut request.options),
        WireOperation::SetData(request) => Some(&mut request.options),
        WireOperation::Create(request) => Some(&mut request.options),
        WireOperation::Delete(request) => Some(&mut request.options),
        WireOperation::Exists(request) => Some(&mut request.options),
        WireOperation::ListChildren(request) => Some(&mut request.options),
        WireOperation::GetAcl(request) => Some(&mut request.options),
        WireOperation::SetAcl(request) => Some(&mut request.options),
        WireOperation::Multi(request) => Some(&mut request.options),
        WireOperation::MultiRead(request) => Some(&mut request.options),
        WireOperation::Sync(request) => Some(&mut request.options),
        WireOperation::GetEphemerals(request) => Some(&mut request.options),
        WireOperation::CountDescendants(request) => Some(&mut request.options),
        WireOperation::CheckAccess(request) => Some(&mut request.options),
        WireOperation::Watch(request) => Some(&mut request.options),
        WireOperation::Open(_)
        | WireOperation::Close(_)
        | WireOperation::KeepAlive(_)
        | WireOperation::CancelWatch(_) => None,
    }
}
