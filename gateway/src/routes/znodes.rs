//! `/v1/znodes/{path}`: read, write, create and delete one znode.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use http::{StatusCode, Uri};
use quorate_client::{CreateMode, Reason, Stat};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::etag::{BadCondition, Condition, Form, Tagged};
use crate::gateway::Gateway;
use crate::options::{self, Consistency, Preference};
use crate::problem::{Problem, ProblemDocument};
use crate::representation::{
    ENVELOPE_TYPE, Envelope, RAW_TYPE, SentEnvelope, SentZnode, StatDocument, Written, data_text,
};
use crate::{body, header, path, query};

/// Where the znodes are. A znode's path follows, without its leading slash.
pub(crate) const PREFIX: &str = "/v1/znodes/";

/// Znodes that one delete removes; the servers remove no more in one txn.
const DELETED_MAX: u32 = 10_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadParameters {
    /// How fresh the state must be. Default: `session`.
    #[param(inline)]
    pub(crate) consistency: Option<Consistency>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutParameters {
    /// Only if the stat's `version` is this. `If-Match` also notices that a znode was deleted and created again.
    #[param(example = 3)]
    version: Option<i32>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PostParameters {
    /// What kind of znode.
    #[serde(default)]
    #[param(inline)]
    mode: Mode,
    /// For the TTL modes: how long the znode stays without children and changes, in milliseconds.
    #[param(minimum = 1, maximum = 1_099_511_627_775_u64, example = 60_000)]
    ttl_ms: Option<u64>,
    /// Create missing ancestors, too.
    #[serde(default)]
    parents: bool,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteParameters {
    /// Only if the stat's `version` is this. Not with `recursive`.
    version: Option<i32>,
    /// Delete everything below it, too, all in one txn.
    #[serde(default)]
    recursive: bool,
    /// With `recursive`: fail with TOO_MANY if more znodes than this would go. Default and greatest: 10,000.
    #[param(minimum = 1, maximum = 10_000, example = 100)]
    max: Option<u32>,
}

/// What kind of znode a create makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Stays until it is deleted.
    #[default]
    Persistent,
    /// Likewise; ten digits that grow with every child of the parent are appended to its name.
    #[serde(alias = "persistent-sequential")]
    Sequential,
    /// Deleted when the session that the request names ends.
    Ephemeral,
    /// Likewise, with digits appended.
    EphemeralSequential,
    /// Deleted some time after its last child is gone.
    Container,
    /// Deleted when it has had no child and no change of data for `ttl_ms`.
    Ttl,
    /// Likewise, with digits appended.
    TtlSequential,
}

impl Mode {
    pub(super) fn with_ttl(self, ttl_ms: Option<u64>) -> Result<CreateMode, Problem> {
        let ttl = ttl_ms.map(Duration::from_millis);
        match (self, ttl) {
            (Mode::Ttl, Some(ttl)) => Ok(CreateMode::Ttl(ttl)),
            (Mode::TtlSequential, Some(ttl)) => Ok(CreateMode::TtlSequential(ttl)),
            (Mode::Ttl | Mode::TtlSequential, None) => Err(Problem::bad_arguments("this mode needs ttl_ms")),
            (_, Some(_)) => Err(Problem::bad_arguments("ttl_ms is for the modes ttl and ttl-sequential")),
            (Mode::Persistent, None) => Ok(CreateMode::Persistent),
            (Mode::Sequential, None) => Ok(CreateMode::PersistentSequential),
            (Mode::Ephemeral, None) => Ok(CreateMode::Ephemeral),
            (Mode::EphemeralSequential, None) => Ok(CreateMode::EphemeralSequential),
            (Mode::Container, None) => Ok(CreateMode::Container),
        }
    }
}

impl From<CreateMode> for Mode {
    fn from(mode: CreateMode) -> Mode {
        match mode {
            CreateMode::Persistent => Mode::Persistent,
            CreateMode::PersistentSequential => Mode::Sequential,
            CreateMode::Ephemeral => Mode::Ephemeral,
            CreateMode::EphemeralSequential => Mode::EphemeralSequential,
            CreateMode::Container => Mode::Container,
            CreateMode::Ttl(_) => Mode::Ttl,
            CreateMode::TtlSequential(_) => Mode::TtlSequential,
        }
    }
}

/// Read a znode.
///
/// Answers the data as it is; with `Accept: application/vnd.quorate+json` the envelope, which also has the stat.
#[utoipa::path(
    get, path = "/v1/znodes/{*path}", tag = "znodes", operation_id = "getZnode", params(ReadParameters),
    responses(
        (status = 200, description = "The data, or the envelope", content(
            (String = "application/octet-stream", example = "hello"),
            (Envelope<'_> = "application/vnd.quorate+json"),
        )),
        (status = 304, description = "The caller has this representation already (`If-None-Match`)"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let form = Form::accepted(&parts.headers);
    let options = read_options(&gateway, &parts.uri, &parts.headers)?;
    let found = gateway.client.get(&*path).options(options).send().await;
    let found = found.map_err(|error| Problem::from(error).at(&path))?;
    let tagged = Tagged::from(&found.stat);
    if !tagged.is_wanted(form, &parts.headers) {
        return Err(condition_failed(&path));
    }
    if tagged.is_known(form, &parts.headers) {
        return Ok(Answer::new(&gateway, StatusCode::NOT_MODIFIED, found.zxid).stat(&found.stat, form).finish());
    }
    let answer = Answer::new(&gateway, StatusCode::OK, found.zxid).stat(&found.stat, form);
    Ok(represent(answer, form, &path, found.data, &found.stat).finish())
}

/// Ask whether a znode exists.
///
/// Answers the header that a read would, without the data.
#[utoipa::path(
    head, path = "/v1/znodes/{*path}", tag = "znodes", operation_id = "headZnode", params(ReadParameters),
    responses(
        (status = 200, description = "It exists"),
        (status = 304, description = "The caller has this representation already (`If-None-Match`)"),
        (status = "default", description = "It failed; without a body, as the method demands"),
    ),
)]
pub(crate) async fn head(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let form = Form::accepted(&parts.headers);
    let options = read_options(&gateway, &parts.uri, &parts.headers)?;
    let found = gateway.client.exists(&*path).options(options).send().await;
    let found = found.map_err(|error| Problem::from(error).at(&path))?;
    let Some(stat) = found.stat else {
        return Err(Problem::new(Reason::NoNode, "there is no such znode").at(&path));
    };
    let tagged = Tagged::from(&stat);
    if !tagged.is_wanted(form, &parts.headers) {
        return Err(condition_failed(&path));
    }
    let known = tagged.is_known(form, &parts.headers);
    let status = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let answer = Answer::new(&gateway, status, found.zxid).stat(&stat, form);
    Ok(match form {
        Form::Raw if !known => answer.field((CONTENT_TYPE, RAW_TYPE)).number(CONTENT_LENGTH, stat.data_length.into()),
        Form::Envelope if !known => answer.field((CONTENT_TYPE, ENVELOPE_TYPE)),
        Form::Raw | Form::Envelope => answer,
    }
    .finish())
}

/// Write a znode.
///
/// Without a condition it is created if it is missing. `If-Match` with a tag that a read answered writes only if the
/// data has not changed since; `If-None-Match: *` only creates.
#[utoipa::path(
    put, path = "/v1/znodes/{*path}", tag = "znodes", operation_id = "putZnode", params(PutParameters),
    request_body(description = "The data, whatever its type, or the envelope", content(
        (String = "application/octet-stream", example = "hello"),
        (SentEnvelope = "application/vnd.quorate+json"),
    )),
    responses(
        (status = 200, description = "Written", body = Written<'_>, content_type = "application/vnd.quorate+json"),
        (status = 201, description = "Created", body = Written<'_>, content_type = "application/vnd.quorate+json"),
        (status = 204, description = "Written, with `Prefer: return=minimal`"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn put(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let parameters: PutParameters = query::read(&parts.uri)?;
    let condition = Condition::of_write(&parts.headers, parameters.version)?;
    let options = options::of_write(&gateway.config, &parts.headers)?;
    let Sent { znode: SentZnode { data, acl }, _body } = Sent::read(&gateway, &parts.headers, body, &path).await?;
    let echo = Echo::of(&parts.headers, &data);
    let refused = |error: quorate_client::Error| refused(error, condition).at(&path);
    let written = if condition == Condition::Absent {
        let call = gateway.client.create(&*path, data).options(options);
        let call = if let Some(acl) = acl { call.acl(acl) } else { call };
        let created = call.send().await.map_err(refused)?;
        WrittenZnode { created: true, stat: created.stat, zxid: created.zxid }
    } else {
        let call = gateway.client.set(&*path, data).options(options);
        let call = if let Some(acl) = acl { call.acl(acl) } else { call };
        let call = match condition {
            Condition::None => call.upsert(),
            Condition::Exists | Condition::Absent => call,
            Condition::Mzxid(mzxid) => call.mzxid(mzxid),
            Condition::Version(version) => call.version(version),
            Condition::Never => return Err(condition_failed(&path)),
        };
        let updated = call.send().await.map_err(refused)?;
        WrittenZnode { created: updated.created, stat: updated.stat, zxid: updated.zxid }
    };
    Ok(written.answer(&gateway, &path, echo))
}

/// Create a znode.
///
/// With a sequential mode, digits are appended to the path, which may then end with `/`; `Location` names the znode.
#[utoipa::path(
    post, path = "/v1/znodes/{*path}", tag = "znodes", operation_id = "createZnode", params(PostParameters),
    request_body(description = "The data, whatever its type, or the envelope", content(
        (String = "application/octet-stream", example = "hello"),
        (SentEnvelope = "application/vnd.quorate+json"),
    )),
    responses(
        (status = 201, description = "Created", body = Written<'_>, content_type = "application/vnd.quorate+json"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn post(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let parameters: PostParameters = query::read(&parts.uri)?;
    let mode = parameters.mode.with_ttl(parameters.ttl_ms)?;
    let path = if mode.is_sequential() {
        path::prefix_from_url(parts.uri.path(), PREFIX)?
    } else {
        path::from_url(parts.uri.path(), PREFIX)?
    };
    let condition = Condition::of_write(&parts.headers, None)?;
    if !matches!(condition, Condition::None | Condition::Absent) {
        return Err(Problem::bad_arguments("a create has no other condition than If-None-Match: *"));
    }
    let options = options::of_write(&gateway.config, &parts.headers)?;
    let Sent { znode: SentZnode { data, acl }, _body } = Sent::read(&gateway, &parts.headers, body, &path).await?;
    let echo = Echo::of(&parts.headers, &data);
    let call = gateway.client.create(&*path, data).mode(mode).options(options);
    let call = if let Some(acl) = acl { call.acl(acl) } else { call };
    let call = if parameters.parents { call.parents() } else { call };
    let created = call.send().await.map_err(|error| refused(error, condition).at(&path))?;
    let written = WrittenZnode { created: true, stat: created.stat, zxid: created.zxid };
    Ok(written.answer(&gateway, &created.path, echo))
}

/// Delete a znode.
///
/// Without `recursive` it must have no children.
#[utoipa::path(
    delete, path = "/v1/znodes/{*path}", tag = "znodes", operation_id = "deleteZnode", params(DeleteParameters),
    responses(
        (status = 204, description = "Deleted", headers(("Quorate-Deleted" = u32, description = "How many znodes went"))),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn delete(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let path = path::from_url(parts.uri.path(), PREFIX)?;
    let parameters: DeleteParameters = query::read(&parts.uri)?;
    let condition = Condition::of_write(&parts.headers, parameters.version)?;
    if parameters.max.is_some() && !parameters.recursive {
        return Err(Problem::bad_arguments("max is for recursive=true"));
    }
    if parameters.max.is_some_and(|max| !(1..=DELETED_MAX).contains(&max)) {
        return Err(Problem::bad_arguments(format!("max is 1 to {DELETED_MAX}")));
    }
    if parameters.recursive && matches!(condition, Condition::Mzxid(_) | Condition::Version(_) | Condition::Never) {
        return Err(Problem::bad_arguments("recursive=true takes neither version nor a tag in If-Match"));
    }
    let options = options::of_write(&gateway.config, &parts.headers)?;
    let call = gateway.client.delete(&*path).options(options);
    let call = if parameters.recursive { call.recursive(parameters.max.unwrap_or(0)) } else { call };
    let call = match condition {
        Condition::None | Condition::Exists => call,
        Condition::Mzxid(mzxid) => call.mzxid(mzxid),
        Condition::Version(version) => call.version(version),
        Condition::Never => return Err(condition_failed(&path)),
        Condition::Absent => return Err(Problem::bad_arguments("what does not exist cannot be deleted")),
    };
    let deleted = call.send().await.map_err(|error| refused(error, condition).at(&path))?;
    let answer = Answer::new(&gateway, StatusCode::NO_CONTENT, deleted.zxid);
    Ok(answer.number(header::DELETED, deleted.count.into()).finish())
}

/// What the answer of a write is to show.
struct Echo {
    preference: Preference,
    form: Form,
    /// The data, if the caller prefers its representation.
    data: Option<Bytes>,
}

impl Echo {
    fn of(headers: &HeaderMap, data: &Option<Bytes>) -> Echo {
        let preference = Preference::of(headers);
        let data = data.clone().filter(|_| preference == Preference::Representation);
        Echo { preference, form: Form::accepted(headers), data }
    }
}

/// What a write has made.
struct WrittenZnode {
    created: bool,
    stat: Stat,
    zxid: u64,
}

impl WrittenZnode {
    /// The answer that the caller prefers: by default the path and the stat.
    fn answer(self, gateway: &Gateway, path: &str, echo: Echo) -> Response {
        let status = match (self.created, echo.preference) {
            (true, _) => StatusCode::CREATED,
            (false, Preference::Minimal) => StatusCode::NO_CONTENT,
            (false, Preference::None | Preference::Representation) => StatusCode::OK,
        };
        let mut answer = Answer::new(gateway, status, self.zxid).stat(&self.stat, echo.form);
        if self.created {
            answer = answer.field((LOCATION, location(path)));
        }
        match echo.preference {
            Preference::None => answer.envelope(&Written { path, stat: StatDocument::from(&self.stat) }),
            Preference::Minimal => answer.applied("return=minimal"),
            Preference::Representation => {
                represent(answer.applied("return=representation"), echo.form, path, echo.data, &self.stat)
            }
        }
        .finish()
    }
}

/// With a znode's representation in `form` as body.
fn represent(answer: Answer, form: Form, path: &str, data: Option<Bytes>, stat: &Stat) -> Answer {
    match (form, data) {
        (Form::Raw, Some(data)) => answer.body(RAW_TYPE, data),
        (Form::Raw, None) => {
            answer.body(RAW_TYPE, Body::empty()).field((header::DATA_NULL, HeaderValue::from_static("true")))
        }
        (Form::Envelope, data) => {
            let (text, encoding) = data_text(data.as_ref());
            answer.envelope(&Envelope { path, data: text, encoding, stat: StatDocument::from(stat) })
        }
    }
}

fn read_options(gateway: &Gateway, uri: &Uri, headers: &HeaderMap) -> Result<quorate_client::CallOptions, Problem> {
    let parameters: ReadParameters = query::read(uri)?;
    options::of_read(&gateway.config, headers, parameters.consistency)
}

/// What a write's body holds.
struct Sent {
    znode: SentZnode,
    /// Kept until the write is answered: as long as there is the data, it is one of the bodies under way.
    _body: body::Received,
}

impl Sent {
    async fn read(gateway: &Gateway, headers: &HeaderMap, body: Body, path: &str) -> Result<Sent, Problem> {
        let form = Form::sent(headers)?;
        let body = body::read(gateway, headers, body).await?;
        let znode = match form {
            Form::Raw => SentZnode { data: Some(body.bytes.clone()), acl: None },
            Form::Envelope => SentEnvelope::read(&body.bytes, path)?,
        };
        Ok(Sent { znode, _body: body })
    }
}

/// The znode's URL.
fn location(path: &str) -> HeaderValue {
    let mut url = String::with_capacity(PREFIX.len() + path.len());
    url.push_str(PREFIX.trim_end_matches('/'));
    path::write_url(path, &mut url);
    HeaderValue::try_from(url).expect("what is percent-encoded is visible ASCII")
}

/// A write's failure. That a znode is missing or exists is a failed condition where the caller made it one.
fn refused(error: quorate_client::Error, condition: Condition) -> Problem {
    let problem = Problem::from(error);
    match (condition, problem.reason()) {
        (Condition::Absent, Some(Reason::NodeExists)) => problem.conditional(),
        (Condition::Exists | Condition::Mzxid(_), Some(Reason::NoNode)) => problem.conditional(),
        _ => problem,
    }
}

fn condition_failed(path: &str) -> Problem {
    Problem::new(Reason::BadVersion, "the znode's present entity tag is none of those in If-Match").at(path)
}

impl From<BadCondition> for Problem {
    fn from(BadCondition(detail): BadCondition) -> Problem {
        Problem::bad_arguments(detail)
    }
}
