//! `Follow`: the watches of one stream, from connection to connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate_proto::v1;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status, Streaming};

use super::codec::{self, WatchCodec};
use super::event::WatchEvent;
use super::resume::{Outcome, Resume};
use crate::backoff::Backoff;
use crate::channel::MESSAGE_BYTES_MAX;
use crate::connection::{Connection, Connections};
use crate::core::Core;
use crate::{Error, Reason};

/// A server that says nothing for so many intervals at which it should is taken for gone.
const SILENT_INTERVALS_MAX: u32 = 3;

/// What one of the watches tells: its position and the event, or its end.
pub(super) type Told = (usize, Result<WatchEvent, Error>);

/// The watches of one stream.
#[derive(Debug)]
pub(super) struct Follow {
    core: Arc<Core>,
    connections: Arc<Connections>,
    watches: Vec<Resume>,
    /// The id of each watch on the present stream.
    ids: Vec<u64>,
    stream: Option<Open>,
    ready: VecDeque<Told>,
    /// Streams that broke since the last one that said anything.
    failures: u32,
    silence_max: Duration,
}

#[derive(Debug)]
struct Open {
    connection: Arc<Connection>,
    requests: mpsc::Sender<v1::WatchRequest>,
    items: Streaming<v1::WatchResponse>,
    next_id: u64,
}

impl Follow {
    pub(super) fn new(core: Arc<Core>, watches: Vec<Resume>, progress_interval: Duration) -> Follow {
        Follow {
            connections: core.watches.lease(),
            core,
            ids: vec![0; watches.len()],
            watches,
            stream: None,
            ready: VecDeque::new(),
            failures: 0,
            silence_max: progress_interval * SILENT_INTERVALS_MAX,
        }
    }

