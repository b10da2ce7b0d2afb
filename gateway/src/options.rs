//! What a request asks for besides what it is about: `Quorate-Min-Zxid`, `?consistency=`, `Idempotency-Key`, `Prefer`.

use bytes::Bytes;
use http::header::HeaderMap;
use quorate_client::{CallOptions, RequestId, SessionCredential, ZxidBound};
use serde::Deserialize;
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_128;

use crate::caller::Caller;
use crate::config::Config;
use crate::header;
use crate::hex::Hex;
use crate::problem::Problem;
use crate::trace;

/// Longer idempotency keys are refused: a mistake, since a UUID has 36.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How fresh the state that a read sees must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Consistency {
    /// Whatever the server has applied, however old it is.
    Local,
    /// At least the session's own earlier writes, and `Quorate-Min-Zxid`; and nothing that is more than 5 s behind.
    Session,
    /// Every write that was acknowledged to anybody before the read was sent.
    Linearizable,
}

impl From<Consistency> for quorate_client::Consistency {
    fn from(consistency: Consistency) -> quorate_client::Consistency {
        match consistency {
            Consistency::Local => quorate_client::Consistency::Local,
            Consistency::Session => quorate_client::Consistency::Session,
            Consistency::Linearizable => quorate_client::Consistency::Linearizable,
        }
    }
}

/// The options of a read.
pub(crate) fn of_read(
    config: &Config,
    headers: &HeaderMap,
    consistency: Option<Consistency>,
) -> Result<CallOptions, Problem> {
    let mut options = CallOptions {
        min_zxid: min_zxid(headers)?,
        consistency: consistency.map(Into::into),
        timeout: Some(config.request_timeout),
        trace: trace::of(headers),
        ..CallOptions::default()
    };
    Caller::of(headers)?.forward(&mut options);
    Ok(options)
}

/// The options of a write.
pub(crate) fn of_write(config: &Config, headers: &HeaderMap) -> Result<CallOptions, Problem> {
    let caller = Caller::of(headers)?;
    let mut options = CallOptions {
        min_zxid: min_zxid(headers)?,
        request_id: request_id(headers, caller.session())?,
        timeout: Some(config.request_timeout),
        trace: trace::of(headers),
        ..CallOptions::default()
    };
    caller.forward(&mut options);
    Ok(options)
}

fn min_zxid(headers: &HeaderMap) -> Result<Option<ZxidBound>, Problem> {
    let Some(value) = headers.get(header::MIN_ZXID) else { return Ok(None) };
    let bound = value.to_str().ok().and_then(|text| {
        let (cluster_id, zxid) = text.split_once(':')?;
        Some(ZxidBound { cluster_id: Hex::parse(cluster_id)?.0, zxid: Hex::parse(zxid)?.0 })
    });
    let malformed = || Problem::bad_arguments("Quorate-Min-Zxid must be the Quorate-Zxid of an earlier response");
    bound.map(Some).ok_or_else(malformed)
}

/// The write's name. Without a session a key may be any text: a UUID, as a rule. Within a session the servers tell
/// its requests apart by growing numbers, and the key is one.
fn request_id(headers: &HeaderMap, session: Option<&SessionCredential>) -> Result<Option<RequestId>, Problem> {
    let Some(value) = headers.get(header::IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = unquoted(value.as_bytes());
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let detail = format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(Problem::bad_arguments(detail));
    }
    if session.is_none() {
        // Not for security: one caller's keys can only ever collide with its own.
        let client_id = Bytes::copy_from_slice(&xxh3_128(key).to_be_bytes());
        return Ok(Some(RequestId { client_id, sequence: 1, acknowledged_through: 0 }));
    }
    let number = std::str::from_utf8(key).ok().filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
    match number.and_then(|text| text.parse().ok()) {
        Some(sequence) if sequence > 0 => {
            Ok(Some(RequestId { client_id: Bytes::new(), sequence, acknowledged_through: 0 }))
        }
        _ => Err(Problem::bad_arguments(
            "with a session, Idempotency-Key is a number from 1 that grows with every request",
        )),
    }
}

