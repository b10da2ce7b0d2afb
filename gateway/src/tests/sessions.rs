//! `/v1/sessions`.

use serde_json::json;

use super::*;

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODw";

fn sessions(state: v1::SessionState) -> Fake {
    Fake::answering(move |operation| match operation {
        Operation::Open(open) => Reply::Open(v1::OpenResponse {
            session_id: 0x1f,
            secret: (0..16).collect::<Vec<u8>>().into(),
            timeout_ms: open.timeout_ms.max(1_000),
            header: None,
        }),
        Operation::KeepAlive(_) => {
            Reply::KeepAlive(v1::KeepAliveResponse { state: state.into(), timeout_ms: 4_000, header: None })
        }
        Operation::Close(_) => Reply::Close(v1::CloseResponse::default()),
        other => panic!("{other:?}"),
    })
}

fn named(method: &str, uri: &str) -> Builder {
    request(method, uri).header("quorate-session-secret", SECRET)
}

#[tokio::test]
async fn without_a_wish_a_session_has_the_default_timeout() {
    let fake = sessions(v1::SessionState::Alive);
    let gateway = gateway(&fake);
    assert_eq!(send(&gateway, request("POST", "/v1/sessions"), "").await.json()["timeout_ms"], 30_000);
    for body in ["", "null", "{}", r#"{"timeout_ms":null}"#] {
        let builder = request("POST", "/v1/sessions").header("content-type", "application/json");
        let opened = send(&gateway, builder, body).await;
        assert_eq!((opened.status.as_u16(), &opened.json()["timeout_ms"]), (201, &json!(30_000)), "{body}");
    }
}

#[tokio::test]
async fn a_session_is_opened_kept_and_closed() {
    let fake = sessions(v1::SessionState::Alive);
    let gateway = gateway(&fake);
    let builder = request("POST", "/v1/sessions").header("content-type", "application/json");
    let opened = send(&gateway, builder, r#"{"timeout_ms":5000}"#).await;
    assert_eq!((opened.status.as_u16(), opened.header("location")), (201, "/v1/sessions/0x1f"));
    assert_eq!(opened.json(), json!({ "session_id": "0x1f", "secret": SECRET, "timeout_ms": 5_000 }));
    assert_eq!(opened.header("cache-control"), "no-store");

    let living = json!({ "session_id": "0x1f", "timeout_ms": 4_000 });
    let kept = send(&gateway, named("POST", "/v1/sessions/0x1f/keepalive"), "").await;
    assert_eq!((kept.status.as_u16(), kept.json()), (200, living.clone()));
    let read = send(&gateway, named("GET", "/v1/sessions/0x1f"), "").await;
    assert_eq!((read.status.as_u16(), read.json()), (200, living));
    let closed = send(&gateway, named("DELETE", "/v1/sessions/0x1f"), "").await;
    assert_eq!((closed.status.as_u16(), closed.body.len()), (204, 0));

    let asked = fake.asked();
    assert!(matches!(&asked[0], Operation::Open(open) if open.timeout_ms == 5_000));
    let secret = (0..16).collect::<Vec<u8>>();
    for operation in &asked[1..] {
        let session = match operation {
            Operation::KeepAlive(kept) => kept.session.as_ref(),
            Operation::Close(closed) => closed.session.as_ref(),
            other => panic!("{other:?}"),
        };
        assert_eq!(session.map(|session| (session.session_id, session.secret.to_vec())), Some((0x1f, secret.clone())));
    }
}

#[tokio::test]
async fn a_session_that_ended_is_a_problem() {
    for (state, code) in [(v1::SessionState::Expired, "SESSION_EXPIRED"), (v1::SessionState::Moved, "SESSION_MOVED")] {
        let answered = send(&gateway(&sessions(state)), named("GET", "/v1/sessions/0x1f"), "").await;
        assert_eq!(answered.verdict(), (409, code.to_owned()));
    }
}

#[tokio::test]
async fn what_names_no_session_is_refused() {
    let fake = sessions(v1::SessionState::Alive);
    let gateway = gateway(&fake);
    let bad = (400, "BAD_ARGUMENTS".to_owned());
    assert_eq!(send(&gateway, request("GET", "/v1/sessions/0x1f"), "").await.verdict(), bad);
    for id in ["31", "0x", "x", "0x0", "%ff", "0x1f%2Fkeepalive"] {
        assert_eq!(send(&gateway, named("GET", &format!("/v1/sessions/{id}")), "").await.verdict(), bad, "{id}");
    }
    let other = named("DELETE", "/v1/sessions/0x1f").header("quorate-session", "0x2f");
    assert_eq!(send(&gateway, other, "").await.verdict(), bad);
    let open = |content_type: &str| request("POST", "/v1/sessions").header("content-type", content_type);
    let form = send(&gateway, open("application/x-www-form-urlencoded"), "timeout_ms=1").await;
    assert_eq!(form.verdict(), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
    for body in ["{", "[]", r#"{"timeout":1}"#, r#"{"timeout_ms":-1}"#, r#"{"timeout_ms":0}"#, r#"{"timeout_ms":"1"}"#]
    {
        assert_eq!(send(&gateway, open("application/json"), body).await.verdict(), bad, "{body}");
    }
    assert_eq!(fake.asked().len(), 0);
}
