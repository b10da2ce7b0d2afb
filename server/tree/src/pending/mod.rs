//! `Pending`: where the leader decides. Requests become txns against the applied tree and all that is proposed but
//! not yet applied.
//!
//! The overlay knows what the state will be once everything pending is applied; each request is prepared behind a
//! savepoint, so that what fails leaves no trace, sequence counters included. Nothing here is replicated: a leader
//! that loses its role forgets it all.

mod change;
mod create;
mod delete;
mod marks;
mod overlay;
mod reap;
mod session;
mod step;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;

use quorate_types::mutation::mutated;
use quorate_types::txn::{Route, Shape};
use quorate_types::{Caller, Code, Error, Op, RequestId, Response, SessionId, Txn, TxnBody, WriteOp, Zxid, limits};
use smallvec::SmallVec;

use self::marks::Marks;
use self::overlay::Overlay;
use self::step::Step;
use crate::Tree;
use crate::requests::ClientKey;

/// A request to be prepared: anything that changes the state.
#[derive(Clone, Copy, Debug)]
pub struct Prepare<'a> {
    /// What is to be done; a read, a sync or a watch is none of our business.
    pub op: &'a Op,
    /// Who asks.
    pub caller: &'a Caller,
    /// On whose behalf; [`SessionId::NONE`] for none.
    pub session: SessionId,
    /// Makes the request idempotent.
    pub request_id: Option<RequestId>,
    /// Where the reply will go.
    pub route: Route,
    /// What the txn will get, if there is to be one: the next of the epoch.
    pub zxid: Zxid,
    /// The leader's wall clock.
    pub wall_ms: i64,
    /// What a session that is opened will be called.
    pub new_session: SessionId,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Prepared {
    /// It changes the state: this has to be proposed at the zxid that was given, now.
    Txn(Txn),
    /// It is decided without a txn. The answer holds once all that is pending now is committed.
    Answer(Response),
    /// The same request is pending at this zxid: it is answered as that one is.
    Pending(Zxid),
}

/// Everything that is proposed and not yet applied.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub struct Pending {
    overlay: Overlay,
    marks: Marks,
    /// What each pending txn touched, oldest first.
    in_flight: VecDeque<InFlight>,
    /// Of the last txn prepared: the next one's is not less.
    last_time_ms: i64,
    /// The step of a restore that is pending: see [`Pending::must_wait`].
    restore: Option<PendingStep>,
}

/// A step of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PendingStep {
    zxid: Zxid,
    /// It replaces the state.
    is_last: bool,
}

/// What is dropped from the overlay when a txn has been applied, unless a later one touched it again.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
struct InFlight {
    zxid: Zxid,
    paths: SmallVec<[Arc<str>; 2]>,
    sessions: SmallVec<[SessionId; 1]>,
    mark: Option<(ClientKey, u64)>,
}

impl Pending {
    /// Nothing is pending.
    #[must_use]
    pub fn new(hash_seed: u64) -> Pending {
        Pending {
            overlay: Overlay::new(hash_seed),
            marks: Marks::new(hash_seed),
            in_flight: VecDeque::new(),
            last_time_ms: i64::MIN,
            restore: None,
        }
    }

    /// Whether `op` cannot be decided before more is applied: a step of a restore follows from those before it as applied;
    /// and of a state that is replaced as a whole there is no saying beforehand what it will be.
    #[must_use]
    pub fn must_wait(&self, op: &Op) -> bool {
        let is_last = |step: PendingStep| step.is_last && !mutated("decided-before-restored");
        self.restore.is_some_and(|step| is_last(step) || matches!(op, Op::Restore(_)))
    }

    /// Decides a request against `tree` and all that is pending.
    ///
    /// # Panics
    /// If `request.zxid` is not later than everything pending and applied, or if the request [must
    /// wait](Pending::must_wait).
    pub fn prepare(&mut self, tree: &Tree, request: &Prepare<'_>) -> Prepared {
        let latest = self.in_flight.back().map_or(tree.applied(), |last| last.zxid.max(tree.applied()));
        assert!(request.zxid > latest, "{:?} is prepared after {latest:?}", request.zxid);
        assert!(!self.must_wait(request.op), "{:?} is prepared behind {:?}", request.zxid, self.restore);
        // Whoever opens a session does so on nobody's behalf, even if he has one already.
        let is_opening = matches!(request.op, Op::OpenSession { .. });
        let session = if is_opening { SessionId::NONE } else { request.session };
        self.try_prepare(tree, &Prepare { session, ..*request }).unwrap_or_else(|error| Prepared::Answer(Err(error)))
    }

    /// The txn at `zxid`, and all before it, have been applied to the tree.
    pub fn applied(&mut self, zxid: Zxid) {
        while self.in_flight.front().is_some_and(|oldest| oldest.zxid <= zxid) {
            let Some(txn) = self.in_flight.pop_front() else { break };
            self.overlay.forget(txn.zxid, &txn.paths, &txn.sessions);
            if let Some((key, sequence)) = txn.mark {
                self.marks.forget(txn.zxid, key, sequence);
            }
        }
        self.restore.take_if(|step| step.zxid <= zxid);
    }

    /// The server leads no longer: what was pending is somebody else's to decide.
    pub fn clear(&mut self) {
        self.overlay.clear();
        self.marks.clear();
        self.in_flight.clear();
        self.last_time_ms = i64::MIN;
        self.restore = None;
    }

