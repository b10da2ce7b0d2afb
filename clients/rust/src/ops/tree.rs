//! `StreamTree`: a znode and everything below it, as of one zxid.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use quorate_proto::v1;

use crate::connection::Connection;
use crate::reply::{self, TreeNode};
use crate::{CallOptions, Client, Error, Reason};

/// A stream of a tree that is being put together; awaiting it begins it. See [`Client::stream_tree`].
#[must_use = "a tree is streamed when this is awaited"]
#[derive(Clone, Debug)]
pub struct StreamTree {
    client: Client,
    request: v1::StreamTreeRequest,
    options: CallOptions,
}

impl StreamTree {
    pub(crate) fn new(client: &Client, path: String) -> StreamTree {
        let request = v1::StreamTreeRequest { path, ..Default::default() };
        StreamTree { client: client.clone(), request, options: CallOptions::default() }
    }

    /// With each znode's data.
    pub fn with_data(mut self) -> Self {
        self.request.with_data = true;
        self
    }

    /// With each znode's ACL, where the caller may read it.
    pub fn with_acl(mut self) -> Self {
        self.request.with_acl = true;
        self
    }

    /// Nothing that lies more levels below the top: 0 for the top alone, 1 for its children, too. Default: everything.
    pub fn depth_max(mut self, levels: u32) -> Self {
        self.request.depth_max = Some(levels);
        self
    }

    /// All options at once. The time limit is for the beginning of the stream.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// Begins the stream: returns once its zxid is known.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(mut self) -> Result<Tree, Error> {
        self.request.options = self.options.to_wire();
        self.request.path = self.client.root.outside(self.request.path);
        let (connection, mut stream) = self.client.open_tree(self.request, self.options.timeout).await?;
        let first = stream.message().await?.ok_or_else(|| {
            Error::new(Reason::Protocol, "the server ended the stream of a tree before its first znode")
        })?;
        self.client.core.calls.note(&connection, first.header.as_ref());
        Ok(Tree { client: self.client, connection, zxid: first.zxid, stream, ready: first.nodes.into(), ended: false })
    }
}

impl IntoFuture for StreamTree {
    type Output = Result<Tree, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A znode and everything below it, parents first, siblings in the order of their names' bytes.
///
/// The whole stream shows one state; so if it breaks off it ends with an error and has to begin again.
#[derive(Debug)]
pub struct Tree {
    client: Client,
    connection: Arc<Connection>,
    zxid: u64,
    stream: tonic::Streaming<v1::StreamTreeResponse>,
    ready: VecDeque<v1::TreeNode>,
    ended: bool,
}

impl Tree {
    /// The state that the whole stream shows.
    #[must_use]
    pub fn zxid(&self) -> u64 {
        self.zxid
    }
}

impl Stream for Tree {
    type Item = Result<TreeNode, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(node) = self.ready.pop_front() {
                let path = self.client.root.inside(node.path);
                return Poll::Ready(Some(Ok(reply::tree_node(v1::TreeNode { path, ..node }))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match std::task::ready!(Pin::new(&mut self.stream).poll_next(context)) {
                Some(Ok(message)) => {
                    self.client.core.calls.note(&self.connection, message.header.as_ref());
                    self.ready = message.nodes.into();
                }
                Some(Err(status)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(status.into())));
                }
                None => self.ended = true,
            }
        }
    }
}