    /// What is told next, by any of the watches; `None` after the end of the last one.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Some(told);
            }
            if self.watches.iter().all(Resume::has_ended) {
                return None;
            }
            match &mut self.stream {
                None => self.begin().await,
                Some(open) => match next_message(open, self.silence_max).await {
                    Ok(message) => self.on_message(message),
                    Err(error) => self.on_break(&error),
                },
            }
        }
    }

    /// Opens a stream and begins on it every watch that has not ended.
    async fn begin(&mut self) {
        tokio::time::sleep(Backoff::UNAVAILABLE.wait(self.failures)).await;
        let connection = match self.connections.get().await {
            Ok(connection) => connection,
            Err(error) => {
                let begun = self.watches.iter().any(Resume::has_begun);
                if error.reason() != Reason::Unreachable || (self.core.fail_fast && !begun) {
                    self.end_all(&error);
                }
                return;
            }
        };
        // One place for each watch to begin, and one more for each to begin again.
        let (requests, outgoing) = mpsc::channel(2 * self.watches.len());
        let mut next_id = 1;
        for (watch, id) in self.watches.iter().zip(&mut self.ids).filter(|(watch, _)| !watch.has_ended()) {
            *id = next_id;
            next_id += 1;
            let missing = connection.missing(&self.core.seen);
            let create = watch.request(*id, self.core.seen.cluster_id(), missing);
            // There is room: see above.
            let _ = requests.try_send(create_request(create));
        }
        match timeout(self.core.request_timeout, open(&connection, outgoing)).await {
            Ok(Ok(items)) => {
                self.stream = Some(Open { connection, requests, items, next_id });
            }
            Ok(Err(status)) => self.on_failed_stream(&connection, &status.into()),
            Err(_) => {
                self.on_failed_stream(&connection, &Error::new(Reason::Timeout, "the watch was not begun in time"))
            }
        }
    }

    fn on_message(&mut self, message: v1::WatchResponse) {
        let Some(open) = &mut self.stream else { return };
        self.failures = 0;
        self.connections.note(&open.connection, message.header.as_ref());
        for item in message.items {
            let Some(content) = item.item else { continue };
            let addressed = |id: &u64| item.watch_ids.contains(id);
            let concerned: Vec<usize> =
                self.ids.iter().enumerate().filter(|(_, id)| addressed(id)).map(|(at, _)| at).collect();
            let Some((last, others)) = concerned.split_last() else { continue };
            for at in others {
                self.on_item(*at, content.clone());
            }
            self.on_item(*last, content);
        }
    }

    fn on_item(&mut self, at: usize, item: v1::watch_item::Item) {
        match self.watches[at].on_item(item) {
            Outcome::Nothing => {}
            Outcome::Tell(event) => self.ready.push_back((at, Ok(event))),
            Outcome::Again(event) => {
                self.ready.extend(event.map(|event| (at, Ok(event))));
                self.begin_again(at);
            }
            Outcome::Leave => {
                self.on_break(&Error::new(Reason::Unavailable, "the server cannot serve watches now"));
            }
            Outcome::End(error) => self.ready.extend(error.map(|error| (at, Err(error)))),
        }
    }

    /// Begins a watch again on the same stream, under a new id: what comes for the old one is for nobody.
    fn begin_again(&mut self, at: usize) {
        // Without a stream, it begins again with the others on the next.
        let Some(open) = &mut self.stream else { return };
        self.ids[at] = open.next_id;
        open.next_id += 1;
        let create = self.watches[at].request(self.ids[at], self.core.seen.cluster_id(), None);
        if open.requests.try_send(create_request(create)).is_err() {
            // Nobody takes requests from the queue any more: so the stream is about to break, or should.
            self.on_break(&Error::new(Reason::ConnectionLost, "the stream takes no more requests"));
        }
    }

    /// The stream has ended in whatever way.
    fn on_break(&mut self, error: &Error) {
        if let Some(open) = self.stream.take() {
            self.on_failed_stream(&open.connection, error);
        }
    }

    fn on_failed_stream(&mut self, connection: &Arc<Connection>, error: &Error) {
        tracing::debug!(%error, "a stream of watches has ended");
        self.ids.fill(0);
        self.failures = self.failures.saturating_add(1);
        if !error.is_retryable() {
            self.end_all(error);
            return;
        }
        // A server that cannot serve now may do so in a moment; one that still cannot is left for another.
        if matches!(error.reason(), Reason::ConnectionLost | Reason::Timeout) || self.failures > 1 {
            self.connections.give_up(connection);
        }
        for (at, watch) in self.watches.iter_mut().enumerate() {
            self.ready.extend(watch.on_break().map(|event| (at, Ok(event))));
        }
    }

    fn end_all(&mut self, error: &Error) {
        for (at, watch) in self.watches.iter_mut().enumerate().filter(|(_, watch)| !watch.has_ended()) {
            watch.end();
            self.ready.push_back((at, Err(error.clone())));
        }
    }
}

/// Opens a stream of watches.
async fn open(
    connection: &Connection,
    outgoing: mpsc::Receiver<v1::WatchRequest>,
) -> Result<Streaming<v1::WatchResponse>, Status> {
    let mut grpc = Grpc::new(connection.transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let (path, outgoing) = (PathAndQuery::from_static(codec::PATH), ReceiverStream::new(outgoing));
    Ok(grpc.streaming(Request::new(outgoing), path, WatchCodec).await?.into_inner())
}

fn create_request(create: v1::WatchCreate) -> v1::WatchRequest {
    v1::WatchRequest { action: Some(v1::watch_request::Action::Create(create)) }
}

async fn next_message(open: &mut Open, silence_max: Duration) -> Result<v1::WatchResponse, Error> {
    match timeout(silence_max, open.items.message()).await {
        Ok(Ok(Some(message))) => Ok(message),
        Ok(Ok(None)) => Err(Error::new(Reason::ConnectionLost, "the server ended the stream")),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(Error::new(Reason::ConnectionLost, "the server has fallen silent")),
    }
}
