//! What a server answers by itself: reads, watches, attachments of sessions.
//!
//! A read waits for what it asked for (`min_zxid`, a leader that is certain) and for nothing else.

use alloc::format;
use alloc::string::String;
use bytes::Bytes;
use quorate_types::codec::STAT_BYTES;
use quorate_types::limits::{CHILDREN_PAGE_MAX, PAGE_BYTES_MAX};
use quorate_types::mutation::mutated;
use quorate_types::{
    Caller, Child, Code, Consistency, Error, Now, Op, OutboxId, ReadOp, Reply, Request, Response, SessionId,
    SessionSecret, StreamWatch, Tag, WatchOp, Zxid,
};
use quorate_zab::NotProposed;

use crate::counting::Asked;
use crate::effect::Effects;
use crate::effort::Effort;
use crate::ensemble::no_leader;
use crate::limits;
use crate::replica::{Replica, session_expired};
use crate::waiting::{Indexed, Parked, Word};

impl Replica {
    /// Answers a local request whose turn it is, now or as soon as it can be. Its reply is awaited already.
    pub(crate) fn local(&mut self, outbox: OutboxId, tag: Tag, request: Request, now: Now, out: &mut Effects) {
        if let Some((zxid, response)) = self.try_local(outbox, tag, request, self.turn, now, out) {
            self.answer_at(zxid, outbox, tag, response, now, out);
        }
    }

    /// Likewise, for a request that was parked.
    fn unpark(&mut self, parked: Parked, now: Now, out: &mut Effects) {
        let Parked { outbox, tag, .. } = parked;
        // Whoever has left would be given a watch that nobody ends, or a session that somebody else speaks for.
        if self.lanes.contains(outbox)
            && let Some((zxid, response)) = self.try_parked(parked, now, out)
        {
            self.answer_at(zxid, outbox, tag, response, now, out);
        }
    }

    /// Likewise, but hands an immediate answer back. `None`: it is parked, or its answer comes by another way. `came` is
    /// the turn in which the request came.
    pub(crate) fn try_local(
        &mut self,
        outbox: OutboxId,
        tag: Tag,
        request: Request,
        came: u64,
        now: Now,
        out: &mut Effects,
    ) -> Option<(Zxid, Response)> {
        let give_up_ms = request.deadline_ms.min(now.monotonic_ms + limits::MIN_ZXID_WAIT_MS);
        self.try_parked(Parked { outbox, tag, request, give_up_ms, came, is_certain: false }, now, out)
    }

    fn try_parked(&mut self, parked: Parked, now: Now, out: &mut Effects) -> Option<(Zxid, Response)> {
        let Parked { outbox, tag, mut request, give_up_ms, came, is_certain } = parked;
        if request.deadline_ms <= now.monotonic_ms {
            return self.at_once(Err(deadline_exceeded()));
        }
        if let Op::Watch(WatchOp::Create(StreamWatch { start: Some(start), .. })) = &request.op {
            // Whoever was told of a change must not be told by a server that does not know it yet.
            request.min_zxid = request.min_zxid.max(start.zxid);
        }
        let mut is_certain = is_certain || (self.is_alone && self.is_established());
        let is_known = self.recognize(&request);
        let is_unsure = !is_certain && is_known.as_ref().is_err_and(|error| error.code() == Code::SessionExpired);
        let is_linearizable = matches!(request.op, Op::Sync) || request.consistency == Consistency::Linearizable;
        if !is_certain && (is_linearizable || is_unsure || self.is_too_old_for(&request, now.monotonic_ms)) {
            let Word { turn, zxid } = self.waiting.word;
            let is_said = mutated("read-without-word") || (mutated("word-of-earlier-turn") && came <= turn + 4);
            if came > turn && !is_said {
                return self.index_later(Parked { outbox, tag, request, give_up_ms, came, is_certain: true });
            }
            // The leader has spoken since: a neighbour has asked.
            request.min_zxid = request.min_zxid.max(zxid);
            is_certain = true;
        }
        if let Err(error) = is_known
            && self.tree.applied() >= request.min_zxid
        {
            return self.at_once(Err(error));
        }
        if self.tree.applied() >= request.min_zxid || mutated("ignore-min-zxid") {
            return self.execute(outbox, tag, request, now, out);
        }
        if let Err(error) = self.can_come(request.min_zxid) {
            return self.at_once(Err(error));
        }
        self.park(Parked { outbox, tag, request, give_up_ms, came, is_certain })
    }

