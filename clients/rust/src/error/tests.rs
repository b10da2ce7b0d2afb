//! The mapping of errors.

use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;

#[test]
fn reasons_have_the_names_and_numbers_of_the_protocol() {
    for (at, reason) in BY_NUMBER.into_iter().enumerate() {
        let number = i32::try_from(at + 1).expect("small");
        let wire = v1::ErrorReason::try_from(number).expect("the protocol has no gaps");
        let snake = format!("{reason:?}").chars().fold(String::new(), |mut name, c| {
            if c.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
            name
        });
        assert_eq!(wire.as_str_name(), format!("ERROR_REASON_{snake}"));
        assert_eq!(reason.as_str(), snake);
        assert_eq!(Reason::from_number(number), reason);
    }
    let next = i32::try_from(BY_NUMBER.len() + 1).expect("small");
    assert!(v1::ErrorReason::try_from(next).is_err(), "the protocol has a reason that this client does not know");
    for unknown in [0, -1, next, i32::MAX] {
        assert_eq!(Reason::from_number(unknown), Reason::Protocol);
    }
}

#[test]
fn a_status_and_a_protocol_error_tell_the_same() {
    let mut details = ErrorDetails::with_error_info(
        "THROTTLED",
        "quorate",
        [("path".to_owned(), "/a".to_owned()), ("zxid".to_owned(), "0x10".to_owned())],
    );
    details.set_retry_info(Some(Duration::from_millis(250)));
    let status = tonic::Status::with_error_details(tonic::Code::ResourceExhausted, "busy", details);
    let on_channel = Error::from(v1::Error {
        reason: v1::ErrorReason::Throttled as i32,
        message: "busy".into(),
        path: Some("/a".into()),
        retry_after_ms: Some(250),
    });
    let unary = Error::from(status);
    assert_eq!(unary, on_channel.at_zxid(16));
    assert_eq!(unary.to_string(), "THROTTLED /a: busy");
    assert!(unary.is_retryable() && !unary.maybe_applied());
}

#[test]
fn a_status_that_no_server_of_ours_wrote_is_read_by_its_code() {
    let check = |code, reason| assert_eq!(Error::from(tonic::Status::new(code, "x")).reason(), reason);
    check(tonic::Code::Unavailable, Reason::ConnectionLost);
    check(tonic::Code::Cancelled, Reason::DeadlineExceeded);
    check(tonic::Code::Unimplemented, Reason::Unimplemented);
    check(tonic::Code::NotFound, Reason::Protocol);
    let foreign =
        ErrorDetails::with_error_info("NO_NODE", "example.org", std::collections::HashMap::<String, String>::new());
    let status = tonic::Status::with_error_details(tonic::Code::Unavailable, "", foreign);
    assert_eq!(Error::from(status).reason(), Reason::ConnectionLost);
}

#[test]
fn only_a_write_that_was_sent_and_not_refused_is_in_doubt() {
    let check = |reason, doubt| assert_eq!(Error::new(reason, "").of_sent_write().maybe_applied(), doubt, "{reason}");
    check(Reason::ConnectionLost, true);
    check(Reason::Timeout, true);
    check(Reason::Unavailable, true);
    check(Reason::BadVersion, false);
    check(Reason::Throttled, false);
    check(Reason::Unreachable, false);
    assert!(!Error::new(Reason::ConnectionLost, "").maybe_applied());
}
