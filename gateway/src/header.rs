//! The header fields that the gateway knows, and `Block`, which writes many of them with one allocation for all values.

use bytes::{Bytes, BytesMut};
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue};
use quorate_client::Stat;
use smallvec::SmallVec;

use crate::etag::{Form, Tagged};
use crate::hex::{Hex, write_decimal, write_signed};

/// On every response: the ensemble and the state that the response shows, `0x<cluster id>:0x<zxid>`.
pub(crate) const ZXID: HeaderName = HeaderName::from_static("quorate-zxid");
/// On requests: a former [`ZXID`]; the answer must show at least that state.
pub(crate) const MIN_ZXID: HeaderName = HeaderName::from_static("quorate-min-zxid");
/// The session that a request belongs to.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("quorate-session");
/// What proves that the caller owns it.
pub(crate) const SESSION_SECRET: HeaderName = HeaderName::from_static("quorate-session-secret");
/// Makes a write idempotent.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How much a write answers (RFC 7240).
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Which of it was done.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Names a request, for questions about it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The event after which an interrupted event stream goes on.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How many znodes a delete removed.
pub(crate) const DELETED: HeaderName = HeaderName::from_static("quorate-deleted");
/// The znode's data is null, which differs from empty.
pub(crate) const DATA_NULL: HeaderName = HeaderName::from_static("quorate-data-null");

/// The fields of a stat, in the order in which [`Block::stat`] writes them, with what each says.
pub(crate) const STAT: [(HeaderName, &str); 11] = [
    (HeaderName::from_static("quorate-stat-czxid"), "The txn that created the znode, `0x..`."),
    (HeaderName::from_static("quorate-stat-mzxid"), "The txn that last changed its data, `0x..`."),
    (
        HeaderName::from_static("quorate-stat-pzxid"),
        "The txn that last created or deleted one of its children, `0x..`.",
    ),
    (HeaderName::from_static("quorate-stat-ctime-ms"), "When it was created, in milliseconds since the Unix epoch."),
    (HeaderName::from_static("quorate-stat-mtime-ms"), "When its data was last changed, likewise."),
    (HeaderName::from_static("quorate-stat-version"), "Changes of its data since creation."),
    (HeaderName::from_static("quorate-stat-cversion"), "Creations and deletions among its children."),
    (HeaderName::from_static("quorate-stat-aversion"), "Changes of its ACL since creation."),
    (HeaderName::from_static("quorate-stat-ephemeral-owner"), "The session that owns it; only of an ephemeral znode."),
    (HeaderName::from_static("quorate-stat-data-length"), "Bytes of its data; 0 for null data."),
    (HeaderName::from_static("quorate-stat-num-children"), "Children it has."),
];

/// Fields that one response has at most from a block.
const FIELDS_MAX: usize = 14;
/// Bytes that their values take as a rule.
const VALUE_BYTES: usize = 256;

/// Header fields whose values share one buffer.
pub(crate) struct Block {
    text: BytesMut,
    /// Each field with the end of its value in `text`, which is where the next one begins.
    fields: SmallVec<[(HeaderName, usize); FIELDS_MAX]>,
}

impl Block {
    pub(crate) fn new() -> Block {
        Block { text: BytesMut::with_capacity(VALUE_BYTES), fields: SmallVec::new() }
    }

    /// The ensemble's id and the state that the response shows.
    pub(crate) fn zxid(&mut self, cluster_id: u64, zxid: u64) {
        Hex(cluster_id).write(&mut self.text);
        self.text.extend_from_slice(b":");
        self.hex(ZXID, zxid);
    }

    /// A stat, and the tag of the representation in `form`.
    pub(crate) fn stat(&mut self, stat: &Stat, form: Form) {
        Tagged::from(stat).write(form, &mut self.text);
        self.end(ETAG);
        let [czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, owner, length, children] =
            STAT.map(|(name, _)| name);
        self.hex(czxid, stat.czxid);
        self.hex(mzxid, stat.mzxid);
        self.hex(pzxid, stat.pzxid);
        self.signed(ctime, stat.ctime_ms);
        self.signed(mtime, stat.mtime_ms);
        self.signed(version, stat.version.into());
        self.signed(cversion, stat.cversion.into());
        self.signed(aversion, stat.aversion.into());
        if stat.ephemeral_owner != 0 {
            self.hex(owner, stat.ephemeral_owner);
        }
        self.decimal(length, stat.data_length.into());
        self.decimal(children, stat.num_children.into());
    }

    /// A number in decimal.
    pub(crate) fn decimal(&mut self, name: HeaderName, number: u64) {
        write_decimal(number, &mut self.text);
        self.end(name);
    }

    /// Adds all fields to `headers`.
    pub(crate) fn finish(self, headers: &mut HeaderMap) {
        let text: Bytes = self.text.freeze();
        headers.reserve(self.fields.len());
        let mut start = 0;
        for (name, end) in self.fields {
            let value =
                HeaderValue::from_maybe_shared(text.slice(start..end)).expect("numbers and tags are visible ASCII");
            headers.insert(name, value);
            start = end;
        }
    }

    fn hex(&mut self, name: HeaderName, number: u64) {
        Hex(number).write(&mut self.text);
        self.end(name);
    }

    fn signed(&mut self, name: HeaderName, number: i64) {
        write_signed(number, &mut self.text);
        self.end(name);
    }

    fn end(&mut self, name: HeaderName) {
        self.fields.push((name, self.text.len()));
    }
}
