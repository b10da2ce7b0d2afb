//! `/v1/multi`.

use serde_json::json;
use v1::multi_operation::Operation as Change;
use v1::multi_result::Result as Outcome;
use v1::read_operation::Operation as Read;

use super::*;

fn failed(reason: v1::ErrorReason, path: &str) -> Outcome {
    let path = Some(path.to_owned());
    Outcome::Error(v1::Error { reason: reason.into(), message: "refused".to_owned(), path, retry_after_ms: None })
}

fn results(outcomes: Vec<Outcome>) -> Vec<v1::MultiResult> {
    outcomes.into_iter().map(|outcome| v1::MultiResult { result: Some(outcome) }).collect()
}

fn changed(change: &Change) -> Outcome {
    match change {
        Change::Create(create) => {
            let path = format!("{}0000000007", create.path);
            Outcome::Create(v1::CreateResponse { path, stat: Some(STAT), header: None })
        }
        Change::SetData(set) => {
            Outcome::SetData(v1::SetDataResponse { stat: Some(STAT), created: set.upsert, header: None })
        }
        Change::Delete(_) => Outcome::Delete(v1::DeleteResponse { deleted: 1, header: None }),
        Change::SetAcl(_) => Outcome::SetAcl(v1::SetAclResponse { stat: Some(STAT), header: None }),
        Change::Check(_) => Outcome::Check(v1::CheckResponse {}),
    }
}

fn read(read: &Read) -> Outcome {
    let stat = Some(STAT);
    match read {
        Read::Get(get) if get.path == "/none" => failed(v1::ErrorReason::NoNode, "/none"),
        Read::Get(_) => Outcome::Get(v1::GetResponse { data: Some(Bytes::from_static(b"\xff")), stat, header: None }),
        Read::Exists(exists) => {
            Outcome::Exists(v1::ExistsResponse { stat: stat.filter(|_| exists.path != "/none"), header: None })
        }
        Read::ListChildren(_) => {
            let child = v1::Child { name: "c".to_owned(), stat, data: Some(Bytes::from_static(b"x")) };
            Outcome::ListChildren(v1::ListChildrenResponse { children: vec![child], stat, more: true, header: None })
        }
        Read::GetAcl(_) => {
            let entry = v1::AclEntry { scheme: "world".to_owned(), id: "anyone".to_owned(), perms: 1 };
            Outcome::GetAcl(v1::GetAclResponse { acl: Some(v1::Acl { entries: vec![entry] }), stat, header: None })
        }
    }
}

/// A server on which everything succeeds but changes of `/bad` and reads of `/none`.
fn server() -> Fake {
    Fake::answering(|operation| match operation {
        Operation::Multi(multi) => {
            let changes = || multi.operations.iter().map(|operation| operation.operation.as_ref().unwrap());
            let is_bad = |change: &&Change| matches!(change, Change::SetData(set) if set.path == "/bad");
            let committed = !changes().any(|change| is_bad(&change));
            let outcome = |change: &Change| match change {
                change if committed => changed(change),
                change if is_bad(&change) => failed(v1::ErrorReason::BadVersion, "/bad"),
                _ => failed(v1::ErrorReason::NotApplied, "/"),
            };
            let results = results(changes().map(outcome).collect());
            Reply::Multi(v1::MultiResponse { committed, results, header: None })
        }
        Operation::MultiRead(multi) => {
            let reads = multi.operations.iter().map(|operation| read(operation.operation.as_ref().unwrap()));
            Reply::MultiRead(v1::MultiReadResponse { results: results(reads.collect()), header: None })
        }
        _ => fake::refusal(v1::ErrorReason::Unimplemented),
    })
}

async fn post(gateway: &Router, operations: Value) -> Answered {
    let request = request("POST", "/v1/multi").header("content-type", "application/json");
    send(gateway, request, json!({"operations": operations}).to_string()).await
}

