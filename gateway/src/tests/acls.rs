//! `/v1/acls/{path}`, and ACLs of znodes that are created.

use serde_json::json;

use super::*;

fn entry(scheme: &str, id: &str, perms: u32) -> v1::AclEntry {
    v1::AclEntry { scheme: scheme.to_owned(), id: id.to_owned(), perms }
}

fn acl() -> v1::Acl {
    v1::Acl { entries: vec![entry("world", "anyone", 1), entry("digest", "bob:x", 31)] }
}

/// A tree in which every znode has `STAT` and `acl()`.
fn guarded() -> Fake {
    Fake::answering(|operation| match operation {
        Operation::GetAcl(get) if get.path == "/none" => fake::refusal(v1::ErrorReason::NoNode),
        Operation::GetAcl(_) => Reply::GetAcl(v1::GetAclResponse { acl: Some(acl()), stat: Some(STAT), header: None }),
        Operation::CheckAccess(check) if check.path == "/none" => fake::refusal(v1::ErrorReason::NoNode),
        Operation::CheckAccess(_) => {
            let entries = vec![entry("world", "anyone", 1), entry("world", "anyone", 4)];
            Reply::CheckAccess(v1::CheckAccessResponse { perms: 5, entries, header: None })
        }
        Operation::SetAcl(set) if set.path == "/none" => fake::refusal(v1::ErrorReason::NoNode),
        Operation::SetAcl(_) => Reply::SetAcl(v1::SetAclResponse { stat: Some(STAT), header: None }),
        Operation::Create(create) => {
            Reply::Create(v1::CreateResponse { path: create.path.clone(), stat: Some(STAT), header: None })
        }
        Operation::SetData(_) => Reply::SetData(v1::SetDataResponse { stat: Some(STAT), created: true, header: None }),
        _ => fake::refusal(v1::ErrorReason::Unimplemented),
    })
}

