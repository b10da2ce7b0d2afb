//! `Error`: why a call failed, what that says about a write, and whether trying again makes sense.

use std::fmt;
use std::time::Duration;

use quorate_proto::v1;
use tonic_types::StatusExt as _;

/// The domain of Quorate's reasons in a gRPC status (`google.rpc.ErrorInfo`).
const DOMAIN: &str = "quorate";

/// Why a call failed. Those up to [`Reason::RestoreInProgress`] come from the server, in the order of the protocol's numbers;
/// the rest are found out by this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The path breaks a rule.
    InvalidPath,
    /// Another argument is missing, contradictory or out of bounds.
    BadArguments,
    /// The ACL is empty or an entry is malformed.
    InvalidAcl,
    /// The znode does not exist.
    NoNode,
    /// The znode's parent does not exist.
    NoParent,
    /// The znode exists already.
    NodeExists,
    /// A version, an mzxid or another precondition does not hold.
    BadVersion,
    /// The znode has children.
    NotEmpty,
    /// The parent is ephemeral.
    NoChildrenForEphemerals,
    /// The ACL does not grant what the request needs.
    NoAuth,
    /// The credentials were refused.
    AuthFailed,
    /// The session has ended or never was.
    SessionExpired,
    /// The session is held by another connection now.
    SessionMoved,
    /// The request needs a session and names none.
    SessionRequired,
    /// The data, the ACL, the multi or the resulting txn is too large.
    TooLarge,
    /// A quota or a cap on what one client may hold is used up.
    QuotaExceeded,
    /// The server is too busy to take the request now.
    Throttled,
    /// The disk is full: writes are refused, reads go on.
    DiskFull,
    /// No quorum, or the server cannot answer yet.
    Unavailable,
    /// The deadline passed on the server.
    DeadlineExceeded,
    /// The watch history no longer reaches back so far.
    Compacted,
    /// The watch events were read too slowly.
    Lagged,
    /// No such watch.
    NoWatcher,
    /// More znodes than the maximum would be concerned.
    TooMany,
    /// This request id was used for a different operation.
    RequestIdReused,
    /// This request id lies before the horizon up to which results are remembered.
    RequestIdForgotten,
    /// `min_zxid` belongs to another ensemble, or lies above everything ever proposed.
    ZxidUnknown,
    /// In a failed multi: not the operation that failed, hence not applied.
    NotApplied,
    /// The server knows no such operation.
    Unimplemented,
    /// The server's state differs from the ensemble's.
    DigestMismatch,
    /// The server broke its own rule.
    Internal,
    /// The ensemble is being changed already.
    ReconfigInProgress,
    /// A server that the change of the ensemble, or of its leader, needs is not connected or not up to date.
    ServersNotReady,
    /// The ensemble has no such server.
    NoServer,
    /// The state is being replaced by that of a backup already.
    RestoreInProgress,

    /// No server could be reached; the request was not sent.
    Unreachable,
    /// The connection broke while the request was under way.
    ConnectionLost,
    /// The call's time is up on this side.
    Timeout,
    /// The client or the session was closed by its owner.
    Closed,
    /// The server answered something that the protocol does not allow here, or a reason that is newer than this client.
    Protocol,
}

/// The server's reasons; that with the number `n` on the wire stands at `n - 1`.
const BY_NUMBER: [Reason; 35] = [
    Reason::InvalidPath,
    Reason::BadArguments,
    Reason::InvalidAcl,
    Reason::NoNode,
    Reason::NoParent,
    Reason::NodeExists,
    Reason::BadVersion,
    Reason::NotEmpty,
    Reason::NoChildrenForEphemerals,
    Reason::NoAuth,
    Reason::AuthFailed,
    Reason::SessionExpired,
    Reason::SessionMoved,
    Reason::SessionRequired,
    Reason::TooLarge,
    Reason::QuotaExceeded,
    Reason::Throttled,
    Reason::DiskFull,
    Reason::Unavailable,
    Reason::DeadlineExceeded,
    Reason::Compacted,
    Reason::Lagged,
    Reason::NoWatcher,
    Reason::TooMany,
    Reason::RequestIdReused,
    Reason::RequestIdForgotten,
    Reason::ZxidUnknown,
    Reason::NotApplied,
    Reason::Unimplemented,
    Reason::DigestMismatch,
    Reason::Internal,
    Reason::ReconfigInProgress,
    Reason::ServersNotReady,
    Reason::NoServer,
    Reason::RestoreInProgress,
];

