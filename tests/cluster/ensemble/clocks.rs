//! Clocks that jump: wall clocks that somebody sets, and the clocks of machines that were suspended. No session ends for
//! that, no time in a stat goes back, and nobody is deposed for what a calendar says.

use std::time::Duration;

use quorate_client::{Client, CreateMode, Session, SessionState};
use quorate_tests::harness::{Ensemble, EnsembleOptions};

use super::client;

const MINUTES_MS: i64 = 5 * 60_000;
const HOURS_MS: i64 = 26 * 3_600_000;

/// The shortest that a session may have, more or less.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a clock stays as it is.
const HOLD: Duration = Duration::from_millis(400);

/// Of a znode that outlives the test, unless a clock is believed too readily.
const TTL: Duration = Duration::from_secs(600);

/// Somebody who has something to lose.
struct Owner {
    client: Client,
    session: Session,
    mtime_ms: i64,
}

impl Owner {
    async fn new(ensemble: &Ensemble) -> Owner {
        let client = client(ensemble, &[1, 2, 3]);
        let session = client.open_session(TIMEOUT).await.unwrap();
        session.create("/owned", "").mode(CreateMode::Ephemeral).await.unwrap();
        let made = client.create("/dated", "").await.unwrap();
        Owner { client, session, mtime_ms: made.stat.mtime_ms }
    }

    /// Everything is as it was, and the next change is not older than the last.
    async fn check(&mut self, why: &str) {
        let changed = self.client.set("/dated", why).await.unwrap();
        assert!(changed.stat.mtime_ms >= self.mtime_ms, "{why}: times go back from {} in {changed:?}", self.mtime_ms);
        self.mtime_ms = changed.stat.mtime_ms;
        let created = self.client.create("/dated/", "").mode(CreateMode::PersistentSequential).await.unwrap();
        assert!(created.stat.ctime_ms >= self.mtime_ms, "{why}: times go back from {} in {created:?}", self.mtime_ms);
        assert_eq!(self.session.state(), SessionState::Connected, "{why}");
        assert!(self.client.exists("/owned").await.unwrap().stat.is_some(), "{why}: an ephemeral is gone");
    }
}

async fn start() -> Ensemble {
    let ensemble = Ensemble::start_with(EnsembleOptions { has_faults: true, ..EnsembleOptions::default() });
    ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    ensemble
}

#[tokio::test]
async fn a_wall_clock_that_jumps_changes_nothing() {
    let ensemble = start().await;
    let leader = ensemble.leader().await;
    let follower = ensemble.others(leader)[0];
    let epoch = ensemble.status(leader).await.unwrap().header.epoch;
    let mut owner = Owner::new(&ensemble).await;
    owner.client.create("/fleeting", "").mode(CreateMode::Ttl(TTL)).await.unwrap();
    for wrong_by_ms in [MINUTES_MS, -MINUTES_MS, HOURS_MS, -HOURS_MS, 0] {
        for servers in [&[leader][..], &[follower], &[1, 2, 3]] {
            let why = format!("the clocks of {servers:?} are wrong by {wrong_by_ms} ms");
            servers.iter().for_each(|id| ensemble.server(*id).faults().set_wall_clock(wrong_by_ms));
            owner.check(&why).await;
            tokio::time::sleep(HOLD).await;
            owner.check(&why).await;
            assert!(owner.client.exists("/fleeting").await.unwrap().stat.is_some(), "{why}: its time has not come");
        }
    }
    let status = ensemble.status(leader).await.unwrap();
    assert_eq!((status.leader_id, status.header.epoch), (leader.into(), epoch), "the leader was deposed");
    ensemble.agreed().await;
}

#[tokio::test]
async fn machines_that_were_suspended_end_no_session() {
    let ensemble = start().await;
    let mut owner = Owner::new(&ensemble).await;
    for suspended in [Duration::from_millis(MINUTES_MS as u64), Duration::from_millis(HOURS_MS as u64)] {
        let leader = ensemble.leader().await;
        for servers in [&[leader][..], &[ensemble.others(leader)[0]], &[1, 2, 3]] {
            // The clocks go on while a machine sleeps, so both have jumped when it wakes up.
            for id in servers {
                ensemble.server(*id).faults().jump_ahead(suspended);
            }
            let why = format!("{servers:?} were suspended for {suspended:?}");
            ensemble.serving(&[1, 2, 3]).await;
            owner.check(&why).await;
            tokio::time::sleep(TIMEOUT / 2).await;
            owner.check(&why).await;
        }
    }
    // If one of them believed that everybody had been silent, it would show by now.
    tokio::time::sleep(2 * TIMEOUT).await;
    owner.check("all clocks have jumped").await;
    ensemble.agreed().await;
}
