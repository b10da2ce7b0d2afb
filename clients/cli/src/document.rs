//! The JSON forms of results. Ids of 64 bits are text, `"0x1f"`, since JSON's numbers are floating point in many
//! languages; data is text where it is valid UTF-8, else base64, as `encoding` says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use quorate_client::{Acl, AclEntry, CreateMode, Error, Event, Reason, Stat};
use serde::{Deserialize, Serialize};

use crate::time::rfc3339;

/// A 64-bit id as text.
pub(crate) fn hex(id: u64) -> String {
    format!("0x{id:x}")
}

/// An id from the command line: hexadecimal after `0x`, else decimal.
pub(crate) fn parse_id(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is no zxid: write 0x100000002"))
}

/// The metadata of a znode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatDocument {
    czxid: String,
    mzxid: String,
    pzxid: String,
    ctime: String,
    ctime_ms: i64,
    mtime: String,
    mtime_ms: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    /// Null for a znode that is not ephemeral.
    ephemeral_owner: Option<String>,
    data_length: u32,
    num_children: u32,
}

impl From<&Stat> for StatDocument {
    fn from(stat: &Stat) -> StatDocument {
        StatDocument {
            czxid: hex(stat.czxid),
            mzxid: hex(stat.mzxid),
            pzxid: hex(stat.pzxid),
            ctime: rfc3339(stat.ctime_ms),
            ctime_ms: stat.ctime_ms,
            mtime: rfc3339(stat.mtime_ms),
            mtime_ms: stat.mtime_ms,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            ephemeral_owner: stat.is_ephemeral().then(|| hex(stat.ephemeral_owner)),
            data_length: stat.data_length,
            num_children: stat.num_children,
        }
    }
}

/// How the text of data is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    #[default]
    Utf8,
    Base64,
}

/// Data in a document. Flattened into others: `"data": null, "encoding": "utf8"` is null data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataDocument {
    pub(crate) data: Option<String>,
    #[serde(default)]
    pub(crate) encoding: Encoding,
}

impl DataDocument {
    pub(crate) fn new(data: Option<&Bytes>) -> DataDocument {
        let Some(data) = data else { return DataDocument::default() };
        match std::str::from_utf8(data) {
            Ok(text) => DataDocument { data: Some(text.to_owned()), encoding: Encoding::Utf8 },
            Err(_) => DataDocument { data: Some(STANDARD.encode(data)), encoding: Encoding::Base64 },
        }
    }

    /// The bytes that it stands for.
    pub(crate) fn decode(self) -> Result<Option<Bytes>, String> {
        match (self.data, self.encoding) {
            (None, _) => Ok(None),
            (Some(text), Encoding::Utf8) => Ok(Some(Bytes::from(text))),
            (Some(text), Encoding::Base64) => {
                let decoded = STANDARD.decode(text);
                decoded.map(|bytes| Some(Bytes::from(bytes))).map_err(|error| format!("data is no base64: {error}"))
            }
        }
    }
}

/// A znode: of get, ls with data, and each line of an initial state.
#[derive(Debug, Serialize)]
pub(crate) struct ZnodeDocument<'a> {
    pub(crate) path: &'a str,
    #[serde(flatten)]
    pub(crate) data: DataDocument,
    pub(crate) stat: StatDocument,
}

/// The path and stat of a znode: of create, set and stat.
#[derive(Debug, Serialize)]
pub(crate) struct StatOfPath<'a> {
    pub(crate) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<bool>,
    pub(crate) stat: StatDocument,
}

/// A listing.
#[derive(Debug, Serialize)]
pub(crate) struct ChildrenDocument<'a> {
    pub(crate) path: &'a str,
    /// Names, in the order of their bytes.
    pub(crate) children: Vec<String>,
    /// Of the znode itself.
    pub(crate) stat: StatDocument,
}

/// What was deleted.
#[derive(Debug, Serialize)]
pub(crate) struct DeletedDocument<'a> {
    pub(crate) path: &'a str,
    pub(crate) deleted: u64,
}

/// One line of a watch: `created`, `changed` and `deleted` are about a znode; `synced` ends an initial state; `reset`
/// says that what was told is to be forgotten.
#[derive(Debug, Serialize)]
pub(crate) struct EventDocument<'a> {
    pub(crate) event: &'a str,
    pub(crate) zxid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub(crate) data: Option<DataDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stat: Option<StatDocument>,
}

