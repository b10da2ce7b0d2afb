//! The two representations of a znode, and who gets or sends which.
//!
//! Raw is the data and nothing else, whatever content type the caller gives it: a JSON configuration is data. The
//! envelope, [`ENVELOPE`], is JSON around data and stat, for callers that ask for it by `Accept` or `Content-Type`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use quorate_client::{Acl, Stat};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::acl::{self, EntryDocument};
use crate::etag::{Form, Tagged};
use crate::hex::Hex;
use crate::problem::{Problem, Refusal};
use crate::time::Timestamp;

/// The media type of the envelope.
pub(crate) const ENVELOPE: &str = "application/vnd.quorate+json";
/// The same, as a header.
pub(crate) const ENVELOPE_TYPE: HeaderValue = HeaderValue::from_static(ENVELOPE);
/// The media type of raw data.
pub(crate) const RAW_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// The media type of JSON documents, one in each line.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// The same, as a header.
pub(crate) const NDJSON_TYPE: HeaderValue = HeaderValue::from_static(NDJSON);
/// The media type of everything else.
pub(crate) const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");

impl Form {
    /// The form that the caller prefers. Whoever does not name the envelope gets raw data, whatever else `Accept` says.
    pub(crate) fn accepted(headers: &HeaderMap) -> Form {
        let envelope = named_quality(headers, ENVELOPE);
        let is_preferred = envelope > 0 && envelope >= named_quality(headers, "application/octet-stream");
        if is_preferred { Form::Envelope } else { Form::Raw }
    }

    /// The form of a request's body.
    pub(crate) fn sent(headers: &HeaderMap) -> Result<Form, Problem> {
        if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            let detail =
                "the body has a Content-Encoding, which would be lost: send the data as it is, without that header";
            return Err(Problem::refusal(Refusal::UnsupportedMediaType, detail));
        }
        let Some(content_type) = headers.get(CONTENT_TYPE) else { return Ok(Form::Raw) };
        let mut parts = content_type.to_str().unwrap_or_default().split(';').map(str::trim);
        if !parts.next().unwrap_or_default().eq_ignore_ascii_case(ENVELOPE) {
            return Ok(Form::Raw);
        }
        if parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8") || parameter.is_empty()) {
            Ok(Form::Envelope)
        } else {
            Err(Problem::refusal(
                Refusal::UnsupportedMediaType,
                "the envelope is JSON in UTF-8 and has no other parameters",
            ))
        }
    }
}

/// How much the caller wants this very media type, in thousandths; 0 if `Accept` does not name it.
pub(crate) fn named_quality(headers: &HeaderMap, media_type: &str) -> u32 {
    let lines = headers.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    let mut wanted = lines.flat_map(|line| line.split(',')).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        parts.next()?.eq_ignore_ascii_case(media_type).then(|| quality(parts))
    });
    wanted.next_back().unwrap_or_default()
}

/// A quality in thousandths. What cannot be read counts as the default, 1.
fn quality<'a>(parameters: impl Iterator<Item = &'a str>) -> u32 {
    for parameter in parameters {
        if let Some(value) = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")) {
            return value.parse::<f32>().map_or(1_000, |quality| (quality.clamp(0.0, 1.0) * 1_000.0) as u32);
        }
    }
    1_000
}

/// The metadata of a znode, with ZooKeeper's meaning of each field.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Stat)]
pub(crate) struct StatDocument {
    /// The txn that created the znode.
    #[schema(value_type = String, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    czxid: Hex,
    /// The txn that last changed its data.
    #[schema(value_type = String, example = "0x100000007", pattern = "^0x[0-9a-f]{1,16}$")]
    mzxid: Hex,
    /// The txn that last created or deleted one of its children.
    #[schema(value_type = String, example = "0x100000002", pattern = "^0x[0-9a-f]{1,16}$")]
    pzxid: Hex,
    /// When it was created, on the leader's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T09:08:35.120Z")]
    ctime: Timestamp,
    /// The same in milliseconds since the Unix epoch.
    #[schema(example = 1_795_252_115_120_i64)]
    ctime_ms: i64,
    /// When its data was last changed, on the leader's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T09:10:02.007Z")]
    mtime: Timestamp,
    /// The same in milliseconds since the Unix epoch.
    #[schema(example = 1_795_252_202_007_i64)]
    mtime_ms: i64,
    /// Changes of its data since creation.
    #[schema(example = 3)]
    version: i32,
    /// Creations and deletions among its children.
    #[schema(example = 0)]
    cversion: i32,
    /// Changes of its ACL since creation.
    #[schema(example = 0)]
    aversion: i32,
    /// The session that owns an ephemeral znode; null for every other kind.
    #[schema(value_type = Option<String>, required, example = json!(null), pattern = "^0x[0-9a-f]{1,16}$")]
    ephemeral_owner: Option<Hex>,
    /// Bytes of its data; 0 for null data.
    #[schema(example = 5)]
    data_length: u32,
    /// Children it has.
    #[schema(example = 0)]
    num_children: u32,
}

