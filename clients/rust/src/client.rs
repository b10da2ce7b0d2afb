//! `Client` and its `Builder`: where every call begins.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use quorate_proto::v1;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::chroot::Chroot;
use crate::connection::{Connections, Connector, Dialer, WatchConnections};
use crate::core::{Channels, Core, Lane};
use crate::ops::{
    self, Call, Check, CheckAccess, ClusterCall, CountDescendants, Create, Delete, Exists, Get, GetAcl, GetDigest,
    GetEphemerals, GetMembers, GetStatus, ListChildren, Multi, MultiRead, Reconfigure, Restore, SetAcl, SetData,
    StreamTree, TakeSnapshot, TransferLeadership,
};
use crate::request_ids::RequestIds;
use crate::seen::Seen;
use crate::watch::{WatchBuilder, Watches};
use crate::{Acl, Data, Error, Header, Tls};

/// How the calls of a client travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// All calls on two streams, one for reads and one for writes, many operations to a message: the fast path. A
    /// read never waits behind a write.
    #[default]
    Channel,
    /// One gRPC call each.
    Unary,
}

/// Puts a [`Client`] together.
#[derive(Clone, Debug)]
pub struct Builder {
    addresses: Vec<String>,
    connector: Connector,
    tls: Option<Tls>,
    access: Access,
    connect_timeout: Duration,
    request_timeout: Duration,
    outstanding_max: usize,
    idempotent_writes: bool,
    fail_fast: bool,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            addresses: vec!["127.0.0.1:7181".to_owned()],
            connector: Connector::tcp(),
            tls: None,
            access: Access::Channel,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            outstanding_max: 1024,
            idempotent_writes: true,
            fail_fast: false,
        }
    }
}

impl Builder {
    /// The ensemble's servers as `host:port`, any of which will do. Default: `127.0.0.1:7181`. Those that begin with
    /// `https://` speak TLS, those with `http://` do not, and the others do if [`Builder::tls`] was said.
    #[must_use]
    pub fn addresses<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Builder {
        self.addresses = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// How the two ends prove to each other who they are. Without, whoever begins with `https://` has to show a certificate
    /// that this system trusts.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.tls = Some(tls);
        self
    }

    /// Opens the byte stream to an address in another way than by TCP; for example to a server in the same process
    /// through [`tokio::io::duplex`].
    #[must_use]
    pub fn connector<F, R, T>(mut self, connect: F) -> Builder
    where
        F: Fn(&str) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.connector = Connector::new(connect);
        self
    }

    /// How calls travel. Default: [`Access::Channel`].
    #[must_use]
    pub fn access(mut self, access: Access) -> Builder {
        self.access = access;
        self
    }

    /// How long to wait for a connection to one address. Default: 2 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.connect_timeout = timeout;
        self
    }

    /// How long to wait for the answer to a call that does not say. Default: 10 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Builder {
        self.request_timeout = timeout;
        self
    }

    /// How many calls of each stream may be under way; more wait. Default: 1,024. Of writes with names there are 256 at
    /// most: the ensemble remembers no more results of one client.
    #[must_use]
    pub fn outstanding_max(mut self, outstanding: usize) -> Builder {
        self.outstanding_max = outstanding.clamp(1, OUTSTANDING_MAX);
        self
    }

    /// Whether every write gets a name by which the server recognizes it, so that it can be sent again when a
    /// connection broke without taking effect twice. Costs the server some memory and about 40 bytes of log for each
    /// write. Without it such a write fails with [`Error::maybe_applied`]. Default: true.
    ///
    /// There is a horizon: all clients without a session together share room for 100,000 results, or 32 MiB, which at
    /// full load last less than a second. A write that is sent again later than that is made again: a sequential create
    /// then makes a second znode. On a [`crate::Session`] results are remembered until it ends.
    #[must_use]
    pub fn idempotent_writes(mut self, idempotent: bool) -> Builder {
        self.idempotent_writes = idempotent;
        self
    }

    /// Whether a call fails as soon as no address could be reached, instead of when its time is up. Default: false.
    #[must_use]
    pub fn fail_fast(mut self, fail_fast: bool) -> Builder {
        self.fail_fast = fail_fast;
        self
    }

    /// The client. Nothing happens yet: it connects when it is first used.
    #[must_use]
    pub fn build(self) -> Client {
        let seen = Arc::new(Seen::default());
        let dialer = Arc::new(Dialer::new(self.addresses, self.connector, self.tls, self.connect_timeout));
        let core = Arc::new(Core {
            calls: Arc::new(Connections::new(Arc::clone(&dialer), Arc::clone(&seen))),
            watches: WatchConnections::new(dialer, Arc::clone(&seen)),
            seen,
            ids: self.idempotent_writes.then(RequestIds::of_client).flatten(),
            request_timeout: self.request_timeout,
            outstanding_max: self.outstanding_max,
            idempotent_writes: self.idempotent_writes,
            fail_fast: self.fail_fast,
        });
        let lane = match self.access {
            Access::Unary => Lane::Unary,
            Access::Channel => Lane::Channels(Arc::new(Channels {
                reads: core.new_channel(None, self.outstanding_max),
                writes: core.new_channel(None, self.outstanding_max),
            })),
        };
        Client { core, lane, root: Chroot::default() }
    }
}

