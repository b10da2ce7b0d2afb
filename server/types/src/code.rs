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

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident, $number:literal, $reason:literal, $zookeeper:literal, $grpc:ident, $http:literal;)*) => {
        /// Why a request failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Code {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The name on the wire, equal to that of the protocol's `ErrorReason`.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Code::$variant => $reason,)* }
            }

            /// ZooKeeper's number (`KeeperException.Code`).
            #[must_use]
            pub const fn zookeeper(self) -> i32 {
                match self { $(Code::$variant => $zookeeper,)* }
            }

            /// The number of the gRPC status (`google.rpc.Code`).
            #[must_use]
            pub const fn grpc(self) -> u8 {
                match self { $(Code::$variant => grpc::$grpc,)* }
            }

            /// The HTTP status. Where a request was conditional (`If-Match`, `If-None-Match`), the gateway answers
            /// 412 for [`Code::NodeExists`] too.
            #[must_use]
            pub const fn http(self) -> u16 {
                match self { $(Code::$variant => $http,)* }
            }
        }
    };
}

codes! {
    /// The path breaks a rule of [`crate::path`].
    InvalidPath, 1, "INVALID_PATH", -8, INVALID_ARGUMENT, 400;
    /// Another argument is missing, contradictory or out of bounds.
    BadArguments, 2, "BAD_ARGUMENTS", -8, INVALID_ARGUMENT, 400;
    /// The ACL is empty, or an entry has an unknown scheme or a malformed id.
    InvalidAcl, 3, "INVALID_ACL", -114, INVALID_ARGUMENT, 400;
    /// The znode does not exist.
    NoNode, 4, "NO_NODE", -101, NOT_FOUND, 404;
    /// The znode's parent does not exist.
    NoParent, 5, "NO_PARENT", -101, NOT_FOUND, 409;
    /// The znode exists already.
    NodeExists, 6, "NODE_EXISTS", -110, ALREADY_EXISTS, 409;
    /// A version, an mzxid or another condition on the znode's state does not hold.
    BadVersion, 7, "BAD_VERSION", -103, ABORTED, 412;
    /// The znode has children.
    NotEmpty, 8, "NOT_EMPTY", -111, FAILED_PRECONDITION, 409;
    /// The parent is ephemeral, and ephemeral znodes have no children.
    NoChildrenForEphemerals, 9, "NO_CHILDREN_FOR_EPHEMERALS", -108, FAILED_PRECONDITION, 409;
    /// The ACL does not grant the caller what the request needs.
    NoAuth, 10, "NO_AUTH", -102, PERMISSION_DENIED, 403;
    /// The caller's credentials were refused.
    AuthFailed, 11, "AUTH_FAILED", -115, UNAUTHENTICATED, 401;
    /// The session has ended or never was.
    SessionExpired, 12, "SESSION_EXPIRED", -112, FAILED_PRECONDITION, 409;
    /// The session is held by another connection now.
    SessionMoved, 13, "SESSION_MOVED", -118, ABORTED, 409;
    /// The request needs a session and names none.
    SessionRequired, 14, "SESSION_REQUIRED", -112, FAILED_PRECONDITION, 409;
    /// The data, the ACL, the multi or the resulting txn is larger than its limit.
    TooLarge, 15, "TOO_LARGE", -8, INVALID_ARGUMENT, 413;
    /// A quota or a cap on what one client may hold is used up.
    QuotaExceeded, 16, "QUOTA_EXCEEDED", -125, RESOURCE_EXHAUSTED, 507;
    /// The server is too busy to take the request now.
    Throttled, 17, "THROTTLED", -127, RESOURCE_EXHAUSTED, 429;
    /// The disk is full: writes are refused, reads go on.
    DiskFull, 18, "DISK_FULL", -125, RESOURCE_EXHAUSTED, 507;
    /// No quorum, or the server cannot answer yet. Whether a write that was under way took effect is unknown.
    Unavailable, 19, "UNAVAILABLE", -4, UNAVAILABLE, 503;
    /// The deadline passed. Whether a write that was under way took effect is unknown.
    DeadlineExceeded, 20, "DEADLINE_EXCEEDED", -7, DEADLINE_EXCEEDED, 504;
    /// The watch history no longer reaches back to the zxid asked for.
    Compacted, 21, "COMPACTED", -4, OUT_OF_RANGE, 410;
    /// The client read its watch events too slowly; resume from the last one seen.
    Lagged, 22, "LAGGED", -4, ABORTED, 503;
    /// No such watch.
    NoWatcher, 23, "NO_WATCHER", -121, NOT_FOUND, 404;
    /// A recursive delete, or a listing without pages, would take more znodes than its maximum.
    TooMany, 24, "TOO_MANY", -8, FAILED_PRECONDITION, 409;
    /// This request id was used for a different operation.
    RequestIdReused, 25, "REQUEST_ID_REUSED", -8, INVALID_ARGUMENT, 422;
    /// This request id lies before the horizon up to which results are remembered.
    RequestIdForgotten, 26, "REQUEST_ID_FORGOTTEN", -8, FAILED_PRECONDITION, 409;
    /// `min_zxid` belongs to another cluster, or lies above everything that was ever proposed.
    ZxidUnknown, 27, "ZXID_UNKNOWN", -4, OUT_OF_RANGE, 409;
    /// In a failed multi: not the operation that failed, hence not applied.
    NotApplied, 28, "NOT_APPLIED", -2, ABORTED, 409;
    /// The server knows no such operation.
    Unimplemented, 29, "UNIMPLEMENTED", -6, UNIMPLEMENTED, 501;
    /// The server's state differs from the ensemble's; it must not answer.
    DigestMismatch, 30, "DIGEST_MISMATCH", -3, DATA_LOSS, 500;
    /// The server broke its own rule.
    Internal, 31, "INTERNAL", -1, INTERNAL, 500;
}

impl Code {
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
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index + 1);
            assert_eq!(Code::from_number(*code as u8), Some(*code));
            assert!(Code::ALL[..index].iter().all(|other| other.reason() != code.reason()));
        }
        assert_eq!(Code::from_number(0), None);
    }
}