    fn park(&mut self, parked: Parked) -> Option<(Zxid, Response)> {
        if self.waiting.parked.len() >= limits::MIN_ZXID_WAITERS_MAX {
            let error = Error::new(Code::Throttled, "too many requests wait for a later zxid");
            return self.at_once(Err(error));
        }
        let key = (parked.request.min_zxid, self.waiting.parked_so_far);
        self.waiting.parked_so_far += 1;
        self.waiting.parked.insert(key, parked);
        None
    }

    /// Asks the leader what a request has to wait for. Without a leader it waits for one.
    pub(crate) fn index_later(&mut self, parked: Parked) -> Option<(Zxid, Response)> {
        if self.waiting.indexing_count >= limits::INDEXING_MAX {
            let error = Error::new(Code::Throttled, "too many requests wait for the leader's word");
            return self.at_once(Err(error));
        }
        // Refused while there is no leader: `reindex_reads` asks again.
        let _ = self.ask_index(Indexed::Read(parked));
        None
    }

    /// Has something wait for the leader's word, which is asked for at the end of this turn.
    ///
    /// # Errors
    /// There is nobody to be asked at the moment. It waits nevertheless.
    pub(crate) fn ask_index(&mut self, indexed: Indexed) -> Result<(), NotProposed> {
        let waiting = self.waiting.indexing.entry(self.turn).or_default();
        let is_first = waiting.is_empty();
        waiting.push(indexed);
        self.waiting.indexing_count += 1;
        if is_first { self.zab.read_index(self.turn) } else { Ok(()) }
    }

    /// The leader's word has come: the request waits for `zxid`, and for nothing else.
    pub(crate) fn index_read(&mut self, mut parked: Parked, zxid: Zxid, now: Now, out: &mut Effects) {
        parked.request.min_zxid = parked.request.min_zxid.max(zxid);
        self.unpark(parked, now, out);
    }

    /// There is a leader: what asked none so far, or one that is gone, asks this one.
    pub(crate) fn reindex_reads(&mut self, now: Now, out: &mut Effects) {
        let turns: alloc::vec::Vec<u64> = self.waiting.indexing.keys().copied().collect();
        for turn in turns {
            match self.is_alone {
                true => self.indexed(turn, self.tree.applied(), now, out),
                false => {
                    let _ = self.zab.read_index(turn);
                }
            }
        }
    }

    /// Whether a leader may have proposed `zxid`, so that it is worth waiting for. Of a later epoch this one knows nothing:
    /// somebody else may lead in it.
    pub(crate) fn can_come(&self, zxid: Zxid) -> Result<(), Error> {
        let last = self.zab.history().last();
        let is_own = self.is_alone || zxid.epoch() <= last.epoch() || mutated("later-epoch-unknown");
        if self.is_established() && is_own && zxid > last {
            let detail = format!("zxid {zxid} is above everything proposed so far");
            return Err(Error::new(Code::ZxidUnknown, detail));
        }
        Ok(())
    }

    fn at_once(&self, response: Response) -> Option<(Zxid, Response)> {
        Some((self.tree.applied(), response))
    }

    fn execute(
        &mut self,
        outbox: OutboxId,
        tag: Tag,
        request: Request,
        now: Now,
        out: &mut Effects,
    ) -> Option<(Zxid, Response)> {
        let session = request.session.map_or(SessionId::NONE, |(id, _)| id);
        let response = match request.op {
            Op::Read { op: ReadOp::CountDescendants { path }, .. } => {
                let Request { caller, deadline_ms, .. } = request;
                return self.count(Asked { outbox, tag, caller, path, deadline_ms });
            }
            Op::Read { op, watch } => {
                let mut effort = Effort::default();
                let response = self.read(&op, &request.caller, session, &mut effort);
                self.effort.add(effort);
                let watching = match watch {
                    true => self.watches.after_read(outbox, &request.caller, &op, &response),
                    false => Ok(()),
                };
                watching.and(response)
            }
            Op::MultiRead(ops) => self.multi_read(&ops, &request.caller, session),
            Op::Sync => Ok(Reply::Synced),
            Op::AttachSession { exclusive: true } if self.tree.session(session).is_some() => {
                self.claim(outbox, tag, request, now, out);
                return None;
            }
            Op::AttachSession { .. } => self.listen(outbox, session),
            Op::Touch => self.touched(session),
            Op::Watch(op) => return self.watch(outbox, tag, &request.caller, &op, now, out),
            Op::StreamTree(wanted) => {
                match self.watches.stream_tree(&mut self.tree, outbox, tag, &request.caller, &wanted) {
                    // The reply comes after the last znode, emitted by the stream itself.
                    Ok(()) => return None,
                    Err(error) => Err(error),
                }
            }
            Op::Snapshot => return self.snapshot_for(outbox, tag),
            Op::Status => Ok(Reply::Status(self.status_reply())),
            Op::Write(_)
            | Op::Multi(_)
            | Op::DeleteTree { .. }
            | Op::OpenSession { .. }
            | Op::CloseSession
            | Op::Restore(_)
            | Op::Reconfigure { .. }
            | Op::Members
            | Op::TransferLeadership { .. } => unreachable!("what a leader decides was taken for a local request"),
        };
        self.at_once(response)
    }

