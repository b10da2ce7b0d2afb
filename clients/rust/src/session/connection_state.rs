//! `ConnectionState`: what Curator's users know as such, told as transitions of a session's state and of its time.
//!
//! Invariant: `Lost` is told no later than the session can expire, by this side's clock: its time counts from when the
//! last request was sent that was answered, and the ensemble's from when it heard of that.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::SessionState;

/// What a session's owner has to reckon with. See [`crate::Session::connection_states`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// The session has a connection; comes first if it does.
    Connected,
    /// The connection broke. The session lives on; what depends on it should be done carefully, if at all.
    Suspended,
    /// There is a connection again, and the session has lived through it. Told as well when the interruption was so
    /// short that its beginning was not looked at.
    Reconnected,
    /// The session has ended; or nothing was heard for its timeout, so that its owner has to act as if it had: locks and
    /// leadership may belong to others now. In the latter case, `Reconnected` follows if it turns out to live.
    Lost,
}

/// A session's transitions: a stream that begins with the present state and ends with the session.
///
/// Nothing is queued: a listener that is slow is told where things stand, and never misses that there was an
/// interruption.
pub struct ConnectionStates(BoxStream<'static, ConnectionState>);

impl ConnectionStates {
    pub(super) fn follow(states: watch::Receiver<SessionState>, alive_until: watch::Receiver<Instant>) -> Self {
        let listener = Listener { states, alive_until, told: None };
        let told = stream::unfold(listener, async |mut listener| listener.next().await.map(|told| (told, listener)));
        ConnectionStates(told.boxed())
    }
}

impl Stream for ConnectionStates {
    type Item = ConnectionState;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ConnectionState>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for ConnectionStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionStates")
    }
}

struct Listener {
    states: watch::Receiver<SessionState>,
    alive_until: watch::Receiver<Instant>,
    told: Option<ConnectionState>,
}

impl Listener {
    async fn next(&mut self) -> Option<ConnectionState> {
        loop {
            // An error says that nothing can change any more.
            let has_changed = self.states.has_changed();
            let state = *self.states.borrow_and_update();
            let alive_until = *self.alive_until.borrow_and_update();
            let is_alive = Instant::now() < alive_until;
            let next = transition(self.told, state, is_alive, matches!(has_changed, Ok(true)));
            if next.is_some() {
                self.told = next;
                return next;
            }
            if state.is_final() || has_changed.is_err() {
                return None;
            }
            tokio::select! {
                _ = self.states.changed() => {}
                Ok(()) = self.alive_until.changed() => {}
                () = sleep_until(alive_until), if is_alive => {}
            }
        }
    }
}

/// What is to be told next, if anything: after `told`, now that things are so. A state that has changed into the same one
/// was another one in between.
fn transition(
    told: Option<ConnectionState>,
    state: SessionState,
    is_alive: bool,
    has_changed: bool,
) -> Option<ConnectionState> {
    use ConnectionState::{Connected, Lost, Reconnected, Suspended};
    let now = match state {
        SessionState::Connected if is_alive => match told {
            None => Connected,
            Some(Suspended | Lost) => Reconnected,
            Some(Connected | Reconnected) => return has_changed.then_some(Reconnected),
        },
        // What was lost is so until the session is known to live.
        SessionState::Suspended if is_alive && told == Some(Lost) => Lost,
        SessionState::Suspended if is_alive => Suspended,
        SessionState::Connected | SessionState::Suspended => Lost,
        SessionState::Expired | SessionState::Closed | SessionState::Moved => Lost,
    };
    (told != Some(now)).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnectionState::{Connected, Lost, Reconnected, Suspended};

    #[test]
    fn every_change_leads_to_at_most_one_transition() {
        let (connected, suspended, expired) = (SessionState::Connected, SessionState::Suspended, SessionState::Expired);
        for (told, state, is_alive, has_changed, expected) in [
            (None, connected, true, false, Some(Connected)),
            (None, suspended, true, true, Some(Suspended)),
            (None, connected, false, false, Some(Lost)),
            (Some(Connected), connected, true, false, None),
            (Some(Connected), connected, true, true, Some(Reconnected)),
            (Some(Reconnected), connected, true, true, Some(Reconnected)),
            (Some(Connected), suspended, true, true, Some(Suspended)),
            (Some(Suspended), suspended, true, false, None),
            (Some(Suspended), connected, true, true, Some(Reconnected)),
            (Some(Suspended), suspended, false, false, Some(Lost)),
            (Some(Lost), suspended, false, false, None),
            (Some(Lost), suspended, true, true, None),
            (Some(Lost), connected, false, true, None),
            (Some(Lost), connected, true, false, Some(Reconnected)),
            (Some(Connected), expired, true, true, Some(Lost)),
            (Some(Lost), expired, true, true, None),
        ] {
            assert_eq!(transition(told, state, is_alive, has_changed), expected, "{told:?} {state:?} {is_alive}");
        }
    }
}
