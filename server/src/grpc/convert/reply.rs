//! Replies: core -> contract.

use quorate_proto::v1;
use quorate_types::{Child, Code, Error, Op, Reply, Response, SessionSecret, WriteOp};

use super::super::error;
use super::stat::{acl, stat};

/// What has to be known of a request to give its answer the right form, where the reply alone does not tell.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::grpc) enum Shape {
    /// The reply tells.
    Plain,
    /// It sets data: `Created` and `Changed` are answers to that.
    SetData,
    /// A Multi; for each of its operations, whether it sets data.
    Multi(Box<[bool]>),
    /// It opens a session with this secret, which only the door and the client get to see.
    Open(SessionSecret),
}

impl Shape {
    /// The shape of the answer to `op`.
    pub(in crate::grpc) fn of(op: &Op) -> Shape {
        match op {
            Op::Write(write) if sets_data(write) => Shape::SetData,
            Op::Multi(writes) => Shape::Multi(writes.iter().map(sets_data).collect()),
            Op::OpenSession { secret, .. } => Shape::Open(*secret),
            Op::Write(_)
            | Op::DeleteTree { .. }
            | Op::Read { .. }
            | Op::MultiRead(_)
            | Op::Sync
            | Op::AttachSession { .. }
            | Op::CloseSession
            | Op::Touch
            | Op::Watch(_)
            | Op::StreamTree { .. }
            | Op::Snapshot
            | Op::Restore(_)
            | Op::Status
            | Op::Members
            | Op::Reconfigure { .. }
            | Op::TransferLeadership { .. } => Shape::Plain,
        }
    }
}

fn sets_data(op: &WriteOp) -> bool {
    match op {
        WriteOp::SetData { .. } => true,
        WriteOp::Create { .. } | WriteOp::Delete { .. } | WriteOp::SetAcl { .. } | WriteOp::Check { .. } => false,
    }
}

/// The answer to an operation on a Channel.
pub(in crate::grpc) fn channel_result(response: Response, shape: &Shape) -> v1::channel_reply::Result {
    use v1::channel_reply::Result as To;
    let reply = match response {
        Ok(reply) => reply,
        Err(failed) => return To::Error(error::message(&failed)),
    };
    let converted = match reply {
        Reply::Created { .. } | Reply::Changed { .. } if *shape == Shape::SetData => {
            answer::set_data(reply, shape, None).map(To::SetData)
        }
        Reply::Created { .. } => answer::create(reply, shape, None).map(To::Create),
        Reply::Changed { .. } => answer::set_acl(reply, shape, None).map(To::SetAcl),
        Reply::Deleted | Reply::TreeDeleted { .. } => answer::delete(reply, shape, None).map(To::Delete),
        Reply::Multi(_) => answer::multi(reply, shape, None).map(To::Multi),
        Reply::Data { .. } => answer::get(reply, shape, None).map(To::Get),
        Reply::Exists(_) => answer::exists(reply, shape, None).map(To::Exists),
        Reply::Children { .. } => answer::list_children(reply, shape, None).map(To::ListChildren),
        Reply::Acl { .. } => answer::get_acl(reply, shape, None).map(To::GetAcl),
        Reply::Access { .. } => answer::check_access(reply, shape, None).map(To::CheckAccess),
        Reply::Ephemerals(_) => answer::get_ephemerals(reply, shape, None).map(To::GetEphemerals),
        Reply::Count(_) => answer::count_descendants(reply, shape, None).map(To::CountDescendants),
        Reply::MultiRead(_) => answer::multi_read(reply, shape, None).map(To::MultiRead),
        Reply::Synced => answer::sync(reply, shape, None).map(To::Sync),
        Reply::Session { .. } => answer::open(reply, shape, None).map(To::Open),
        Reply::Touched { .. } => answer::keep_alive(reply, shape, None).map(To::KeepAlive),
        Reply::SessionClosed => answer::close(reply, shape, None).map(To::Close),
        Reply::Checked
        | Reply::WatchDone
        | Reply::TreeStreamed { .. }
        | Reply::SnapshotTaken { .. }
        | Reply::RestoreStep { .. }
        | Reply::Status(_)
        | Reply::Ensemble(_)
        | Reply::Reconfigured(_)
        | Reply::LeadershipTransferred { .. } => None,
    };
    converted.unwrap_or_else(|| To::Error(error::message(&mismatch())))
}

