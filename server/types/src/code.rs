//! The one table of errors: every code with its name, its ZooKeeper number, its gRPC status and its HTTP status.
//!
//! Doors look their answer up here and decide nothing. `tests/conformance` holds every door to this table.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// gRPC status codes, by number (`google.rpc.Code`); this crate knows no gRPC library.
mod grpc {
    pub(super) const INVALID_ARGUMENT: u8 = 3;
    pub(super) const DEADLINE_EXCEEDED: u8 = 4;
    pub(super) const NOT_FOUND: u8 = 5;
    pub(super) const ALREADY_EXISTS: u8 = 6;
    pub(super) const PERMISSION_DENIED: u8 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(super) const FAILED_PRECONDITION: u8 = 9;
    pub(super) const ABORTED: u8 = 10;
    pub(super) const OUT_OF_RANGE: u8 = 11;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const INTERNAL: u8 = 13;
    pub(super) const UNAVAILABLE: u8 = 14;
    pub(super) const DATA_LOSS: u8 = 15;
    pub(super) const UNAUTHENTICATED: u8 = 16;
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// The path breaks a rule of [`crate::path`].
    InvalidPath = 1,
    /// Another argument is missing, contradictory or out of bounds.
    BadArguments = 2,
    /// The ACL is empty, or an entry has an unknown scheme or a malformed id.
    InvalidAcl = 3,
    /// The znode does not exist.
    NoNode = 4,
    /// The znode's parent does not exist.
    NoParent = 5,
    /// The znode exists already.
    NodeExists = 6,
    /// A version, an mzxid or another condition on the znode's state does not hold.
    BadVersion = 7,
    /// The znode has children.
    NotEmpty = 8,
    /// The parent is ephemeral, and ephemeral znodes have no children.
    NoChildrenForEphemerals = 9,
    /// The ACL does not grant the caller what the request needs.
    NoAuth = 10,
    /// The caller's credentials were refused.
    AuthFailed = 11,
    /// The session has ended or never was.
    SessionExpired = 12,
    /// The session is held by another connection now.
    SessionMoved = 13,
    /// The request needs a session and names none.
    SessionRequired = 14,
    /// The data, the ACL, the multi or the resulting txn is larger than its limit.
    TooLarge = 15,
    /// A quota or a cap on what one client may hold is used up.
    QuotaExceeded = 16,
    /// The server is too busy to take the request now.
    Throttled = 17,
    /// The disk is full: writes are refused, reads go on.
    DiskFull = 18,
    /// No quorum, or the server cannot answer yet. Whether a write that was under way took effect is unknown.
    Unavailable = 19,
    /// The deadline passed. Whether a write that was under way took effect is unknown.
    DeadlineExceeded = 20,
    /// The watch history no longer reaches back to the zxid asked for.
    Compacted = 21,
    /// The client read its watch events too slowly; resume from the last one seen.
    Lagged = 22,
    /// No such watch.
    NoWatcher = 23,
    /// A recursive delete, or a listing without pages, would take more znodes than its maximum.
    TooMany = 24,
    /// This request id was used for a different operation.
    RequestIdReused = 25,
    /// This request id lies before the horizon up to which results are remembered.
    RequestIdForgotten = 26,
    /// `min_zxid` belongs to another cluster, or lies above everything that was ever proposed.
    ZxidUnknown = 27,
    /// In a failed multi: not the operation that failed, hence not applied.
    NotApplied = 28,
    /// The server knows no such operation.
    Unimplemented = 29,
    /// The server's state differs from the ensemble's; it must not answer.
    DigestMismatch = 30,
    /// The server broke its own rule.
    Internal = 31,
    /// The ensemble is being changed already; one change has to be finished before the next.
    ReconfigInProgress = 32,
    /// A server that the change of the ensemble, or of its leader, needs is not connected or not up to date.
    ServersNotReady = 33,
    /// The ensemble has no such server.
    NoServer = 34,
    /// The state is being replaced by that of a backup already.
    RestoreInProgress = 35,
}

/// What every door says of one code.
struct Row {
    code: Code,
    reason: &'static str,
    zookeeper: i32,
    grpc: u8,
    http: u16,
}