impl From<&Stat> for StatDocument {
    fn from(stat: &Stat) -> StatDocument {
        StatDocument {
            czxid: Hex(stat.czxid),
            mzxid: Hex(stat.mzxid),
            pzxid: Hex(stat.pzxid),
            ctime: Timestamp(stat.ctime_ms),
            ctime_ms: stat.ctime_ms,
            mtime: Timestamp(stat.mtime_ms),
            mtime_ms: stat.mtime_ms,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            ephemeral_owner: (stat.ephemeral_owner != 0).then_some(Hex(stat.ephemeral_owner)),
            data_length: stat.data_length,
            num_children: stat.num_children,
        }
    }
}

impl From<&Stat> for Tagged {
    fn from(stat: &Stat) -> Tagged {
        Tagged { mzxid: stat.mzxid, pzxid: stat.pzxid, aversion: stat.aversion }
    }
}

/// How the bytes of data stand in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// The text is the data, in UTF-8.
    #[default]
    Utf8,
    /// The text is the data in base64, standard alphabet, padded.
    Base64,
}

/// Data as JSON has it: the text, absent for null data, and how it is to be read.
pub(crate) fn data_text(data: Option<&Bytes>) -> (Option<Cow<'_, str>>, Encoding) {
    match data.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => (None, Encoding::Utf8),
        Some(Ok(text)) => (Some(Cow::Borrowed(text)), Encoding::Utf8),
        Some(Err(bytes)) => (Some(Cow::Owned(STANDARD.encode(bytes))), Encoding::Base64),
    }
}

/// A znode.
#[derive(Serialize, ToSchema)]
#[schema(as = Znode)]
pub(crate) struct Envelope<'a> {
    /// The znode.
    #[schema(example = "/app/config")]
    pub(crate) path: &'a str,
    /// Its data, as `encoding` says; null for null data, which differs from empty data.
    #[schema(value_type = Option<String>, required, example = "hello")]
    pub(crate) data: Option<Cow<'a, str>>,
    /// How `data` is to be read: as text where it is valid UTF-8.
    pub(crate) encoding: Encoding,
    /// Its metadata.
    pub(crate) stat: StatDocument,
}

/// What a write answers.
#[derive(Serialize, ToSchema)]
#[schema(as = Written)]
pub(crate) struct Written<'a> {
    /// The znode; with the digits that a sequential mode appended.
    #[schema(example = "/app/config")]
    pub(crate) path: &'a str,
    /// Its metadata after the write.
    pub(crate) stat: StatDocument,
}

/// The body of a write in the envelope. What came with a read (`path`, `stat`) may be sent back with it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ZnodeData)]
pub(crate) struct SentEnvelope {
    /// The data, as `encoding` says; null for null data.
    #[serde(deserialize_with = "required_but_nullable")]
    #[schema(required, example = "hello")]
    data: Option<String>,
    /// How `data` is to be read.
    #[serde(default)]
    encoding: Encoding,
    /// Who may do what, if this creates the znode. Default: everybody everything.
    acl: Option<Vec<EntryDocument>>,
    /// If given, must be the path of the URL.
    #[schema(example = "/app/config")]
    path: Option<String>,
    /// Ignored.
    #[serde(default, rename = "stat")]
    #[schema(value_type = Value)]
    _stat: serde::de::IgnoredAny,
}

/// A field that may be null and must not be missing: `{}` shall not delete data.
pub(crate) fn required_but_nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

impl SentEnvelope {
    /// What the JSON text `body` holds for the znode at `path`.
    pub(crate) fn read(body: &[u8], path: &str) -> Result<SentZnode, Problem> {
        let envelope: SentEnvelope = serde_json::from_slice(body)
            .map_err(|error| Problem::bad_arguments(format!("the body is no envelope: {error}")))?;
        if envelope.path.as_deref().is_some_and(|named| named != path) {
            return Err(Problem::bad_arguments("the body's path is not the URL's"));
        }
        let data = data_bytes(envelope.data, envelope.encoding)?;
        Ok(SentZnode { data, acl: envelope.acl.map(acl::read).transpose()? })
    }
}

/// What a write says of a znode.
#[derive(Debug)]
pub(crate) struct SentZnode {
    /// Absent for null data.
    pub(crate) data: Option<Bytes>,
    /// For a znode that is created.
    pub(crate) acl: Option<Acl>,
}

