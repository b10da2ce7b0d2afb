//! Requests that change the tree: contract -> core.

use bytes::Bytes;
use quorate_proto::v1;
use quorate_types::limits::{DATA_BYTES_MAX, DELETE_TREE_MAX, MULTI_OPS_MAX, TTL_MS_MAX};
use quorate_types::{Code, CreateMode, Op, Path, Precondition, WriteOp, Zxid};

use super::stat::{acl_entries, acl_entries_or_open};
use super::{Asked, Refusal, no_options, path};

/// See `ZnodeService.Create`.
pub(in crate::grpc) fn create(request: v1::CreateRequest) -> Result<Asked, Refusal> {
    let (op, options) = create_op(request)?;
    Ok(Asked { op: Op::Write(op), options })
}

/// See `ZnodeService.SetData`.
pub(in crate::grpc) fn set_data(request: v1::SetDataRequest) -> Result<Asked, Refusal> {
    let (op, options) = set_data_op(request)?;
    Ok(Asked { op: Op::Write(op), options })
}

/// See `ZnodeService.SetAcl`.
pub(in crate::grpc) fn set_acl(request: v1::SetAclRequest) -> Result<Asked, Refusal> {
    let (op, options) = set_acl_op(request)?;
    Ok(Asked { op: Op::Write(op), options })
}

/// See `ZnodeService.Delete`.
pub(in crate::grpc) fn delete(request: v1::DeleteRequest) -> Result<Asked, Refusal> {
    if !request.recursive {
        let (op, options) = delete_op(request)?;
        return Ok(Asked { op: Op::Write(op), options });
    }
    let v1::DeleteRequest { path: top, precondition, recursive: _, recursive_max, options } = request;
    if precondition.is_some() {
        return Err(Refusal::bad("precondition", "not with `recursive`"));
    }
    let max = match recursive_max {
        0 => DELETE_TREE_MAX,
        1..=DELETE_TREE_MAX => recursive_max,
        _ => return Err(Refusal::bad("recursive_max", format!("at most {DELETE_TREE_MAX}"))),
    };
    Ok(Asked { op: Op::DeleteTree { path: path("path", top)?, max }, options })
}

/// See `ZnodeService.Multi`.
pub(in crate::grpc) fn multi(request: v1::MultiRequest) -> Result<Asked, Refusal> {
    let v1::MultiRequest { operations, options } = request;
    if operations.len() > MULTI_OPS_MAX {
        let detail = format!("{} of them, more than {MULTI_OPS_MAX}", operations.len());
        return Err(Refusal::new("operations", Code::TooLarge, detail));
    }
    let ops = operations
        .into_iter()
        .enumerate()
        .map(|(index, one)| member(one).map_err(|refusal| refusal.within(format_args!("operations[{index}]"))))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Asked { op: Op::Multi(ops), options })
}

/// One operation of a Multi, which may have no options of its own.
fn member(one: v1::MultiOperation) -> Result<WriteOp, Refusal> {
    use v1::multi_operation::Operation;
    let (name, converted) = match one.operation {
        Some(Operation::Create(create)) => ("create", create_op(create)),
        Some(Operation::Delete(delete)) if delete.recursive => {
            ("delete", Err(Refusal::bad("recursive", "not in a Multi")))
        }
        Some(Operation::Delete(delete)) => ("delete", delete_op(delete)),
        Some(Operation::SetData(set)) => ("set_data", set_data_op(set)),
        Some(Operation::SetAcl(set)) => ("set_acl", set_acl_op(set)),
        Some(Operation::Check(check)) => ("check", check_op(check).map(|op| (op, None))),
        None => return Err(Refusal::bad("operation", "none is given, or one that this server does not know")),
    };
    converted.and_then(|(op, options)| no_options(options).map(|()| op)).map_err(|refusal| refusal.within(name))
}

/// An operation with the options that its message carries.
type Optioned = (WriteOp, Option<v1::RequestOptions>);

fn create_op(request: v1::CreateRequest) -> Result<Optioned, Refusal> {
    let v1::CreateRequest { path: at, data, mode, ttl_ms, acl, create_parents, options } = request;
    let mode = create_mode(mode, ttl_ms)?;
    let at = if mode.is_sequential() {
        Path::new_sequential_prefix(at).map_err(|error| Refusal::new("path", Code::InvalidPath, error.to_string()))?
    } else {
        path("path", at)?
    };
    let op = WriteOp::Create {
        path: at,
        data: bounded(data)?,
        acl: acl_entries_or_open(acl)?,
        mode,
        parents: create_parents,
    };
    Ok((op, options))
}