/// A reply that does not answer what was asked: the core broke its own rule.
pub(in crate::grpc) fn mismatch() -> Error {
    Error::new(Code::Internal, "the server answered another question than the one that was asked")
}

/// One function for each kind of answer; `None` says that the reply is of another kind. The header is absent where
/// an envelope has one.
pub(in crate::grpc) mod answer {
    use super::*;

    type Header = Option<v1::ReplyHeader>;

    pub(in crate::grpc) fn create(reply: Reply, _: &Shape, header: Header) -> Option<v1::CreateResponse> {
        let Reply::Created { path, stat: of } = reply else { return None };
        Some(v1::CreateResponse { header, path, stat: Some(stat(&of)) })
    }

    pub(in crate::grpc) fn set_data(reply: Reply, _: &Shape, header: Header) -> Option<v1::SetDataResponse> {
        let (of, created) = match reply {
            Reply::Changed { stat } => (stat, false),
            Reply::Created { path: _, stat } => (stat, true),
            _ => return None,
        };
        Some(v1::SetDataResponse { header, stat: Some(stat(&of)), created })
    }

    pub(in crate::grpc) fn set_acl(reply: Reply, _: &Shape, header: Header) -> Option<v1::SetAclResponse> {
        let Reply::Changed { stat: of } = reply else { return None };
        Some(v1::SetAclResponse { header, stat: Some(stat(&of)) })
    }

    pub(in crate::grpc) fn delete(reply: Reply, _: &Shape, header: Header) -> Option<v1::DeleteResponse> {
        let deleted = match reply {
            Reply::Deleted => 1,
            Reply::TreeDeleted { count } => count,
            _ => return None,
        };
        Some(v1::DeleteResponse { header, deleted })
    }

    pub(in crate::grpc) fn multi(reply: Reply, shape: &Shape, header: Header) -> Option<v1::MultiResponse> {
        let (Reply::Multi(responses), Shape::Multi(sets_data)) = (reply, shape) else { return None };
        if responses.len() != sets_data.len() {
            return None;
        }
        let committed = responses.iter().all(Result::is_ok);
        let results = responses
            .into_iter()
            .zip(sets_data)
            .map(|(response, sets_data)| v1::MultiResult { result: Some(member(response, *sets_data)) })
            .collect();
        Some(v1::MultiResponse { header, committed, results })
    }

    pub(in crate::grpc) fn get(reply: Reply, _: &Shape, header: Header) -> Option<v1::GetResponse> {
        let Reply::Data { data, stat: of } = reply else { return None };
        Some(v1::GetResponse { header, data, stat: Some(stat(&of)) })
    }

    pub(in crate::grpc) fn exists(reply: Reply, _: &Shape, header: Header) -> Option<v1::ExistsResponse> {
        let Reply::Exists(of) = reply else { return None };
        Some(v1::ExistsResponse { header, stat: of.as_ref().map(stat) })
    }

    pub(in crate::grpc) fn list_children(reply: Reply, _: &Shape, header: Header) -> Option<v1::ListChildrenResponse> {
        let Reply::Children { children, stat: of, more } = reply else { return None };
        let child =
            |Child { name, stat: of, data }| v1::Child { name, stat: of.as_ref().map(stat), data: data.flatten() };
        Some(v1::ListChildrenResponse {
            header,
            children: children.into_iter().map(child).collect(),
            stat: Some(stat(&of)),
            more,
        })
    }

    pub(in crate::grpc) fn get_acl(reply: Reply, _: &Shape, header: Header) -> Option<v1::GetAclResponse> {
        let Reply::Acl { acl: entries, stat: of } = reply else { return None };
        Some(v1::GetAclResponse { header, acl: Some(acl(entries)), stat: Some(stat(&of)) })
    }

    pub(in crate::grpc) fn check_access(reply: Reply, _: &Shape, header: Header) -> Option<v1::CheckAccessResponse> {
        let Reply::Access { perms, entries } = reply else { return None };
        Some(v1::CheckAccessResponse { header, perms: perms.0, entries: acl(entries).entries })
    }

