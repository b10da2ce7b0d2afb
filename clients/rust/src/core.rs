//! `Core`: what the clones of a client and its sessions share, and the one way that every call takes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use quorate_proto::v1;
use tokio::time::{Instant, timeout_at};

use crate::backoff::Backoff;
use crate::channel::{Attachment, Channel};
use crate::connection::{Connection, Connections, WatchConnections};
use crate::ops::cluster::wire::Ask;
use crate::ops::{self, WireOperation, WireReply};
use crate::request_ids::RequestIds;
use crate::seen::Seen;
use crate::session::SessionLane;
use crate::{CallOptions, Client, Error, Reason, unary};

/// What the clones of a client and its sessions share.
#[derive(Debug)]
pub(crate) struct Core {
    /// For calls and Channels.
    pub(crate) calls: Arc<Connections>,
    /// For watches.
    pub(crate) watches: WatchConnections,
    pub(crate) seen: Arc<Seen>,
    /// Of writes without a session, if they are to have names.
    pub(crate) ids: Option<RequestIds>,
    pub(crate) request_timeout: Duration,
    pub(crate) outstanding_max: usize,
    pub(crate) idempotent_writes: bool,
    pub(crate) fail_fast: bool,
}

impl Core {
    /// A Channel, which speaks for a session if there is one.
    pub(crate) fn new_channel(&self, attachment: Option<Attachment>, outstanding_max: usize) -> Channel {
        Channel::new(Arc::clone(&self.calls), Arc::clone(&self.seen), attachment, outstanding_max, self.fail_fast)
    }
}

/// Which way a client's calls go.
#[derive(Clone, Debug)]
pub(crate) enum Lane {
    Unary,
    Channels(Arc<Channels>),
    Session(Arc<SessionLane>),
}

/// Reads and writes go separately: a Channel answers in order, so a read would wait for the disk behind a write.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) reads: Channel,
    pub(crate) writes: Channel,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) zxid: u64,
    pub(crate) reply: WireReply,
}

/// A call on its way down to a lane.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) operation: WireOperation,
    /// Whether it changes anything.
    pub(crate) writes: bool,
    /// Whether doing it twice has the effect and the answer of doing it once: reads, and writes with a name.
    pub(crate) repeatable: bool,
    pub(crate) deadline: Instant,
}

/// An attempt that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// For another attempt, where one can be thought of.
    pub(crate) operation: Option<WireOperation>,
    /// Its number among the calls of its Channel, if it came so far.
    pub(crate) issue: u64,
}

impl Failed {
    pub(crate) fn for_good(error: Error) -> Failed {
        Failed { error, operation: None, issue: 0 }
    }
}

impl Client {
    /// Makes a call: the one way that every operation takes. Repeats it where that is harmless and promises success.
    pub(crate) async fn execute(
        &self,
        mut operation: WireOperation,
        writes: bool,
        options: CallOptions,
    ) -> Result<Answer, Error> {
        let deadline = Instant::now() + options.timeout.unwrap_or(self.core.request_timeout);
        self.root.ask(&mut operation);
        let mut wire_options = options.to_wire();
        let takes_name = writes && options.request_id.is_none() && options.session.is_none();
        let named = match self.request_ids() {
            Some(ids) if takes_name && ops::options_mut(&mut operation).is_some() => {
                Some(timeout_at(deadline, ids.begin()).await.map_err(|_| self.core.out_of_time())?)
            }
            Some(_) | None => None,
        };
        if let Some(named) = &named {
            wire_options.get_or_insert_default().request_id = Some(named.to_wire());
        }
        let mut repeatable = !writes || wire_options.as_ref().is_some_and(|options| options.request_id.is_some());
        match ops::options_mut(&mut operation) {
            Some(slot) => *slot = wire_options,
            // A session that was opened twice expires; one that is closed or touched twice does not mind.
            None => repeatable = true,
        }
        match self.persist(Request { operation, writes, repeatable, deadline }).await {
            Ok(mut answer) => {
                self.root.answer(&mut answer.reply);
                Ok(answer)
            }
            Err(error) => Err(self.root.error(error)),
        }
    }

