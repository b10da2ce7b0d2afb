//! `/v1/sessions`: open, keep and close the sessions that ephemeral znodes live by.
//!
//! A gateway never keeps a session alive by itself: a session lives as long as its owner shows a sign of life.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION};
use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use crate::gateway::Gateway;
use crate::hex::Hex;
use crate::problem::{Problem, ProblemDocument};
use crate::{body, session};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What a session is to be like.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SessionWish)]
pub(crate) struct SessionWish {
    /// How long it is to live without a sign of life; granted within 1,000 to 300,000. Default: 30,000.
    #[schema(minimum = 1, example = 30_000)]
    timeout_ms: Option<u32>,
}

/// A session that was opened.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenedSession)]
pub(crate) struct OpenedSession {
    /// Names the session, in `Quorate-Session`.
    #[schema(value_type = String, example = "0x1f00000001", pattern = "^0x[0-9a-f]{1,16}$")]
    session_id: Hex,
    /// Proves its ownership, in `Quorate-Session-Secret`. It is told only now.
    #[schema(example = "AAECAwQFBgcICQoLDA0ODw")]
    secret: String,
    /// Granted: the session lives so long without a sign of life.
    #[schema(example = 30_000)]
    timeout_ms: u32,
}

/// A session that lives.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct LivingSession {
    /// Names the session.
    #[schema(value_type = String, example = "0x1f00000001", pattern = "^0x[0-9a-f]{1,16}$")]
    session_id: Hex,
    /// It lives at least so long from now.
    #[schema(example = 30_000)]
    timeout_ms: u32,
}

/// Open a session.
///
/// Requests that are to belong to it name it by `Quorate-Session` and `Quorate-Session-Secret`.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions", operation_id = "openSession",
    request_body(content = Option<SessionWish>, description = "What it is to be like; may be missing"),
    responses(
        (status = 201, description = "Opened", body = OpenedSession),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn open(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let wish: Option<SessionWish> = body::json_if_any(&gateway, &parts.headers, body, "the session").await?;
    let wish = wish.unwrap_or_default();
    if wish.timeout_ms == Some(0) {
        return Err(Problem::bad_arguments("timeout_ms is at least 1"));
    }
    let timeout = wish.timeout_ms.map_or(gateway.config.session_timeout, |ms| Duration::from_millis(ms.into()));
    let opened = gateway.client.open_raw(timeout).await?;
    let session_id = Hex(opened.credential.session_id);
    let document = OpenedSession {
        session_id,
        secret: session::secret_text(&opened.credential.secret),
        timeout_ms: milliseconds(opened.timeout),
    };
    let location = HeaderValue::try_from(format!("/v1/sessions/{session_id}")).expect("an id is visible ASCII");
    Ok(Answer::new(&gateway, StatusCode::CREATED, opened.zxid)
        .field((LOCATION, location))
        .field((CACHE_CONTROL, NO_STORE))
        .json(&document)
        .finish())
}

/// Ask whether a session lives.
///
/// Like every request that names a session, this is a sign of life.
#[utoipa::path(
    get, path = "/v1/sessions/{id}", tag = "sessions", operation_id = "getSession",
    params(
        ("id" = String, Path, description = "The session", pattern = "^0x[0-9a-fA-F]{1,16}$", example = "0x1f00000001"),
        ("Quorate-Session-Secret" = String, Header, description = "Proves its ownership", pattern = "^[0-9A-Za-z_-]{22}$", example = "AAECAwQFBgcICQoLDA0ODw"),
    ),
    responses(
        (status = 200, description = "It lives", body = LivingSession),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    touch(&gateway, id_in(&uri), &headers).await
}

/// Keep a session alive.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/keepalive", tag = "sessions", operation_id = "keepSession",
    params(
        ("id" = String, Path, description = "The session", pattern = "^0x[0-9a-fA-F]{1,16}$", example = "0x1f00000001"),
        ("Quorate-Session-Secret" = String, Header, description = "Proves its ownership", pattern = "^[0-9A-Za-z_-]{22}$", example = "AAECAwQFBgcICQoLDA0ODw"),
    ),
    responses(
        (status = 200, description = "It lives", body = LivingSession),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn keep_alive(
    State(gateway): State<Gateway>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    touch(&gateway, id_in(&uri), &headers).await
}

/// Close a session.
///
/// Its ephemeral znodes are deleted in the same txn.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", tag = "sessions", operation_id = "closeSession",
    params(
        ("id" = String, Path, description = "The session", pattern = "^0x[0-9a-fA-F]{1,16}$", example = "0x1f00000001"),
        ("Quorate-Session-Secret" = String, Header, description = "Proves its ownership", pattern = "^[0-9A-Za-z_-]{22}$", example = "AAECAwQFBgcICQoLDA0ODw"),
    ),
    responses(
        (status = 204, description = "Closed"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn close(State(gateway): State<Gateway>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let zxid = gateway.client.close_raw(&session::owned(id_in(&uri), &headers)?).await?;
    Ok(Answer::new(&gateway, StatusCode::NO_CONTENT, zxid).finish())
}

/// The id in the URL of a session.
fn id_in(uri: &Uri) -> &str {
    let rest = uri.path().strip_prefix("/v1/sessions/").unwrap_or_default();
    rest.split('/').next().unwrap_or_default()
}

async fn touch(gateway: &Gateway, id: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let credential = session::owned(id, headers)?;
    let session_id = Hex(credential.session_id);
    let kept = gateway.client.keep_alive_once(&credential).await?;
    let document = LivingSession { session_id, timeout_ms: milliseconds(kept.timeout) };
    Ok(Answer::new(gateway, StatusCode::OK, kept.zxid).field((CACHE_CONTROL, NO_STORE)).json(&document).finish())
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
