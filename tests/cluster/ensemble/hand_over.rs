//! A leader that is told to stop hands over first: writers hardly notice.

use std::time::{Duration, Instant};

use quorate_tests::harness::{Ensemble, Pulse, longest_gap};
use quorate_tests::report;

/// Far more than it takes, since the machine may be busy with other things; the report says what it took.
const GAP_MAX: Duration = Duration::from_secs(2);

const BEFORE: Duration = Duration::from_millis(300);
const AFTER: Duration = Duration::from_millis(2_500);

#[tokio::test]
async fn a_leader_that_stops_hands_over_to_another_server() {
    let mut ensemble = Ensemble::start();
    let leader = ensemble.leader().await;
    let others = ensemble.others(leader);
    ensemble.serving(&[1, 2, 3]).await;
    let pulse = |id: &u8| Pulse::through(ensemble.server(*id).address("grpc"), &format!("/pulse-{id}"));
    let pulses: Vec<Pulse> = others.iter().map(pulse).collect();
    tokio::time::sleep(BEFORE).await;
    let from = Instant::now();
    ensemble.server(leader).ask_to_stop();
    tokio::time::sleep(AFTER).await;
    let to = Instant::now();
    ensemble.stop(leader);

    let mut worst = Duration::ZERO;
    for pulse in pulses {
        let acknowledged = pulse.stop().await;
        assert!(acknowledged.len() > 20, "{} writes prove little", acknowledged.len());
        worst = worst.max(longest_gap(&acknowledged, from, to));
    }
    assert!(worst < GAP_MAX, "nothing could be written for {worst:?}");
    let successor = ensemble.leader_among(&others).await;
    assert!(others.contains(&successor));
    ensemble.restart(leader);
    ensemble.agreed().await;
    report::note(&format!("hand-over: {} ms without a write while a leader stops", worst.as_millis()));
}
