//! The OpenAPI document: generated from the routes, then given what OpenAPI or its generator cannot say by itself.

mod tagged;

use bytes::Bytes;
use http::header::{ETAG, LOCATION};
use utoipa::OpenApi as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required};

use crate::{api, header};

const DESCRIPTION: &str = "\
Quorate is a coordination service with ZooKeeper's model: a tree of small znodes, changed in one order that all servers agree on.\n\n\
**Paths of znodes** stand in the URL, `/v1/znodes/app/config`, with slashes raw or percent-encoded; OpenAPI has no parameter \
with slashes, so tools that follow this document encode them, which is accepted. The root is `/v1/znodes/`. \
A path with an empty segment, `.`, `..`, a control character or bytes that are no UTF-8 is refused.\n\n\
**64-bit ids** (zxids, sessions) are strings `0x..`; times are RFC 3339, and milliseconds beside them.\n\n\
**Every error** is `application/problem+json` (RFC 9457) with a `code` for programs. The same is a page for whoever \
prefers `text/html`, as browsers do, and what is no HTTP (400), or has a URL (414) or a header (431) too large to be read, \
is answered without a body.\n\n\
**Reading your own writes** through any server: send the `Quorate-Zxid` of a response back as `Quorate-Min-Zxid`.\n\n\
**Any gateway** before the same servers will do, for any request: sessions are known to the servers, and whoever reads a stream \
knows where he stands.\n\n\
**Whoever comes when too much is under way** is answered 429, with `Retry-After`; if it is the gateway's own limit, with \
`RateLimit-Policy` and `RateLimit`.\n\n\
**Long answers** are compressed with gzip for those who accept it, but not data as it is, nor streams of events; a tag of a \
compressed answer is good for conditions as well. A request's `traceparent` (W3C Trace Context) stands beside it in the logs of the gateway and the servers.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Quorate", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    servers((url = "http://localhost:7180", description = "A server on this machine")),
    tags(
        (name = "znodes", description = "The tree: data, metadata, children"),
        (name = "watch", description = "Changes as they happen"),
        (name = "sessions", description = "What ephemeral znodes live by"),
        (name = "cluster", description = "The ensemble"),
        (name = "operations", description = "The gateway itself"),
    ),
)]
struct Document;

/// The document with nothing but its head, to which routes add themselves.
pub(crate) fn head() -> OpenApi {
    let mut document = Document::openapi();
    document.info.description = Some(DESCRIPTION.to_owned());
    document
}

/// What this gateway can do, as an OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, mut document) = api(true).split_for_parts();
    document.paths.paths = std::mem::take(&mut document.paths.paths)
        .into_iter()
        .map(|(path, item)| (path.replace("{*path}", "{path}"), item))
        .collect();
    // Nobody has to prove who he is: said, so that it is not taken for forgotten.
    document.security = Some(Vec::new());
    if let Some(components) = &mut document.components {
        components.schemas.values_mut().for_each(widen);
        tagged::complete(&mut components.schemas, "Operation");
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(path, method, operation);
        }
    }
    document
}

/// The generator calls an unsigned number of 32 bits `int32`, which would lose the greater half.
fn widen(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    let is_unsigned = object.minimum.is_some() && object.maximum.is_none();
    if is_unsigned && object.format == Some(SchemaFormat::KnownFormat(KnownFormat::Int32)) {
        object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
    }
    object.properties.values_mut().for_each(widen);
}

/// The document as JSON.
pub(crate) fn json() -> Bytes {
    Bytes::from(serde_json::to_vec(&openapi()).expect("the document becomes JSON"))
}

/// A parameter that several operations have.
struct Shared {
    name: &'static str,
    place: ParameterIn,
    /// The operations that have it, as regards their method and their path.
    of: fn(method: &str, path: &str) -> bool,
    description: &'static str,
    example: &'static str,
    /// Of all its values, if there is such an expression.
    pattern: Option<&'static str>,
}

