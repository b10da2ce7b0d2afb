//! One operation per call: 64 clients with a connection each, over gRPC and over REST.

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;

use super::Plan;
use super::load::{Turn, payload, repeat};
use super::table::Table;

const CLIENTS: usize = 64;

/// Get and set by unary gRPC calls.
pub(crate) async fn measure_grpc(plan: &Plan, table: &mut Table) {
    let server = super::start(plan, "unary", &[]);
    let connections = join_all((0..CLIENTS).map(|_| server.grpc())).await;
    let mut clients: Vec<_> = connections.into_iter().map(ZnodeServiceClient::new).collect();
    let request = v1::CreateRequest { path: "/a".into(), data: Some(payload()), ..v1::CreateRequest::default() };
    clients[0].create(request).await.unwrap();
    let calls = repeat(plan.seconds, clients.clone(), async |client, _| {
        client.get(v1::GetRequest { path: "/a".into(), options: None }).await.unwrap();
    });
    let turn = Turn::measure(&[server.pid()], calls).await;
    table.at_most("gRPC unary get, 64 x 1", 20.0, turn.cpu_per_operation(), "µs CPU/op", &turn.describe());

    let calls = repeat(plan.seconds, clients, async |client, _| {
        let request = v1::SetDataRequest { path: "/a".into(), data: Some(payload()), ..v1::SetDataRequest::default() };
        client.set_data(request).await.unwrap();
    });
    let turn = Turn::measure(&[server.pid()], calls).await;
    table.at_most("gRPC unary set, 64 x 1", 28.0, turn.cpu_per_operation(), "µs CPU/op", &turn.describe());
}

/// GET and PUT over keep-alive connections.
pub(crate) async fn measure_rest(plan: &Plan, table: &mut Table) {
    let server = super::start(plan, "rest", &[]);
    let url = format!("http://{}/v1/znodes/a", server.address("http"));
    let clients: Vec<_> = (0..CLIENTS).map(|_| reqwest::Client::builder().http1_only().build().unwrap()).collect();
    for client in &clients {
        assert!(client.put(&url).body(payload()).send().await.unwrap().status().is_success());
    }
    let calls = repeat(plan.seconds, clients.clone(), async |client, _| {
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.bytes().await.unwrap().len(), payload().len());
    });
    let turn = Turn::measure(&[server.pid()], calls).await;
    table.at_most("REST get, 64 x 1", 18.0, turn.cpu_per_operation(), "µs CPU/op", &turn.describe());

    let calls = repeat(plan.seconds, clients, async |client, _| {
        let response = client.put(&url).body(payload()).send().await.unwrap();
        assert!(response.status().is_success());
        response.bytes().await.unwrap();
    });
    let turn = Turn::measure(&[server.pid()], calls).await;
    table.at_most("REST put, 64 x 1", 28.0, turn.cpu_per_operation(), "µs CPU/op", &turn.describe());
}