    fn read(&self, op: &ReadOp, caller: &Caller, session: SessionId, effort: &mut Effort) -> Response {
        if matches!(op, ReadOp::Ephemerals { .. }) && !session.is_some() {
            return Err(Error::new(Code::SessionRequired, "ephemerals belong to a session, and none was named"));
        }
        let response = self.tree.read(op, caller, session);
        effort.answer(&response);
        effort.look_at(match op {
            ReadOp::Ephemerals { .. } => self.tree.session(session).map_or(0, |session| session.ephemerals as usize),
            ReadOp::CountDescendants { .. } => CHILDREN_PAGE_MAX as usize,
            ReadOp::Get { .. }
            | ReadOp::Exists { .. }
            | ReadOp::Children { .. }
            | ReadOp::GetAcl { .. }
            | ReadOp::Access { .. } => 0,
        });
        response
    }

    /// The results up to a page's worth of bytes and a turn's worth of effort. What comes later is not even looked at.
    fn multi_read(&mut self, ops: &[ReadOp], caller: &Caller, session: SessionId) -> Response {
        let mut room = PAGE_BYTES_MAX;
        let mut effort = Effort::default();
        let read = |op| {
            let full = || Error::new(Code::TooLarge, "the results before this one fill the reply; ask for fewer");
            if room == 0 || effort.is_spent() {
                return Err(full());
            }
            let response = self.read(op, caller, session, &mut effort);
            match room.checked_sub(response.as_ref().map_or(0, size_of_reply)) {
                Some(left) => {
                    room = left;
                    response
                }
                None => {
                    room = 0;
                    Err(full())
                }
            }
        };
        let responses = ops.iter().map(read).collect();
        self.effort.add(effort);
        Ok(Reply::MultiRead(responses))
    }

    fn watch(
        &mut self,
        outbox: OutboxId,
        tag: Tag,
        caller: &alloc::sync::Arc<Caller>,
        op: &WatchOp,
        now: Now,
        out: &mut Effects,
    ) -> Option<(Zxid, Response)> {
        match self.watches.operate(&mut self.tree, outbox, caller, op, now, out) {
            Some(response) => self.at_once(response),
            None => {
                // Streaming watches are answered by their own items; what waits in the lane goes on.
                let _ = tag;
                self.at_once(Ok(Reply::WatchDone))
            }
        }
    }

    fn touched(&mut self, session: SessionId) -> Response {
        // `recognize` has counted it already; this only says so.
        match self.tree.session(session) {
            Some(session) => Ok(Reply::Touched { timeout_ms: session.timeout_ms }),
            None => Err(no_session()),
        }
    }

    /// The outbox is told when the session ends, and its requests belong to it.
    fn listen(&mut self, outbox: OutboxId, id: SessionId) -> Response {
        let Some(timeout_ms) = self.tree.session(id).map(|session| session.timeout_ms) else {
            return Err(if id.is_some() { session_expired() } else { no_session() });
        };
        if let Some(lane) = self.lanes.get_mut(outbox) {
            let before = core::mem::replace(&mut lane.session, id);
            self.sessions.detach(before, outbox);
        }
        self.sessions.listen(id, outbox);
        Ok(Reply::Session { id, timeout_ms })
    }

