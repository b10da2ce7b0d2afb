//! `Session`: keeps ephemeral znodes alive, across broken connections and servers.

mod connection_state;
mod holder;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use quorate_proto::v1;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

pub use self::connection_state::{ConnectionState, ConnectionStates};
pub(crate) use self::holder::Holder;
use crate::channel::{Attachment, Channel};
use crate::core::{Answer, Failed, Lane, Request};
use crate::ops::{WireOperation, WireReply};
use crate::request_ids::RequestIds;
use crate::{CallOptions, Client, Error, Reason, SessionCredential};

/// A server remembers the results of the newest 256 writes of a session. With more under way, one that is sent again
/// could find its own forgotten.
const OUTSTANDING_MAX: usize = 256;

/// The server answers at once; if not, the connection is probably gone.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session is, as far as its owner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It lives, and the server hears of it.
    Connected,
    /// There is no connection now; whether it lives will be known when there is one again.
    Suspended,
    /// It has ended because nothing was heard of it for its timeout; its ephemeral znodes are gone. Final.
    Expired,
    /// It was closed. Final.
    Closed,
    /// Another connection has taken it over; this object no longer speaks for it. Final.
    Moved,
}

impl SessionState {
    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.error().is_some()
    }

    pub(crate) fn from_wire(state: v1::SessionState) -> SessionState {
        match state {
            v1::SessionState::Unspecified | v1::SessionState::Alive => SessionState::Connected,
            v1::SessionState::Expired => SessionState::Expired,
            v1::SessionState::Closed => SessionState::Closed,
            v1::SessionState::Moved => SessionState::Moved,
        }
    }

    /// The state of which an error tells, if it tells of the session's end.
    pub(crate) fn from_end(reason: Reason) -> Option<SessionState> {
        match reason {
            Reason::SessionExpired => Some(SessionState::Expired),
            Reason::SessionMoved => Some(SessionState::Moved),
            Reason::Closed => Some(SessionState::Closed),
            _ => None,
        }
    }

    /// Why calls on a session in this state fail, if it is final.
    pub(crate) fn error(self) -> Option<Error> {
        let (reason, text) = match self {
            SessionState::Connected | SessionState::Suspended => return None,
            SessionState::Expired => (Reason::SessionExpired, "the session has expired; open a new one"),
            SessionState::Closed => (Reason::Closed, "the session was closed"),
            SessionState::Moved => (Reason::SessionMoved, "another connection has taken the session over"),
        };
        Some(Error::new(reason, text))
    }
}

/// A session that its caller keeps alive itself: see [`Client::open_raw`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSession {
    /// Names it and proves its ownership.
    pub credential: SessionCredential,
    /// Granted: it ends when nothing is heard of it for so long.
    pub timeout: Duration,
    /// The txn that opened it.
    pub zxid: u64,
}

/// The answer to [`Client::keep_alive_once`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptAlive {
    /// The session lives at least so long from now.
    pub timeout: Duration,
    /// The state in which it was found.
    pub zxid: u64,
}

