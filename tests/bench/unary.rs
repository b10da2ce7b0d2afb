//! One operation per call: 64 clients with a connection each, over gRPC and over REST.

use std::time::Instant;

use futures_util::future::join_all;
use quorate_proto::v1;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;

use super::Plan;
use super::channel::{Done, payload};
use super::table::{Table, describe, histogram};

const CLIENTS: usize = 64;

/// Runs `call` again and again in each of `clients` until the plan's time is over.
async fn load<C>(plan: &Plan, clients: Vec<C>, call: impl AsyncFn(&mut C, u64)) -> Done {
    let (began, until) = (Instant::now(), Instant::now() + plan.seconds);
    let runs = clients.into_iter().map(async |mut client| {
        let (mut operations, mut latencies) = (0, histogram());
        while Instant::now() < until {
            let began = Instant::now();
            call(&mut client, operations).await;
            latencies.saturating_record(began.elapsed().as_micros() as u64);
            operations += 1;
        }
        (operations, latencies)
    });
    let mut all = Done { operations: 0, seconds: 0.0, latencies: histogram() };
    for (operations, latencies) in join_all(runs).await {
        all.operations += operations;
        all.latencies.add(latencies).unwrap();
    }
    all.seconds = began.elapsed().as_secs_f64();
    all
}

/// Get and set by unary gRPC calls.
pub(crate) async fn measure_grpc(plan: &Plan, table: &mut Table) {
    let server = super::start(plan, "unary", &[]);
    let connections = join_all((0..CLIENTS).map(|_| server.grpc())).await;
    let mut clients: Vec<_> = connections.into_iter().map(ZnodeServiceClient::new).collect();
    let request = v1::CreateRequest { path: "/a".into(), data: Some(payload()), ..v1::CreateRequest::default() };
    clients[0].create(request).await.unwrap();
    let before = server.stats().cpu_micros;
    let done = load(plan, clients.clone(), async |client, _| {
        client.get(v1::GetRequest { path: "/a".into(), options: None }).await.unwrap();
    });
    let done = done.await;
    let cpu = (server.stats().cpu_micros - before) as f64 / done.operations as f64;
    let besides = describe(done.operations, done.seconds, &done.latencies);
    table.at_most("gRPC unary get, 64 x 1", 20.0, cpu, "µs CPU/op", &besides);

    let before = server.stats().cpu_micros;
    let done = load(plan, clients, async |client, _| {
        let request = v1::SetDataRequest { path: "/a".into(), data: Some(payload()), ..v1::SetDataRequest::default() };
        client.set_data(request).await.unwrap();
    });
    let done = done.await;
    let cpu = (server.stats().cpu_micros - before) as f64 / done.operations as f64;
    let besides = describe(done.operations, done.seconds, &done.latencies);
    table.at_most("gRPC unary set, 64 x 1", 28.0, cpu, "µs CPU/op", &besides);
}

/// GET and PUT over keep-alive connections.
pub(crate) async fn measure_rest(plan: &Plan, table: &mut Table) {
    let server = super::start(plan, "rest", &[]);
    let url = format!("http://{}/v1/znodes/a", server.address("http"));
    let clients: Vec<_> = (0..CLIENTS).map(|_| reqwest::Client::builder().http1_only().build().unwrap()).collect();
    for client in &clients {
        assert!(client.put(&url).body(payload()).send().await.unwrap().status().is_success());
    }
    let before = server.stats().cpu_micros;
    let done = load(plan, clients.clone(), async |client, _| {
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.bytes().await.unwrap().len(), payload().len());
    });
    let done = done.await;
    let cpu = (server.stats().cpu_micros - before) as f64 / done.operations as f64;
    let besides = describe(done.operations, done.seconds, &done.latencies);
    table.at_most("REST get, 64 x 1", 18.0, cpu, "µs CPU/op", &besides);

    let before = server.stats().cpu_micros;
    let done = load(plan, clients, async |client, _| {
        let response = client.put(&url).body(payload()).send().await.unwrap();
        assert!(response.status().is_success());
        response.bytes().await.unwrap();
    });
    let done = done.await;
    let cpu = (server.stats().cpu_micros - before) as f64 / done.operations as f64;
    let besides = describe(done.operations, done.seconds, &done.latencies);
    table.at_most("REST put, 64 x 1", 28.0, cpu, "µs CPU/op", &besides);
}