impl<'a> EventDocument<'a> {
    /// Something that is about no znode.
    pub(crate) fn marker(event: &'a str, zxid: Option<u64>) -> EventDocument<'a> {
        EventDocument { event, zxid: zxid.map(hex), index: None, path: None, data: None, stat: None }
    }

    pub(crate) fn new(event: &'a Event, with_data: bool) -> EventDocument<'a> {
        EventDocument {
            event: event.kind.as_str(),
            zxid: Some(hex(event.zxid)),
            index: Some(event.index),
            path: Some(&event.path),
            data: with_data.then(|| DataDocument::new(event.data.as_ref())),
            stat: Some(StatDocument::from(&event.stat)),
        }
    }
}

/// One entry of an ACL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AclEntryDocument {
    scheme: String,
    id: String,
    /// Letters of `cdrwa`.
    perms: String,
}

pub(crate) fn acl_document(acl: &Acl) -> Vec<AclEntryDocument> {
    let entry = |entry: &AclEntry| AclEntryDocument {
        scheme: entry.scheme.clone(),
        id: entry.id.clone(),
        perms: entry.perms.to_string(),
    };
    acl.0.iter().map(entry).collect()
}

pub(crate) fn acl_from_document(entries: Vec<AclEntryDocument>) -> Result<Acl, Error> {
    let entry =
        |entry: AclEntryDocument| Ok(AclEntry { perms: entry.perms.parse()?, scheme: entry.scheme, id: entry.id });
    entries.into_iter().map(entry).collect::<Result<_, _>>().map(Acl)
}

/// What kind of znode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModeDocument {
    #[default]
    Persistent,
    Ephemeral,
    Container,
    Ttl,
}

impl ModeDocument {
    /// The kind, and the time to live where it has one.
    pub(crate) fn new(mode: CreateMode) -> (ModeDocument, Option<u64>) {
        match mode {
            CreateMode::Persistent | CreateMode::PersistentSequential => (ModeDocument::Persistent, None),
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => (ModeDocument::Ephemeral, None),
            CreateMode::Container => (ModeDocument::Container, None),
            CreateMode::Ttl(ttl) | CreateMode::TtlSequential(ttl) => {
                (ModeDocument::Ttl, Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
            }
        }
    }

    /// How to create it.
    pub(crate) fn to_mode(self, ttl_ms: Option<u64>) -> Result<CreateMode, Error> {
        Ok(match self {
            ModeDocument::Persistent => CreateMode::Persistent,
            ModeDocument::Ephemeral => CreateMode::Ephemeral,
            ModeDocument::Container => CreateMode::Container,
            ModeDocument::Ttl => match ttl_ms {
                Some(ttl_ms) => CreateMode::Ttl(std::time::Duration::from_millis(ttl_ms)),
                None => return Err(Error::new(Reason::BadArguments, "a ttl znode without ttl_ms")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_survives_json() {
        for data in [None, Some(""), Some("text \"é\"")] {
            let bytes = data.map(|text| Bytes::from_static(text.as_bytes()));
            let json = serde_json::to_string(&DataDocument::new(bytes.as_ref())).expect("json");
            assert!(json.contains(r#""encoding":"utf8""#));
            let back: DataDocument = serde_json::from_str(&json).expect("json");
            assert_eq!(back.decode(), Ok(bytes));
        }
        let binary = Bytes::from_static(&[0xff, 0x00]);
        let document = DataDocument::new(Some(&binary));
        assert_eq!(document, DataDocument { data: Some("/wA=".into()), encoding: Encoding::Base64 });
        assert_eq!(document.decode(), Ok(Some(binary)));
        assert!(DataDocument { data: Some("?".into()), encoding: Encoding::Base64 }.decode().is_err());
    }

    #[test]
    fn the_json_of_a_znode_is_stable() {
        let stat = Stat {
            czxid: 0x1_0000_0002,
            mzxid: 0x1_0000_0003,
            pzxid: 0x1_0000_0002,
            mtime_ms: 1_795_252_115_120,
            version: 1,
            data_length: 2,
            ..Stat::default()
        };
        let data = Bytes::from_static(b"hi");
        let document =
            ZnodeDocument { path: "/a", data: DataDocument::new(Some(&data)), stat: StatDocument::from(&stat) };
        let expected = concat!(
            r#"{"path":"/a","data":"hi","encoding":"utf8","stat":{"czxid":"0x100000002","mzxid":"0x100000003","#,
            r#""pzxid":"0x100000002","ctime":"1970-01-01T00:00:00.000Z","ctime_ms":0,"#,
            r#""mtime":"2026-11-21T09:08:35.120Z","mtime_ms":1795252115120,"version":1,"cversion":0,"aversion":0,"#,
            r#""ephemeral_owner":null,"data_length":2,"num_children":0}}"#
        );
        assert_eq!(serde_json::to_string(&document).expect("json"), expected);
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        assert_eq!(parse_id(&hex(0x1_0000_0002)), Ok(0x1_0000_0002));
        assert_eq!(parse_id("12"), Ok(12));
        assert!(parse_id("0x").is_err() && parse_id("x").is_err());
    }

    #[test]
    fn acls_and_modes_survive_json() {
        let acl: Acl = "world:anyone:r,digest:a:b=:cdrwa".parse().expect("valid");
        assert_eq!(acl_from_document(acl_document(&acl)).expect("valid"), acl);
        let hour = std::time::Duration::from_secs(3600);
        for mode in [CreateMode::Persistent, CreateMode::Ephemeral, CreateMode::Container, CreateMode::Ttl(hour)] {
            let (document, ttl_ms) = ModeDocument::new(mode);
            assert_eq!(document.to_mode(ttl_ms).expect("complete"), mode);
        }
        assert!(ModeDocument::Ttl.to_mode(None).is_err());
    }
}