    /// Attempts until the call succeeds, fails for good, or its time is up.
    async fn persist(&self, mut request: Request) -> Result<Answer, Error> {
        let Request { writes, repeatable, deadline, .. } = request;
        let mut failures = 0;
        let mut in_doubt = false;
        loop {
            let Failed { error, operation, issue } = match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            in_doubt |= error.maybe_applied();
            let error = if in_doubt { error.in_doubt() } else { error };
            let again = match error.reason() {
                // Never begun, whatever it is.
                Reason::Throttled => true,
                Reason::Unavailable | Reason::ConnectionLost => repeatable,
                Reason::Unreachable => !self.core.fail_fast,
                _ => false,
            };
            let Some(operation) = operation.filter(|_| again) else { return Err(error) };
            failures += 1;
            let wait = Backoff::UNAVAILABLE.wait(failures).max(error.retry_after().unwrap_or_default());
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            // A session's writes take effect in order, so one that came too late must not be made any more.
            if let Lane::Session(lane) = &self.lane
                && writes
                && lane.channel.issued() != issue
            {
                return Err(error);
            }
            request = Request { operation, writes, repeatable, deadline };
        }
    }

    async fn attempt(&self, request: Request) -> Result<Answer, Failed> {
        match &self.lane {
            Lane::Unary => self.attempt_unary(request).await,
            Lane::Channels(channels) => {
                if request.writes {
                    channels.writes.call(request).await
                } else {
                    channels.reads.call(request).await
                }
            }
            Lane::Session(lane) => lane.call(request).await,
        }
    }

    async fn attempt_unary(&self, request: Request) -> Result<Answer, Failed> {
        let Request { mut operation, writes, deadline, .. } = request;
        let connection = match timeout_at(deadline, self.core.calls.get()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(Failed { error, operation: Some(operation), issue: 0 }),
            Err(_) => return Err(Failed::for_good(self.core.out_of_time())),
        };
        if !writes {
            demand(&mut operation, connection.missing(&self.core.seen));
        }
        let kept = operation.clone();
        let left = deadline.saturating_duration_since(Instant::now());
        let answered = unary::call(&self.core.calls, &connection, operation, left);
        let error = match timeout_at(deadline, answered).await {
            Ok(Ok((zxid, reply))) => return Ok(Answer { zxid, reply }),
            Ok(Err(status)) => Error::from(status),
            Err(_) => Error::new(Reason::Timeout, "no answer in time"),
        };
        match error.reason() {
            Reason::ConnectionLost => self.core.calls.give_up(&connection),
            // A status has no header to tell the server's role.
            Reason::Unavailable => self.core.calls.note_looking(&connection),
            _ => {}
        }
        let error = if writes { error.of_sent_write() } else { error };
        Err(Failed { error, operation: Some(kept), issue: 0 })
    }

    /// Begins a stream of a tree.
    pub(crate) async fn open_tree(
        &self,
        mut request: v1::StreamTreeRequest,
        timeout: Option<Duration>,
    ) -> Result<(Arc<Connection>, tonic::Streaming<v1::StreamTreeResponse>), Error> {
        let begin = async || {
            let connection = self.connection().await?;
            raise(&mut request.options, connection.missing(&self.core.seen));
            let begun = unary::stream_tree(&connection, request).await;
            begun.map(|stream| (Arc::clone(&connection), stream)).map_err(|status| self.lost(&connection, status))
        };
        self.within(timeout, begin()).await
    }

