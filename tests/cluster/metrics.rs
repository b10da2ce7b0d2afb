//! What dashboards and alert rules ask for is what servers and gateways tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use quorate_tests::harness::{Ensemble, Gateway, Rest};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Names of metrics, each with the names of its labels.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Every mention of one of our metrics in expressions, with the labels that it is selected by.
fn asked_for(expressions: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let starts = expressions.match_indices("quorate_").map(|(at, _)| at);
    let mention = |at: usize| {
        let rest = &expressions[at..];
        let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        let selector =
            rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inner, _)| inner);
        let label = |part: &str| part.split(['=', '!']).next().unwrap_or_default().trim().to_owned();
        // Those come from whoever scrapes.
        let from_afar = |label: &String| !label.is_empty() && label != "job" && label != "instance";
        (rest[..end].to_owned(), selector.split(',').map(label).filter(from_afar).collect())
    };
    starts.map(mention).collect()
}

/// What a door tells.
async fn told(rest: &Rest) -> Metrics {
    let answer = rest.get("/metrics").await.unwrap();
    assert!(answer.status.is_success(), "{answer:?}");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a sample has a value"));
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        metrics.entry(name.to_owned()).or_default().extend(names);
    }
    metrics
}

#[tokio::test]
async fn dashboards_and_alerts_ask_for_what_is_there() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("observability");
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let expressions: Vec<&str> = targets.flatten().map(|target| target["expr"].as_str().unwrap()).collect();
    let asked = [asked_for(&expressions.join("\n")), asked_for(&read("rules.yaml"))];
    assert!(asked.iter().all(|asked| asked.len() > 20), "{asked:?}");

    let ensemble = Ensemble::start();
    let client = ensemble.client(&[1]).request_timeout(PATIENCE).build();
    client.create("/counted", "once").await.unwrap();
    let gateway = Gateway::start(&[ensemble.server(1).address("grpc")], &[]);
    let rest = gateway.rest();
    assert!(rest.get("/v1/znodes/counted").await.unwrap().status.is_success());
    let of_gateway = told(&rest).await;
    for id in ensemble.ids() {
        let of_server = told(&ensemble.server(id).rest()).await;
        for (name, labels) in asked.iter().flatten() {
            // A gateway tells the same about itself as one that is part of a server.
            let sources = [&of_server, &of_gateway];
            let told_by = &sources[..if name.starts_with("quorate_gateway_") { 2 } else { 1 }];
            for source in told_by {
                let there = source.get(name).unwrap_or_else(|| panic!("nobody tells {name}"));
                assert!(labels.is_subset(there), "{name} has no labels {labels:?}, but {there:?}");
            }
        }
    }
}

#[test]
fn mentions_are_found_in_expressions() {
    let found = asked_for(r#"rate(quorate_a_total{job="j", op!="x", le=~"1"}[5m]) > on (job) quorate_b"#);
    let labels = ["le".to_owned(), "op".to_owned()];
    assert_eq!(found, [("quorate_a_total".to_owned(), labels.into()), ("quorate_b".to_owned(), BTreeSet::new())]);
}
