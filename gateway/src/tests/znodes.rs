//! `/v1/znodes`, `/v1/children` and `/v1/stats`.

use serde_json::json;

use super::*;

const ENVELOPE: &str = "application/vnd.quorate+json";

fn stat_json() -> Value {
    json!({
        "czxid": "0x100000002", "mzxid": "0x100000007", "pzxid": "0x100000009",
        "ctime": "2026-11-21T09:08:35.120Z", "ctime_ms": 1_795_252_115_120_i64,
        "mtime": "2026-11-21T09:10:02.007Z", "mtime_ms": 1_795_252_202_007_i64,
        "version": 3, "cversion": 4, "aversion": 5,
        "ephemeral_owner": null, "data_length": 5, "num_children": 2,
    })
}

fn only(fake: &Fake) -> Operation {
    let mut asked = fake.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked.remove(0)
}

#[tokio::test]
async fn a_read_answers_data_and_says_what_it_is() {
    let fake = tree();
    let answered = get(&gateway(&fake), "/v1/znodes/app/a%20b").await;
    assert_eq!((answered.status.as_u16(), &answered.body[..]), (200, &b"hello"[..]));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("etag", "\"0x100000007\""),
        ("quorate-zxid", "0x5eed:0x10000000a"),
        ("quorate-stat-czxid", "0x100000002"),
        ("quorate-stat-mzxid", "0x100000007"),
        ("quorate-stat-pzxid", "0x100000009"),
        ("quorate-stat-ctime-ms", "1795252115120"),
        ("quorate-stat-mtime-ms", "1795252202007"),
        ("quorate-stat-version", "3"),
        ("quorate-stat-cversion", "4"),
        ("quorate-stat-aversion", "5"),
        ("quorate-stat-ephemeral-owner", ""),
        ("quorate-stat-data-length", "5"),
        ("quorate-stat-num-children", "2"),
        ("x-content-type-options", "nosniff"),
        ("vary", "accept"),
        ("quorate-data-null", ""),
    ] {
        assert_eq!(answered.header(name), value, "{name}");
    }
    assert!(!answered.header("x-request-id").is_empty());
    let Operation::Get(asked) = only(&fake) else { panic!("not a get") };
    assert_eq!((asked.path.as_str(), asked.options), ("/app/a b", None));
}

#[tokio::test]
async fn null_data_is_told_from_empty_data() {
    let fake = Fake::answering(|_| {
        let stat = v1::Stat { ephemeral_owner: 0x1f, ..STAT };
        Reply::Get(v1::GetResponse { data: None, stat: Some(stat), header: None })
    });
    let gateway = gateway(&fake);
    let raw = get(&gateway, "/v1/znodes/").await;
    assert_eq!((raw.status.as_u16(), raw.body.len(), raw.header("quorate-data-null")), (200, 0, "true"));
    assert_eq!(raw.header("quorate-stat-ephemeral-owner"), "0x1f");
    let envelope = send(&gateway, request("GET", "/v1/znodes/").header("accept", ENVELOPE), "").await.json();
    assert_eq!((&envelope["data"], &envelope["path"]), (&Value::Null, &json!("/")));
    assert_eq!(envelope["stat"]["ephemeral_owner"], "0x1f");
}

#[tokio::test]
async fn whoever_accepts_the_envelope_gets_data_and_stat() {
    let answered = send(&gateway(&tree()), request("GET", "/v1/znodes/a").header("accept", ENVELOPE), "").await;
    assert_eq!(answered.header("content-type"), ENVELOPE);
    assert_eq!(answered.header("etag"), "\"0x100000007-0x100000009-5\"");
    assert_eq!(answered.json(), json!({ "path": "/a", "data": "hello", "encoding": "utf8", "stat": stat_json() }));
}