#[tokio::test]
async fn an_acl_is_shown_with_letters_and_a_tag() {
    let gateway = gateway(&guarded());
    let shown = get(&gateway, "/v1/acls/app/config").await;
    assert_eq!((shown.status, shown.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(shown.header("etag"), r#""acl-0x100000002-5""#);
    assert_eq!(shown.header("quorate-zxid"), "0x5eed:0x10000000a");
    let document = shown.json();
    assert_eq!((&document["path"], &document["zxid"]), (&json!("/app/config"), &json!("0x10000000a")));
    assert_eq!(
        document["acl"],
        json!([{"scheme": "world", "id": "anyone", "perms": "r"}, {"scheme": "digest", "id": "bob:x", "perms": "cdrwa"}])
    );
    assert_eq!(document["stat"]["aversion"], 5);
    let again = request("GET", "/v1/acls/").header("if-none-match", r#""acl-0x100000002-5""#);
    let again = send(&gateway, again, "").await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(get(&gateway, "/v1/acls/none").await.verdict(), (404, "NO_NODE".to_owned()));
}

#[tokio::test]
async fn an_acl_is_replaced_under_the_condition_that_the_caller_names() {
    use v1::set_acl_request::Precondition::Aversion;
    let fake = guarded();
    let gateway = gateway(&fake);
    let set = async |uri: &str, header: (&str, &str)| {
        let request = request("PUT", uri).header("content-type", "application/json").header(header.0, header.1);
        let set = send(&gateway, request, r#"{"acl":[{"scheme":"world","id":"anyone","perms":"rw"}]}"#).await;
        (set, fake.asked().pop())
    };
    for (uri, header, expected) in [
        ("/v1/acls/a", ("x-none", ""), None),
        ("/v1/acls/a", ("if-match", "*"), None),
        ("/v1/acls/a", ("if-match", r#""acl-0x100000002-5""#), Some(Aversion(5))),
        ("/v1/acls/a?aversion=7", ("x-none", ""), Some(Aversion(7))),
    ] {
        let (set, asked) = set(uri, header).await;
        assert_eq!(set.status, StatusCode::OK, "{uri} {header:?}");
        assert_eq!(set.header("etag"), r#""acl-0x100000002-5""#);
        assert_eq!((&set.json()["path"], &set.json()["stat"]["version"]), (&json!("/a"), &json!(3)));
        let Some(Operation::SetAcl(asked)) = asked else { panic!("{asked:?}") };
        assert_eq!(asked.acl.unwrap().entries, [entry("world", "anyone", 3)]);
        assert_eq!((asked.path.as_str(), asked.precondition), ("/a", expected), "{uri} {header:?}");
    }
    let (foreign, asked) = set("/v1/acls/a", ("if-match", r#""0x100000002""#)).await;
    assert_eq!((foreign.verdict(), asked), ((412, "BAD_VERSION".to_owned()), None));
    assert_eq!(set("/v1/acls/none", ("x-none", "")).await.0.verdict(), (404, "NO_NODE".to_owned()));
    assert_eq!(set("/v1/acls/none", ("if-match", "*")).await.0.verdict(), (412, "NO_NODE".to_owned()));
    let (minimal, _) = set("/v1/acls/a", ("prefer", "return=minimal")).await;
    assert_eq!((minimal.status, minimal.header("preference-applied")), (StatusCode::NO_CONTENT, "return=minimal"));
    let (named, asked) = set("/v1/acls/a", ("idempotency-key", "some-key")).await;
    let Some(Operation::SetAcl(asked)) = asked else { panic!("{asked:?}") };
    assert_eq!((named.status, asked.options.unwrap().request_id.unwrap().sequence), (StatusCode::OK, 1));
}

#[tokio::test]
async fn what_is_no_acl_is_refused_before_it_is_sent() {
    let fake = guarded();
    let gateway = gateway(&fake);
    for (uri, body, status, code) in [
        ("/v1/acls/a", "", 400, "BAD_ARGUMENTS"),
        ("/v1/acls/a", "{}", 400, "BAD_ARGUMENTS"),
        ("/v1/acls/a", r#"[{"scheme":"world","id":"anyone","perms":"r"}]"#, 400, "BAD_ARGUMENTS"),
        ("/v1/acls/a", r#"{"acl":[{"scheme":"world","id":"anyone","perms":"q"}]}"#, 400, "INVALID_ACL"),
        ("/v1/acls/a", r#"{"acl":[],"path":"/b"}"#, 400, "BAD_ARGUMENTS"),
        ("/v1/acls/a/", r#"{"acl":[]}"#, 400, "INVALID_PATH"),
        ("/v1/acls/a?version=1", r#"{"acl":[]}"#, 400, "BAD_ARGUMENTS"),
    ] {
        let refused = send(&gateway, request("PUT", uri).header("content-type", "application/json"), body).await;
        assert_eq!(refused.verdict(), (status, code.to_owned()), "{uri} {body}");
    }
    let text = send(&gateway, request("PUT", "/v1/acls/a"), r#"{"acl":[]}"#).await;
    assert_eq!(text.verdict(), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
    assert_eq!(fake.asked(), []);
}

#[tokio::test]
async fn the_envelope_says_who_may_do_what_with_a_new_znode() {
    let fake = guarded();
    let gateway = gateway(&fake);
    let body = r#"{"data":"x","acl":[{"scheme":"auth","perms":"cdrwa"}]}"#;
    for (method, condition) in [("POST", "x-none"), ("PUT", "x-none"), ("PUT", "if-none-match")] {
        let request = request(method, "/v1/znodes/a").header(condition, "*");
        let created = send(&gateway, request.header("content-type", "application/vnd.quorate+json"), body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{method} {condition}");
        let acl = match fake.asked().pop() {
            Some(Operation::Create(create)) => create.acl,
            Some(Operation::SetData(set)) => set.acl,
            other => panic!("{other:?}"),
        };
        assert_eq!(acl.unwrap().entries, [entry("auth", "", 31)], "{method} {condition}");
    }
}

#[tokio::test]
async fn a_caller_is_told_what_he_may_do_and_why() {
    let fake = guarded();
    let gateway = gateway(&fake);
    let ask = async |uri: &str, body: &str| {
        send(&gateway, request("POST", uri).header("content-type", "application/json"), body.to_owned()).await
    };
    for (perms, allowed) in [("r", true), ("rc", true), ("rw", false), ("a", false)] {
        let answered = ask("/v1/access-checks", &json!({"path": "/a", "perms": perms}).to_string()).await;
        assert_eq!(
            answered.json(),
            json!({"path": "/a", "zxid": "0x10000000a", "allowed": allowed, "granted": "cr", "entries": [
                {"scheme": "world", "id": "anyone", "perms": "r"}, {"scheme": "world", "id": "anyone", "perms": "c"}]}),
        );
    }
    fake.asked();
    ask("/v1/access-checks?consistency=linearizable", r#"{"path":"/a","perms":"r"}"#).await;
    let Some(Operation::CheckAccess(asked)) = fake.asked().pop() else { panic!("nothing was asked") };
    assert_eq!((asked.path.as_str(), asked.options.unwrap().consistency()), ("/a", v1::Consistency::Linearizable));
    for (body, status, code) in [
        (r#"{"path":"/none","perms":"r"}"#, 404, "NO_NODE"),
        (r#"{"path":"/a"}"#, 400, "BAD_ARGUMENTS"),
        (r#"{"path":"/a","perms":""}"#, 400, "BAD_ARGUMENTS"),
        (r#"{"path":"/a","perms":"x"}"#, 400, "BAD_ARGUMENTS"),
        (r#"{"path":"a","perms":"r"}"#, 400, "INVALID_PATH"),
    ] {
        assert_eq!(ask("/v1/access-checks", body).await.verdict(), (status, code.to_owned()), "{body}");
    }
}