    /// Whether parked requests need wait no longer.
    pub(crate) fn has_parked_to_wake(&self) -> bool {
        let first = self.waiting.parked.first_key_value();
        first.is_some_and(|((zxid, _), _)| *zxid <= self.tree.applied())
    }

    /// Goes on with parked requests that need wait no longer, as far as one turn goes.
    pub(crate) fn wake_parked(&mut self, now: Now, out: &mut Effects) {
        while let Some(entry) = self.waiting.parked.first_entry() {
            if entry.key().0 > self.tree.applied() || self.effort.is_spent() {
                return;
            }
            let parked = entry.remove();
            self.unpark(parked, now, out);
        }
    }

    /// Answers the parked requests that have waited too long.
    pub(crate) fn give_up_parked(&mut self, now: Now, out: &mut Effects) {
        let late = self.waiting.parked.extract_if(.., |_, parked| parked.give_up_ms <= now.monotonic_ms);
        let late: alloc::vec::Vec<_> = late.collect();
        for (_, parked) in late {
            let (applied, wanted) = (self.tree.applied(), parked.request.min_zxid);
            let detail = format!("this server has applied {applied}, not yet {wanted}");
            self.give_up(parked, Error::new(Code::Unavailable, detail), now, out);
        }
        let is_late = |indexed: &mut Indexed| match indexed {
            Indexed::Read(parked) => parked.give_up_ms <= now.monotonic_ms,
            Indexed::Claim { .. } | Indexed::Answer { .. } | Indexed::Age { .. } => false,
        };
        let turns = self.waiting.indexing.values_mut();
        let late: alloc::vec::Vec<_> = turns.flat_map(|waiting| waiting.extract_if(.., is_late)).collect();
        self.waiting.indexing_count -= late.len();
        for indexed in late {
            if let Indexed::Read(parked) = indexed {
                self.give_up(parked, no_leader(), now, out);
            }
        }
    }

    fn give_up(&mut self, parked: Parked, error: Error, now: Now, out: &mut Effects) {
        let Parked { outbox, tag, request, .. } = parked;
        let error = if request.deadline_ms <= now.monotonic_ms { deadline_exceeded() } else { error };
        self.answer(outbox, tag, Err(error), now, out);
    }
}

pub(crate) fn deadline_exceeded() -> Error {
    Error::new(Code::DeadlineExceeded, "the deadline passed before the request could be answered")
}

fn no_session() -> Error {
    Error::new(Code::SessionRequired, "the request needs a session and names none")
}

/// Bytes that a reply brings, as a page counts them: data, names and the stats of children.
fn size_of_reply(reply: &Reply) -> usize {
    let data = |child: &Child| child.data.iter().flatten().map(Bytes::len).sum::<usize>();
    let size_of_child = |child: &Child| child.name.len() + child.stat.map_or(0, |_| STAT_BYTES) + data(child);
    match reply {
        Reply::Data { data, .. } => data.as_ref().map_or(0, Bytes::len),
        Reply::Children { children, .. } => children.iter().map(size_of_child).sum(),
        Reply::Ephemerals(paths) => paths.iter().map(String::len).sum(),
        Reply::Acl { acl: entries, .. } | Reply::Access { entries, .. } => {
            entries.iter().map(|entry| entry.scheme.len() + entry.id.len()).sum()
        }
        _ => 0,
    }
}

impl Replica {
    /// Checks the request's claim to its session, and counts it as a sign of life.
    pub(crate) fn recognize(&mut self, request: &Request) -> Result<(), Error> {
        let Some((id, secret)) = &request.session else { return Ok(()) };
        let Some(session) = self.tree.session(*id) else { return Err(session_expired()) };
        if !session.secret.matches(secret) {
            return Err(Error::new(Code::AuthFailed, "the session's secret does not match"));
        }
        if self.is_following() {
            self.touched.insert(*id);
        } else if self.sessions.touch(*id).is_none() && self.is_established() {
            return Err(session_expired());
        }
        Ok(())
    }

    /// Counts a sign of life of a session. Whether it is a right one is judged when the request is answered.
    pub(crate) fn touch(&mut self, session: Option<(SessionId, SessionSecret)>) {
        if let Some((id, secret)) = session
            && self.tree.session(id).is_some_and(|session| session.secret.matches(&secret))
        {
            if self.is_following() {
                self.touched.insert(id);
            } else {
                let _ = self.sessions.touch(id);
            }
        }
    }
}