const ZNODES: &str = "/v1/znodes/{path}";
const ACLS: &str = "/v1/acls/{path}";
const MULTI: &str = "/v1/multi";
const ACCESS_CHECKS: &str = "/v1/access-checks";
const SNAPSHOT: &str = "/v1/cluster/snapshot";
const TAGS: &str = r#"^(\*|(W/)?"[^"]*"(, *(W/)?"[^"]*")*)$"#;

/// The parameters that are not in the routes' own descriptions.
const SHARED: &[Shared] = &[
    Shared {
        name: "path",
        place: ParameterIn::Path,
        of: |_, path| path.contains("{path}"),
        description: "The znode, without its leading slash; empty for the root.",
        example: "app/config",
        pattern: None,
    },
    Shared {
        name: "Quorate-Min-Zxid",
        place: ParameterIn::Header,
        of: |method, path| is_about_znodes(path) || path == SNAPSHOT && method == "get",
        description: "The `Quorate-Zxid` of an earlier response: the answer shows at least that state.",
        example: "0x5eed:0x100000002",
        pattern: Some("^0x[0-9a-fA-F]{1,16}:0x[0-9a-fA-F]{1,16}$"),
    },
    Shared {
        name: "Quorate-Session",
        place: ParameterIn::Header,
        of: |_, path| is_about_znodes(path),
        description: "The session that the request belongs to; with `Quorate-Session-Secret`.",
        example: "0x1f00000001",
        pattern: Some("^0x[0-9a-fA-F]{1,16}$"),
    },
    Shared {
        name: "Quorate-Session-Secret",
        place: ParameterIn::Header,
        of: |_, path| is_about_znodes(path),
        description: "What proves the ownership of the session; with `Quorate-Session`.",
        example: "AAECAwQFBgcICQoLDA0ODw",
        pattern: Some("^[0-9A-Za-z_-]{22}$"),
    },
    Shared {
        name: "If-None-Match",
        place: ParameterIn::Header,
        of: |method, path| {
            method == "get" && (path == ZNODES || path == ACLS || path == "/v1/stats/{path}") || method == "head"
        },
        description: "Tags of representations that the caller has: 304 if it is one of them.",
        example: "\"0x100000002\"",
        pattern: Some(TAGS),
    },
    Shared {
        name: "If-Match",
        place: ParameterIn::Header,
        of: |method, path| path == ZNODES && matches!(method, "get" | "head"),
        description: "Tags of the representations that are wanted: 412 if it is none of them.",
        example: "\"0x100000002\"",
        pattern: Some(TAGS),
    },
    Shared {
        name: "If-Match",
        place: ParameterIn::Header,
        of: |method, path| path == ZNODES && matches!(method, "put" | "delete"),
        description: "Only if the data has not changed since this tag was answered; `*`: only if the znode exists. \
                      A recursive delete takes only `*`.",
        example: "\"0x100000002\"",
        pattern: Some(TAGS),
    },
    Shared {
        name: "If-Match",
        place: ParameterIn::Header,
        of: |method, path| path == ACLS && method == "put",
        description: "Only if the ACL has not changed since this tag was answered.",
        example: "\"acl-0x100000002-0\"",
        pattern: Some(TAGS),
    },
    Shared {
        name: "If-None-Match",
        place: ParameterIn::Header,
        of: |method, path| path == ZNODES && matches!(method, "put" | "post"),
        description: "Only if there is no such znode.",
        example: "*",
        pattern: Some("^\\*$"),
    },
    Shared {
        name: "Idempotency-Key",
        place: ParameterIn::Header,
        of: |method, path| is_write(method, path),
        description: "Names the write: sent again under the same name it has the effect and the answer of the first \
                      time. Within a session, a number from 1 that grows. Without one, all anonymous callers share \
                      the names, so they should be random, such as UUIDs; and the servers remember the last 100,000 \
                      or 32 MiB of such writes, of all clients together: half a second of them at full speed. What \
                      is sent again after that takes effect again.",
        example: "0b6f1d5e-8a2e-4c39-a3f5-0d3b3f8f3c11",
        pattern: Some("^[!-~]{1,255}$"),
    },
    Shared {
        name: "Prefer",
        place: ParameterIn::Header,
        of: |method, path| path == ZNODES && matches!(method, "put" | "post"),
        description: "How much is answered: `return=minimal` or `return=representation`.",
        example: "return=minimal",
        pattern: None,
    },
    Shared {
        name: "Prefer",
        place: ParameterIn::Header,
        of: |method, path| takes_minimal(method, path),
        description: "How much is answered: `return=minimal` for nothing.",
        example: "return=minimal",
        pattern: None,
    },
];

