//! `/v1/watch`: changes as they happen, as server-sent events, in lines of JSON, or by long polls.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};
use quorate_client::{Reason, WatchBuilder, WatchEvent, WatchKind, Watches};
use serde::Deserialize;
use tokio::time;
use utoipa::IntoParams;

use super::{ACCEPT, Answer};
use crate::event_stream::{EventStream, Wait};
use crate::events::{EventDocument, EventsDocument, Format, Frames, ToldDocument, Watched};
use crate::gateway::Gateway;
use crate::position::Position;
use crate::problem::{Problem, ProblemDocument};
use crate::representation::{NDJSON, named_quality};
use crate::{header, options, path, query};

const EVENT_STREAM: &str = "text/event-stream";
/// What compresses a stream holds it back.
const AS_IT_COMES: HeaderValue = HeaderValue::from_static("no-store, no-transform");
/// How long a long poll waits that does not say, and at most: proxies close what takes longer to be answered.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Asks proxies of a common kind to hand events on as they come.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchParameters {
    /// What to watch; several times for several watches on one stream. The znode need not exist.
    #[serde(default)]
    #[param(required, min_items = 1, example = json!(["/app/config"]))]
    path: Vec<String>,
    /// Watch everything below each path, too.
    #[serde(default)]
    recursive: bool,
    /// Watch the children of each path come and go.
    #[serde(default)]
    children: bool,
    /// First the present state, as `created` events and a `bookmark`, then changes.
    #[serde(default)]
    initial: bool,
    /// Events carry the znode's data.
    #[serde(default)]
    data: bool,
    /// Begin strictly after this: the id of an event, or a zxid. Counts only without `Last-Event-ID`.
    #[param(min_length = 1, example = "0x100000007.0")]
    from: Option<String>,
    /// Answer one JSON document as soon as there is anything to tell, or after so long if there is nothing: `500ms`,
    /// `30s`, `1m`; at most a minute.
    #[param(pattern = "^[0-9]+(ms|s|m)$", example = "30s")]
    wait: Option<String>,
}

impl WatchParameters {
    /// In which form the caller wants to be told, and for how long a document waits.
    fn format(&self, headers: &HeaderMap) -> Result<(Format, Option<Duration>), Problem> {
        if let Some(text) = &self.wait {
            return Ok((Format::Document, Some(read_wait(text)?)));
        }
        let quality = |format| named_quality(headers, media_type(format));
        let formats = [Format::Document, Format::Lines, Format::EventStream];
        // Of those that are wanted as much as each other, the last one counts; so it does if none is named.
        let format = formats.into_iter().max_by_key(|format| quality(*format)).unwrap_or(Format::EventStream);
        Ok((format, (format == Format::Document).then_some(WAIT_DEFAULT)))
    }

    fn kind(&self) -> Result<WatchKind, Problem> {
        match (self.recursive, self.children) {
            (false, false) => Ok(WatchKind::Node),
            (true, false) => Ok(WatchKind::Recursive),
            (false, true) => Ok(WatchKind::Children),
            (true, true) => Err(Problem::bad_arguments("watch either the children or everything below: not both")),
        }
    }
}

/// `500ms`, `30s`, `1m`.
fn read_wait(text: &str) -> Result<Duration, Problem> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let unit_ms = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let number = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let ms =
        number.and_then(|digits| digits.parse::<u64>().ok()).zip(unit_ms).map(|(number, ms)| number.checked_mul(ms));
    let Some(Some(ms)) = ms else {
        return Err(Problem::bad_arguments(format!("wait={text:?} is no time: write 500ms, 30s or 1m")));
    };
    let wait = Duration::from_millis(ms);
    if wait > WAIT_MAX {
        return Err(Problem::bad_arguments(format!("wait is at most {} s", WAIT_MAX.as_secs())));
    }
    Ok(wait)
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::EventStream => EVENT_STREAM,
        Format::Lines => NDJSON,
        Format::Document => "application/json",
    }
}

/// Where the watches of a stream begin.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Begin {
    /// Now.
    Now,
    /// With the present state.
    Initial,
    /// Where `from` says; if the history is gone, the caller is told.
    From(Vec<Position>),
    /// Where a stream was cut off; if the history is gone, with the present state. Browsers connect again by
    /// themselves and could do nothing with an error.
    Resume(Vec<Position>),
}

impl Begin {
    fn of(parameters: &WatchParameters, headers: &HeaderMap) -> Result<Begin, Problem> {
        let watches = parameters.path.len();
        if let Some(id) = headers.get(header::LAST_EVENT_ID).filter(|id| !id.is_empty()) {
            let positions = id.to_str().ok().and_then(|id| Position::parse_list(id, watches));
            let unknown = || Problem::bad_arguments("Last-Event-ID is none that a stream of these watches sent");
            return positions.map(Begin::Resume).ok_or_else(unknown);
        }
        match (&parameters.from, parameters.initial) {
            (None, false) => Ok(Begin::Now),
            (None, true) => Ok(Begin::Initial),
            (Some(_), true) => Err(Problem::bad_arguments("initial and from exclude each other")),
            (Some(from), false) => {
                let unknown =
                    || Problem::bad_arguments("from is neither a zxid, 0x.., nor the id of an event of these watches");
                Position::parse_list(from, watches).map(Begin::From).ok_or_else(unknown)
            }
        }
    }