    pub(in crate::grpc) fn get_ephemerals(
        reply: Reply,
        _: &Shape,
        header: Header,
    ) -> Option<v1::GetEphemeralsResponse> {
        let Reply::Ephemerals(paths) = reply else { return None };
        Some(v1::GetEphemeralsResponse { header, paths })
    }

    pub(in crate::grpc) fn count_descendants(
        reply: Reply,
        _: &Shape,
        header: Header,
    ) -> Option<v1::CountDescendantsResponse> {
        let Reply::Count(count) = reply else { return None };
        Some(v1::CountDescendantsResponse { header, count })
    }

    pub(in crate::grpc) fn multi_read(reply: Reply, _: &Shape, header: Header) -> Option<v1::MultiReadResponse> {
        let Reply::MultiRead(responses) = reply else { return None };
        let result = |response| v1::MultiResult { result: Some(member(response, false)) };
        Some(v1::MultiReadResponse { header, results: responses.into_iter().map(result).collect() })
    }

    pub(in crate::grpc) fn sync(reply: Reply, _: &Shape, header: Header) -> Option<v1::SyncResponse> {
        let Reply::Synced = reply else { return None };
        Some(v1::SyncResponse { header })
    }

    pub(in crate::grpc) fn open(reply: Reply, shape: &Shape, header: Header) -> Option<v1::OpenResponse> {
        let (Reply::Session { id, timeout_ms }, Shape::Open(secret)) = (reply, shape) else { return None };
        let secret = bytes::Bytes::copy_from_slice(&secret.0);
        Some(v1::OpenResponse { header, session_id: id.0, secret, timeout_ms })
    }

    pub(in crate::grpc) fn keep_alive(reply: Reply, _: &Shape, header: Header) -> Option<v1::KeepAliveResponse> {
        let Reply::Touched { timeout_ms } = reply else { return None };
        Some(v1::KeepAliveResponse { header, state: v1::SessionState::Alive.into(), timeout_ms })
    }

    pub(in crate::grpc) fn close(reply: Reply, _: &Shape, header: Header) -> Option<v1::CloseResponse> {
        let Reply::SessionClosed = reply else { return None };
        Some(v1::CloseResponse { header })
    }
}

/// The result of one operation of a Multi or a MultiRead.
fn member(response: Response, sets_data: bool) -> v1::multi_result::Result {
    use v1::multi_result::Result as To;
    let reply = match response {
        Ok(reply) => reply,
        Err(failed) => return To::Error(error::message(&failed)),
    };
    let shape = &Shape::Plain;
    let converted = match reply {
        Reply::Created { .. } | Reply::Changed { .. } if sets_data => {
            answer::set_data(reply, shape, None).map(To::SetData)
        }
        Reply::Created { .. } => answer::create(reply, shape, None).map(To::Create),
        Reply::Changed { .. } => answer::set_acl(reply, shape, None).map(To::SetAcl),
        Reply::Deleted => answer::delete(reply, shape, None).map(To::Delete),
        Reply::Checked => Some(To::Check(v1::CheckResponse {})),
        Reply::Data { .. } => answer::get(reply, shape, None).map(To::Get),
        Reply::Exists(_) => answer::exists(reply, shape, None).map(To::Exists),
        Reply::Children { .. } => answer::list_children(reply, shape, None).map(To::ListChildren),
        Reply::Acl { .. } => answer::get_acl(reply, shape, None).map(To::GetAcl),
        Reply::TreeDeleted { .. }
        | Reply::Multi(_)
        | Reply::Access { .. }
        | Reply::Ephemerals(_)
        | Reply::Count(_)
        | Reply::MultiRead(_)
        | Reply::Synced
        | Reply::Session { .. }
        | Reply::Touched { .. }
        | Reply::SessionClosed
        | Reply::WatchDone
        | Reply::TreeStreamed { .. }
        | Reply::SnapshotTaken { .. }
        | Reply::RestoreStep { .. }
        | Reply::Status(_)
        | Reply::Ensemble(_)
        | Reply::Reconfigured(_)
        | Reply::LeadershipTransferred { .. } => None,
    };
    converted.unwrap_or_else(|| To::Error(error::message(&mismatch())))
}
