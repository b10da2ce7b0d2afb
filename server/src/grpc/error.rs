//! Errors on their way out: one table (`quorate_types::code`), two forms.
//!
//! Where a call fails as a whole it gets a gRPC status with `google.rpc` details; where a status cannot stand (an
//! operation on a Channel, in a Multi, the end of a watch) it gets a [`v1::Error`]. Both say the same.

use std::collections::HashMap;
use std::time::Duration;

use quorate_proto::v1;
use quorate_types::{Code, Error, Zxid};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use super::convert::Refusal;

/// The domain of every `google.rpc.ErrorInfo` of ours.
pub(super) const DOMAIN: &str = "quorate";

/// When an attempt that found the server busy, or without a quorum, is worth repeating: about an election.
const RETRY_AFTER_MS: u32 = 100;

/// The status of a request that the core answered with an error while its state was at `zxid`.
pub(super) fn status(error: &Error, zxid: Zxid) -> Status {
    build(error, Some(zxid), field_of(error.code()))
}

/// The status of a request that did not reach the core.
pub(super) fn refused(refusal: &Refusal) -> Status {
    build(&refusal.error, None, Some(&refusal.field))
}

/// The status of a failure that is about no request in particular: a stream's end, for example.
pub(super) fn plain(error: &Error) -> Status {
    build(error, None, None)
}

/// The message for an error that no status can carry.
pub(super) fn message(error: &Error) -> v1::Error {
    v1::Error {
        reason: reason(error.code()).into(),
        message: sentence(error),
        path: error.path().map(str::to_owned),
        retry_after_ms: error.code().is_retryable().then_some(RETRY_AFTER_MS),
    }
}

fn build(error: &Error, zxid: Option<Zxid>, field: Option<&str>) -> Status {
    let code = error.code();
    let text = sentence(error);
    let path = error.path().unwrap_or_default();

    let mut metadata = HashMap::new();
    if let Some(path) = error.path() {
        metadata.insert("path".to_owned(), path.to_owned());
    }
    if let Some(zxid) = zxid {
        metadata.insert("zxid".to_owned(), zxid.to_string());
    }
    let mut details = ErrorDetails::with_error_info(code.reason(), DOMAIN, metadata);

    let grpc = tonic::Code::from(i32::from(code.grpc()));
    if code.is_retryable() {
        details.set_retry_info(Some(Duration::from_millis(RETRY_AFTER_MS.into())));
    }
    if let (tonic::Code::InvalidArgument, Some(field)) = (grpc, field) {
        details.add_bad_request_violation(field, text.clone());
    }
    match code {
        Code::QuotaExceeded | Code::DiskFull | Code::Throttled => {
            details.add_quota_failure_violation(if path.is_empty() { "server" } else { path }, text.clone());
        }
        Code::BadVersion
        | Code::NotEmpty
        | Code::NoChildrenForEphemerals
        | Code::SessionExpired
        | Code::SessionMoved
        | Code::SessionRequired
        | Code::TooMany
        | Code::RequestIdForgotten
        | Code::ReconfigInProgress
        | Code::RestoreInProgress
        | Code::ServersNotReady => {
            details.add_precondition_failure_violation(code.reason(), path, text.clone());
        }
        Code::InvalidPath
        | Code::BadArguments
        | Code::InvalidAcl
        | Code::NoNode
        | Code::NoParent
        | Code::NodeExists
        | Code::NoAuth
        | Code::AuthFailed
        | Code::TooLarge
        | Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Compacted
        | Code::Lagged
        | Code::NoWatcher
        | Code::RequestIdReused
        | Code::ZxidUnknown
        | Code::NotApplied
        | Code::Unimplemented
        | Code::DigestMismatch
        | Code::Internal
        | Code::NoServer => {}
    }
    Status::with_error_details(grpc, text, details)
}

/// The field that the core can only have meant, for the codes that it refuses arguments with.
fn field_of(code: Code) -> Option<&'static str> {
    match code {
        Code::InvalidPath => Some("path"),
        Code::InvalidAcl => Some("acl"),
        Code::RequestIdReused => Some("options.request_id"),
        _ => None,
    }
}

fn sentence(error: &Error) -> String {
    if error.detail().is_empty() { error.to_string() } else { error.detail().to_owned() }
}

/// The protocol's name of a code. The numbers are the same by construction of the contract, which a test checks.
fn reason(code: Code) -> v1::ErrorReason {
    v1::ErrorReason::try_from(code as i32).unwrap_or(v1::ErrorReason::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_number_and_the_name_of_the_contract() {
        for code in Code::ALL {
            let reason = v1::ErrorReason::try_from(*code as i32).unwrap();
            assert_eq!(reason.as_str_name(), format!("ERROR_REASON_{}", code.reason()));
        }
        assert!(v1::ErrorReason::try_from(Code::ALL.len() as i32 + 1).is_err(), "a reason that no code has");
    }

    #[test]
    fn a_status_says_what_the_table_says() {
        for code in Code::ALL {
            let error = Error::at(*code, "/a", "because");
            let status = status(&error, Zxid(0x1_0000_0002));
            assert_eq!(status.code() as i32, i32::from(code.grpc()), "{code:?}");
            assert_eq!(status.message(), "because");
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (code.reason(), "quorate"));
            assert_eq!(info.metadata["path"], "/a");
            assert_eq!(info.metadata["zxid"], "0x100000002");
            assert_eq!(details.retry_info().is_some(), code.is_retryable(), "{code:?}");

            let message = message(&error);
            assert_eq!(message.reason, *code as i32);
            assert_eq!(message.path.as_deref(), Some("/a"));
            assert_eq!(message.retry_after_ms.is_some(), code.is_retryable(), "{code:?}");
        }
    }

    #[test]
    fn details_name_the_field_the_precondition_or_the_quota() {
        let details = |code| status(&Error::at(code, "/a", "d"), Zxid(1)).get_error_details();
        assert_eq!(details(Code::InvalidAcl).bad_request().unwrap().field_violations[0].field, "acl");
        let violated = details(Code::BadVersion);
        let violated = &violated.precondition_failure().unwrap().violations[0];
        assert_eq!((violated.r#type.as_str(), violated.subject.as_str()), ("BAD_VERSION", "/a"));
        assert_eq!(details(Code::QuotaExceeded).quota_failure().unwrap().violations[0].subject, "/a");
        assert!(details(Code::NoNode).bad_request().is_none());

        let refusal = Refusal::new("operations[2].create.mode", Code::BadArguments, "no such mode");
        let details = refused(&refusal).get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "operations[2].create.mode");
    }
}