/// A key may stand in quotes, as a string of RFC 9651, or bare.
fn unquoted(key: &[u8]) -> &[u8] {
    key.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(key)
}

/// How much a write answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    /// Nothing said: the path and the stat.
    None,
    /// `return=minimal`: no body.
    Minimal,
    /// `return=representation`: what a read would answer.
    Representation,
}

impl Preference {
    /// What `Prefer` says; the first that is understood counts.
    pub(crate) fn of(headers: &HeaderMap) -> Preference {
        let lines = headers.get_all(header::PREFER).iter().filter_map(|line| line.to_str().ok());
        let preference = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
            "return=minimal" => Some(Preference::Minimal),
            "return=representation" => Some(Preference::Representation),
            _ => None,
        };
        lines.flat_map(|line| line.split([',', ';'])).find_map(preference).unwrap_or(Preference::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::HeaderName;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_bound_is_an_earlier_zxid_header() {
        let bound = |text| min_zxid(&headers(&[(header::MIN_ZXID, text)])).map_err(|_| ());
        assert_eq!(bound("0xab:0x100000002"), Ok(Some(ZxidBound { cluster_id: 0xab, zxid: 0x1_0000_0002 })));
        for text in ["", "0x1", ":", "0xab:", ":0x1", "ab:0x1", "0xab:1", "0xab:0x1:0x2", "0xab:0x1 "] {
            assert_eq!(bound(text), Err(()), "{text:?}");
        }
        assert!(matches!(min_zxid(&HeaderMap::new()), Ok(None)));
    }

    #[test]
    fn without_a_session_any_text_is_a_key() {
        let id = |key| request_id(&headers(&[(header::IDEMPOTENCY_KEY, key)]), None).map_err(|_| ());
        let uuid = id("0b6f1d5e-8a2e-4c39-a3f5-0d3b3f8f3c11").unwrap().unwrap();
        assert_eq!((uuid.client_id.len(), uuid.sequence, uuid.acknowledged_through), (16, 1, 0));
        assert_eq!(id("\"0b6f1d5e-8a2e-4c39-a3f5-0d3b3f8f3c11\""), Ok(Some(uuid.clone())));
        assert_ne!(id("0b6f1d5e-8a2e-4c39-a3f5-0d3b3f8f3c12"), Ok(Some(uuid)));
        assert_eq!(id(""), Err(()));
        assert_eq!(id("\"\""), Err(()));
        let long = HeaderValue::try_from("x".repeat(256)).unwrap();
        assert!(request_id(&HeaderMap::from_iter([(header::IDEMPOTENCY_KEY, long)]), None).is_err());
    }

    #[test]
    fn within_a_session_a_key_is_a_number() {
        let session = SessionCredential { session_id: 1, secret: Bytes::from_static(&[0; 16]) };
        let id = |key| request_id(&headers(&[(header::IDEMPOTENCY_KEY, key)]), Some(&session)).map_err(|_| ());
        assert_eq!(id("7"), Ok(Some(RequestId { client_id: Bytes::new(), sequence: 7, acknowledged_through: 0 })));
        for key in ["0", "-1", "+1", "1.5", "a", "18446744073709551616"] {
            assert_eq!(id(key), Err(()), "{key}");
        }
    }

    #[test]
    fn the_first_preference_that_is_understood_counts() {
        let check =
            |text, expected| assert_eq!(Preference::of(&headers(&[(header::PREFER, text)])), expected, "{text}");
        check("return=minimal", Preference::Minimal);
        check("respond-async, Return=Representation", Preference::Representation);
        check("return=minimal, return=representation", Preference::Minimal);
        check("wait=10", Preference::None);
        assert_eq!(Preference::of(&HeaderMap::new()), Preference::None);
    }
}
