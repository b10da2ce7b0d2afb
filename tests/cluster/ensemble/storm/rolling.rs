//! What an operator does on an ordinary day, while clients work and nobody is to notice: every server is restarted, or
//! replaced by another one. Judged as a storm is.

use std::time::Duration;

use quorate_client::{Error, Membership, Reconfigured};
use quorate_tests::harness::Ensemble;
use tokio::runtime::Handle;

use super::{Counts, Seen, Storm};

/// Nothing takes so long that a client has to give up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two steps.
const CALM: Duration = Duration::from_millis(500);

/// Far more than it takes, since the machine may be busy with other things; the report says what it took.
const GAP_MAX: Duration = Duration::from_secs(3);

#[tokio::test]
async fn every_server_is_restarted_in_its_turn_and_no_request_fails() {
    let storm = Storm { name: "rolling restart", spares: 0, request_timeout: PATIENCE, ..Storm::of_three() };
    let seen = storm.rage("every server in its turn", async |ensemble, _| aside(ensemble, restart_all).await).await;
    check(&seen);
}

#[tokio::test]
async fn every_server_is_replaced_by_another_one_and_no_request_fails() {
    let storm = Storm { name: "rolling change", spares: 3, request_timeout: PATIENCE, ..Storm::of_three() };
    let seen = storm.rage("three become five and three others", async |ensemble, _| aside(ensemble, replace_all).await);
    check(&seen.await);
}

fn check(seen: &Seen) {
    assert!(seen.in_doubt.is_empty(), "clients were left in doubt: {:#?}", seen.in_doubt);
    assert!(seen.longest_gap < GAP_MAX, "nothing could be written for {:?}", seen.longest_gap);
    assert!(seen.txns > 300, "{} txns prove little", seen.txns);
}

/// On a thread of its own: processes are waited for.
async fn aside(mut ensemble: Ensemble, script: fn(&mut Ensemble, &Handle) -> Counts) -> (Ensemble, Counts) {
    let runtime = Handle::current();
    let scripted = tokio::task::spawn_blocking(move || {
        let counts = script(&mut ensemble, &runtime);
        (ensemble, counts)
    });
    scripted.await.unwrap()
}

fn restart_all(ensemble: &mut Ensemble, runtime: &Handle) -> Counts {
    let all: Vec<u8> = ensemble.ids().collect();
    let mut counts = Counts::new();
    for id in &all {
        std::thread::sleep(CALM);
        let was_leader = runtime.block_on(ensemble.leader()) == *id;
        ensemble.stop(*id);
        ensemble.restart(*id);
        runtime.block_on(ensemble.serving(&all));
        *counts.entry(if was_leader { "leaders" } else { "followers" }).or_default() += 1;
    }
    std::thread::sleep(CALM);
    counts
}

fn replace_all(ensemble: &mut Ensemble, runtime: &Handle) -> Counts {
    let mut counts = Counts::new();
    // All of them come at once, since a newcomer has to wait for the next epoch, which may take ten seconds.
    (4..=6).for_each(|id| ensemble.join(id));
    for (coming, leaving) in [(&[4, 5][..], &[][..]), (&[], &[1, 2]), (&[6], &[3])] {
        std::thread::sleep(CALM);
        runtime.block_on(change(ensemble, coming, leaving));
        std::thread::sleep(CALM);
        for id in leaving {
            // It may have ended by itself, or learns on until it is stopped.
            ensemble.retire(*id);
        }
        *counts.entry("came").or_default() += coming.len() as u32;
        *counts.entry("left").or_default() += leaving.len() as u32;
    }
    assert_eq!(ensemble.ids().collect::<Vec<_>>(), [4, 5, 6], "none of the first three is left");
    std::thread::sleep(CALM);
    counts
}

/// Waits until those who come know everything, and makes the change, however often it has to be asked for.
async fn change(ensemble: &Ensemble, coming: &[u8], leaving: &[u8]) {
    let all: Vec<u8> = ensemble.ids().collect();
    let client = ensemble.client(&all).build();
    let is_there = async |id: u8| {
        let known = client.members().await.ok().filter(|known| known.leader_id != 0)?;
        let member = known.members.into_iter().find(|member| member.server_id == u32::from(id))?;
        Some(member).filter(|member| !member.amnesiac && !member.synchronizing && member.behind.is_some())
    };
    for id in coming {
        ensemble.wait_for(&format!("server {id} to learn"), async || is_there(*id).await).await;
    }
    let ask = async || -> Result<Reconfigured, Error> {
        let asked = coming
            .iter()
            .fold(client.reconfigure(), |asked, id| asked.add(ensemble.spec(*id, Membership::Participant)));
        leaving.iter().fold(asked, |asked, id| asked.remove((*id).into())).await
    };
    let changed = ensemble.wait_for("a change of the members", async || ask().await.ok()).await;
    let is_in = |id: &u8| changed.members.iter().any(|member| member.server_id == u32::from(*id));
    assert!(coming.iter().all(is_in) && !leaving.iter().any(is_in), "{changed:?}");
}
