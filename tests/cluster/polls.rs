//! Watches of those who cannot keep a stream open: long polls miss nothing between two requests, and lines of JSON tell
//! the same.

use std::time::Duration;

use http::{Method, StatusCode};
use quorate_tests::harness::{Rest, Server};
use serde_json::{Value, json};

/// Changes that are made while somebody polls.
const CHANGES: usize = 300;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn put(rest: &Rest, path: &str, data: usize) {
    let answer = rest.put(&format!("/v1/znodes{path}"), data.to_string()).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
}

/// What a poll tells: the data of each event, and where to go on.
async fn poll(rest: &Rest, from: &str) -> (Vec<String>, String) {
    let answer = rest.get(&format!("/v1/watch?path=/a&path=/b&data=true&wait=10s&from={from}")).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{answer:?}");
    let document = answer.json();
    let data = |event: &Value| event["data"].as_str().expect("data").to_owned();
    let told = document["events"].as_array().expect("events").iter().map(data).collect();
    (told, document["next"].as_str().expect("where to go on").to_owned())
}

#[tokio::test]
async fn between_two_polls_nothing_is_missed_or_told_twice() {
    let server = Server::start();
    let rest = server.rest();
    put(&rest, "/a", 0).await;
    put(&rest, "/b", 0).await;
    let begun = rest.get("/v1/watch?path=/a&path=/b&initial=true&wait=10s").await.unwrap().json();
    assert_eq!(begun["events"].as_array().map(Vec::len), Some(2), "{begun}");
    let mut next = begun["next"].as_str().unwrap().to_owned();
    let writer = rest.clone();
    let writing = tokio::spawn(async move {
        for change in 1..=CHANGES {
            put(&writer, if change % 3 == 0 { "/b" } else { "/a" }, change).await;
        }
    });
    let (mut told, mut polls) = (Vec::new(), 0);
    let polling = async {
        while told.len() < CHANGES {
            let (more, after) = poll(&rest, &next).await;
            told.extend(more);
            next = after;
            polls += 1;
        }
    };
    tokio::time::timeout(PATIENCE, polling).await.expect("all changes are told");
    writing.await.unwrap();
    let numbers = |wanted: fn(usize) -> bool| -> Vec<String> {
        (1..=CHANGES).filter(|change| wanted(*change)).map(|change| change.to_string()).collect()
    };
    // Each watch tells in order; two of them are not in step while they catch up.
    let of = |wanted: fn(usize) -> bool| -> Vec<String> {
        told.iter().filter(|data| wanted(data.parse().unwrap())).cloned().collect()
    };
    assert_eq!(of(|n| n % 3 == 0), numbers(|n| n % 3 == 0));
    assert_eq!(of(|n| n % 3 != 0), numbers(|n| n % 3 != 0));
    assert!(polls > 1, "one poll told everything: nothing lay between two");
    // Nothing more happens: the poll waits, and says so.
    let idle = rest.get(&format!("/v1/watch?path=/a&path=/b&wait=100ms&from={next}")).await.unwrap().json();
    assert_eq!(idle["events"], json!([]));
}

#[tokio::test]
async fn lines_of_json_tell_the_initial_state_and_then_changes() {
    let server = Server::start();
    let rest = server.rest();
    put(&rest, "/a", 0).await;
    let headers = [("accept", "application/x-ndjson")];
    let reading = tokio::spawn({
        let rest = rest.clone();
        async move { rest.send(Method::GET, "/v1/watch?path=/a&initial=true&data=true", &headers, "").await.unwrap() }
    });
    let streams = async {
        while !String::from_utf8_lossy(&rest.get("/metrics").await.unwrap().body).contains("event_streams 1\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, streams).await.expect("the stream begins");
    put(&rest, "/a", 1).await;
    // A server that stops ends its streams with a whole line.
    server.ask_to_stop();
    let answer = tokio::time::timeout(PATIENCE, reading).await.expect("the stream ends").unwrap();
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<Value> = lines.iter().filter(|line| line["path"] == "/a").map(|line| line["data"].clone()).collect();
    assert_eq!(told, ["0", "1"], "{text}");
    assert_eq!(lines.last().unwrap()["type"], "end", "{text}");
}