/// The data that stands in JSON as `text`; absent for null data.
pub(crate) fn data_bytes(text: Option<String>, encoding: Encoding) -> Result<Option<Bytes>, Problem> {
    match (text, encoding) {
        (None, _) => Ok(None),
        (Some(text), Encoding::Utf8) => Ok(Some(Bytes::from(text))),
        (Some(text), Encoding::Base64) => match STANDARD.decode(&text) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) => Err(Problem::bad_arguments(format!("the body's data is no base64: {error}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderName;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn whoever_names_the_envelope_gets_it() {
        let check = |accept, expected| assert_eq!(Form::accepted(&headers(&[(ACCEPT, accept)])), expected, "{accept}");
        assert_eq!(Form::accepted(&HeaderMap::new()), Form::Raw);
        check("*/*", Form::Raw);
        check("", Form::Raw);
        check("application/json", Form::Raw);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Form::Raw);
        check("application/vnd.quorate+json", Form::Envelope);
        check("Application/Vnd.Quorate+JSON", Form::Envelope);
        check("text/html, application/vnd.quorate+json ;q=0.5, */*", Form::Envelope);
        check("application/vnd.quorate+json;q=0", Form::Raw);
        check("application/vnd.quorate+json; q=0.0, */*", Form::Raw);
        check("application/vnd.quorate+json;q=0.5, application/octet-stream", Form::Raw);
        check("application/vnd.quorate+json, application/octet-stream;q=0.9", Form::Envelope);
        check("application/vnd.quorate+jsonx", Form::Raw);
        let lines = headers(&[(ACCEPT, "text/plain"), (ACCEPT, ENVELOPE)]);
        assert_eq!(Form::accepted(&lines), Form::Envelope);
    }

    #[test]
    fn only_the_envelope_is_read_as_such() {
        let sent = |lines: &[(HeaderName, &'static str)]| Form::sent(&headers(lines)).ok();
        assert_eq!(sent(&[]), Some(Form::Raw));
        assert_eq!(sent(&[(CONTENT_TYPE, "application/json")]), Some(Form::Raw));
        assert_eq!(sent(&[(CONTENT_TYPE, "application/x-www-form-urlencoded")]), Some(Form::Raw));
        assert_eq!(sent(&[(CONTENT_TYPE, ENVELOPE)]), Some(Form::Envelope));
        assert_eq!(sent(&[(CONTENT_TYPE, "application/vnd.quorate+json; charset=UTF-8")]), Some(Form::Envelope));
        assert_eq!(sent(&[(CONTENT_TYPE, "application/vnd.quorate+json; charset=latin1")]), None);
        assert_eq!(sent(&[(CONTENT_ENCODING, "gzip")]), None);
        assert_eq!(sent(&[(CONTENT_ENCODING, "identity")]), Some(Form::Raw));
    }

    #[test]
    fn sent_envelopes_say_what_data_is() {
        let sent =
            |body: &str| SentEnvelope::read(body.as_bytes(), "/a").map_err(|problem| problem.detail().to_owned());
        let read = |body: &str| sent(body).map(|sent| sent.data);
        let data = |bytes: &'static [u8]| Ok(Some(Bytes::from_static(bytes)));
        assert_eq!(read(r#"{"data":"h\u00fc"}"#), data("hü".as_bytes()));
        assert_eq!(read(r#"{"data":"h","encoding":"utf8"}"#), data(b"h"));
        assert_eq!(read(r#"{"data":"/wA=","encoding":"base64"}"#), data(b"\xff\x00"));
        assert_eq!(read(r#"{"data":""}"#), data(b""));
        assert_eq!(read(r#"{"data":null}"#), Ok(None));
        assert_eq!(read(r#"{"path":"/a","data":"x","encoding":"utf8","stat":{"version":3}}"#), data(b"x"));
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"data":1}"#,
            r#"{"data":"x""#,
            r#"{"data":"x","encoding":"hex"}"#,
            r#"{"data":"!","encoding":"base64"}"#,
            r#"{"data":"/wA","encoding":"base64"}"#,
            r#"{"data":"x","dta":"y"}"#,
            r#"{"data":"x","data":"y"}"#,
            r#"{"data":"x","path":"/b"}"#,
            r#"{"data":"\ud800"}"#,
            r#"{"data":"x"} x"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        let acl = sent(r#"{"data":"x","acl":[{"scheme":"world","id":"anyone","perms":"r"}]}"#).unwrap().acl;
        assert_eq!(acl.unwrap().to_string(), "world:anyone:r");
        assert!(SentEnvelope::read(b"{\"data\":\"\xff\"}", "/a").is_err());
    }

    #[test]
    fn data_is_shown_as_text_where_it_is_text() {
        let shown = |bytes: Option<&'static [u8]>| {
            let bytes = bytes.map(Bytes::from_static);
            let (text, encoding) = data_text(bytes.as_ref());
            (text.map(Cow::into_owned), encoding)
        };
        assert_eq!(shown(None), (None, Encoding::Utf8));
        assert_eq!(shown(Some(b"")), (Some(String::new()), Encoding::Utf8));
        assert_eq!(shown(Some("ü\n".as_bytes())), (Some("ü\n".to_owned()), Encoding::Utf8));
        assert_eq!(shown(Some(b"\xff\x00")), (Some("/wA=".to_owned()), Encoding::Base64));
    }
}