fn create_mode(mode: i32, ttl_ms: u64) -> Result<CreateMode, Refusal> {
    let Ok(asked) = v1::CreateMode::try_from(mode) else {
        return Err(Refusal::bad("mode", format!("{mode} is no mode that this server knows")));
    };
    let (mode, takes_ttl) = match asked {
        v1::CreateMode::Unspecified | v1::CreateMode::Persistent => (CreateMode::Persistent, false),
        v1::CreateMode::PersistentSequential => (CreateMode::PersistentSequential, false),
        v1::CreateMode::Ephemeral => (CreateMode::Ephemeral, false),
        v1::CreateMode::EphemeralSequential => (CreateMode::EphemeralSequential, false),
        v1::CreateMode::Container => (CreateMode::Container, false),
        v1::CreateMode::Ttl => (CreateMode::Ttl { ttl_ms }, true),
        v1::CreateMode::TtlSequential => (CreateMode::TtlSequential { ttl_ms }, true),
    };
    match (takes_ttl, ttl_ms) {
        (false, 0) | (true, 1..=TTL_MS_MAX) => Ok(mode),
        (false, _) => Err(Refusal::bad("ttl_ms", "only with a TTL mode")),
        (true, _) => Err(Refusal::bad("ttl_ms", format!("1 to {TTL_MS_MAX} with a TTL mode"))),
    }
}

fn set_data_op(request: v1::SetDataRequest) -> Result<Optioned, Refusal> {
    use v1::set_data_request::Precondition as Wanted;
    let v1::SetDataRequest { path: at, data, precondition, upsert, acl, options } = request;
    if acl.is_some() && !upsert {
        return Err(Refusal::bad("acl", "only with `upsert`"));
    }
    let precondition = match precondition {
        None => Precondition::None,
        Some(Wanted::Version(version)) => Precondition::Version(version),
        Some(Wanted::Mzxid(mzxid)) => Precondition::Mzxid(Zxid(mzxid)),
    };
    let create = if upsert { Some(acl_entries_or_open(acl)?) } else { None };
    Ok((WriteOp::SetData { path: path("path", at)?, data: bounded(data)?, precondition, create }, options))
}

fn delete_op(request: v1::DeleteRequest) -> Result<Optioned, Refusal> {
    use v1::delete_request::Precondition as Wanted;
    let v1::DeleteRequest { path: at, precondition, recursive: _, recursive_max, options } = request;
    if recursive_max != 0 {
        return Err(Refusal::bad("recursive_max", "only with `recursive`"));
    }
    let precondition = match precondition {
        None => Precondition::None,
        Some(Wanted::Version(version)) => Precondition::Version(version),
        Some(Wanted::Mzxid(mzxid)) => Precondition::Mzxid(Zxid(mzxid)),
    };
    Ok((WriteOp::Delete { path: path("path", at)?, precondition }, options))
}

fn set_acl_op(request: v1::SetAclRequest) -> Result<Optioned, Refusal> {
    use v1::set_acl_request::Precondition as Wanted;
    let v1::SetAclRequest { path: at, acl, precondition, options } = request;
    let Some(acl) = acl else {
        return Err(Refusal::new("acl", Code::InvalidAcl, "none is given"));
    };
    let precondition = match precondition {
        None => Precondition::None,
        Some(Wanted::Aversion(aversion)) => Precondition::Version(aversion),
        Some(Wanted::Mzxid(mzxid)) => Precondition::Mzxid(Zxid(mzxid)),
    };
    Ok((WriteOp::SetAcl { path: path("path", at)?, acl: acl_entries(acl)?, precondition }, options))
}

fn check_op(request: v1::CheckRequest) -> Result<WriteOp, Refusal> {
    use v1::check_request::Precondition as Wanted;
    let v1::CheckRequest { path: at, precondition } = request;
    let precondition = match precondition {
        None => Precondition::None,
        Some(Wanted::Version(version)) => Precondition::Version(version),
        Some(Wanted::Mzxid(mzxid)) => Precondition::Mzxid(Zxid(mzxid)),
        Some(Wanted::NotExists(true)) => Precondition::NotExists,
        Some(Wanted::NotExists(false)) => return Err(Refusal::bad("not_exists", "must be true if it is given")),
    };
    Ok(WriteOp::Check { path: path("path", at)?, precondition })
}

/// Data within the one limit of all doors, refused here so that it does not wait in a queue to be refused later.
fn bounded(data: Option<Bytes>) -> Result<Option<Bytes>, Refusal> {
    match &data {
        Some(bytes) if bytes.len() > DATA_BYTES_MAX => {
            let detail = format!("{} bytes, more than {DATA_BYTES_MAX}", bytes.len());
            Err(Refusal::new("data", Code::TooLarge, detail))
        }
        Some(_) | None => Ok(data),
    }
}
