//! `/v1/tree/{path}`.

use std::time::Duration;

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_subtree_is_one_document() {
    let fake = tree();
    let gateway = gateway(&fake);
    let answered = get(&gateway, "/v1/tree/t?with=data,acl&depth=1").await;
    assert_eq!((answered.status, answered.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(answered.header("quorate-zxid"), "0x5eed:0x10000000a");
    let document = answered.json();
    assert_eq!(
        (&document["path"], &document["zxid"], &document["truncated"]),
        (&json!("/t"), &json!("0x10000000a"), &json!(false))
    );
    let shown: Vec<Value> = document["znodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|znode| {
            json!([
                znode["path"],
                znode["data"],
                znode["encoding"],
                znode["mode"],
                znode["ttl_ms"],
                znode["stat"]["data_length"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!(["/t", null, "utf8", "persistent", null, 0]),
            json!(["/t/a", "text", "utf8", "ttl", 5, 4]),
            json!(["/t/b", "/w==", "base64", "container", null, 1]),
        ]
    );
    assert_eq!(document["znodes"][0]["acl"], json!([{"scheme": "world", "id": "anyone", "perms": "r"}]));
    let asked = fake.streamed().pop().unwrap();
    assert_eq!((asked.path.as_str(), asked.with_data, asked.with_acl, asked.depth_max), ("/t", true, true, Some(1)));
}

#[tokio::test]
async fn a_subtree_is_a_line_for_each_znode_and_one_for_the_end() {
    let fake = tree();
    let gateway = gateway(&fake);
    let lines = request("GET", "/v1/tree/?limit=2").header("accept", "application/x-ndjson");
    let answered = send(&gateway, lines, "").await;
    assert_eq!(answered.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answered.body.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!((&lines[1]["type"], &lines[1]["mode"], lines[1].get("data")), (&json!("znode"), &json!("ttl"), None));
    assert_eq!(lines[2], json!({"type": "end", "zxid": "0x10000000a", "znodes": 2, "truncated": true}));
    let asked = fake.streamed().pop().unwrap();
    assert_eq!((asked.path.as_str(), asked.with_data, asked.with_acl, asked.depth_max), ("/", false, false, None));
}

#[tokio::test]
async fn a_document_says_whether_it_has_all() {
    let gateway = gateway(&tree());
    for (limit, count, truncated) in [(1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false)] {
        let document = get(&gateway, &format!("/v1/tree/t?limit={limit}")).await.json();
        let shown = (document["znodes"].as_array().unwrap().len(), &document["truncated"]);
        assert_eq!(shown, (count, &json!(truncated)), "{limit}");
    }
}

#[tokio::test]
async fn what_cannot_be_streamed_is_a_problem() {
    let gateway = gateway(&tree());
    for (uri, status, code) in [
        ("/v1/tree/none", 404, "NO_NODE"),
        ("/v1/tree", 404, "NO_ROUTE"),
        ("/v1/tree/a//b", 400, "INVALID_PATH"),
        ("/v1/tree/a?limit=0", 400, "BAD_ARGUMENTS"),
        ("/v1/tree/a?depth=-1", 400, "BAD_ARGUMENTS"),
        ("/v1/tree/a?with=stat", 400, "BAD_ARGUMENTS"),
        ("/v1/tree/a?recursive=true", 400, "BAD_ARGUMENTS"),
    ] {
        assert_eq!(get(&gateway, uri).await.verdict(), (status, code.to_owned()), "{uri}");
    }
}

#[tokio::test]
async fn what_breaks_off_is_no_whole_document() {
    let gateway = gateway(&tree());
    let response = gateway.oneshot(request("GET", "/v1/tree/broken").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.expect_err("the body must break");
}

#[tokio::test]
async fn a_tree_that_is_not_read_is_given_up() {
    let config = Config { write_timeout: Duration::from_millis(300), event_streams_max: 1, ..Config::default() };
    let gateway = router(tree().client(), config);
    let endless = || request("GET", "/v1/tree/endless").body(Body::empty()).unwrap();
    let response = gateway.clone().oneshot(endless()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(get(&gateway, "/v1/tree/t").await.verdict(), (429, "THROTTLED".to_owned()));
    let given_up = async {
        while get(&gateway, "/v1/tree/t").await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), given_up).await.expect("its place is free again");
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return;
        }
    }
    panic!("the body has ended as if it were whole");
}
