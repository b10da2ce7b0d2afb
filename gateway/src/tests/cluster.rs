//! The members of the ensemble, their changes, and its leader.

use quorate_proto::v1;
use serde_json::json;

use super::fake::VERSION;
use super::*;

const MEMBERS: &str = "/v1/cluster/members";

fn spec(server_id: u32, membership: v1::Membership, address: Option<v1::MemberAddress>) -> v1::MemberSpec {
    v1::MemberSpec { server_id, membership: membership.into(), address }
}

fn json_request(method: &str, uri: &str) -> http::request::Builder {
    request(method, uri).header("content-type", "application/json")
}

#[tokio::test]
async fn members_are_listed_with_what_is_known_of_them() {
    let answered = get(&gateway(&tree()), MEMBERS).await;
    assert_eq!((answered.header("etag"), answered.header("cache-control")), ("\"0x100000003\"", "no-store"));
    let document = answered.json();
    assert_eq!((&document["version"], &document["pending_version"]), (&json!("0x100000003"), &Value::Null));
    assert_eq!(
        (&document["quorum"], &document["leader_id"], &document["told_by_id"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let leader = json!({
        "server_id": 1, "role": "leading", "membership": "participant", "zxid": "0x100000010", "behind": 0,
        "lag_ms": 0, "latency_ms": null, "synchronizing": false, "amnesiac": false, "addresses": null,
    });
    let gone = json!({
        "server_id": 4, "role": "unreachable", "membership": "observer", "zxid": null, "behind": null, "lag_ms": null,
        "latency_ms": null, "synchronizing": false, "amnesiac": false,
        "addresses": { "peer": "s4:7182", "grpc": "s4:7181", "http": null },
    });
    assert_eq!(document["members"], json!([leader, gone]));
    assert_eq!(get(&gateway(&Fake::unready()), MEMBERS).await.json()["leader_id"], Value::Null);
}

#[tokio::test]
async fn steps_are_asked_for_as_they_are_written() {
    let fake = tree();
    let gateway = gateway(&fake);
    let body = r#"{"add":[{"server_id":4,"membership":"observer","addresses":{"peer":"s4:7182"}},{"server_id":2}],
        "remove":[3],"version":"0x100000003"}"#;
    let answered = send(&gateway, json_request("POST", MEMBERS), body).await;
    assert_eq!((answered.status.as_u16(), answered.header("etag")), (200, "\"0x100000008\""));
    let addresses = json!({ "peer": "s4:7182", "grpc": "s4:7181", "http": null });
    assert_eq!(
        answered.json(),
        json!({ "version": "0x100000008", "members": [
            { "server_id": 1, "membership": "participant", "addresses": null },
            { "server_id": 4, "membership": "observer", "addresses": addresses },
        ]}),
    );
    let peer = v1::MemberAddress { peer: "s4:7182".to_owned(), ..Default::default() };
    let add = vec![spec(4, v1::Membership::Observer, Some(peer)), spec(2, v1::Membership::Participant, None)];
    let change = v1::reconfigure_request::Change::Steps(v1::MemberSteps { add, remove_ids: vec![3] });
    assert_eq!(fake.reconfigured(), [v1::ReconfigureRequest { change: Some(change), version: Some(VERSION) }]);
}

#[tokio::test]
async fn the_whole_is_put_under_the_tag_that_was_got() {
    let fake = tree();
    let gateway = gateway(&fake);
    let body = r#"{"members":[{"server_id":1}]}"#;
    let whole = v1::MemberList { members: vec![spec(1, v1::Membership::Participant, None)] };
    let change = v1::reconfigure_request::Change::Members(whole);
    for (tag, status, version) in [("\"0x100000003\"", 200, Some(VERSION)), ("*", 200, None), ("\"0x1\"", 412, Some(1))]
    {
        let answered = send(&gateway, json_request("PUT", MEMBERS).header("if-match", tag), body).await;
        assert_eq!(answered.status.as_u16(), status, "{tag}");
        assert_eq!(fake.reconfigured(), [v1::ReconfigureRequest { change: Some(change.clone()), version }], "{tag}");
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_understood_is_not_asked_for() {
    let fake = tree();
    let gateway = gateway(&fake);
    for (method, body, if_match) in [
        ("POST", "", None),
        ("POST", "null", None),
        ("POST", r#"{"added":[]}"#, None),
        ("POST", r#"{"add":[{"server_id":1,"membership":"leader"}]}"#, None),
        ("POST", r#"{"add":[{"server_id":1,"addresses":{}}]}"#, None),
        ("POST", r#"{"version":"3"}"#, None),
        ("POST", r#"{"version":"0x3"}"#, Some("\"0x4\"")),
        ("POST", "{}", Some("0x4")),
        ("PUT", "{}", None),
        ("PUT", r#"{"members":[{"server_id":-1}]}"#, None),
    ] {
        let request = json_request(method, MEMBERS);
        let request = if_match.map_or(json_request(method, MEMBERS), |tag| request.header("if-match", tag));
        assert_eq!(send(&gateway, request, body).await.verdict(), (400, "BAD_ARGUMENTS".to_owned()), "{method} {body}");
    }
    let untyped = send(&gateway, request("PUT", MEMBERS), r#"{"members":[]}"#).await;
    assert_eq!(untyped.verdict(), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
    assert_eq!(fake.reconfigured(), []);
}

#[tokio::test]
async fn without_a_quorum_it_is_not_known_whether_a_change_was_made() {
    let gateway = gateway(&Fake::unready());
    let answered = send(&gateway, json_request("POST", MEMBERS), r#"{"remove":[3]}"#).await;
    assert_eq!(answered.verdict(), (503, "UNAVAILABLE".to_owned()));
    assert_eq!(answered.json()["maybe_applied"], true);
}

#[tokio::test]
async fn leadership_is_handed_over() {
    let gateway = gateway(&tree());
    for (body, leader) in [("", 2), ("{}", 2), (r#"{"server_id":3}"#, 3)] {
        let answered = send(&gateway, json_request("POST", "/v1/cluster/leader"), body).await;
        assert_eq!((answered.status.as_u16(), answered.json()), (200, json!({ "leader_id": leader })), "{body}");
    }
    let refused = send(&gateway, json_request("POST", "/v1/cluster/leader"), r#"{"server_id":9}"#).await;
    assert_eq!(refused.verdict(), (404, "NO_SERVER".to_owned()));
}

#[tokio::test]
async fn a_snapshot_is_a_file_and_whoever_gets_only_a_part_of_it_notices() {
    let uri = "/v1/cluster/snapshot";
    let answered = get(&gateway(&tree()), uri).await;
    assert_eq!((answered.status.as_u16(), &answered.body[..]), (200, &b"snapshots"[..]));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", "9"),
        ("content-disposition", "attachment; filename=\"quorate-0x2a.snapshot\""),
        ("cache-control", "no-store"),
        ("quorate-zxid", "0x5eed:0x2a"),
    ] {
        assert_eq!(answered.header(name), value, "{name}");
    }
    assert_eq!(get(&gateway(&Fake::unready()), uri).await.verdict(), (507, "DISK_FULL".to_owned()));
    let cut_off = request("GET", uri)
        .header("quorate-session", "0x1")
        .header("quorate-session-secret", "AAECAwQFBgcICQoLDA0ODw")
        .body(Body::empty());
    let response = gateway(&tree()).oneshot(cut_off.unwrap()).await.unwrap();
    assert!(response.into_body().collect().await.is_err(), "it has no end");
}

#[tokio::test]
async fn a_backup_is_restored_from_a_body_that_comes_to_its_end() {
    let uri = "/v1/cluster/snapshot";
    let gateway = gateway(&tree());
    let answered = send(&gateway, request("PUT", uri), "snapshots").await;
    assert_eq!((answered.status.as_u16(), answered.header("quorate-zxid")), (200, "0x5eed:0x10000000a"));
    assert_eq!(answered.json(), json!({ "zxid": "0x10000000a", "backup_zxid": "0x7" }));
    let refused = (400, "BAD_ARGUMENTS".to_owned());
    assert_eq!(send(&gateway, request("PUT", uri), "snap").await.verdict(), refused);
    assert_eq!(send(&gateway, request("PUT", uri), "xnapshots").await.verdict(), refused);
    let forced = send(&gateway, request("PUT", &format!("{uri}?force_cluster=true")), "xnapshots").await;
    assert_eq!(forced.status.as_u16(), 200);
    let broken = [Ok("snap"), Err(std::io::Error::other("cut off"))];
    let answered = send(&gateway, request("PUT", uri), Body::from_stream(futures_util::stream::iter(broken))).await;
    assert_eq!(answered.verdict(), refused);
    assert!(answered.json()["detail"].as_str().unwrap().contains("to its end"));
}
