//! `Sitting`: what lives as long as the shell: the session, the watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use quorate_client::{Client, Session, SessionState, Watch, WatchBuilder, WatchEvent, WatchKind};
use tokio::task::JoinHandle;

use super::editor::Announcer;
use super::line::Switch;
use crate::commands::add_watch::Which;
use crate::commands::create::SESSION_TIMEOUT;
use crate::exit::Failure;
use crate::text;

/// What lives as long as the shell.
pub(crate) struct Sitting {
    client: Client,
    announcer: Announcer,
    /// Opened when the first ephemeral znode is created.
    session: Option<Session>,
    /// Tells what becomes of the session.
    chronicle: Option<JoinHandle<()>>,
    watches: BTreeMap<String, Vec<Following>>,
    tells: Arc<AtomicBool>,
}

/// A watch that is told of.
struct Following {
    kind: WatchKind,
    /// Only its first change is.
    is_once: bool,
    task: JoinHandle<()>,
}

impl Sitting {
    pub(crate) fn new(client: Client, announcer: Announcer) -> Sitting {
        let tells = Arc::new(AtomicBool::new(true));
        Sitting { client, announcer, session: None, chronicle: None, watches: BTreeMap::new(), tells }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The session, if it is not well, for the prompt.
    pub(crate) fn state_in_words(&self) -> &'static str {
        match self.session.as_ref().map(Session::state) {
            None | Some(SessionState::Connected) => "",
            Some(SessionState::Suspended) => " (session suspended)",
            Some(SessionState::Expired | SessionState::Closed | SessionState::Moved) => " (session ended)",
        }
    }

    /// The session's id; 0 if there is none.
    pub(crate) fn session_id(&self) -> u64 {
        self.session.as_ref().map_or(0, Session::id)
    }

    /// The session of this shell, a new one if there is none or it has ended.
    pub(crate) async fn session(&mut self) -> Result<&Session, Failure> {
        if self.session.as_ref().is_none_or(|session| session.state().is_final()) {
            let session = self.client.open_session(SESSION_TIMEOUT).await?;
            self.announcer.say(&format!("session {:#x} is open until the shell ends", session.id()));
            let (mut states, announcer) = (session.states(), self.announcer.clone());
            let chronicle = tokio::spawn(async move {
                while states.changed().await.is_ok() {
                    let state = *states.borrow_and_update();
                    announcer.say(match state {
                        SessionState::Connected => "the session goes on",
                        SessionState::Suspended => "the session has no connection now",
                        SessionState::Expired => "the session has expired: its ephemeral znodes are gone",
                        SessionState::Closed => "the session is closed",
                        SessionState::Moved => "another connection has taken the session over",
                    });
                }
            });
            if let Some(before) = self.chronicle.replace(chronicle) {
                before.abort();
            }
            self.session = Some(session);
        }
        Ok(self.session.as_ref().expect("it was opened above, if not before"))
    }

    /// Tells of every change from now on.
    pub(crate) fn watch(&mut self, path: String, kind: WatchKind) {
        let watch = self.client.watch(&path).kind(kind);
        self.follow(path, watch, kind, false);
    }

    /// Tells of the first change after a state.
    pub(crate) fn watch_once(&mut self, path: String, kind: WatchKind, zxid: u64) {
        let watch = self.client.watch(&path).kind(kind).from(zxid, None);
        self.follow(path, watch, kind, true);
    }

    fn follow(&mut self, path: String, watch: WatchBuilder, kind: WatchKind, is_once: bool) {
        let (announcer, tells) = (self.announcer.clone(), Arc::clone(&self.tells));
        let most = if is_once { 1 } else { u64::MAX };
        let task = tokio::spawn(follow(path.clone(), watch.start(), most, announcer, tells));
        self.forget_what_has_ended();
        self.watches.entry(path).or_default().push(Following { kind, is_once, task });
    }

    /// Tells no more of a path, or no more of some of it.
    pub(crate) fn unwatch(&mut self, path: &str, which: Which) -> Result<(), Failure> {
        self.forget_what_has_ended();
        let meant = |following: &mut Following| which.means(following.kind, following.is_once);
        let found: Vec<Following> =
            self.watches.get_mut(path).map_or(Vec::new(), |all| all.extract_if(.., meant).collect());
        if found.is_empty() {
            return Err(Failure::Other(format!("{path} is not watched so here")));
        }
        found.iter().for_each(|following| following.task.abort());
        Ok(())
    }

    fn forget_what_has_ended(&mut self) {
        self.watches.retain(|_, all| {
            all.retain(|following| !following.task.is_finished());
            !all.is_empty()
        });
    }

    pub(crate) fn tells(&self) -> bool {
        self.tells.load(Ordering::Relaxed)
    }

    pub(crate) fn tell(&self, state: Option<Switch>) {
        if let Some(state) = state {
            self.tells.store(state == Switch::On, Ordering::Relaxed);
        }
    }

    /// Ends everything. The session's ephemeral znodes are gone then, if a server could be told.
    pub(crate) async fn end(self) {
        let watches = self.watches.values().flatten().map(|following| &following.task);
        watches.chain(&self.chronicle).for_each(JoinHandle::abort);
        if let Some(session) = self.session
            && let Err(error) = session.close().await
        {
            eprintln!("quorate: the session could not be closed and ends by itself: {error}");
        }
    }
}

/// Tells of changes, at most so many; and why, if there will be no more.
async fn follow(path: String, mut watch: Watch, mut left: u64, announcer: Announcer, tells: Arc<AtomicBool>) {
    while let Some(told) = watch.next().await {
        let events = match told {
            Ok(WatchEvent::Events(events)) => events,
            Ok(_) => continue,
            Err(error) => return announcer.say(&format!("{path} is watched no more: {error}")),
        };
        for event in events.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            if tells.load(Ordering::Relaxed) {
                announcer.say(&text::event_line(event, false));
            }
            left -= 1;
        }
        if left == 0 {
            return;
        }
    }
}