/// A slab of calls under way is scanned when one times out; beyond this a scan would be noticed.
const OUTSTANDING_MAX: usize = 65_536;

/// Access to an ensemble. Cheap to clone; clones share everything.
///
/// It connects when it is first used and again whenever that is needed, to whichever server can be reached, and never
/// shows a state that is older than one that it has shown before.
///
/// Calls that are made without awaiting the one before may take effect in any order. Where the order matters, await,
/// use a multi, or a [`crate::Session`], which keeps it.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) core: Arc<Core>,
    pub(crate) lane: Lane,
    pub(crate) root: Chroot,
}

impl Client {
    /// Puts a client together.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client for which the znode at `path` is the root: all paths that it names lie below, and all that it is shown
    /// are as seen from there. It shares everything else with this one. A session that is opened on it sees the same.
    ///
    /// The znode itself need not exist, but nothing can be created below it before it does, unless with its parents.
    ///
    /// # Errors
    /// [`crate::Reason::InvalidPath`].
    /// ```
    /// let client = quorate_client::Client::builder().build();
    /// let tenant = client.chroot("/tenants/red")?;
    /// let color = tenant.get("/color"); // of /tenants/red/color
    /// # Ok::<(), quorate_client::Error>(())
    /// ```
    pub fn chroot(&self, path: &str) -> Result<Client, Error> {
        Ok(Client { root: self.root.enter(path)?, ..self.clone() })
    }

    /// Reads data and stat.
    pub fn get(&self, path: impl Into<String>) -> Call<Get> {
        Call::new(self, Get(v1::GetRequest { path: path.into(), options: None }))
    }

    /// Asks whether there is such a znode; that there is none is an answer, not an error.
    pub fn exists(&self, path: impl Into<String>) -> Call<Exists> {
        Call::new(self, Exists(v1::ExistsRequest { path: path.into(), options: None }))
    }

    /// Creates a znode.
    pub fn create(&self, path: impl Into<String>, data: impl Into<Data>) -> Call<Create> {
        let data = data.into().into_inner();
        Call::new(self, Create(v1::CreateRequest { path: path.into(), data, ..Default::default() }))
    }

    /// Sets data.
    pub fn set(&self, path: impl Into<String>, data: impl Into<Data>) -> Call<SetData> {
        let data = data.into().into_inner();
        Call::new(self, SetData(v1::SetDataRequest { path: path.into(), data, ..Default::default() }))
    }

    /// Deletes a znode without children, or, if recursive, with all that is below it.
    pub fn delete(&self, path: impl Into<String>) -> Call<Delete> {
        Call::new(self, Delete(v1::DeleteRequest { path: path.into(), ..Default::default() }))
    }

    /// Lists a page of children, in the order of their names' bytes.
    pub fn children(&self, path: impl Into<String>) -> Call<ListChildren> {
        Call::new(self, ListChildren(v1::ListChildrenRequest { path: path.into(), ..Default::default() }))
    }

    /// Reads the ACL.
    pub fn acl(&self, path: impl Into<String>) -> Call<GetAcl> {
        Call::new(self, GetAcl(v1::GetAclRequest { path: path.into(), options: None }))
    }

    /// Replaces the ACL.
    pub fn set_acl(&self, path: impl Into<String>, acl: Acl) -> Call<SetAcl> {
        let acl = Some(acl.into_wire());
        Call::new(self, SetAcl(v1::SetAclRequest { path: path.into(), acl, ..Default::default() }))
    }

    /// Asks what the caller may do with a znode, and by which entries of its ACL.
    pub fn check_access(&self, path: impl Into<String>) -> Call<CheckAccess> {
        Call::new(self, CheckAccess(v1::CheckAccessRequest { path: path.into(), options: None }))
    }

