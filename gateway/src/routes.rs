//! The routes, one file for each resource, and how all of them answer.

pub(crate) mod access_checks;
pub(crate) mod acls;
pub(crate) mod children;
pub(crate) mod cluster;
pub(crate) mod members;
pub(crate) mod multi;
pub(crate) mod operations;
pub(crate) mod sessions;
pub(crate) mod snapshot;
pub(crate) mod stats;
pub(crate) mod tree;
pub(crate) mod watch;
pub(crate) mod znodes;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use serde::Serialize;

use crate::etag::Form;
use crate::gateway::Gateway;
use crate::header::{Block, PREFERENCE_APPLIED};
use crate::representation::{ENVELOPE_TYPE, JSON_TYPE};
use quorate_client::Stat;

/// Header fields of one response, so that their map is allocated once.
const FIELDS: usize = 24;

/// Caches may keep an answer and must ask whether it still holds.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const ACCEPT: HeaderValue = HeaderValue::from_static("accept");

/// An answer that is being put together.
pub(crate) struct Answer {
    response: Response,
    block: Block,
}

impl Answer {
    /// An answer without a body that shows the state at `zxid`.
    pub(crate) fn new(gateway: &Gateway, status: StatusCode, zxid: u64) -> Answer {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.headers_mut().reserve(FIELDS);
        let mut block = Block::new();
        if let Some(newest) = gateway.client.last_header() {
            block.zxid(newest.cluster_id, zxid);
        }
        Answer { response, block }
    }

    /// With a znode's stat, and the tag of its representation in `form`.
    pub(crate) fn stat(mut self, stat: &Stat, form: Form) -> Answer {
        self.block.stat(stat, form);
        let headers = self.response.headers_mut();
        headers.insert(CACHE_CONTROL, NO_CACHE);
        headers.insert(VARY, ACCEPT);
        self
    }

    /// With a number.
    pub(crate) fn number(mut self, name: HeaderName, number: u64) -> Answer {
        self.block.decimal(name, number);
        self
    }

    /// With another field.
    pub(crate) fn field(mut self, (name, value): (HeaderName, HeaderValue)) -> Answer {
        self.response.headers_mut().insert(name, value);
        self
    }

    /// With the preference of the caller that was followed.
    pub(crate) fn applied(self, preference: &'static str) -> Answer {
        self.field((PREFERENCE_APPLIED, HeaderValue::from_static(preference)))
    }

    /// With a body of this type.
    pub(crate) fn body(mut self, content_type: HeaderValue, body: impl Into<Body>) -> Answer {
        *self.response.body_mut() = body.into();
        self.field((CONTENT_TYPE, content_type))
    }

    /// With a JSON document.
    pub(crate) fn json(self, document: &impl Serialize) -> Answer {
        self.body(JSON_TYPE, to_json(document))
    }

    /// With JSON of the envelope's kind.
    pub(crate) fn envelope(self, document: &impl Serialize) -> Answer {
        self.body(ENVELOPE_TYPE, to_json(document))
    }

    /// The response.
    pub(crate) fn finish(self) -> Response {
        let Answer { mut response, block } = self;
        block.finish(response.headers_mut());
        response
    }
}

fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("texts and numbers become JSON")
}
