//! SessionTable, SessionTruth, Ephemerals, NoEarlyExpiry: a session begins once and ends once, nothing happens in its name outside of
//! that, no ephemeral outlives it, no leader ends one that has shown it, in time, that it lives, and who speaks for it is
//! told that it has ended.

use std::collections::{BTreeMap, BTreeSet};

use quorate_replica::DiskOp;
use quorate_tree::Tree;
use quorate_types::{FrameKind, ServerId, SessionId, Txn, TxnBody, Zxid, path};

use crate::sim::server::Id;

/// One session, as the history has it.
struct Session {
    timeout_ms: u64,
    /// It has ended: who speaks for it is told so before anything shows him this state, or a later one.
    ended: Option<Zxid>,
}

impl Session {
    fn is_open(&self) -> bool {
        self.ended.is_none()
    }
}

/// What one server knows of the signs of life of sessions, and what it has told of them.
#[derive(Default)]
struct Signs {
    /// Those of its own clients, in order; [`SessionId::NONE`] for those of the time before it followed the present leader,
    /// of which it tells nobody any more, though something that was said then may still be on its way.
    own: Vec<SessionId>,
    /// So many of them it has told its leader of, or is about to: no message that says so comes later than the last of those
    /// signs themselves.
    told: usize,
    /// While it leads: how many of each server's it has heard, and when the last one of a session came, by its own clock.
    heard: BTreeMap<(Id, u64), usize>,
    last_ms: BTreeMap<SessionId, u64>,
    /// When it began to lead: every session begins anew.
    leads_since_ms: Option<u64>,
}

/// All sessions.
pub(crate) struct SessionLog {
    sessions: BTreeMap<SessionId, Session>,
    servers: Vec<Signs>,
    /// Those whose end somebody has proposed.
    ending: BTreeSet<SessionId>,
    pub(crate) expired: u64,
}

impl SessionLog {
    pub(crate) fn new(servers: usize) -> SessionLog {
        let servers = (0..servers).map(|_| Signs::default()).collect();
        SessionLog { sessions: BTreeMap::new(), servers, ending: BTreeSet::new(), expired: 0 }
    }

    /// A txn is logged for the first time.
    pub(crate) fn proposed(&mut self, txn: &Txn) {
        if let TxnBody::CloseSession { id, .. } = txn.body {
            self.ending.insert(id);
        }
    }

    /// SessionTruth: a client is told that its session has ended, or is ending, only if that is so.
    pub(crate) fn told_of_end(&self, id: SessionId) {
        let lives = self.sessions.get(&id).is_some_and(Session::is_open) && !self.ending.contains(&id);
        assert!(!lives, "SessionTruth: {id} lives, and its client is told that there is none");
    }

    /// A txn is committed.
    pub(crate) fn committed(&mut self, zxid: Zxid, txn: &Txn) {
        let is_open = |sessions: &BTreeMap<SessionId, Session>, id| sessions.get(&id).is_some_and(Session::is_open);
        match txn.body {
            TxnBody::OpenSession { id, timeout_ms, .. } => {
                let session = Session { timeout_ms: u64::from(timeout_ms), ended: None };
                let before = self.sessions.insert(id, session);
                assert!(before.is_none(), "SessionTable: {id} was given out twice, again at {zxid:?}");
            }
            TxnBody::CloseSession { id, .. } => {
                assert!(is_open(&self.sessions, id), "SessionTable: {id} ends at {zxid:?} and is not open");
                // Its own client may be answered, and watches are told, at that very zxid.
                self.sessions.get_mut(&id).expect("it is open").ended = Some(Zxid(zxid.0 + 1));
            }
            TxnBody::Ops { .. } | TxnBody::Restore(_) => {
                let id = txn.session;
                let may_act = id == SessionId::NONE || is_open(&self.sessions, id);
                assert!(may_act, "Ephemerals: something happens in the name of {id} at {zxid:?}, and it is not open");
            }
        }
    }

    /// The state is another one from `zxid` on: nobody has a session any more.
    pub(crate) fn replaced(&mut self, zxid: Zxid) {
        self.sessions.values_mut().filter(|session| session.is_open()).for_each(|session| session.ended = Some(zxid));
    }

    /// SessionTruth: something shows the state at `zxid` to whoever speaks for a session, and has not been told of its end.
    pub(crate) fn shown_to_speaker(&self, id: SessionId, zxid: Zxid) {
        let ended = self.sessions.get(&id).and_then(|session| session.ended);
        let lives = ended.is_none_or(|ended| ended > zxid);
        assert!(lives, "SessionTruth: {id} has ended by {zxid:?}, and who speaks for it was not told");
    }

