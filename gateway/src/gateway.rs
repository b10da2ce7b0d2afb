//! `Gateway`: what all routes share.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::HeaderValue;
use quorate_client::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::cors::Cors;
use crate::problem::{Limit, Problem};
use crate::readers::Readers;
use crate::{docs, openapi};

/// What all routes share. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Shared>);

pub(crate) struct Shared {
    /// The way to the ensemble.
    pub(crate) client: Client,
    pub(crate) config: Config,
    /// One permit for each request that may be under way.
    pub(crate) requests: Arc<Semaphore>,
    /// One permit for each byte that bodies may have that are not all there.
    pub(crate) body_bytes: Arc<Semaphore>,
    /// One permit for each event stream, or streamed tree, that may be open.
    pub(crate) event_streams: Arc<Semaphore>,
    /// Those who read streams.
    pub(crate) readers: Readers,
    /// Whose pages may call.
    pub(crate) cors: Cors,
    /// The OpenAPI document, as JSON.
    pub(crate) openapi: Bytes,
    /// The same as a page, once somebody has asked for it.
    docs: OnceLock<Bytes>,
    request_ids: RequestIds,
}

impl Gateway {
    pub(crate) fn new(client: Client, config: Config) -> Gateway {
        Gateway(Arc::new(Shared {
            requests: Arc::new(Semaphore::new(config.requests_max.min(Semaphore::MAX_PERMITS))),
            body_bytes: Arc::new(Semaphore::new(config.bodies_bytes_max.min(Semaphore::MAX_PERMITS))),
            event_streams: Arc::new(Semaphore::new(config.event_streams_max.min(Semaphore::MAX_PERMITS))),
            readers: Readers::new(config.stall_timeout()),
            cors: Cors::new(config.cors_origins.clone()),
            openapi: openapi::json(),
            docs: OnceLock::new(),
            request_ids: RequestIds::new(),
            client,
            config,
        }))
    }

    /// The OpenAPI document as a page.
    pub(crate) fn docs(&self) -> Bytes {
        let page = || docs::page(&serde_json::from_slice(&self.0.openapi).expect("what was written as JSON is JSON"));
        self.0.docs.get_or_init(|| page().into()).clone()
    }

    /// A place among the streams that may be open.
    pub(crate) fn begin_stream(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let streams_max = self.0.config.event_streams_max;
        self.0.event_streams.clone().try_acquire_owned().map_err(|_| {
            let limit = Limit { name: "streams", quota: streams_max, unit: "concurrent-requests" };
            Problem::at_limit(limit, format!("{streams_max} streams are open already"))
        })
    }

    /// The name of a request that brought none.
    pub(crate) fn next_request_id(&self) -> HeaderValue {
        self.0.request_ids.next()
    }
}

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Names that no other process gives: a random text and a count.
struct RequestIds {
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    fn new() -> RequestIds {
        // Without randomness the names are still distinct within the process, which is what most questions need.
        let process = getrandom::u64().unwrap_or(u64::from(std::process::id()));
        RequestIds { process, count: AtomicU64::new(1) }
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{:016x}-{count:x}", self.process)).expect("hexadecimal digits are visible ASCII")
    }
}
