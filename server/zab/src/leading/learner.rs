//! `Learner`: what a leader knows of one of its learners, and how far it has brought it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use quorate_types::{Epoch, Frame, ServerId, Zxid};

use crate::config::Limits;
use crate::links::FollowerInfo;
use crate::message::{Message, Position, Standing};

/// One learner and its session.
///
/// Invariant: `matched <= sent.zxid`, and the learner is sent exactly the records in `(base, sent]` of its plan, once
/// and in order: synchronization and broadcast are one cursor over one log.
#[derive(Clone, Debug)]
pub(crate) struct Learner {
    pub(crate) server: ServerId,
    pub(crate) standing: Standing,
    /// The greatest epoch that it is known to have promised.
    pub(crate) accepted_epoch: Epoch,
    pub(crate) stage: Stage,
    /// What every message to it carries: the epoch that it was asked to promise last.
    pub(crate) asked: Option<Epoch>,
    /// The epoch that it was asked to promise and has not answered for.
    pub(crate) awaited: Option<Epoch>,
    /// What every message from it has to carry: the epoch that it has last acknowledged.
    pub(crate) answered: Option<Epoch>,
    /// It came before this leader had finished the discovery of the present epoch.
    pub(crate) came_early: bool,
    /// The end of what was sent.
    pub(crate) sent: Position,
    /// What it is known to have durably, as a prefix of this leader's history.
    pub(crate) matched: Zxid,
    /// It was told of commits up to here.
    pub(crate) told: Zxid,
    pub(crate) is_up_to_date: bool,
    /// The greatest ping that it has answered.
    pub(crate) answered_ping: u64,
    /// When it last said something that proves that it hears this leader.
    pub(crate) heard_ms: u64,
    /// When its synchronization, or what it has durably, last got on; or when it last owed nothing.
    pub(crate) moved_ms: u64,
    /// How long the last ping and its answer took.
    pub(crate) latency_ms: Option<u64>,
    progress: u64,
    /// What was sent and not acknowledged: the last zxid of each append, and its bytes.
    in_flight: VecDeque<(Zxid, usize, usize)>,
    in_flight_bytes: usize,
    in_flight_records: usize,
}

/// What a learner is being brought to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// It is, or will be, asked to promise an epoch.
    Asked,
    /// It has promised, and waits until discovery is finished.
    Answered(Answer),
    /// The log is being read at the end of the common prefix.
    Planning { answer: Answer, common: Zxid, token: u64 },
    /// It installs the snapshot at this place.
    Snapshot { base: Position },
    /// It gets records: from memory, or by a read with this token.
    Streaming { read: Option<u64> },
}

/// What a learner has said of its log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) counts: bool,
    pub(crate) last: Position,
    pub(crate) delivered: Zxid,
    pub(crate) epochs: Vec<(Epoch, u32)>,
}

impl Learner {
    pub(crate) fn new(server: ServerId, info: &FollowerInfo, came_early: bool, now_ms: u64) -> Learner {
        Learner {
            server,
            standing: info.standing,
            accepted_epoch: info.accepted_epoch,
            stage: Stage::Asked,
            asked: None,
            awaited: None,
            answered: None,
            came_early,
            sent: Position::default(),
            matched: Zxid::ZERO,
            told: Zxid::ZERO,
            is_up_to_date: false,
            answered_ping: 0,
            heard_ms: now_ms,
            moved_ms: now_ms,
            latency_ms: None,
            progress: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            in_flight_records: 0,
        }
    }

    /// The leader begins a new epoch in place: everything is asked for again. What the learner has durably it keeps,
    /// and acknowledgements of it may still be on their way.
    pub(crate) fn begin_again(&mut self, now_ms: u64) {
        self.accepted_epoch = self.accepted_epoch.max(self.asked.unwrap_or_default());
        self.stage = Stage::Asked;
        self.awaited = None;
        self.came_early = true;
        self.is_up_to_date = false;
        self.moved_ms = now_ms;
        self.in_flight.clear();
        (self.in_flight_bytes, self.in_flight_records) = (0, 0);
    }

    /// Whether a message belongs to the epoch in which the learner is. Answers to pings, and promises, may be late.
    pub(crate) fn may_say(&self, message: &Message) -> bool {
        match message {
            Message::AckEpoch { .. } | Message::Pong { .. } => true,
            other => other.epoch().is_none() || other.epoch() == self.answered,
        }
    }

    /// Everything from `base` on is to be sent.
    pub(crate) fn stream_from(&mut self, base: Position) {
        self.sent = base;
        self.stage = Stage::Streaming { read: None };
    }

    /// Takes note of what is being sent.
    pub(crate) fn sending(&mut self, frames: &[Frame], now_ms: u64) {
        let Some(last) = frames.last() else { return };
        if self.in_flight.is_empty() {
            self.moved_ms = now_ms;
        }
        let bytes = frames.iter().map(|frame| frame.bytes().len()).sum();
        self.sent = Position { zxid: last.zxid(), chain: last.chain() };
        self.in_flight.push_back((last.zxid(), bytes, frames.len()));
        self.in_flight_bytes += bytes;
        self.in_flight_records += frames.len();
    }

    /// Takes note of an acknowledgement. `false` if it claims what cannot be.
    pub(crate) fn acknowledged(&mut self, durable: Zxid, now_ms: u64) -> bool {
        if durable > self.sent.zxid {
            return false;
        }
        if durable > self.matched {
            self.matched = durable;
            self.moved_ms = now_ms;
        }
        while let Some((last, bytes, records)) = self.in_flight.front().copied()
            && last <= durable
        {
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
            self.in_flight_records -= records;
        }
        true
    }

    /// Takes note of the answer to a ping.
    pub(crate) fn ponged(&mut self, seq: u64, progress: u64, now_ms: u64) {
        self.answered_ping = self.answered_ping.max(seq);
        self.heard_ms = now_ms;
        if progress != self.progress {
            self.progress = progress;
            self.moved_ms = now_ms;
        }
    }

    /// Whether more may be sent before something is acknowledged.
    pub(crate) fn has_room(&self, limits: &Limits) -> bool {
        self.in_flight_bytes < limits.window_bytes && self.in_flight_records < limits.window_records
    }

    /// Whether it owes an acknowledgement.
    pub(crate) fn owes(&self) -> bool {
        !self.in_flight.is_empty()
    }
}