    /// Txns that are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether nothing is remembered of what is pending no longer.
    #[cfg(test)]
    pub(crate) fn holds_nothing(&self) -> bool {
        self.overlay.is_empty() && self.marks.is_empty() && self.in_flight.is_empty() && self.restore.is_none()
    }

    fn try_prepare(&mut self, tree: &Tree, request: &Prepare<'_>) -> Result<Prepared, Error> {
        if let Op::Write(op) = request.op {
            step::check_arguments(op)?;
        }
        self.check_session(tree, request)?;
        let mark = match request.request_id {
            None => None,
            Some(id) => {
                let mark = marks::mark(request, id);
                if let Some(known) = self.marks.recall(tree, request.session, &mark)? {
                    return Ok(known);
                }
                Some(mark)
            }
        };
        let time_ms = request.wall_ms.max(self.last_time_ms).max(tree.last_time_ms());
        let decided = self.decide(tree, request, time_ms);
        let body = match decided {
            Ok(Decision::Body(body)) => body,
            Ok(Decision::Answer(response)) => {
                if mutated("failed-multi-stays") {
                    drop(self.overlay.commit());
                }
                self.overlay.roll_back();
                return Ok(Prepared::Answer(response));
            }
            Err(error) => {
                self.overlay.roll_back();
                return Err(error);
            }
        };
        let txn = Txn { time_ms, session: request.session, request: mark, route: request.route, body };
        let bytes = txn.encoded_len();
        if bytes > limits::TXN_BYTES_MAX {
            self.overlay.roll_back();
            let detail = format!("the txn would have {bytes} bytes of at most {}", limits::TXN_BYTES_MAX);
            return Err(Error::new(Code::TooLarge, detail));
        }
        self.commit(request.zxid, &txn);
        Ok(Prepared::Txn(txn))
    }

    /// Whether the session lives, as far as everything that is proposed goes: it may be one whose beginning is not applied.
    #[must_use]
    pub fn is_session_open(&self, tree: &Tree, session: SessionId) -> bool {
        self.overlay.is_session_open(tree, session)
    }

    fn check_session(&self, tree: &Tree, request: &Prepare<'_>) -> Result<(), Error> {
        match request.op {
            Op::CloseSession if !request.session.is_some() => {
                Err(Error::new(Code::SessionRequired, "name the session that is to be closed"))
            }
            _ if request.session.is_some() && !self.overlay.is_session_open(tree, request.session) => {
                let detail = format!("session {} has ended or never was", request.session);
                Err(Error::new(Code::SessionExpired, detail))
            }
            _ => Ok(()),
        }
    }

    fn decide(&mut self, tree: &Tree, request: &Prepare<'_>, time_ms: i64) -> Result<Decision, Error> {
        let mut step = Step::new(&mut self.overlay, tree, request, time_ms);
        match request.op {
            Op::Write(op) => {
                step.write(op, Shape::Single)?;
                Ok(step.into_decision(Shape::Single))
            }
            Op::Multi(ops) => decide_multi(step, ops),
            Op::DeleteTree { path, max } => {
                step.delete_tree(path, *max)?;
                Ok(step.into_decision(Shape::Tree))
            }
            Op::OpenSession { timeout_ms, secret } => {
                Ok(Decision::Body(step.open_session(request.new_session, *timeout_ms, *secret)))
            }
            Op::CloseSession => Ok(Decision::Body(step.close_session())),
            Op::Restore(restore) => {
                tree.check_restore(request.zxid, restore)?;
                Ok(Decision::Body(TxnBody::Restore(restore.clone())))
            }
            Op::Read { .. }
            | Op::MultiRead(_)
            | Op::Sync
            | Op::AttachSession { .. }
            | Op::Touch
            | Op::Watch(_)
            | Op::StreamTree(_)
            | Op::Snapshot
            | Op::Status
            | Op::Members
            | Op::Reconfigure { .. }
            | Op::TransferLeadership { .. } => {
                Err(Error::new(Code::Internal, "a request that changes no znode was brought to the leader as a write"))
            }
        }
    }

    fn commit(&mut self, zxid: Zxid, txn: &Txn) {
        let (paths, sessions) = self.overlay.commit();
        if mutated("forget-overlay") {
            self.overlay.clear();
        }
        let mark = txn.request.as_ref().map(|mark| self.marks.add(zxid, ClientKey::new(txn.session, mark), mark));
        if let TxnBody::Restore(_) = &txn.body {
            self.restore = Some(PendingStep { zxid, is_last: txn.replaces_state() });
        }
        self.in_flight.push_back(InFlight { zxid, paths, sessions, mark });
        self.last_time_ms = txn.time_ms;
    }
}

/// What a request that did not fail comes to.
enum Decision {
    Body(TxnBody),
    Answer(Response),
}

fn decide_multi(mut step: Step<'_>, ops: &[WriteOp]) -> Result<Decision, Error> {
    if ops.len() > limits::MULTI_OPS_MAX {
        let detail = format!("{} operations; a multi has at most {}", ops.len(), limits::MULTI_OPS_MAX);
        return Err(Error::new(Code::TooLarge, detail));
    }
    for (index, op) in ops.iter().enumerate() {
        let done = step::check_arguments(op).and_then(|()| step.write(op, Shape::Multi));
        if let Err(error) = done {
            return Ok(Decision::Answer(crate::reply::failed_multi(ops.len(), index, &error)));
        }
    }
    Ok(step.into_decision(Shape::Multi))
}