#[tokio::test]
async fn changes_are_made_together_and_each_has_a_result() {
    let fake = server();
    let answered = post(
        &gateway(&fake),
        json!([
            {"op": "check", "path": "/lock", "mzxid": "0x100000002"},
            {"op": "check", "path": "/none", "not_exists": true},
            {"op": "create", "path": "/jobs/", "data": "/w==", "encoding": "base64", "mode": "ttl-sequential",
             "ttl_ms": 5, "parents": true, "acl": [{"scheme": "world", "id": "anyone", "perms": "r"}]},
            {"op": "set", "path": "/a", "data": null, "version": 3},
            {"op": "set", "path": "/b", "data": "x", "upsert": true},
            {"op": "delete", "path": "/c", "version": 0},
            {"op": "set_acl", "path": "/d", "acl": [{"scheme": "auth", "perms": "a"}], "aversion": 1},
        ]),
    )
    .await;
    assert_eq!((answered.status, answered.header("quorate-zxid")), (StatusCode::OK, "0x5eed:0x10000000a"));
    let document = answered.json();
    assert_eq!(document["zxid"], "0x10000000a");
    let shown: Vec<Value> = document["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| json!([result["op"], result["path"], result["stat"]["version"], result["created"]]))
        .collect();
    assert_eq!(
        shown,
        [
            json!(["check", "/lock", null, null]),
            json!(["check", "/none", null, null]),
            json!(["create", "/jobs/0000000007", 3, null]),
            json!(["set", "/a", 3, false]),
            json!(["set", "/b", 3, true]),
            json!(["delete", "/c", null, null]),
            json!(["set_acl", "/d", 3, null]),
        ]
    );
    let Some(Operation::Multi(asked)) = fake.asked().pop() else { panic!("no multi") };
    let asked: Vec<Change> = asked.operations.into_iter().map(|operation| operation.operation.unwrap()).collect();
    let check = |path: &str, precondition| {
        Change::Check(v1::CheckRequest { path: path.to_owned(), precondition: Some(precondition) })
    };
    assert_eq!(asked[0], check("/lock", v1::check_request::Precondition::Mzxid(0x1_0000_0002)));
    assert_eq!(asked[1], check("/none", v1::check_request::Precondition::NotExists(true)));
    let Change::Create(create) = &asked[2] else { panic!("{:?}", asked[2]) };
    assert_eq!((create.data.as_deref(), create.ttl_ms, create.create_parents), (Some(&b"\xff"[..]), 5, true));
    assert_eq!((create.mode(), create.acl.as_ref().unwrap().entries[0].perms), (v1::CreateMode::TtlSequential, 1));
    let Change::SetData(set) = &asked[3] else { panic!("{:?}", asked[3]) };
    assert_eq!((&set.data, set.precondition), (&None, Some(v1::set_data_request::Precondition::Version(3))));
}

#[tokio::test]
async fn the_one_operation_that_fails_is_the_problem() {
    let answered =
        post(&gateway(&server()), json!([{"op": "delete", "path": "/a"}, {"op": "set", "path": "/bad", "data": ""}]))
            .await;
    assert_eq!(answered.verdict(), (412, "BAD_VERSION".to_owned()));
    let problem = answered.json();
    assert_eq!((&problem["operation"], &problem["path"]), (&json!(1), &json!("/bad")));
    assert_eq!(problem["detail"], "operation 1 (set): refused");
}

#[tokio::test]
async fn reads_see_one_state_and_fail_each_by_itself() {
    let fake = server();
    let gateway = gateway(&fake);
    let reads = json!([
        {"op": "get", "path": "/a"},
        {"op": "get", "path": "/none"},
        {"op": "exists", "path": "/none"},
        {"op": "children", "path": "/a", "limit": 1, "with": "data"},
        {"op": "get_acl", "path": "/a"},
    ]);
    let request = request("POST", "/v1/multi?consistency=linearizable").header("content-type", "application/json");
    let answered = send(&gateway, request, json!({"operations": reads}).to_string()).await;
    let Some(Operation::MultiRead(asked)) = fake.asked().pop() else { panic!("no multi-read") };
    assert_eq!(asked.options.unwrap().consistency(), v1::Consistency::Linearizable);
    let results = answered.json()["results"].clone();
    assert_eq!(
        (&results[0]["data"], &results[0]["encoding"], &results[0]["stat"]["version"]),
        (&json!("/w=="), &json!("base64"), &json!(3))
    );
    let error = &results[1]["error"];
    assert_eq!(
        (&error["code"], &error["status"], &results[1]["path"]),
        (&json!("NO_NODE"), &json!(404), &json!("/none"))
    );
    assert_eq!(results[2], json!({"op": "exists", "path": "/none", "stat": null}));
    assert_eq!((&results[3]["children"][0]["name"], &results[3]["children"][0]["data"]), (&json!("c"), &json!("x")));
    assert_eq!(results[4]["acl"], json!([{"scheme": "world", "id": "anyone", "perms": "r"}]));
    // The next page can be asked for in either way.
    let token = results[3]["next_page_token"].as_str().unwrap();
    post(&gateway, json!([{"op": "children", "path": "/a", "page_token": token}])).await;
    let Some(Operation::MultiRead(asked)) = fake.asked().pop() else { panic!("no multi-read") };
    assert!(matches!(&asked.operations[0].operation, Some(Read::ListChildren(list)) if list.after == "c"));
}

#[tokio::test]
async fn an_operation_that_makes_no_sense_is_named() {
    let fake = server();
    let gateway = gateway(&fake);
    let fine = json!({"op": "delete", "path": "/a"});
    for (operation, code) in [
        (json!({"op": "nothing"}), "BAD_ARGUMENTS"),
        (json!({"path": "/a"}), "BAD_ARGUMENTS"),
        (json!("delete"), "BAD_ARGUMENTS"),
        (json!({"op": "delete", "path": "/a", "recursive": true}), "BAD_ARGUMENTS"),
        (json!({"op": "delete", "path": "/a", "version": 1, "mzxid": "0x1"}), "BAD_ARGUMENTS"),
        (json!({"op": "delete", "path": "/a", "mzxid": "1"}), "BAD_ARGUMENTS"),
        (json!({"op": "delete", "path": "a"}), "INVALID_PATH"),
        (json!({"op": "set", "path": "/a"}), "BAD_ARGUMENTS"),
        (json!({"op": "set", "path": "/a", "data": "", "version": 1, "upsert": true}), "BAD_ARGUMENTS"),
        (json!({"op": "check", "path": "/a", "version": 1, "not_exists": true}), "BAD_ARGUMENTS"),
        (json!({"op": "create", "path": "/a/", "data": ""}), "INVALID_PATH"),
        (json!({"op": "create", "path": "/a", "data": "", "mode": "ttl"}), "BAD_ARGUMENTS"),
        (json!({"op": "create", "path": "/a", "data": "!", "encoding": "base64"}), "BAD_ARGUMENTS"),
        (json!({"op": "set_acl", "path": "/a", "acl": [{"scheme": "world", "perms": "x"}]}), "INVALID_ACL"),
        (json!({"op": "get", "path": "/a"}), "BAD_ARGUMENTS"),
    ] {
        let answered = post(&gateway, json!([fine, operation])).await;
        assert_eq!(answered.verdict(), (400, code.to_owned()), "{operation}");
        assert_eq!(answered.json()["operation"], 1, "{operation}");
    }
    let read = json!({"op": "get", "path": "/a"});
    let mixed = post(&gateway, json!([read, fine])).await;
    assert_eq!((mixed.verdict().0, &mixed.json()["operation"], &mixed.json()["path"]), (400, &json!(1), &json!("/a")));
    for (uri, body) in [
        ("/v1/multi", "{}"),
        ("/v1/multi", r#"{"operations":{}}"#),
        ("/v1/multi", r#"{"operations":[],"all":true}"#),
        ("/v1/multi?consistency=local", r#"{"operations":[{"op":"delete","path":"/a"}]}"#),
    ] {
        let answered = send(&gateway, request("POST", uri).header("content-type", "application/json"), body).await;
        assert_eq!(answered.verdict(), (400, "BAD_ARGUMENTS".to_owned()), "{uri} {body}");
    }
    assert_eq!(fake.asked(), []);
}

#[tokio::test]
async fn a_multi_is_a_write_like_others() {
    let fake = server();
    let gateway = gateway(&fake);
    let request = request("POST", "/v1/multi")
        .header("content-type", "application/json")
        .header("idempotency-key", "7")
        .header("quorate-session", "0x5")
        .header("quorate-session-secret", "AAECAwQFBgcICQoLDA0ODw")
        .header("prefer", "return=minimal");
    let answered = send(&gateway, request, r#"{"operations":[{"op":"delete","path":"/a"}]}"#).await;
    assert_eq!((answered.status, answered.header("preference-applied")), (StatusCode::NO_CONTENT, "return=minimal"));
    let Some(Operation::Multi(asked)) = fake.asked().pop() else { panic!("no multi") };
    let options = asked.options.unwrap();
    assert_eq!((options.request_id.unwrap().sequence, options.session.unwrap().session_id), (7, 5));
    // Of nothing, it is one, too.
    assert_eq!(post(&gateway, json!([])).await.json()["results"], json!([]));
    assert!(matches!(fake.asked().pop(), Some(Operation::Multi(_))));
}