    /// Begins a snapshot: what it will be, and what follows.
    pub(crate) async fn open_snapshot(
        &self,
        mut request: v1::SnapshotRequest,
        timeout: Duration,
    ) -> Result<(Arc<Connection>, v1::SnapshotHead, tonic::Streaming<v1::SnapshotResponse>), Error> {
        let begin = async {
            let connection = self.connection().await?;
            raise(&mut request.options, connection.missing(&self.core.seen));
            let begun = unary::snapshot(&connection, request).await;
            let mut stream = begun.map_err(|status| self.lost(&connection, status))?;
            let first = stream.message().await.map_err(|status| self.lost(&connection, status))?;
            match first.and_then(|first| first.part) {
                Some(v1::snapshot_response::Part::Head(head)) => Ok((connection, head, stream)),
                _ => Err(Error::new(Reason::Protocol, "the server did not say what snapshot it sends")),
            }
        };
        self.within(Some(timeout), begin).await
    }

    /// Sends a backup that is to be restored.
    pub(crate) async fn restore_from(
        &self,
        requests: impl Stream<Item = v1::RestoreRequest> + Send + 'static,
        timeout: Option<Duration>,
    ) -> Result<v1::RestoreResponse, Error> {
        let restore = async {
            let connection = self.connection().await?;
            let restored = unary::restore(&connection, requests).await;
            let response = restored.map_err(|status| self.lost(&connection, status))?;
            self.core.calls.note(&connection, response.header.as_ref());
            Ok(response)
        };
        match timeout {
            Some(_) => self.within(timeout, restore).await,
            None => restore.await,
        }
    }

    /// Asks about the ensemble, or changes it.
    pub(crate) async fn ask_cluster<O: Ask>(
        &self,
        operation: O,
        timeout: Option<Duration>,
    ) -> Result<O::Output, Error> {
        let limit = timeout.unwrap_or(self.core.request_timeout);
        let ask = async {
            let connection = self.connection().await?;
            let asked = unary::ask_cluster(&connection, operation, limit).await;
            let response = asked.map_err(|status| self.lost(&connection, status))?;
            self.core.calls.note(&connection, O::header(&response));
            Ok(O::output(response))
        };
        self.within(timeout, ask).await
    }

    /// A connection, however long it takes unless the client is to fail fast.
    async fn connection(&self) -> Result<Arc<Connection>, Error> {
        loop {
            match self.core.calls.get().await {
                Err(error) if error.reason() == Reason::Unreachable && !self.core.fail_fast => {}
                outcome => return outcome,
            }
        }
    }

    /// The error of a call; a broken connection is given up.
    fn lost(&self, connection: &Arc<Connection>, status: tonic::Status) -> Error {
        let error = Error::from(status);
        if error.reason() == Reason::ConnectionLost {
            self.core.calls.give_up(connection);
        }
        error
    }

    async fn within<T>(
        &self,
        timeout: Option<Duration>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = timeout.unwrap_or(self.core.request_timeout);
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(self.core.out_of_time()))
    }

    pub(crate) fn request_ids(&self) -> Option<&RequestIds> {
        match &self.lane {
            Lane::Unary | Lane::Channels(_) => self.core.ids.as_ref(),
            Lane::Session(lane) => lane.request_ids(),
        }
    }
}

impl Core {
    /// Why a call that could not even be sent ran out of time.
    fn out_of_time(&self) -> Error {
        self.calls.failure().unwrap_or_else(|| Error::new(Reason::Timeout, "no answer in time"))
    }
}

/// Makes a read wait for the newest state that its caller has seen, unless it asks for whatever there is.
pub(crate) fn demand(operation: &mut WireOperation, missing: Option<v1::ZxidBound>) {
    if let Some(options) = ops::options_mut(operation) {
        raise(options, missing);
    }
}

fn raise(options: &mut Option<v1::RequestOptions>, missing: Option<v1::ZxidBound>) {
    let Some(missing) = missing else { return };
    if options.as_ref().is_some_and(|options| options.consistency() == v1::Consistency::Local) {
        return;
    }
    let bound = &mut options.get_or_insert_default().min_zxid;
    match bound {
        // The caller's own bound may lie higher, or in another ensemble: then let the server say so.
        Some(own) if own.cluster_id != missing.cluster_id || own.zxid >= missing.zxid => {}
        Some(_) | None => *bound = Some(missing),
    }
}
