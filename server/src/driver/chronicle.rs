//! `Chronicle`: the part that this server plays among the others, for those who read logs and metrics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use quorate_types::{Epoch, Role, ServerId, Status, Zxid};

use crate::metrics::Metrics;

/// Marks that are kept while nothing is committed: more turns than log a txn before clients have to wait.
const MARKS_MAX: usize = 4_096;

/// What was noted last.
pub(super) struct Chronicle {
    part: Part,
    /// Whom this server waits for to begin the ensemble with.
    awaits: Vec<ServerId>,
    /// Since when no leader is served under.
    without_leader: Option<Instant>,
    /// What was logged when, as far as it is not committed.
    marks: VecDeque<(Zxid, Instant)>,
    metrics: Arc<Metrics>,
}

/// The part that a server plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    role: Role,
    epoch: Epoch,
    leader: ServerId,
    is_established: bool,
}

impl Chronicle {
    pub(super) fn new(metrics: Arc<Metrics>) -> Chronicle {
        metrics.agreement.role(Role::Looking);
        metrics.agreement.election_begins();
        Chronicle {
            part: Part::default(),
            awaits: Vec::new(),
            without_leader: Some(Instant::now()),
            marks: VecDeque::new(),
            metrics,
        }
    }

    /// Takes note of what the replica is at the end of a turn that began at `began`.
    pub(super) fn note(&mut self, status: &Status, began: Instant) {
        let Status { role, epoch, leader, serving, disk_full, .. } = *status;
        let part = Part { role, epoch, leader, is_established: serving || disk_full && role != Role::Looking };
        if part != self.part {
            self.turn_to(part, began);
        }
        if status.awaits != self.awaits {
            self.awaits.clone_from(&status.awaits);
            self.log_awaited();
        }
        while self.marks.back().is_some_and(|(zxid, _)| *zxid > status.logged) {
            self.marks.pop_back();
        }
        if self.marks.back().map_or(status.committed, |(zxid, _)| *zxid) < status.logged && self.marks.len() < MARKS_MAX
        {
            self.marks.push_back((status.logged, began));
        }
        while let Some((zxid, logged)) = self.marks.front()
            && *zxid <= status.committed
        {
            self.metrics.agreement.committed(began.saturating_duration_since(*logged));
            self.marks.pop_front();
        }
    }

    fn log_awaited(&self) {
        if !self.awaits.is_empty() {
            let awaited: Vec<u8> = self.awaits.iter().map(|server| server.0).collect();
            tracing::info!(?awaited, "the ensemble begins when these servers, too, are there with empty disks");
        }
    }

    fn turn_to(&mut self, part: Part, now: Instant) {
        let before = std::mem::replace(&mut self.part, part);
        part.log();
        let agreement = &self.metrics.agreement;
        agreement.role(part.role);
        if before.is_established && !part.is_established {
            agreement.election_begins();
            self.without_leader = Some(now);
        }
        if part.is_established
            && let Some(since) = self.without_leader.take()
        {
            agreement.election_ended(now.saturating_duration_since(since));
        }
        let leads = |part: &Part| part.is_established && part.role == Role::Leading;
        if leads(&part) && !(leads(&before) && before.epoch == part.epoch) {
            agreement.leads();
        }
    }
}

impl Part {
    fn log(self) {
        let Part { role, epoch: Epoch(epoch), leader, is_established } = self;
        match role {
            Role::Leading if is_established => tracing::info!(epoch, "this server leads"),
            Role::Leading => tracing::info!(epoch, "this server is about to lead"),
            Role::Following if is_established => tracing::info!(epoch, leader = %leader, "this server follows"),
            Role::Observing if is_established => tracing::info!(epoch, leader = %leader, "this server observes"),
            Role::Following | Role::Observing => tracing::info!(epoch, "this server is about to follow"),
            Role::Looking => tracing::info!(epoch, "this server looks for a leader"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::metrics::Queues;

    #[test]
    fn elections_terms_and_commits_are_counted_as_they_come() {
        let metrics = Arc::new(Metrics::new());
        let mut chronicle = Chronicle::new(Arc::clone(&metrics));
        let mut now = Instant::now();
        let mut note = |role, serving, logged, committed| {
            now += Duration::from_millis(10);
            let status =
                Status { role, serving, logged: Zxid(logged), committed: Zxid(committed), ..Status::default() };
            chronicle.note(&status, now);
        };
        note(Role::Leading, false, 0, 0);
        note(Role::Leading, true, 5, 0);
        note(Role::Leading, true, 9, 5);
        note(Role::Looking, false, 7, 7);
        note(Role::Following, true, 7, 7);
        let mut text = String::new();
        metrics.encode(None, Queues::default(), &mut text).unwrap();
        for line in [
            "quorate_elections_total 2",
            "quorate_terms_led_total 1",
            "quorate_election_duration_seconds_count 2",
            // What was logged up to 9 was cut off at 7.
            "quorate_commit_duration_seconds_count 1",
            "quorate_commit_duration_seconds_sum 0.01",
            "quorate_role{role=\"following\"} 1",
            "quorate_role{role=\"leading\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
