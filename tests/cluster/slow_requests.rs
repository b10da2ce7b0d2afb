//! The log tells of requests that take long, at each door, and of no others.

use std::time::Duration;

use http::Method;
use quorate_client::{Access, Client};
use quorate_tests::harness::{Server, ServerOptions};
use serde_json::Value;

/// From when on a request is slow here: longer than a busy machine makes any other one wait.
const SLOW_MS: &str = "2000";

/// How long the disk takes for what is to be slow.
const SYNC: Duration = Duration::from_millis(2_500);

/// What the log tells of slow requests.
fn told(server: &Server) -> Vec<Value> {
    let lines = server.log();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].clone());
    events.filter(|fields| fields["message"] == "a slow request").collect()
}

#[tokio::test]
async fn what_takes_long_is_told_by_the_door_that_it_came_through() {
    let arguments = ["--slow-request-ms", SLOW_MS, "--log-format", "json"].map(str::to_owned).to_vec();
    let server = Server::start_with(ServerOptions { arguments, has_faults: true, ..ServerOptions::default() });
    let client = |access| Client::builder().addresses([server.address("grpc")]).access(access).build();
    let (channel, unary, rest) = (client(Access::Channel), client(Access::Unary), server.rest());
    channel.create("/fast", "").await.unwrap();
    assert_eq!(told(&server), Vec::<Value>::new());

    server.faults().slow_down(SYNC, Duration::ZERO);
    let id = [("x-request-id", "slow-one")];
    let put = rest.send(Method::PUT, "/v1/znodes/fast", &id, "3");
    let (first, second, third) = tokio::join!(channel.set("/fast", "1").send(), unary.set("/fast", "2").send(), put);
    assert!(first.is_ok() && second.is_ok() && third.unwrap().status.is_success());
    // What is not there is found out at once.
    assert!(channel.get("/none").await.is_err());
    server.faults().mend_disk();

    let told = told(&server);
    let of = |door: &str| told.iter().filter(|fields| fields["door"] == door).collect::<Vec<_>>();
    // The gateway's own request came through a Channel, too.
    let (channels, calls, requests) = (of("channel"), of("call"), of("http"));
    assert_eq!((channels.len(), calls.len(), requests.len()), (2, 1, 1), "{told:?}");
    for fields in channels.iter().chain(&calls) {
        assert_eq!((&fields["op"], &fields["path_bytes"]), (&Value::from("set_data"), &Value::from("/fast".len())));
        assert_eq!(fields["result"], "OK");
    }
    assert_eq!((&requests[0]["resource"], &requests[0]["status"]), (&Value::from("znodes"), &Value::from(200)));
    assert!(requests[0]["request_id"].to_string().contains("slow-one"), "{requests:?}");
}