#[tokio::test]
async fn a_read_under_a_condition() {
    let gateway = gateway(&tree());
    let check = async |method: &str, name: &str, value: &str, accept: &str, expected: u16| {
        let builder = request(method, "/v1/znodes/a").header(name, value).header("accept", accept);
        let answered = send(&gateway, builder, "").await;
        assert_eq!(answered.status.as_u16(), expected, "{method} {name}: {value} ({accept})");
        if expected == 304 {
            assert!(answered.body.is_empty() && !answered.header("etag").is_empty());
        }
    };
    for method in ["GET", "HEAD"] {
        check(method, "if-none-match", "\"0x100000007\"", "*/*", 304).await;
        check(method, "if-none-match", "\"0x100000007-0x100000009-5\"", ENVELOPE, 304).await;
        check(method, "if-none-match", "\"0x100000007\"", ENVELOPE, 200).await;
        check(method, "if-none-match", "\"0x100000006\"", "*/*", 200).await;
        check(method, "if-none-match", "*", "*/*", 304).await;
        check(method, "if-match", "\"0x100000007\"", "*/*", 200).await;
        check(method, "if-match", "\"0x100000006\"", "*/*", 412).await;
    }
    let stats = request("GET", "/v1/stats/a").header("if-none-match", "\"0x100000007-0x100000009-5\"");
    assert_eq!(send(&gateway, stats, "").await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_head_asks_for_existence_alone() {
    let fake = tree();
    let answered = send(&gateway(&fake), request("HEAD", "/v1/znodes/a"), "").await;
    assert_eq!((answered.status.as_u16(), answered.body.len()), (200, 0));
    assert_eq!((answered.header("content-length"), answered.header("etag")), ("5", "\"0x100000007\""));
    assert!(matches!(only(&fake), Operation::Exists(_)));
    let missing = Fake::answering(|_| Reply::Exists(v1::ExistsResponse::default()));
    let answered = send(&gateway(&missing), request("HEAD", "/v1/znodes/a"), "").await;
    assert_eq!((answered.status.as_u16(), answered.body.len()), (404, 0));
    assert_eq!(get(&gateway(&missing), "/v1/stats/a").await.verdict(), (404, "NO_NODE".to_owned()));
}

#[tokio::test]
async fn a_write_creates_or_sets() {
    let set = |created| {
        Fake::answering(move |_| Reply::SetData(v1::SetDataResponse { stat: Some(STAT), created, header: None }))
    };
    let fake = set(false);
    let answered = send(&gateway(&fake), request("PUT", "/v1/znodes/a/b"), "data").await;
    assert_eq!((answered.status.as_u16(), answered.header("location")), (200, ""));
    assert_eq!(answered.json(), json!({ "path": "/a/b", "stat": stat_json() }));
    assert_eq!(answered.header("etag"), "\"0x100000007\"");
    let Operation::SetData(asked) = only(&fake) else { panic!("not a set") };
    assert_eq!((asked.path.as_str(), asked.data.as_deref()), ("/a/b", Some(&b"data"[..])));
    assert_eq!((asked.upsert, asked.precondition), (true, None));

    let answered = send(&gateway(&set(true)), request("PUT", "/v1/znodes/a/ü%20b"), "").await;
    assert_eq!((answered.status.as_u16(), answered.header("location")), (201, "/v1/znodes/a/%C3%BC%20b"));
}

#[tokio::test]
async fn conditions_of_a_write_are_judged_by_the_leader() {
    use v1::set_data_request::Precondition;
    let fake = tree();
    let gateway = gateway(&fake);
    let check = async |uri: &str, name: &str, value: &str, expected: (bool, Option<Precondition>)| {
        let answered = send(&gateway, request("PUT", uri).header(name, value), "x").await;
        assert_eq!(answered.status.as_u16(), 200);
        let Operation::SetData(asked) = only(&fake) else { panic!("not a set") };
        assert_eq!((asked.upsert, asked.precondition), expected, "{uri} {name}: {value}");
    };
    check("/v1/znodes/a", "x", "", (true, None)).await;
    check("/v1/znodes/a", "if-match", "\"0x100000007\"", (false, Some(Precondition::Mzxid(0x1_0000_0007)))).await;
    check("/v1/znodes/a", "if-match", "\"0x7-0x9-0\"", (false, Some(Precondition::Mzxid(7)))).await;
    check("/v1/znodes/a", "if-match", "*", (false, None)).await;
    check("/v1/znodes/a?version=3", "x", "", (false, Some(Precondition::Version(3)))).await;

    let answered = send(&gateway, request("PUT", "/v1/znodes/a").header("if-none-match", "*"), "x").await;
    assert_eq!((answered.status.as_u16(), answered.header("location")), (201, "/v1/znodes/a"));
    assert!(matches!(only(&fake), Operation::Create(_)));
    let never = send(&gateway, request("PUT", "/v1/znodes/a").header("if-match", "\"theirs\""), "x").await;
    assert_eq!(never.verdict(), (412, "BAD_VERSION".to_owned()));
    assert_eq!(fake.asked().len(), 0);
}

#[tokio::test]
async fn what_fails_a_condition_is_412() {
    use v1::ErrorReason::{BadVersion, NoNode, NodeExists};
    let check =
        async |method: &str, uri: &str, condition: (&str, &str), reason: v1::ErrorReason, expected: (u16, &str)| {
            let builder = request(method, uri).header(condition.0, condition.1);
            let (status, code) = send(&gateway(&Fake::refusing(reason)), builder, "x").await.verdict();
            assert_eq!((status, code.as_str()), expected, "{method} {uri} {condition:?}");
        };
    let tag = ("if-match", "\"0x7\"");
    let none = ("x-none", "");
    check("PUT", "/v1/znodes/a", tag, BadVersion, (412, "BAD_VERSION")).await;
    check("PUT", "/v1/znodes/a", tag, NoNode, (412, "NO_NODE")).await;
    check("PUT", "/v1/znodes/a", ("if-match", "*"), NoNode, (412, "NO_NODE")).await;
    check("PUT", "/v1/znodes/a", ("if-none-match", "*"), NodeExists, (412, "NODE_EXISTS")).await;
    check("PUT", "/v1/znodes/a?version=1", none, BadVersion, (412, "BAD_VERSION")).await;
    check("PUT", "/v1/znodes/a?version=1", none, NoNode, (404, "NO_NODE")).await;
    check("POST", "/v1/znodes/a", none, NodeExists, (409, "NODE_EXISTS")).await;
    check("POST", "/v1/znodes/a", ("if-none-match", "*"), NodeExists, (412, "NODE_EXISTS")).await;
    check("DELETE", "/v1/znodes/a", tag, NoNode, (412, "NO_NODE")).await;
    check("DELETE", "/v1/znodes/a", none, NoNode, (404, "NO_NODE")).await;
}

#[tokio::test]
async fn an_envelope_is_written_as_what_it_holds() {
    let fake = tree();
    let gateway = gateway(&fake);
    let written = async |content_type: &str, body: &'static str| {
        let answered = send(&gateway, request("PUT", "/v1/znodes/a").header("content-type", content_type), body).await;
        assert_eq!(answered.status.as_u16(), 200, "{body}: {answered:?}");
        let Operation::SetData(asked) = only(&fake) else { panic!("not a set") };
        asked.data
    };
    let bytes = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    assert_eq!(written(ENVELOPE, r#"{"data":"hü"}"#).await, bytes("hü".as_bytes()));
    assert_eq!(written(ENVELOPE, r#"{"data":"AP8=","encoding":"base64"}"#).await, bytes(b"\x00\xff"));
    assert_eq!(written(ENVELOPE, r#"{"data":null}"#).await, None);
    assert_eq!(written("application/json", r#"{"data":null}"#).await, bytes(br#"{"data":null}"#));
    assert_eq!(written("application/json", "").await, bytes(b""));
}

#[tokio::test]
async fn a_writer_gets_as_much_as_it_prefers() {
    let gateway = gateway(&tree());
    let put = async |prefer: &str, accept: &str| {
        let builder = request("PUT", "/v1/znodes/a").header("prefer", prefer).header("accept", accept);
        send(&gateway, builder, "sent").await
    };
    let minimal = put("return=minimal", "*/*").await;
    assert_eq!((minimal.status.as_u16(), minimal.body.len()), (204, 0));
    assert_eq!((minimal.header("preference-applied"), minimal.header("etag")), ("return=minimal", "\"0x100000007\""));
    let raw = put("return=representation", "*/*").await;
    assert_eq!((raw.status.as_u16(), &raw.body[..]), (200, &b"sent"[..]));
    assert_eq!(raw.header("content-type"), "application/octet-stream");
    let envelope = put("return=representation", ENVELOPE).await;
    assert_eq!((&envelope.json()["data"], envelope.header("content-type")), (&json!("sent"), ENVELOPE));
    let created = request("POST", "/v1/znodes/a").header("prefer", "return=minimal");
    let created = send(&gateway, created, "x").await;
    assert_eq!((created.status.as_u16(), created.body.len(), created.header("location")), (201, 0, "/v1/znodes/a"));
}

#[tokio::test]
async fn every_mode_of_create_reaches_the_server() {
    use v1::CreateMode as Mode;
    let fake = tree();
    let gateway = gateway(&fake);
    for (query, mode, ttl_ms, parents) in [
        ("", Mode::Persistent, 0, false),
        ("?mode=persistent&parents=true", Mode::Persistent, 0, true),
        ("?mode=sequential", Mode::PersistentSequential, 0, false),
        ("?mode=persistent-sequential", Mode::PersistentSequential, 0, false),
        ("?mode=ephemeral", Mode::Ephemeral, 0, false),
        ("?mode=ephemeral-sequential", Mode::EphemeralSequential, 0, false),
        ("?mode=container", Mode::Container, 0, false),
        ("?mode=ttl&ttl_ms=5000", Mode::Ttl, 5_000, false),
        ("?ttl_ms=1&mode=ttl-sequential", Mode::TtlSequential, 1, false),
    ] {
        let answered = send(&gateway, request("POST", &format!("/v1/znodes/q{query}")), "d").await;
        assert_eq!(answered.status.as_u16(), 201, "{query}");
        let Operation::Create(asked) = only(&fake) else { panic!("not a create") };
        assert_eq!((asked.mode(), asked.ttl_ms, asked.create_parents), (mode, ttl_ms, parents), "{query}");
    }
    for query in ["?mode=ttl", "?ttl_ms=5", "?mode=weird", "?mode=ttl&ttl_ms=-1", "?mode=ttl&ttl_ms=x", "?modus=ttl"] {
        let answered = send(&gateway, request("POST", &format!("/v1/znodes/q{query}")), "d").await;
        assert_eq!(answered.verdict(), (400, "BAD_ARGUMENTS".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn a_sequential_create_answers_the_name_it_made() {
    let fake = Fake::answering(|_| {
        Reply::Create(v1::CreateResponse { path: "/q/0000000007".to_owned(), stat: Some(STAT), header: None })
    });
    let gateway = gateway(&fake);
    let answered = send(&gateway, request("POST", "/v1/znodes/q/?mode=sequential"), "").await;
    assert_eq!((answered.status.as_u16(), answered.header("location")), (201, "/v1/znodes/q/0000000007"));
    assert_eq!(answered.json()["path"], "/q/0000000007");
    let Operation::Create(asked) = only(&fake) else { panic!("not a create") };
    assert_eq!(asked.path, "/q/");
    let answered = send(&gateway, request("POST", "/v1/znodes/q/"), "").await;
    assert_eq!(answered.verdict(), (400, "INVALID_PATH".to_owned()));
}

#[tokio::test]
async fn a_delete_says_how_many_went() {
    use v1::delete_request::Precondition;
    let fake = Fake::answering(|_| Reply::Delete(v1::DeleteResponse { deleted: 7, header: None }));
    let gateway = gateway(&fake);
    let check = async |query: &str, tag: &str, expected: (Option<Precondition>, bool, u32)| {
        let mut builder = request("DELETE", &format!("/v1/znodes/a{query}"));
        if !tag.is_empty() {
            builder = builder.header("if-match", tag);
        }
        let answered = send(&gateway, builder, "").await;
        assert_eq!((answered.status.as_u16(), answered.header("quorate-deleted")), (204, "7"));
        assert_eq!(answered.header("quorate-zxid"), "0x5eed:0x10000000a");
        let Operation::Delete(asked) = only(&fake) else { panic!("not a delete") };
        assert_eq!((asked.precondition, asked.recursive, asked.recursive_max), expected, "{query} {tag}");
    };
    check("", "", (None, false, 0)).await;
    check("", "*", (None, false, 0)).await;
    check("", "\"0x7\"", (Some(Precondition::Mzxid(7)), false, 0)).await;
    check("?version=2", "", (Some(Precondition::Version(2)), false, 0)).await;
    check("?recursive=true", "", (None, true, 0)).await;
    check("?recursive=true&max=50", "", (None, true, 50)).await;
    for query in
        ["?max=5", "?recursive=true&max=0", "?recursive=yes", "?recusive=true", "?recursive=true&recursive=true"]
    {
        let answered = send(&gateway, request("DELETE", &format!("/v1/znodes/a{query}")), "").await;
        assert_eq!(answered.verdict(), (400, "BAD_ARGUMENTS".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn children_come_in_pages() {
    let fake = Fake::answering(|operation| {
        let Operation::ListChildren(asked) = operation else { panic!("{operation:?}") };
        let names = ["a", "b", "c"].into_iter().filter(|name| *name > asked.after.as_str());
        let children: Vec<_> = names
            .map(|name| v1::Child {
                name: name.to_owned(),
                // Nobody may read `b`.
                stat: (asked.with_stat || (asked.with_data && name != "b")).then_some(STAT),
                data: (asked.with_data && name == "a").then(|| Bytes::from_static(b"\xff")),
            })
            .collect();
        let more = children.len() > 2;
        let children = children.into_iter().take(2).collect();
        Reply::ListChildren(v1::ListChildrenResponse { children, stat: Some(STAT), more, header: None })
    });
    let gateway = gateway(&fake);
    let first = get(&gateway, "/v1/children/q?limit=2").await.json();
    assert_eq!(first["children"], json!([{ "name": "a" }, { "name": "b" }]));
    assert_eq!((&first["path"], &first["zxid"], &first["stat"]), (&json!("/q"), &json!("0x10000000a"), &stat_json()));
    let token = first["next_page_token"].as_str().unwrap();
    let Operation::ListChildren(asked) = only(&fake) else { panic!("not a listing") };
    assert_eq!((asked.limit, asked.after.as_str(), asked.with_stat, asked.with_data), (2, "", false, false));

    let second = get(&gateway, &format!("/v1/children/q?page_token={token}")).await.json();
    assert_eq!((&second["children"], &second["next_page_token"]), (&json!([{ "name": "c" }]), &Value::Null));
    let other = get(&gateway, &format!("/v1/children/other?page_token={token}")).await;
    assert_eq!(other.verdict(), (400, "BAD_ARGUMENTS".to_owned()));

    let with_data = get(&gateway, "/v1/children/?with=data").await.json();
    let a = json!({ "name": "a", "stat": stat_json(), "data": "/w==", "encoding": "base64" });
    assert_eq!(with_data["children"], json!([a, { "name": "b" }]));
    let both = get(&gateway, "/v1/children/?with=stat,data&consistency=local").await.json();
    assert_eq!(both["children"][1]["data"], Value::Null);
    for query in
        ["limit=0", "limit=10001", "limit=x", "with=acl", "with=", "page_token=AAAA", "after=a", "limit=1&limit=2"]
    {
        let answered = get(&gateway, &format!("/v1/children/q?{query}")).await;
        assert_eq!(answered.verdict(), (400, "BAD_ARGUMENTS".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn stats_are_read_alone() {
    let answered = get(&gateway(&tree()), "/v1/stats/a").await;
    assert_eq!(answered.json(), json!({ "path": "/a", "zxid": "0x10000000a", "stat": stat_json() }));
    assert_eq!(answered.header("etag"), "\"0x100000007-0x100000009-5\"");
}

#[tokio::test]
async fn what_a_request_asks_for_besides_reaches_the_server() {
    let fake = tree();
    let gateway = gateway(&fake);
    let session = [("quorate-session", "0x1f"), ("quorate-session-secret", "AAECAwQFBgcICQoLDA0ODw")];
    let span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut read = request("GET", "/v1/znodes/a?consistency=linearizable")
        .header("quorate-min-zxid", "0x5eed:0x100000003")
        .header("traceparent", span);
    let mut write = request("PUT", "/v1/znodes/a").header("idempotency-key", "7");
    for (name, value) in session {
        read = read.header(name, value);
        write = write.header(name, value);
    }
    send(&gateway, read, "").await;
    let Operation::Get(asked) = only(&fake) else { panic!("not a get") };
    let options = asked.options.unwrap();
    assert_eq!(options.consistency(), v1::Consistency::Linearizable);
    assert_eq!(options.min_zxid, Some(v1::ZxidBound { cluster_id: 0x5eed, zxid: 0x1_0000_0003 }));
    assert_eq!(options.traceparent, span);
    let credential = options.session.unwrap();
    assert_eq!((credential.session_id, credential.secret.to_vec()), (0x1f, (0..16).collect::<Vec<u8>>()));

    send(&gateway, write, "").await;
    let Operation::SetData(asked) = only(&fake) else { panic!("not a set") };
    let id = asked.options.unwrap().request_id.unwrap();
    assert_eq!((id.client_id.len(), id.sequence, id.acknowledged_through), (0, 7, 0));
    for builder in [request("POST", "/v1/znodes/a"), request("DELETE", "/v1/znodes/a")] {
        send(&gateway, builder.header("idempotency-key", "0b6f1d5e-8a2e-4c39"), "").await;
        let options = match only(&fake) {
            Operation::Create(asked) => asked.options,
            Operation::Delete(asked) => asked.options,
            other => panic!("{other:?}"),
        };
        let id = options.unwrap().request_id.unwrap();
        assert_eq!((id.client_id.len(), id.sequence), (16, 1));
    }
}