impl Reason {
    fn from_number(number: i32) -> Reason {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        at.and_then(|at| BY_NUMBER.get(at)).copied().unwrap_or(Reason::Protocol)
    }

    /// The reason's name as on the wire and in the JSON of every door: `NO_NODE`, `CONNECTION_LOST`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unreachable => "UNREACHABLE",
            Reason::ConnectionLost => "CONNECTION_LOST",
            Reason::Timeout => "TIMEOUT",
            Reason::Closed => "CLOSED",
            Reason::Protocol => "PROTOCOL",
            server => v1::ErrorReason::try_from(server as i32 + 1)
                .map_or("PROTOCOL", |reason| reason.as_str_name().trim_start_matches("ERROR_REASON_")),
        }
    }

    /// Whether the same call may succeed later without anybody changing anything: a server that is busy, away or
    /// without a quorum. It says nothing about what a write has already done: see [`Error::maybe_applied`].
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Reason::Throttled
                | Reason::Unavailable
                | Reason::DeadlineExceeded
                | Reason::Lagged
                | Reason::Unreachable
                | Reason::ConnectionLost
                | Reason::Timeout
        )
    }

    /// Whether a write that failed for this reason may have taken effect nevertheless, once it was sent.
    fn leaves_a_write_in_doubt(self) -> bool {
        matches!(
            self,
            Reason::Unavailable
                | Reason::DeadlineExceeded
                | Reason::ConnectionLost
                | Reason::Timeout
                | Reason::Closed
                | Reason::RequestIdForgotten
                | Reason::Internal
                | Reason::Protocol
        )
    }

    /// Whether the server refuses a write for this reason without having looked whether it knows it: then the refusal
    /// says nothing about an earlier attempt.
    fn comes_before_a_look_at_the_request_id(self) -> bool {
        matches!(
            self,
            Reason::AuthFailed
                | Reason::SessionExpired
                | Reason::SessionMoved
                | Reason::QuotaExceeded
                | Reason::DiskFull
                | Reason::ZxidUnknown
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed call.
///
/// One pointer wide, so that results stay small.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Body>);

#[derive(Clone, PartialEq, Eq)]
struct Body {
    reason: Reason,
    message: String,
    path: Option<String>,
    retry_after: Option<Duration>,
    zxid: Option<u64>,
    maybe_applied: bool,
}

impl Error {
    /// An error with a reason and a text for humans: for those who test against this crate or build on it.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Error {
        Error(Box::new(Body {
            reason,
            message: message.into(),
            path: None,
            retry_after: None,
            zxid: None,
            maybe_applied: false,
        }))
    }

    /// Why, for programs.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// What happened and what to do, for humans.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The znode that it is about, if any.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// When it is worth trying again, if the server said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The state in which the server found out, where it said so.
    #[must_use]
    pub fn zxid(&self) -> Option<u64> {
        self.0.zxid
    }

    /// Whether the write may have taken effect although the call failed. Always false for reads, and false for a
    /// write that was refused or never sent.
    #[must_use]
    pub fn maybe_applied(&self) -> bool {
        self.0.maybe_applied
    }

    /// See [`Reason::is_retryable`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.reason.is_retryable()
    }

    /// The server's verdict on a write that was sent once.
    pub(crate) fn of_sent_write(mut self) -> Error {
        self.0.maybe_applied = self.0.reason.leaves_a_write_in_doubt();
        self
    }

    /// The error of a write that was sent and on which no verdict of the server came.
    pub(crate) fn of_unanswered_write(mut self) -> Error {
        self.0.maybe_applied = true;
        self
    }

    /// The verdict on a later attempt at a write of which an earlier one may have taken effect.
    pub(crate) fn in_doubt(mut self) -> Error {
        let reason = self.0.reason;
        self.0.maybe_applied |=
            reason.is_retryable() || reason.leaves_a_write_in_doubt() || reason.comes_before_a_look_at_the_request_id();
        self
    }

    /// The same about the path by which the caller knows the znode.
    pub(crate) fn map_path(mut self, map: impl FnOnce(String) -> String) -> Error {
        self.0.path = self.0.path.take().map(map);
        self
    }

    pub(crate) fn at_zxid(mut self, zxid: u64) -> Error {
        self.0.zxid = (zxid != 0).then_some(zxid);
        self
    }

    /// An answer of another kind than the question was.
    pub(crate) fn unexpected_answer() -> Error {
        Error::new(Reason::Protocol, "the server's answer is of another kind than the request")
    }
}