/// Whether an operation changes the tree.
fn is_write(method: &str, path: &str) -> bool {
    matches!(method, "put" | "post" | "delete") && matches!(path, ZNODES | ACLS | MULTI)
}

/// Whether an operation takes what belongs to every request about znodes.
fn is_about_znodes(path: &str) -> bool {
    path.contains("{path}") || matches!(path, "/v1/watch" | MULTI | ACCESS_CHECKS)
}

/// Whether a write can be asked for no answer but its header.
fn takes_minimal(method: &str, path: &str) -> bool {
    path == ACLS && method == "put" || path == MULTI
}

impl Shared {
    fn parameter(&self) -> Parameter {
        let required = if self.place == ParameterIn::Path { Required::True } else { Required::False };
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(self.pattern).build();
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(self.place.clone())
            .required(required)
            .description(Some(self.description))
            .schema(Some(schema))
            .example(Some(self.example.into()))
            .build()
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("head", &mut item.head),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// Adds the parameters and headers that many operations share.
fn complete(path: &str, method: &str, operation: &mut Operation) {
    let shared = SHARED.iter().filter(|shared| (shared.of)(method, path)).map(Shared::parameter);
    operation.parameters.get_or_insert_default().extend(shared.map(RefOr::T));
    // Some have nothing of their own that can fail; but the door may refuse any request.
    operation.responses.responses.entry("default".to_owned()).or_insert_with(|| {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let failed = ResponseBuilder::new().description("It failed").content("application/problem+json", problem);
        failed.build().into()
    });
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        for (name, description) in headers(path, method, status) {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let header = HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
            response.headers.insert(name, header.into());
        }
    }
}

/// What stands in the header of a response besides what its route says.
fn headers(path: &str, method: &str, status: &str) -> Vec<(String, &'static str)> {
    let mut headers = vec![
        (header::ZXID, "The ensemble and the state that the response shows, `0x<cluster id>:0x<zxid>`."),
        (header::REQUEST_ID, "Names the request, for questions about it: the caller's own name, or one made up."),
    ];
    let has_preference = path == ZNODES && matches!(method, "put" | "post") || takes_minimal(method, path);
    let shows_znode = path == ZNODES || path == "/v1/stats/{path}";
    if shows_znode && method != "delete" && status != "default" {
        headers.push((ETAG, "Tags the representation; built on the mzxid."));
        headers.extend(header::STAT);
    }
    if path == ZNODES && matches!(status, "200" | "201") && method != "head" {
        headers.push((header::DATA_NULL, "`true` if the data is null, which differs from empty data."));
    }
    if path == ACLS && status != "default" {
        headers.push((ETAG, "Tags the ACL; built on the aversion."));
    }
    if has_preference && status != "default" {
        headers.push((header::PREFERENCE_APPLIED, "What of `Prefer` was done."));
    }
    if status == "201" {
        headers.push((LOCATION, "What was created."));
    }
    headers.into_iter().map(|(name, description)| (title_case(name.as_str()), description)).collect()
}

/// A header's name as documents write it: `ETag` is the exception.
fn title_case(name: &str) -> String {
    if name == "etag" {
        return "ETag".to_owned();
    }
    let capitalized = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(capitalized).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests;
