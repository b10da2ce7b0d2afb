//! `TreeStream`: a subtree that is streamed, as one JSON document or in lines.
//!
//! The status and the zxid are known before the first znode leaves; what breaks off later can only be told by the body
//! itself. So a whole one always ends in its own way, and what fails ends without: the connection breaks.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use quorate_client::{CreateMode, Tree, TreeNode};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::ToSchema;

use crate::acl::{self, EntryDocument};
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::problem::Problem;
use crate::readers::Reader;
use crate::representation::{Encoding, StatDocument, data_text};
use crate::routes::znodes::Mode;

/// A piece that has grown so large leaves: other connections want their turn.
const PIECE_BYTES: usize = 64 * 1024;

/// How an empty document of an untruncated tree ends.
const DOCUMENT_END: &[u8] = br#"],"truncated":false}"#;

/// What is wanted of a subtree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) with_data: bool,
    pub(crate) with_acl: bool,
    /// At most so many znodes.
    limit: u64,
}

impl Bounds {
    /// `with` is a list of words, each of them what is wanted besides the stat.
    pub(crate) fn read(with: Option<&str>, limit: Option<u64>) -> Result<Bounds, Problem> {
        let none = Bounds { with_data: false, with_acl: false, limit: limit.unwrap_or(u64::MAX) };
        let Some(words) = with else { return Ok(none) };
        words.split(',').try_fold(none, |bounds, word| match word {
            "data" => Ok(Bounds { with_data: true, ..bounds }),
            "acl" => Ok(Bounds { with_acl: true, ..bounds }),
            _ => Err(Problem::bad_arguments(format!("with={word:?} is unknown: ask for data, acl, or data,acl"))),
        })
    }
}

/// How znodes stand in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In the list of one document.
    Document,
    /// Each in a line of its own.
    Lines,
}

/// A subtree.
#[derive(Serialize, ToSchema)]
#[schema(as = Tree)]
pub(crate) struct TreeDocument<'a> {
    /// The top.
    #[schema(example = "/app")]
    path: &'a str,
    /// The state that the whole document shows.
    #[schema(value_type = String, example = "0x10000000a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// Parents before their children, siblings in the order of their names' bytes.
    znodes: Vec<NodeDocument<'a>>,
    /// There are more than `limit` znodes.
    #[schema(example = false)]
    truncated: bool,
}

/// A znode of a subtree.
#[derive(Serialize, ToSchema)]
#[schema(as = TreeNode)]
pub(crate) struct NodeDocument<'a> {
    /// The whole path.
    #[schema(example = "/app/config")]
    path: &'a str,
    /// Its metadata.
    stat: StatDocument,
    /// What kind of znode, never a sequential one.
    mode: Mode,
    /// Of a TTL znode: how long it stays without children and changes, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 60_000)]
    ttl_ms: Option<u64>,
    /// The data, as `encoding` says; null for null data. Missing unless it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, example = "hello")]
    data: Option<Option<Cow<'a, str>>>,
    /// How `data` is to be read. Missing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    encoding: Option<Encoding>,
    /// Who may do what. Missing unless it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    acl: Option<Vec<EntryDocument>>,
}

/// A line of a subtree.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schema(as = TreeLine)]
pub(crate) enum LineDocument<'a> {
    /// A znode.
    Znode(NodeDocument<'a>),
    /// The last line.
    End(EndDocument),
}

/// The end of a subtree.
#[derive(Serialize, ToSchema)]
#[schema(as = TreeEnd)]
pub(crate) struct EndDocument {
    /// The state that all lines show.
    #[schema(value_type = String, example = "0x10000000a", pattern = "^0x[0-9a-f]{1,16}$")]
    zxid: Hex,
    /// How many znodes were told.
    #[schema(example = 7)]
    znodes: u64,
    /// There are more than `limit` znodes.
    #[schema(example = false)]
    truncated: bool,
}