/// The table, in the order of the codes' numbers, which begin at 1.
#[rustfmt::skip]
const TABLE: [Row; 35] = [
    Row { code: Code::InvalidPath, reason: "INVALID_PATH", zookeeper: -8, grpc: grpc::INVALID_ARGUMENT, http: 400 },
    Row { code: Code::BadArguments, reason: "BAD_ARGUMENTS", zookeeper: -8, grpc: grpc::INVALID_ARGUMENT, http: 400 },
    Row { code: Code::InvalidAcl, reason: "INVALID_ACL", zookeeper: -114, grpc: grpc::INVALID_ARGUMENT, http: 400 },
    Row { code: Code::NoNode, reason: "NO_NODE", zookeeper: -101, grpc: grpc::NOT_FOUND, http: 404 },
    Row { code: Code::NoParent, reason: "NO_PARENT", zookeeper: -101, grpc: grpc::NOT_FOUND, http: 409 },
    Row { code: Code::NodeExists, reason: "NODE_EXISTS", zookeeper: -110, grpc: grpc::ALREADY_EXISTS, http: 409 },
    Row { code: Code::BadVersion, reason: "BAD_VERSION", zookeeper: -103, grpc: grpc::ABORTED, http: 412 },
    Row { code: Code::NotEmpty, reason: "NOT_EMPTY", zookeeper: -111, grpc: grpc::FAILED_PRECONDITION, http: 409 },
    Row { code: Code::NoChildrenForEphemerals, reason: "NO_CHILDREN_FOR_EPHEMERALS", zookeeper: -108, grpc: grpc::FAILED_PRECONDITION, http: 409 },
    Row { code: Code::NoAuth, reason: "NO_AUTH", zookeeper: -102, grpc: grpc::PERMISSION_DENIED, http: 403 },
    Row { code: Code::AuthFailed, reason: "AUTH_FAILED", zookeeper: -115, grpc: grpc::UNAUTHENTICATED, http: 401 },
    Row { code: Code::SessionExpired, reason: "SESSION_EXPIRED", zookeeper: -112, grpc: grpc::FAILED_PRECONDITION, http: 409 },
    Row { code: Code::SessionMoved, reason: "SESSION_MOVED", zookeeper: -118, grpc: grpc::ABORTED, http: 409 },
    Row { code: Code::SessionRequired, reason: "SESSION_REQUIRED", zookeeper: -112, grpc: grpc::FAILED_PRECONDITION, http: 409 },
    Row { code: Code::TooLarge, reason: "TOO_LARGE", zookeeper: -8, grpc: grpc::INVALID_ARGUMENT, http: 413 },
    Row { code: Code::QuotaExceeded, reason: "QUOTA_EXCEEDED", zookeeper: -125, grpc: grpc::RESOURCE_EXHAUSTED, http: 507 },
    Row { code: Code::Throttled, reason: "THROTTLED", zookeeper: -127, grpc: grpc::RESOURCE_EXHAUSTED, http: 429 },
    Row { code: Code::DiskFull, reason: "DISK_FULL", zookeeper: -125, grpc: grpc::RESOURCE_EXHAUSTED, http: 507 },
    Row { code: Code::Unavailable, reason: "UNAVAILABLE", zookeeper: -4, grpc: grpc::UNAVAILABLE, http: 503 },
    Row { code: Code::DeadlineExceeded, reason: "DEADLINE_EXCEEDED", zookeeper: -7, grpc: grpc::DEADLINE_EXCEEDED, http: 504 },
    Row { code: Code::Compacted, reason: "COMPACTED", zookeeper: -4, grpc: grpc::OUT_OF_RANGE, http: 410 },
    Row { code: Code::Lagged, reason: "LAGGED", zookeeper: -4, grpc: grpc::ABORTED, http: 503 },
    Row { code: Code::NoWatcher, reason: "NO_WATCHER", zookeeper: -121, grpc: grpc::NOT_FOUND, http: 404 },
    Row { code: Code::TooMany, reason: "TOO_MANY", zookeeper: -8, grpc: grpc::FAILED_PRECONDITION, http: 409 },
    Row { code: Code::RequestIdReused, reason: "REQUEST_ID_REUSED", zookeeper: -8, grpc: grpc::INVALID_ARGUMENT, http: 422 },
    Row { code: Code::RequestIdForgotten, reason: "REQUEST_ID_FORGOTTEN", zookeeper: -8, grpc: grpc::FAILED_PRECONDITION, http: 409 },
    Row { code: Code::ZxidUnknown, reason: "ZXID_UNKNOWN", zookeeper: -4, grpc: grpc::OUT_OF_RANGE, http: 409 },
    Row { code: Code::NotApplied, reason: "NOT_APPLIED", zookeeper: -2, grpc: grpc::ABORTED, http: 409 },
    Row { code: Code::Unimplemented, reason: "UNIMPLEMENTED", zookeeper: -6, grpc: grpc::UNIMPLEMENTED, http: 501 },
    Row { code: Code::DigestMismatch, reason: "DIGEST_MISMATCH", zookeeper: -3, grpc: grpc::DATA_LOSS, http: 500 },
    Row { code: Code::Internal, reason: "INTERNAL", zookeeper: -1, grpc: grpc::INTERNAL, http: 500 },
    Row { code: Code::ReconfigInProgress, reason: "RECONFIG_IN_PROGRESS", zookeeper: -14, grpc: grpc::ABORTED, http: 409 },
    Row { code: Code::ServersNotReady, reason: "SERVERS_NOT_READY", zookeeper: -13, grpc: grpc::FAILED_PRECONDITION, http: 409 },
    Row { code: Code::NoServer, reason: "NO_SERVER", zookeeper: -8, grpc: grpc::NOT_FOUND, http: 404 },
    Row { code: Code::RestoreInProgress, reason: "RESTORE_IN_PROGRESS", zookeeper: -14, grpc: grpc::ABORTED, http: 409 },
];