impl Client {
    /// Opens a session that keeps itself alive until it is closed or dropped. The timeout is granted within 1 s and
    /// 300 s.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open_session(&self, timeout: Duration) -> Result<Session, Error> {
        loop {
            let asked = Instant::now();
            let raw = self.open_raw(timeout).await?;
            if asked.elapsed() < raw.timeout / 3 {
                return Ok(Session::start(self, raw, asked));
            }
            // It took so long that it is not certain how much of its time is left.
            let asked = Instant::now();
            match self.keep_alive_once(&raw.credential).await {
                Ok(_) if asked.elapsed() < raw.timeout => return Ok(Session::start(self, raw, asked)),
                Err(error) if error.reason() != Reason::SessionExpired => return Err(error),
                // Nothing is left.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Opens a session that its caller keeps alive, with [`Client::keep_alive_once`] at least once in its timeout.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open_raw(&self, timeout: Duration) -> Result<RawSession, Error> {
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let open = WireOperation::Open(v1::OpenRequest { timeout_ms });
        let Answer { zxid, reply } = self.execute(open, true, CallOptions::default()).await?;
        let WireReply::Open(opened) = reply else { return Err(Error::unexpected_answer()) };
        Ok(RawSession {
            credential: SessionCredential { session_id: opened.session_id, secret: opened.secret },
            timeout: Duration::from_millis(opened.timeout_ms.into()),
            zxid,
        })
    }

    /// Tells the ensemble that a session's owner lives.
    ///
    /// # Errors
    /// [`Reason::SessionExpired`] if the session has ended, and see [`Error`].
    pub async fn keep_alive_once(&self, session: &SessionCredential) -> Result<KeptAlive, Error> {
        let touch = WireOperation::KeepAlive(v1::KeepAliveRequest { session: Some(session.to_wire()) });
        let Answer { zxid, reply } = self.execute(touch, false, CallOptions::default()).await?;
        let WireReply::KeepAlive(kept) = reply else { return Err(Error::unexpected_answer()) };
        match SessionState::from_wire(kept.state()) {
            SessionState::Connected => Ok(KeptAlive { timeout: Duration::from_millis(kept.timeout_ms.into()), zxid }),
            ended => Err(ended.error().unwrap_or_else(Error::unexpected_answer)),
        }
    }

    /// Closes a session: its ephemeral znodes are deleted in the same txn, whose zxid is returned; that of a later state
    /// if the answer was lost and only a second attempt found the session closed.
    ///
    /// # Errors
    /// [`Reason::SessionExpired`] if the session has already ended, and see [`Error`].
    pub async fn close_raw(&self, session: &SessionCredential) -> Result<u64, Error> {
        let close = WireOperation::Close(v1::CloseRequest { session: Some(session.to_wire()) });
        match self.execute(close, true, CallOptions::default()).await {
            Ok(Answer { zxid, reply: WireReply::Close(_) }) => Ok(zxid),
            Ok(_) => Err(Error::unexpected_answer()),
            // It ended because of an earlier attempt, or by itself; either way it is closed now.
            Err(error) if error.maybe_applied() && error.reason() == Reason::SessionExpired => {
                let seen = || self.last_header().map_or(0, |header| header.zxid);
                Ok(error.zxid().unwrap_or_else(seen))
            }
            Err(error) => Err(error),
        }
    }
}

/// The way of a session's calls: a Channel of its own, which speaks for it.
#[derive(Debug)]
pub(crate) struct SessionLane {
    pub(crate) channel: Channel,
    ids: Option<RequestIds>,
}

impl SessionLane {
    pub(crate) async fn call(&self, request: Request) -> Result<Answer, Failed> {
        self.channel.call(request).await
    }

    /// What an answer told of the session.
    fn found(&self, state: SessionState) {
        if state.is_final() {
            self.channel.finish(state);
        }
    }

    pub(crate) fn request_ids(&self) -> Option<&RequestIds> {
        self.ids.as_ref()
    }
}

/// A session. It is a [`Client`] whose calls belong to it: ephemeral znodes that are created on it live as long as it
/// does, and its calls take effect and are answered in the order in which they were made (first polled).
///
/// It keeps itself alive in the background, connects again when a connection breaks, to any server, and proves by its
/// secret that it is the same. It ends when it is closed or dropped.
#[derive(Debug)]
pub struct Session {
    holder: Holder,
    raw: RawSession,
    /// Its loss tells the task that the session is to end; the answer, that it has.
    end: Option<oneshot::Sender<oneshot::Sender<Result<(), Error>>>>,
}

impl Session {
    /// It was asked for at `asked`, so that it lives at least its timeout from then.
    fn start(opener: &Client, raw: RawSession, asked: Instant) -> Session {
        let (sender, state) = watch::channel(SessionState::Connected);
        let (alive, alive_until) = watch::channel(asked + raw.timeout);
        let attachment = Attachment { credential: raw.credential.to_wire(), state: sender };
        let core = &opener.core;
        let channel = core.new_channel(Some(attachment), OUTSTANDING_MAX.min(core.outstanding_max));
        channel.start();
        let ids = core.idempotent_writes.then(RequestIds::of_session);
        let lane = Lane::Session(Arc::new(SessionLane { channel, ids }));
        let client = Client { core: Arc::clone(core), lane, root: opener.root.clone() };
        let (end, ended) = oneshot::channel();
        let holder = Holder { client, session_id: raw.credential.session_id, state, alive_until };
        // The task ends with the session: when `end` is used or lost, or when the server says that it is over.
        tokio::spawn(keep_alive(holder.clone(), raw.clone(), alive, ended));
        Session { holder, raw, end: Some(end) }
    }