impl<'a> NodeDocument<'a> {
    fn new(node: &'a TreeNode, bounds: Bounds) -> NodeDocument<'a> {
        let (text, encoding) = bounds.with_data.then(|| data_text(node.data.as_ref())).unzip();
        let ttl_ms = match node.mode {
            CreateMode::Ttl(ttl) => Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        };
        NodeDocument {
            path: &node.path,
            stat: StatDocument::from(&node.stat),
            mode: node.mode.into(),
            ttl_ms,
            data: text,
            encoding,
            acl: node.acl.as_ref().map(acl::entries),
        }
    }
}

/// Puts znodes into words.
struct Writer {
    bounds: Bounds,
    layout: Layout,
    zxid: u64,
    /// How many were told.
    znodes: u64,
    buffer: BytesMut,
}

impl Writer {
    fn new(path: &str, zxid: u64, bounds: Bounds, layout: Layout) -> Writer {
        let mut buffer = BytesMut::new();
        if layout == Layout::Document {
            let empty = TreeDocument { path, zxid: Hex(zxid), znodes: Vec::new(), truncated: false };
            write_json(&mut buffer, &empty);
            buffer.truncate(buffer.len() - DOCUMENT_END.len());
        }
        Writer { bounds, layout, zxid, znodes: 0, buffer }
    }

    /// Adds a znode; false if it is one more than is wanted.
    fn push(&mut self, node: &TreeNode) -> bool {
        if self.znodes == self.bounds.limit {
            return false;
        }
        let document = NodeDocument::new(node, self.bounds);
        match self.layout {
            Layout::Document => {
                if self.znodes > 0 {
                    self.buffer.put_u8(b',');
                }
                write_json(&mut self.buffer, &document);
            }
            Layout::Lines => self.line(&LineDocument::Znode(document)),
        }
        self.znodes += 1;
        true
    }

    fn finish(&mut self, truncated: bool) {
        match (self.layout, truncated) {
            (Layout::Document, false) => self.buffer.put_slice(DOCUMENT_END),
            (Layout::Document, true) => self.buffer.put_slice(br#"],"truncated":true}"#),
            (Layout::Lines, truncated) => {
                let end = EndDocument { zxid: Hex(self.zxid), znodes: self.znodes, truncated };
                self.line(&LineDocument::End(end));
            }
        }
    }

    fn line(&mut self, document: &LineDocument<'_>) {
        write_json(&mut self.buffer, document);
        self.buffer.put_u8(b'\n');
    }
}

fn write_json(out: &mut BytesMut, document: &impl Serialize) {
    serde_json::to_writer(out.writer(), document).expect("texts and numbers become JSON");
}

/// The body of a subtree.
pub(crate) struct TreeStream {
    reader: Arc<Reader<Tree>>,
    writer: Writer,
    /// While the source has nothing, it is asked so often nevertheless: whoever does not ask is taken for gone.
    attention: Interval,
    ended: bool,
}

impl TreeStream {
    /// Of a tree that has begun, with `path` at its top.
    pub(crate) fn new(
        gateway: &Gateway,
        tree: Tree,
        path: &str,
        bounds: Bounds,
        layout: Layout,
        place: OwnedSemaphorePermit,
    ) -> TreeStream {
        let writer = Writer::new(path, tree.zxid(), bounds, layout);
        let mut attention = interval(gateway.config.silence_max());
        attention.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let active = gateway.config.metrics.event_stream_begins();
        TreeStream { reader: gateway.readers.admit(tree, active, place), writer, attention, ended: false }
    }

    fn end(&mut self, truncated: bool) {
        self.writer.finish(truncated);
        self.ended = true;
    }
}

impl Body for TreeStream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        while !self.ended && self.writer.buffer.len() < PIECE_BYTES {
            match self.reader.poll_next(context) {
                Poll::Ready(Some(Ok(Ok(node)))) => {
                    if !self.writer.push(&node) {
                        self.end(true);
                    }
                }
                Poll::Ready(None) => self.end(false),
                Poll::Ready(Some(Ok(Err(error)) | Err(error))) => {
                    tracing::debug!(%error, "a streamed tree has broken off");
                    self.ended = true;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                Poll::Pending if self.writer.buffer.is_empty() => {
                    while self.attention.poll_tick(context).is_ready() {}
                    return Poll::Pending;
                }
                Poll::Pending => break,
            }
        }
        // At the end, there is nothing more.
        let piece = (!self.writer.buffer.is_empty()).then(|| self.writer.buffer.split().freeze());
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}
