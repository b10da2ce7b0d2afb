//! The client's recipes on real servers: what they promise while servers and leaders die and clients stand still.

mod barriers;
mod elections;
mod locks;
mod parts;
mod queues;
mod shared;
mod standing_still;

use std::time::Duration;

use quorate_client::Session;
use quorate_tests::harness::Ensemble;

/// Of the sessions; longer than anything takes that is not meant to end one.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Three servers that serve, and their leader.
async fn ensemble() -> (Ensemble, u8) {
    let ensemble = Ensemble::start();
    ensemble.serving(&[1, 2, 3]).await;
    let leader = ensemble.leader().await;
    (ensemble, leader)
}

/// Sessions of clients of their own, each of which prefers another server.
async fn sessions(ensemble: &Ensemble, count: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    for at in 0..count {
        let mut servers = [1, 2, 3];
        servers.rotate_left(at % 3);
        sessions.push(ensemble.client(&servers).build().open_session(TIMEOUT).await.unwrap());
    }
    sessions
}