    fn position(&self, index: usize) -> Option<Position> {
        match self {
            Begin::Now | Begin::Initial => None,
            Begin::From(positions) | Begin::Resume(positions) => Some(positions[index]),
        }
    }

    /// The watch as the client is to ask for it.
    fn apply(&self, index: usize, watch: WatchBuilder) -> WatchBuilder {
        let watch = match self.position(index) {
            Some(Position { zxid, index }) => watch.from(zxid, index),
            None => watch,
        };
        match self {
            Begin::From(_) => watch,
            Begin::Initial => watch.send_initial().restart_when_compacted(),
            Begin::Now | Begin::Resume(_) => watch.restart_when_compacted(),
        }
    }
}

/// Watch znodes.
///
/// The stream's events are `created`, `changed` and `deleted`; `children` for a child of a path that is watched with
/// `children=true`; `bookmark`, which only moves the id, so that little has to be told again; and `reset`: the history
/// does not reach back to `Last-Event-ID`, forget what you know, the present state follows and a `bookmark` ends it.
/// Ids are `<zxid>.<index>`, one for each path, with commas between. A stream that is cut off goes on strictly after
/// its last id: browsers send it as `Last-Event-ID` by themselves, others may use `from`.
///
/// With `Accept: application/x-ndjson` the same comes in lines of JSON, each with its `type` and `id`. With `wait`, or
/// `Accept: application/json`, it is a long poll: one document, as soon as there is anything to tell, whose `next` is the
/// `from` of the next request. What lies between two polls is not missed.
#[utoipa::path(
    get, path = "/v1/watch", tag = "watch", operation_id = "watch",
    params(WatchParameters, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen", example = "0x100000007.0")),
    responses(
        (status = 200, description = "The stream, or what there was to tell", content(
            (EventDocument<'_> = "text/event-stream"),
            (ToldDocument<'_> = "application/x-ndjson"),
            (EventsDocument<'_> = "application/json"),
        )),
        (status = 410, description = "The history does not reach back to `from`", body = ProblemDocument<'_>, content_type = "application/problem+json"),
        (status = "default", description = "It failed", body = ProblemDocument<'_>, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(State(gateway): State<Gateway>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let parameters: WatchParameters = query::read(&parts.uri)?;
    let config = &gateway.config;
    if !(1..=config.stream_watches_max).contains(&parameters.path.len()) {
        let detail = format!("path must be given, 1 to {} times", config.stream_watches_max);
        return Err(Problem::bad_arguments(detail));
    }
    for path in &parameters.path {
        path::check(path).map_err(|fault| Problem::from(fault).at(path))?;
    }
    let kind = parameters.kind()?;
    let (format, wait) = parameters.format(&parts.headers)?;
    let begin = Begin::of(&parameters, &parts.headers)?;
    let options = options::of_read(config, &parts.headers, None)?;
    let place = gateway.begin_stream()?;
    let asked = parameters.path.iter().enumerate().map(|(index, path)| {
        let watch = gateway.client.watch(path).kind(kind).options(options.clone());
        begin.apply(index, if parameters.data { watch.with_data() } else { watch })
    });
    let mut watches = gateway.client.watch_many(asked);
    let watched = parameters.path.into_iter().enumerate().map(|(index, path)| Watched {
        path,
        kind,
        with_data: parameters.data,
        position: begin.position(index),
        initial: begin == Begin::Initial,
    });
    let mut frames = Frames::new(watched.collect(), format, config.metrics.clone());
    let Ok(begun) = time::timeout(config.request_timeout, await_begin(&mut watches, &mut frames)).await else {
        return Err(Problem::new(Reason::Unavailable, "no server began the watch in time"));
    };
    let zxid = begun?;
    let wait = wait.map(|time| Wait::new(time, begin == Begin::Initial));
    let body = EventStream::new(&gateway, watches, frames, wait, place);
    Ok(Answer::new(&gateway, StatusCode::OK, zxid)
        .body(HeaderValue::from_static(media_type(format)), Body::new(body))
        .field((CACHE_CONTROL, AS_IT_COMES))
        .field((VARY, ACCEPT))
        .field((ACCEL_BUFFERING, HeaderValue::from_static("no")))
        .finish())
}

/// Waits until every watch has begun, so that what prevents one becomes a status of the response. Answers the zxid
/// after which the last one began.
async fn await_begin(watches: &mut Watches, frames: &mut Frames) -> Result<u64, Problem> {
    let mut zxid = 0;
    let mut waiting = frames.watches();
    while waiting > 0 {
        let Some((index, told)) = watches.next().await else {
            return Err(Problem::new(Reason::Unavailable, "the watch ended before it began"));
        };
        let told = told.map_err(|error| Problem::from(error).at(frames.path(index)))?;
        if let WatchEvent::Created { zxid: begun } = told {
            zxid = zxid.max(begun);
            waiting -= 1;
        }
        frames.push(index, told);
    }
    Ok(zxid)
}