    /// Makes several changes, all or nothing; later operations see what earlier ones did. At most 4,096.
    ///
    /// If one of them fails, the call itself succeeds: see [`crate::MultiReply`].
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
    /// let moved = client
    ///     .multi()
    ///     .add(client.check("/lock").not_exists())
    ///     .add(client.create("/new", "data"))
    ///     .add(client.delete("/old").version(3))
    ///     .await?
    ///     .into_result()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn multi(&self) -> Call<Multi> {
        Call::new(self, Multi::default())
    }

    /// A guard for a multi; by itself it demands that the znode exists.
    pub fn check(&self, path: impl Into<String>) -> Check {
        Check(v1::CheckRequest { path: path.into(), precondition: None })
    }

    /// Reads several things from one state; each succeeds or fails by itself. At most 4,096.
    pub fn multi_read(&self) -> Call<MultiRead> {
        Call::new(self, MultiRead::default())
    }

    /// Waits until the server has applied everything that was committed when the call was made.
    pub fn sync(&self) -> Call<ops::Sync> {
        Call::new(self, ops::Sync(v1::SyncRequest { options: None }))
    }

    /// Lists the ephemeral znodes of a session: that of the options, or the [`crate::Session`] on which it is called.
    pub fn ephemerals(&self) -> Call<GetEphemerals> {
        Call::new(self, GetEphemerals(v1::GetEphemeralsRequest { prefix: String::new(), options: None }))
    }

    /// Counts the znodes below a path.
    pub fn count_descendants(&self, path: impl Into<String>) -> Call<CountDescendants> {
        Call::new(self, CountDescendants(v1::CountDescendantsRequest { path: path.into(), options: None }))
    }

    /// Streams a znode and everything below it, parents first, as of one zxid, while writes go on.
    pub fn stream_tree(&self, path: impl Into<String>) -> StreamTree {
        StreamTree::new(self, path.into())
    }

    /// Asks the server that this client is connected to what it is, does and holds.
    pub fn status(&self) -> ClusterCall<GetStatus> {
        ClusterCall::new(self, GetStatus)
    }

    /// Asks who belongs to the ensemble, who leads, and how far everybody is.
    pub fn members(&self) -> ClusterCall<GetMembers> {
        ClusterCall::new(self, GetMembers)
    }

    /// Changes which servers belong to the ensemble. Done once the new configuration is the only one that counts. What is
    /// so already is no change and no error, so this can be made again when its outcome is not known.
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
    /// use quorate_client::{MemberAddress, MemberSpec, Membership};
    ///
    /// let address = MemberAddress { peer: "s4.example:7182".to_owned(), ..MemberAddress::default() };
    /// let new = MemberSpec { server_id: 4, membership: Membership::Participant, address: Some(address) };
    /// let version = client.members().await?.version;
    /// client.reconfigure().add(new).remove(2).version(version).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reconfigure(&self) -> ClusterCall<Reconfigure> {
        ClusterCall::new(self, Reconfigure::default())
    }

    /// Hands leadership over: before the leader is stopped, for example. Yields who leads then.
    pub fn transfer_leadership(&self) -> ClusterCall<TransferLeadership> {
        ClusterCall::new(self, TransferLeadership::default())
    }

    /// Asks the server that this client is connected to for a hash of its state.
    pub fn digest(&self) -> ClusterCall<GetDigest> {
        ClusterCall::new(self, GetDigest)
    }

    /// Takes a backup: the whole state as of one zxid, as the bytes of a snapshot file, while writes go on. It holds
    /// everything that the server had applied when it was asked, whatever ACLs say.
    /// ```no_run
    /// # async fn example(client: quorate_client::Client, file: &mut std::fs::File) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::StreamExt as _;
    ///
    /// let mut snapshot = client.snapshot().await?;
    /// while let Some(piece) = snapshot.next().await {
    ///     std::io::Write::write_all(file, &piece?)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot(&self) -> TakeSnapshot {
        TakeSnapshot::new(self)
    }

    /// Replaces the whole state by that of a backup, the bytes of a snapshot file. Every session ends, every watch does, and
    /// what was written since the backup is gone. If it fails nothing has changed, unless [`Error::maybe_applied`].
    pub fn restore<S: Stream<Item = Bytes> + Send + 'static>(&self, pieces: S) -> Restore<S> {
        Restore::new(self, pieces)
    }

    /// Watches a znode, its children or everything below it, on a stream of its own.
    pub fn watch(&self, path: impl Into<String>) -> WatchBuilder {
        WatchBuilder::new(self, path.into())
    }

    /// Several watches on one stream, in one order: for many watches that one task follows. They share the stream's
    /// buffer, so one that is not followed stops the others. Items come with the position of their watch.
    pub fn watch_many(&self, watches: impl IntoIterator<Item = WatchBuilder>) -> Watches {
        Watches::start(&self.core, watches.into_iter().collect())
    }

    /// The header of the newest answer of any call or watch: which server gave it, and from which state.
    #[must_use]
    pub fn last_header(&self) -> Option<Header> {
        self.core.seen.last()
    }

    /// The way around this crate: a connection for the generated clients in [`crate::proto`], dialed if there is
    /// none. It is not replaced when it breaks, and nothing that was seen on it counts for this client's reads.
    ///
    /// # Errors
    /// [`crate::Reason::Unreachable`].
    pub async fn grpc(&self) -> Result<tonic::transport::Channel, Error> {
        Ok(self.core.calls.get().await?.transport.clone())
    }
}
