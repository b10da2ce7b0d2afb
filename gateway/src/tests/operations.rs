//! What operators ask: liveness, readiness, metrics, the API's description, the ensemble.

use serde_json::json;

use super::*;
use crate::{Metrics, router_with};

#[tokio::test]
async fn readiness_follows_the_quorum_and_liveness_does_not() {
    let ready = gateway(&tree());
    assert_eq!(get(&ready, "/livez").await.body, "ok\n");
    assert_eq!(get(&ready, "/readyz").await.body, "ready\n");
    let unready = gateway(&Fake::unready());
    assert_eq!(get(&unready, "/livez").await.status, StatusCode::OK);
    let answered = get(&unready, "/readyz").await;
    assert_eq!(answered.verdict(), (503, "UNAVAILABLE".to_owned()));
    assert!(!answered.header("retry-after").is_empty());
}

#[tokio::test]
async fn the_ensemble_is_shown_as_its_server_knows_it() {
    let cluster = get(&gateway(&tree()), "/v1/cluster").await.json();
    assert_eq!((&cluster["cluster_id"], &cluster["epoch"]), (&json!("0x5eed"), &json!(1)));
    assert_eq!((&cluster["leader_id"], &cluster["serving"]), (&json!(1), &json!(true)));
    let roles: Vec<&Value> = cluster["members"].as_array().unwrap().iter().map(|member| &member["role"]).collect();
    assert_eq!(roles, ["leading", "unreachable"]);
    assert_eq!((&cluster["state"]["znodes"], &cluster["uptime_ms"]), (&json!(7), &json!(1_500)));
    assert_eq!(cluster["state"]["digest"], "ab".repeat(16));
    assert_eq!(cluster["storage"]["snapshot_zxid"], Value::Null);
    assert_eq!(get(&gateway(&Fake::unready()), "/v1/cluster").await.json()["leader_id"], Value::Null);
}

#[tokio::test]
async fn metrics_are_served_unless_the_process_serves_its_own() {
    let gateway = gateway(&tree());
    get(&gateway, "/v1/znodes/a").await;
    let answered = get(&gateway, "/metrics").await;
    assert!(answered.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(answered.body.to_vec()).unwrap();
    assert!(text.contains("quorate_gateway_requests_total{resource=\"znodes\",status=\"2xx\"} 1\n"), "{text}");
    let metrics = Metrics::default();
    let config = Config { serve_metrics: false, metrics, ..Config::default() };
    let silent = router(tree().client(), config);
    assert_eq!(get(&silent, "/metrics").await.verdict(), (404, "NO_ROUTE".to_owned()));
}

#[tokio::test]
async fn the_description_is_served() {
    let document = get(&gateway(&tree()), "/openapi.json").await.json();
    assert!(document["paths"]["/v1/znodes/{path}"]["put"].is_object());
}

#[tokio::test]
async fn other_routes_stand_behind_the_same_door() {
    let others = Router::new().route("/admin/ping", axum::routing::get(async || "pong"));
    let gateway = router_with(tree().client(), Config::default(), others);
    let answered = get(&gateway, "/admin/ping").await;
    assert_eq!(answered.body, "pong");
    assert!(!answered.header("x-request-id").is_empty());
    let foreign = send(&gateway, request("GET", "/admin/ping").header("host", "evil.example"), "").await;
    assert_eq!(foreign.verdict(), (421, "HOST_REFUSED".to_owned()));
    assert_eq!(send(&gateway, request("POST", "/admin/ping"), "").await.verdict().0, 405);
}

#[tokio::test]
async fn the_description_is_a_page_that_loads_nothing() {
    let page = get(&gateway(&tree()), "/docs").await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("<code>/v1/znodes/{path}</code>") && text.ends_with("</html>\n"), "{text}");
}
