//! Servers with empty disks, whom nobody has told what that means.

use http::StatusCode;
use quorate_client::Role;
use quorate_tests::harness::Ensemble;

use super::client;

#[tokio::test]
async fn empty_servers_begin_an_ensemble_with_all_of_its_voters_or_not_at_all() {
    let mut ensemble = Ensemble::start();
    ensemble.serving(&[1, 2, 3]).await;
    client(&ensemble, &[1]).create("/begun", "first").await.unwrap();
    for id in 1..=3 {
        ensemble.kill(id);
    }
    for id in 1..=2 {
        ensemble.wipe(id);
        ensemble.restart(id);
    }
    // For all they know, server 3 has everything.
    let waits_for_the_third = async || ensemble.status(1).await.filter(|status| status.awaited_ids == [3]);
    let status = ensemble.wait_for("server 1 to wait for server 3 alone", waits_for_the_third).await;
    assert!(!status.serving && status.header.role == Role::Looking, "{status:?}");
    let answer = ensemble.server(1).rest().get("/readyz").await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let said = answer.json()["detail"].to_string();
    assert!(said.contains("the ensemble has not begun"), "{said}");
    // Now nobody knows anything of what was.
    ensemble.wipe(3);
    ensemble.restart(3);
    ensemble.serving(&[1, 2, 3]).await;
    let found = client(&ensemble, &[3]).children("/").await.unwrap();
    assert!(found.children.iter().all(|child| child.name != "begun"), "it is another ensemble");
    assert!(ensemble.status(1).await.unwrap().awaited_ids.is_empty());
}
