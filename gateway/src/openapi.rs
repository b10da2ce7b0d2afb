//! The OpenAPI document: generated from the routes, then given what OpenAPI or its generator cannot say by itself.

use bytes::Bytes;
use utoipa::OpenApi as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use crate::api;

const DESCRIPTION: &str = "\
Quorate is a coordination service with ZooKeeper's model: a tree of small znodes, changed in one order that all servers agree on.\n\n\
**Paths of znodes** stand in the URL, `/v1/znodes/app/config`, with slashes raw or percent-encoded; OpenAPI has no parameter \
with slashes, so tools that follow this document encode them, which is accepted. The root is `/v1/znodes/`. \
A path with an empty segment, `.`, `..`, a control character or bytes that are no UTF-8 is refused.\n\n\
**64-bit ids** (zxids, sessions) are strings `0x..`; times are RFC 3339, and milliseconds beside them.\n\n\
**Every error** is `application/problem+json` (RFC 9457) with a `code` for programs.\n\n\
**Reading your own writes** through any server: send the `Quorate-Zxid` of a response back as `Quorate-Min-Zxid`.";

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
    if let Some(components) = &mut document.components {
        components.schemas.values_mut().for_each(widen);
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

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Verb, &mut Operation)> {
    [
        (Verb::Read, &mut item.get),
        (Verb::Read, &mut item.head),
        (Verb::Write, &mut item.put),
        (Verb::Write, &mut item.post),
        (Verb::Write, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(verb, operation)| operation.as_mut().map(|operation| (verb, operation)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Read,
    Write,
}

/// Adds the parameters and headers that many operations share.
fn complete(path: &str, verb: Verb, operation: &mut Operation) {
    let mut shared = Vec::new();
    if path.contains("{path}") {
        let mut parameter = text_parameter(
            "path",
            ParameterIn::Path,
            "The znode, without its leading slash; empty for the root.",
            "app/config",
        );
        parameter.required = Required::True;
        shared.push(parameter);
    }
    let about_tree = path.contains("{path}") || path == "/v1/watch";
    if about_tree {
        shared.push(text_parameter(
            "Quorate-Min-Zxid",
            ParameterIn::Header,
            "The `Quorate-Zxid` of an earlier response: the answer shows at least that state.",
            "0x5eed:0x100000002",
        ));
    }
    if about_tree && path != "/v1/watch" {
        shared.push(text_parameter(
            "Quorate-Session",
            ParameterIn::Header,
            "The session that the request belongs to.",
            "0x1f00000001",
        ));
        shared.push(text_parameter(
            "Quorate-Session-Secret",
            ParameterIn::Header,
            "What proves its ownership.",
            "AAECAwQFBgcICQoLDA0ODw",
        ));
    }
    if path == "/v1/znodes/{path}" {
        shared.extend(match verb {
            Verb::Read => vec![
                text_parameter("If-None-Match", ParameterIn::Header, "Tags of representations that the caller has.", "\"0x100000002\""),
                text_parameter("If-Match", ParameterIn::Header, "Only these representations are wanted.", "\"0x100000002\""),
            ],
            Verb::Write => vec![
                text_parameter("If-Match", ParameterIn::Header, "Only if the data has not changed since this tag was answered; `*`: only if the znode exists.", "\"0x100000002\""),
                text_parameter("If-None-Match", ParameterIn::Header, "`*`: only if there is no such znode.", "*"),
                text_parameter("Idempotency-Key", ParameterIn::Header, "Names the write: sent again under the same name it has the effect and the answer of the first time. Within a session, a number that grows.", "0b6f1d5e-8a2e-4c39-a3f5-0d3b3f8f3c11"),
                text_parameter("Prefer", ParameterIn::Header, "`return=minimal` or `return=representation`.", "return=minimal"),
            ],
        });
    }
    operation.parameters.get_or_insert_default().extend(shared.into_iter().map(RefOr::T));
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let mut header = |name: &str, description: &str| {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            response.headers.insert(
                name.to_owned(),
                HeaderBuilder::new().schema(Some(text)).description(Some(description)).build().into(),
            );
        };
        header("Quorate-Zxid", "The ensemble and the state that the response shows, `0x<cluster id>:0x<zxid>`.");
        header("X-Request-Id", "Names the request, for questions about it: the caller's own name, or one made up.");
        if path == "/v1/znodes/{path}" && matches!(status.as_str(), "200" | "201") {
            header("ETag", "Tags the representation; built on the mzxid.");
        }
        if status == "201" {
            header("Location", "What was created.");
        }
    }
}

fn text_parameter(name: &str, place: ParameterIn, description: &str, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .example(Some(example.into()))
        .build()
}

#[cfg(test)]
mod tests;