    /// Its id, which is also the owner in the stat of its ephemeral znodes.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.raw.credential.session_id
    }

    /// What names it and proves its ownership. Whoever has it can take the session over.
    #[must_use]
    pub fn credential(&self) -> &SessionCredential {
        &self.raw.credential
    }

    /// The granted timeout.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.raw.timeout
    }

    /// What it is now.
    #[must_use]
    pub fn state(&self) -> SessionState {
        *self.holder.state.borrow()
    }

    /// What it is, to be followed.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<SessionState> {
        self.holder.state.clone()
    }

    /// Its transitions as Curator's users know them, from the present state to its end; among them that it has to be
    /// taken for lost because nothing was heard for its timeout.
    /// ```no_run
    /// # async fn example(session: &quorate_client::Session) {
    /// use futures_util::StreamExt as _;
    /// use quorate_client::ConnectionState;
    ///
    /// let mut states = session.connection_states();
    /// while let Some(state) = states.next().await {
    ///     match state {
    ///         ConnectionState::Connected | ConnectionState::Reconnected => println!("go on"),
    ///         ConnectionState::Suspended => println!("be careful"),
    ///         ConnectionState::Lost => println!("stop"),
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn connection_states(&self) -> ConnectionStates {
        ConnectionStates::follow(self.holder.state.clone(), self.holder.alive_until.clone())
    }

    /// Returns when the session has ended, or has to be taken for that because nothing was heard for its timeout; with the
    /// reason.
    pub async fn lost(&self) -> Error {
        self.holder.lost().await
    }

    /// For those who hold something in its name.
    pub(crate) fn holder(&self) -> Holder {
        self.holder.clone()
    }

    /// Ends it: its ephemeral znodes are gone when this returns.
    ///
    /// # Errors
    /// See [`Error`]. The session then ends by itself after its timeout.
    pub async fn close(mut self) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        let asked = self.end.take().is_some_and(|end| end.send(done).is_ok());
        if !asked {
            // The task has ended before: so has the session.
            return Ok(());
        }
        outcome.await.unwrap_or(Ok(()))
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.holder.client
    }
}

/// Keeps a session alive until it ends or is to end; closes it in the latter case.
async fn keep_alive(
    holder: Holder,
    raw: RawSession,
    alive: watch::Sender<Instant>,
    mut end: oneshot::Receiver<oneshot::Sender<Result<(), Error>>>,
) {
    // A third of the timeout leaves time for a second attempt and for a connection that breaks in between.
    let interval = raw.timeout / 3;
    let Holder { client, mut state, .. } = holder;
    let Lane::Session(lane) = &client.lane else { return };
    let touching = async {
        loop {
            let began = Instant::now();
            let touch = WireOperation::KeepAlive(v1::KeepAliveRequest { session: None });
            let options = CallOptions { timeout: Some(interval), ..CallOptions::default() };
            match client.execute(touch, false, options).await.map(|answer| answer.reply) {
                Ok(WireReply::KeepAlive(kept)) => match SessionState::from_wire(kept.state()) {
                    // The ensemble has heard of it after this began.
                    SessionState::Connected => drop(alive.send_replace(began + raw.timeout)),
                    state => lane.found(state),
                },
                Ok(_) => {}
                Err(error) => SessionState::from_end(error.reason()).into_iter().for_each(|state| lane.found(state)),
            }
            // One that has waited in vain for a connection has waited long enough.
            sleep_until(began + interval).await;
        }
    };
    let asked = tokio::select! {
        () = touching => None,
        // An error says that the session was dropped: close it as well.
        asked = &mut end => asked.ok(),
        _ = state.wait_for(|state| state.is_final()) => return,
    };
    let closing = client.close_raw(&raw.credential);
    let outcome = match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
        Ok(closed) => closed.map(|_| ()),
        Err(_) => Err(Error::new(Reason::Timeout, "the session could not be closed in time; it will expire")),
    };
    lane.found(SessionState::Closed);
    if let Some(asked) = asked {
        // Whoever asked may have gone.
        let _ = asked.send(outcome);
    }
}
