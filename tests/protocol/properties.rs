//! What must always hold, and what must happen sometimes.

use stateright::Property;

use super::ensemble::{Ensemble, Event};
use super::rules::Rules;
use super::server::{SERVERS, Servers, Stage, Standing};
use super::zab::Zab;

pub(crate) const ONE_LEADER: &str = "an epoch has one leader";
pub(crate) const ONE_HISTORY: &str = "what leaders commit is one history";
pub(crate) const COMPLETE: &str = "a leader has everything that is committed in older epochs";
pub(crate) const NOTHING_LOST: &str = "no quorum lacks what is committed";
pub(crate) const ONE_ORDER: &str = "every log is in order";
pub(crate) const TRUE_ACKS: &str = "what is acknowledged is durable, and the leader's";

pub(crate) fn all() -> Vec<Property<Zab>> {
    vec![
        Property::always(ONE_LEADER, |_, ensemble: &Ensemble| {
            ensemble.seen.leaders.iter().all(|leaders| *leaders <= 1)
        }),
        Property::always(ONE_HISTORY, |_, ensemble: &Ensemble| !ensemble.seen.has_forked),
        Property::always(COMPLETE, |_, ensemble: &Ensemble| leaders_are_complete(ensemble)),
        Property::always(NOTHING_LOST, |_, ensemble: &Ensemble| nothing_is_lost(ensemble)),
        Property::always(ONE_ORDER, |_, ensemble: &Ensemble| {
            ensemble.servers.iter().all(|server| server.log.is_in_order())
        }),
        Property::always(TRUE_ACKS, |zab: &Zab, ensemble: &Ensemble| acks_are_true(ensemble, zab.rules)),
        Property::sometimes("a second epoch commits txns", |_, ensemble: &Ensemble| commits_in_two_epochs(ensemble)),
        Property::sometimes("a log is truncated across epochs", |_, ensemble: &Ensemble| {
            ensemble.seen.event == Some(Event::TruncatedAcrossEpochs)
        }),
        Property::sometimes("a snapshot is installed", |_, ensemble: &Ensemble| {
            ensemble.seen.event == Some(Event::InstalledSnapshot)
        }),
        Property::sometimes("an amnesiac is readmitted", |zab: &Zab, ensemble: &Ensemble| {
            let is_voter = |server| ensemble.server(server).standing == Standing::Voter;
            ensemble.left.wipes < zab.bounds.budget.wipes && SERVERS.into_iter().all(is_voter)
        }),
    ]
}

/// Leader completeness. Not "everything that is committed": a slow leader may finish the discovery of its epoch after a
/// later one has committed more; it is harmless, because it finds no quorum for its marker.
fn leaders_are_complete(ensemble: &Ensemble) -> bool {
    let seen = &ensemble.seen;
    ensemble.servers.iter().all(|server| {
        let Some(leader) = server.leads().filter(|leader| leader.electing.is_none()) else { return true };
        let committed = seen.committed.records().iter().zip(&seen.committed_in).enumerate();
        let mut older = committed.filter(|(_, (_, epoch))| **epoch < leader.epoch);
        older.all(|(place, (record, _))| server.log.records().get(place) == Some(record))
    })
}

/// Whoever is to lead next needs a quorum of those who count. If all of one lacked something committed, it would be
/// gone.
fn nothing_is_lost(ensemble: &Ensemble) -> bool {
    let lacks = |server: &quorate_types::ServerId| {
        let server = ensemble.server(*server);
        server.standing == Standing::Voter && !ensemble.seen.committed.is_prefix_of(&server.durable_log())
    };
    !SERVERS.into_iter().filter(lacks).collect::<Servers>().is_quorum()
}

/// What a follower acknowledges is on its disk, and in its leader's log.
fn acks_are_true(ensemble: &Ensemble, rules: Rules) -> bool {
    SERVERS.into_iter().all(|follower| {
        let session = ensemble.server(follower).follows().filter(|session| session.stage == Stage::Streaming);
        let Some(session) = session else { return true };
        let own = ensemble.server(follower);
        own.acknowledges(rules) <= own.durable && own.durable_log().is_prefix_of(&ensemble.server(session.leader).log)
    })
}

fn commits_in_two_epochs(ensemble: &Ensemble) -> bool {
    let mut txns = ensemble.seen.committed.records().iter().filter(|record| record.counter > 0);
    let first = txns.next();
    first.is_some_and(|first| txns.any(|txn| txn.epoch > first.epoch))
}
