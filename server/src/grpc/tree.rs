//! `ZnodeService.StreamTree`: the dialogue of a tree that is streamed.

use std::ops::ControlFlow;

use quorate_proto::v1;
use quorate_replica::Delivery;
use quorate_types::{Tag, TreeNode, Zxid};

use super::convert::{self, Refusal};
use super::error;
use super::exchange::{Dialogue, Flow, Outgoing};
use super::options::Call;
use crate::inbox::Inbox;

/// One streamed tree.
pub(super) struct Tree {
    with_acl: bool,
    zxid: Zxid,
    /// Delivered and not yet said.
    nodes: Vec<TreeNode>,
}

/// Begins to stream what `request` asks for.
pub(super) fn begin(call: Call, request: v1::StreamTreeRequest, outgoing: &mut Outgoing) -> Result<Tree, Refusal> {
    let with_acl = request.with_acl;
    let request = call.request(convert::stream_tree(request)?)?;
    outgoing.push((Tag(0), request));
    Ok(Tree { with_acl, zxid: Zxid::ZERO, nodes: Vec::new() })
}

impl Dialogue for Tree {
    type In = v1::StreamTreeRequest;
    type Out = v1::StreamTreeResponse;

    fn hear(&mut self, _: v1::StreamTreeRequest, _: &Inbox, _: &mut Outgoing) -> Flow {
        ControlFlow::Continue(())
    }

    fn deliver(&mut self, delivery: Delivery, _: &Inbox, _: &mut Outgoing) -> Flow {
        match delivery {
            Delivery::Tree { tag: _, zxid, nodes } => {
                self.zxid = zxid;
                self.nodes.extend(nodes);
                ControlFlow::Continue(())
            }
            Delivery::Reply { response: Ok(_), .. } => ControlFlow::Break(Ok(())),
            Delivery::Reply { zxid, response: Err(failed), .. } => {
                ControlFlow::Break(Err(error::status(&failed, zxid)))
            }
            Delivery::Close(failed) => ControlFlow::Break(Err(error::plain(&failed))),
            Delivery::Watch { .. } | Delivery::Notify { .. } | Delivery::Session { .. } => {
                ControlFlow::Break(Err(error::plain(&convert::mismatch())))
            }
        }
    }

    fn say(&mut self, header: impl FnOnce() -> v1::ReplyHeader) -> Option<v1::StreamTreeResponse> {
        if self.nodes.is_empty() {
            return None;
        }
        let nodes = std::mem::take(&mut self.nodes);
        let nodes = nodes.into_iter().map(|node| convert::tree_node(node, self.with_acl)).collect();
        Some(v1::StreamTreeResponse { header: Some(header()), zxid: self.zxid.0, nodes })
    }

    fn is_over(&self) -> bool {
        false
    }
}