impl From<v1::Error> for Error {
    fn from(error: v1::Error) -> Error {
        Error(Box::new(Body {
            reason: Reason::from_number(error.reason),
            message: error.message,
            path: error.path,
            retry_after: error.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
            zxid: None,
            maybe_applied: false,
        }))
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Error {
        let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
        let reason = match &info {
            Some(info) => v1::ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason))
                .map_or(Reason::Protocol, |reason| Reason::from_number(reason as i32)),
            None => reason_of_foreign_status(&status),
        };
        let metadata = |key: &str| info.as_ref().and_then(|info| info.metadata.get(key)).cloned();
        Error(Box::new(Body {
            reason,
            message: message_of(&status),
            path: metadata("path"),
            retry_after: status.get_details_retry_info().and_then(|retry| retry.retry_delay),
            zxid: metadata("zxid").and_then(|zxid| parse_zxid(&zxid)),
            maybe_applied: false,
        }))
    }
}

/// A status that no Quorate server wrote: made by the gRPC library on this side, or by something between.
fn reason_of_foreign_status(status: &tonic::Status) -> Reason {
    use tonic::Code;
    match status.code() {
        Code::DeadlineExceeded => Reason::DeadlineExceeded,
        // This side cancels by dropping the call and never sees its status, so this is tonic's name for a deadline.
        Code::Cancelled => Reason::DeadlineExceeded,
        Code::Unimplemented => Reason::Unimplemented,
        Code::Unauthenticated => Reason::AuthFailed,
        Code::PermissionDenied => Reason::NoAuth,
        Code::ResourceExhausted => Reason::Throttled,
        Code::InvalidArgument => Reason::BadArguments,
        Code::OutOfRange => Reason::TooLarge,
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Aborted => Reason::ConnectionLost,
        Code::Ok | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::DataLoss => Reason::Protocol,
    }
}

/// The status's own text, and what caused it: tonic's texts alone ("transport error") say too little.
fn message_of(status: &tonic::Status) -> String {
    let mut message = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let text = error.to_string();
        if !text.is_empty() && !message.contains(&text) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&text);
        }
        cause = error.source();
    }
    if message.is_empty() { status.code().description().to_owned() } else { message }
}

fn parse_zxid(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.reason)?;
        match &self.0.path {
            Some(path) => write!(f, " {path}: {}", self.0.message),
            None => write!(f, ": {}", self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Body { reason, message, path, retry_after, zxid, maybe_applied } = &*self.0;
        let mut shown = f.debug_struct("Error");
        shown.field("reason", reason).field("message", message);
        if let Some(path) = path {
            shown.field("path", path);
        }
        if let Some(after) = retry_after {
            shown.field("retry_after", after);
        }
        if let Some(zxid) = zxid {
            shown.field("zxid", zxid);
        }
        shown.field("maybe_applied", maybe_applied).finish()
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