impl Code {
    /// All of them, in the order of their numbers.
    pub const ALL: &[Code] = &{
        let mut all = [Code::InvalidPath; TABLE.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = TABLE[index].code;
            index += 1;
        }
        all
    };

    const fn row(self) -> &'static Row {
        &TABLE[self as usize - 1]
    }

    /// The name on the wire, equal to that of the protocol's `ErrorReason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.row().reason
    }

    /// ZooKeeper's number (`KeeperException.Code`).
    #[must_use]
    pub const fn zookeeper(self) -> i32 {
        self.row().zookeeper
    }

    /// The number of the gRPC status (`google.rpc.Code`).
    #[must_use]
    pub const fn grpc(self) -> u8 {
        self.row().grpc
    }

    /// The HTTP status. Where a request was conditional (`If-Match`, `If-None-Match`), the gateway answers 412 for
    /// [`Code::NodeExists`] too.
    #[must_use]
    pub const fn http(self) -> u16 {
        self.row().http
    }

    /// The code with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| *code as u8 == number)
    }

    /// Whether the same request may succeed if it is only sent again, and nothing else is known to be needed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Code::Unavailable | Code::Throttled)
    }
}

/// A failed request: the code, the path that it is about, and a sentence for a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<ErrorParts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ErrorParts {
    code: Code,
    path: Option<String>,
    detail: String,
}

impl Error {
    /// An error that is about no particular znode.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Error {
        Error(Box::new(ErrorParts { code, path: None, detail: detail.into() }))
    }

    /// An error about the znode at `path`.
    #[must_use]
    pub fn at(code: Code, path: impl Into<String>, detail: impl Into<String>) -> Error {
        Error(Box::new(ErrorParts { code, path: Some(path.into()), detail: detail.into() }))
    }

    /// What happened, for programs.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The path that the error is about.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// What happened and what to do, for humans; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().reason())?;
        if let Some(path) = self.path() {
            write!(f, " {path}")?;
        }
        if !self.detail().is_empty() {
            write!(f, ": {}", self.detail())?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_consecutive_and_reasons_distinct() {
        for (index, code) in Code::ALL.iter().copied().enumerate() {
            assert_eq!(code as usize, index + 1);
            assert_eq!(Code::from_number(code as u8), Some(code));
            assert!(Code::ALL[..index].iter().all(|other| other.reason() != code.reason()));
        }
        assert_eq!(Code::from_number(0), None);
    }
}