    /// A server steps a request of this session, which it knows, at this time on its clock.
    pub(crate) fn shown(&mut self, at: Id, session: SessionId, leads: bool, follows: bool, now_ms: u64) {
        let signs = &mut self.servers[at.0];
        if leads {
            signs.last_ms.insert(session, now_ms);
        } else if follows {
            signs.own.push(session);
        }
    }

    /// A server's tick tells its leader of all signs of life so far.
    pub(crate) fn ticked(&mut self, at: Id) {
        let signs = &mut self.servers[at.0];
        signs.told = signs.own.len();
    }

    /// What stands in the messages that a server sends now.
    pub(crate) fn told(&self, at: Id) -> usize {
        self.servers[at.0].told
    }

    /// A leader steps a message that was sent when its sender, this process, had told of so many.
    pub(crate) fn heard(&mut self, leader: Id, sender: (Id, u64), told: usize, now_ms: u64) {
        let from = self.servers[leader.0].heard.insert(sender, told).unwrap_or(0);
        // A sender that has begun anew, or told of more than is left of it, has told of nothing that is known here.
        let own = self.servers[sender.0.0].own.get(from..told).unwrap_or_default().to_vec();
        let own = own.into_iter().filter(|session| session.is_some());
        self.servers[leader.0].last_ms.extend(own.map(|session| (session, now_ms)));
    }

    /// A server has another leader than before, or none.
    pub(crate) fn led_by_another(&mut self, at: Id, leads: bool, now_ms: u64) {
        let mut own = std::mem::take(&mut self.servers[at.0].own);
        own.fill(SessionId::NONE);
        let (told, leads_since_ms) = (own.len(), leads.then_some(now_ms));
        self.servers[at.0] = Signs { own, told, leads_since_ms, ..Signs::default() };
        for signs in &mut self.servers {
            signs.heard.retain(|(sender, _), _| *sender != at);
        }
    }

    /// A replica has handed this to its log thread: does it end a session that nobody has asked it to end?
    pub(crate) fn submitted(&mut self, at: Id, op: &DiskOp, leads: bool, now_ms: u64) {
        let DiskOp::Append { frame, .. } = op else { return };
        if !leads || frame.kind() != FrameKind::Txn {
            return;
        }
        let txn = Txn::decode(frame.payload()).expect("it was just encoded");
        match txn.body {
            TxnBody::CloseSession { id, .. } if txn.route.server == ServerId::default() => {
                self.given_up(at, id, now_ms)
            }
            _ => {}
        }
    }

    fn given_up(&mut self, at: Id, id: SessionId, now_ms: u64) {
        self.expired += 1;
        let signs = &self.servers[at.0];
        let last_ms = signs.last_ms.get(&id).copied().max(signs.leads_since_ms);
        let (Some(last_ms), Some(session)) = (last_ms, self.sessions.get(&id)) else { return };
        let silent_ms = now_ms - last_ms;
        assert!(
            silent_ms >= session.timeout_ms,
            "NoEarlyExpiry: {at:?} ends {id} after {silent_ms} of {} ms",
            session.timeout_ms
        );
    }

    /// Compares the sessions and ephemerals of a state with the history that has led to it.
    pub(crate) fn check(&self, tree: &Tree) {
        let open: BTreeSet<SessionId> =
            self.sessions.iter().filter(|(_, session)| session.is_open()).map(|(id, _)| *id).collect();
        let there: BTreeSet<SessionId> = tree.sessions().map(|session| session.id).collect();
        assert_eq!(open, there, "SessionTable: the sessions of the state");
        let owned: usize = tree.sessions().map(|session| session.ephemerals as usize).sum();
        assert_eq!(owned, tree.ephemeral_count(), "Ephemerals: one without a session");
        for session in tree.sessions() {
            let ephemerals = tree.ephemerals(session.id);
            assert_eq!(ephemerals.len(), session.ephemerals as usize, "Ephemerals: of {}", session.id);
            for ephemeral in ephemerals {
                assert!(path::is_at_or_below(&ephemeral, "/e"), "Ephemerals: {ephemeral} is none of ours");
                let stat = tree.stat(&ephemeral).expect("an owned znode exists");
                assert_eq!(stat.ephemeral_owner, session.id, "Ephemerals: of {ephemeral}");
            }
        }
    }
}
