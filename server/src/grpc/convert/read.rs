//! Requests that read the tree: contract -> core.

use quorate_proto::v1;
use quorate_types::limits::{CHILDREN_PAGE_MAX, MULTI_OPS_MAX};
use quorate_types::{Code, Op, ReadOp, StreamTree};

use super::{Asked, Refusal, no_options, path};

/// See `ZnodeService.Get`.
pub(in crate::grpc) fn get(request: v1::GetRequest) -> Result<Asked, Refusal> {
    asked(get_op(request)?)
}

/// See `ZnodeService.Exists`.
pub(in crate::grpc) fn exists(request: v1::ExistsRequest) -> Result<Asked, Refusal> {
    asked(exists_op(request)?)
}

/// See `ZnodeService.ListChildren`.
pub(in crate::grpc) fn list_children(request: v1::ListChildrenRequest) -> Result<Asked, Refusal> {
    asked(list_children_op(request)?)
}

/// See `ZnodeService.GetAcl`.
pub(in crate::grpc) fn get_acl(request: v1::GetAclRequest) -> Result<Asked, Refusal> {
    asked(get_acl_op(request)?)
}

/// See `ZnodeService.GetEphemerals`.
pub(in crate::grpc) fn get_ephemerals(request: v1::GetEphemeralsRequest) -> Result<Asked, Refusal> {
    let v1::GetEphemeralsRequest { prefix, options } = request;
    asked((ReadOp::Ephemerals { prefix }, options))
}

/// See `ZnodeService.CheckAccess`.
pub(in crate::grpc) fn check_access(request: v1::CheckAccessRequest) -> Result<Asked, Refusal> {
    let v1::CheckAccessRequest { path: at, options } = request;
    asked((ReadOp::Access { path: path("path", at)? }, options))
}

/// See `ZnodeService.CountDescendants`.
pub(in crate::grpc) fn count_descendants(request: v1::CountDescendantsRequest) -> Result<Asked, Refusal> {
    let v1::CountDescendantsRequest { path: at, options } = request;
    asked((ReadOp::CountDescendants { path: path("path", at)? }, options))
}

/// See `ZnodeService.Sync`.
pub(in crate::grpc) fn sync(request: v1::SyncRequest) -> Result<Asked, Refusal> {
    let v1::SyncRequest { options } = request;
    Ok(Asked { op: Op::Sync, options })
}

/// See `ZnodeService.StreamTree`.
pub(in crate::grpc) fn stream_tree(request: v1::StreamTreeRequest) -> Result<Asked, Refusal> {
    let v1::StreamTreeRequest { path: at, with_data, with_acl: _, depth_max, options } = request;
    let wanted = StreamTree { path: path("path", at)?, with_data, depth_max: depth_max.unwrap_or(u32::MAX) };
    Ok(Asked { op: Op::StreamTree(wanted), options })
}

/// See `ZnodeService.MultiRead`.
pub(in crate::grpc) fn multi_read(request: v1::MultiReadRequest) -> Result<Asked, Refusal> {
    let v1::MultiReadRequest { operations, options } = request;
    if operations.len() > MULTI_OPS_MAX {
        let detail = format!("{} of them, more than {MULTI_OPS_MAX}", operations.len());
        return Err(Refusal::new("operations", Code::TooLarge, detail));
    }
    let ops = operations
        .into_iter()
        .enumerate()
        .map(|(index, one)| member(one).map_err(|refusal| refusal.within(format_args!("operations[{index}]"))))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Asked { op: Op::MultiRead(ops), options })
}

/// One read of a MultiRead, which may have no options of its own.
fn member(one: v1::ReadOperation) -> Result<ReadOp, Refusal> {
    use v1::read_operation::Operation;
    let (name, converted) = match one.operation {
        Some(Operation::Get(get)) => ("get", get_op(get)),
        Some(Operation::Exists(exists)) => ("exists", exists_op(exists)),
        Some(Operation::ListChildren(list)) => ("list_children", list_children_op(list)),
        Some(Operation::GetAcl(get)) => ("get_acl", get_acl_op(get)),
        None => return Err(Refusal::bad("operation", "none is given, or one that this server does not know")),
    };
    converted.and_then(|(op, options)| no_options(options).map(|()| op)).map_err(|refusal| refusal.within(name))
}

/// A read with the options that its message carries.
type Optioned = (ReadOp, Option<v1::RequestOptions>);

fn asked((op, options): Optioned) -> Result<Asked, Refusal> {
    Ok(Asked { op: Op::Read { op, watch: false }, options })
}

fn get_op(request: v1::GetRequest) -> Result<Optioned, Refusal> {
    let v1::GetRequest { path: at, options } = request;
    Ok((ReadOp::Get { path: path("path", at)? }, options))
}

fn exists_op(request: v1::ExistsRequest) -> Result<Optioned, Refusal> {
    let v1::ExistsRequest { path: at, options } = request;
    Ok((ReadOp::Exists { path: path("path", at)? }, options))
}

fn list_children_op(request: v1::ListChildrenRequest) -> Result<Optioned, Refusal> {
    let v1::ListChildrenRequest { path: at, after, limit, with_stat, with_data, options } = request;
    if limit > CHILDREN_PAGE_MAX {
        return Err(Refusal::bad("limit", format!("at most {CHILDREN_PAGE_MAX}")));
    }
    Ok((ReadOp::Children { path: path("path", at)?, after, limit, with_stat, with_data }, options))
}

fn get_acl_op(request: v1::GetAclRequest) -> Result<Optioned, Refusal> {
    let v1::GetAclRequest { path: at, options } = request;
    Ok((ReadOp::GetAcl { path: path("path", at)? }, options))
}
