//! Several servers: what they keep and what they refuse while some of them are gone, stand still, or cannot hear each
//! other.

mod catching_up;
mod clocks;
mod disks;
mod failover;
mod founding;
mod gateways;
mod hand_over;
mod minority;
mod namespaces;
mod new_ensemble;
mod restoring;
mod sessions;
mod storm;
mod wiped;

use std::time::Duration;

use quorate_client::{Client, Consistency, Error};
use quorate_tests::harness::Ensemble;

/// Longer than anything takes that a test waits for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A client that prefers the first of these servers and moves to the next ones.
pub(super) fn client(ensemble: &Ensemble, servers: &[u8]) -> Client {
    ensemble.client(servers).build()
}

/// What a znode holds, as fresh as it gets.
pub(super) async fn read(client: &Client, path: &str) -> Result<String, Error> {
    let znode = client.get(path).consistency(Consistency::Linearizable).await?;
    Ok(String::from_utf8(znode.data.unwrap_or_default().to_vec()).unwrap())
}
