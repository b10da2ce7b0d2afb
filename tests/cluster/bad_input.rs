//! What a client may get wrong within the protocols: each is answered with its typed error, and nothing changes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::Method;
use prost::Message;
use quorate_proto::v1;
use quorate_proto::v1::session_service_client::SessionServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::{Answer, Rest, Server};
use quorate_tests::report;
use tonic::metadata::BinaryMetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// A request (method, target, headers, body), and the status and the reason of its answer.
type Malformed<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn malformed_requests_by_http_are_answered_with_problems() {
    let server = Server::start();
    let rest = server.rest();
    let before = server.stats();
    let envelope = &[("content-type", "application/vnd.quorate+json")];
    let checks: &[Malformed<'_>] = &[
        (Method::GET, "/v1/znodes/%zz", &[], "", 400, "INVALID_PATH"),
        (Method::GET, "/v1/znodes/a%00b", &[], "", 400, "INVALID_PATH"),
        (Method::GET, "/v1/znodes/%ff%fe", &[], "", 400, "INVALID_PATH"),
        (Method::GET, "/v1/znodes/a//b", &[], "", 400, "INVALID_PATH"),
        (Method::GET, "/v1/znodes/a%2F%2Fb", &[], "", 400, "INVALID_PATH"),
        (Method::GET, "/v1/znodes/a%2F..%2Fb", &[], "", 400, "INVALID_PATH"),
        (Method::PUT, "/v1/znodes/trailing/", &[], "x", 400, "INVALID_PATH"),
        (Method::GET, "/v1/znodes/nowhere", &[], "", 404, "NO_NODE"),
        (Method::GET, "/v1/children/nowhere", &[], "", 404, "NO_NODE"),
        (Method::POST, "/v1/znodes/no/parent", &[], "x", 409, "NO_PARENT"),
        (Method::POST, "/v1/znodes/a?mode=eternal", &[], "x", 400, "BAD_ARGUMENTS"),
        (Method::POST, "/v1/znodes/a?mode=ttl", &[], "x", 400, "BAD_ARGUMENTS"),
        (Method::POST, "/v1/znodes/a?moed=ttl", &[], "x", 400, "BAD_ARGUMENTS"),
        (Method::POST, "/v1/znodes/a?mode=ephemeral", &[], "x", 409, "SESSION_REQUIRED"),
        (Method::PUT, "/v1/znodes/a?version=soon", &[], "x", 400, "BAD_ARGUMENTS"),
        (Method::PUT, "/v1/znodes/zookeeper?version=77", &[], "x", 412, "BAD_VERSION"),
        (Method::PUT, "/v1/znodes/a", envelope, "{\"data\":", 400, "BAD_ARGUMENTS"),
        (Method::PUT, "/v1/znodes/a", envelope, "[1,2]", 400, "BAD_ARGUMENTS"),
        (Method::PUT, "/v1/znodes/a", envelope, "{\"data\":\"x\",\"encoding\":\"rot13\"}", 400, "BAD_ARGUMENTS"),
        (Method::PUT, "/v1/znodes/a", &[("if-match", "no quotes")], "x", 400, "BAD_ARGUMENTS"),
        (Method::GET, "/v1/znodes/a", &[("quorate-min-zxid", "yesterday")], "", 400, "BAD_ARGUMENTS"),
        (Method::GET, "/v1/znodes/a", &[("quorate-session", "0x1")], "", 400, "BAD_ARGUMENTS"),
        (Method::GET, "/v1/watch", &[], "", 400, "BAD_ARGUMENTS"),
        (Method::GET, "/v1/watch?path=relative", &[], "", 400, "INVALID_PATH"),
        (Method::GET, "/v1/watch?path=/a&from=here", &[], "", 400, "BAD_ARGUMENTS"),
        (Method::GET, "/v1/children/?limit=0", &[], "", 400, "BAD_ARGUMENTS"),
        (Method::GET, "/v1/children/?page_token=forged", &[], "", 400, "BAD_ARGUMENTS"),
        (Method::DELETE, "/v1/znodes/", &[], "", 400, "BAD_ARGUMENTS"),
        (
            Method::POST,
            "/v1/sessions",
            &[("content-type", "application/json")],
            "{\"timeout\":1}",
            400,
            "BAD_ARGUMENTS",
        ),
        (Method::DELETE, "/v1/sessions/0x77", &[("quorate-session-secret", SECRET)], "", 409, "SESSION_EXPIRED"),
    ];
    for (method, target, headers, body, status, reason) in checks {
        let answer = rest.send(method.clone(), target, headers, *body).await.unwrap();
        check_problem(&answer, *status, reason, &format!("{method} {target} {body}"));
    }
    let wrong_method = rest.send(Method::PATCH, "/v1/znodes/a", &[], "").await.unwrap();
    assert_eq!(wrong_method.status, 405);
    assert_eq!(rest.get("/v2/nothing").await.unwrap().status, 404);
    too_much_by_http(&rest).await;
    assert_eq!(rest.get("/v1/znodes/a").await.unwrap().status, 404, "something was written");
    still_serves(&server).await;
    report::note(&format!(
        "bad input: {} malformed requests by HTTP; before: {before}; after: {}",
        checks.len() + 4,
        server.stats()
    ));
}

/// Sixteen bytes, as a client writes them.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODw";

async fn too_much_by_http(rest: &Rest) {
    let body = vec![b'x'; 1_000_001];
    let answer = rest.put("/v1/znodes/a", body).await.unwrap();
    check_problem(&answer, 413, "TOO_LARGE", "a byte too many");
    // A server may close the connection in the middle of so much.
    if let Ok(answer) = rest.put("/v1/znodes/a", vec![b'x'; 64 << 20]).await {
        assert_eq!(answer.status, 413);
    }
}

fn check_problem(answer: &Answer, status: u16, reason: &str, request: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!((answer.status.as_u16(), answer.reason().as_str()), (status, reason), "{request}: {text}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{request}");
}

#[tokio::test]
async fn malformed_requests_by_grpc_are_answered_with_reasons() {
    let server = Server::start();
    let channel = server.grpc().await;
    let mut znodes = ZnodeServiceClient::new(channel.clone());
    let get = |path: &str| v1::GetRequest { path: path.to_owned(), options: None };

    // Metadata that name a session badly.
    let id = |id: &str, secret: &[u8]| {
        let mut request = Request::new(get("/"));
        request.metadata_mut().insert("quorate-session-id", id.parse().unwrap());
        request.metadata_mut().insert_bin("quorate-session-secret-bin", BinaryMetadataValue::from_bytes(secret));
        request
    };
    check_status(&znodes.get(id("77", &[7; 16])).await.unwrap_err(), Code::FailedPrecondition, "SESSION_EXPIRED");
    check_status(&znodes.get(id("xyz", &[7; 16])).await.unwrap_err(), Code::InvalidArgument, "BAD_ARGUMENTS");
    check_status(&znodes.get(id("77", &[7; 3])).await.unwrap_err(), Code::InvalidArgument, "BAD_ARGUMENTS");

    // Another client's session.
    let opened = SessionServiceClient::new(channel.clone()).open(v1::OpenRequest { timeout_ms: 5_000 }).await;
    let opened = opened.unwrap().into_inner();
    let stolen = id(&format!("{:x}", opened.session_id), &[0; 16]);
    check_status(&znodes.get(stolen).await.unwrap_err(), Code::Unauthenticated, "AUTH_FAILED");
    let owned = id(&format!("{:x}", opened.session_id), &opened.secret);
    znodes.get(owned).await.unwrap();

    // Numbers that mean nothing.
    let unknown_mode = v1::CreateRequest { path: "/a".into(), mode: 99, ..v1::CreateRequest::default() };
    check_status(&znodes.create(unknown_mode).await.unwrap_err(), Code::InvalidArgument, "BAD_ARGUMENTS");
    let options = Some(v1::RequestOptions { consistency: 99, ..v1::RequestOptions::default() });
    let unknown = v1::GetRequest { path: "/".into(), options };
    check_status(&znodes.get(unknown).await.unwrap_err(), Code::InvalidArgument, "BAD_ARGUMENTS");
    let short_id = v1::RequestId { client_id: vec![1, 2, 3].into(), sequence: 1, acknowledged_through: 0 };
    let options = Some(v1::RequestOptions { request_id: Some(short_id), ..v1::RequestOptions::default() });
    let short = v1::CreateRequest { path: "/a".into(), options, ..v1::CreateRequest::default() };
    check_status(&znodes.create(short).await.unwrap_err(), Code::InvalidArgument, "BAD_ARGUMENTS");
    let no_acl = v1::SetAclRequest { path: "/".into(), ..v1::SetAclRequest::default() };
    check_status(&znodes.set_acl(no_acl).await.unwrap_err(), Code::InvalidArgument, "INVALID_ACL");

    // Far more than a message may hold.
    let data = Some(vec![0; 80 << 20].into());
    let huge = v1::SetDataRequest { path: "/".into(), data, ..v1::SetDataRequest::default() };
    let mut large = ZnodeServiceClient::new(channel.clone()).max_encoding_message_size(128 << 20);
    check_status(&large.set_data(huge).await.unwrap_err(), Code::InvalidArgument, "TOO_LARGE");
    znodes.get(get("/")).await.expect("the connection goes on");
    still_serves(&server).await;
}

#[tokio::test]
async fn an_expired_deadline_is_told_as_such() {
    let server = Server::start();
    for _ in 0..20 {
        let (status, details) = late_write(&server).await;
        assert_eq!((status.as_str(), details.contains("DEADLINE_EXCEEDED")), ("4", true), "{details}");
    }
    let mut znodes = ZnodeServiceClient::new(server.grpc().await);
    let root = znodes.get(v1::GetRequest { path: "/".into(), options: None }).await.unwrap().into_inner();
    assert_eq!(root.stat.unwrap().version, 0, "what was too late was done");
    still_serves(&server).await;
}

/// Sends a write whose deadline has passed when it arrives, by HTTP/2 alone: a gRPC client would not wait for the
/// answer. Answers the status and its details.
async fn late_write(server: &Server) -> (String, String) {
    let socket = tokio::net::TcpStream::connect(server.address("grpc")).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/quorate.v1.ZnodeService/SetData", server.address("grpc")))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "1n")
        .body(())
        .unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    let message = v1::SetDataRequest { path: "/".into(), ..v1::SetDataRequest::default() }.encode_to_vec();
    let length = (message.len() as u32).to_be_bytes();
    body.send_data([&[0], &length[..], &message].concat().into(), true).unwrap();
    let mut response = response.await.unwrap();
    let mut headers = response.headers().clone();
    if !headers.contains_key("grpc-status") {
        while let Some(data) = response.body_mut().data().await {
            data.unwrap();
        }
        headers = response.body_mut().trailers().await.unwrap().expect("a call ends with its status");
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let details = STANDARD_NO_PAD.decode(text("grpc-status-details-bin").trim_end_matches('=')).unwrap();
    (text("grpc-status"), String::from_utf8_lossy(&details).into_owned())
}

fn check_status(status: &Status, code: Code, reason: &str) {
    let info = status.get_details_error_info().map(|info| info.reason);
    assert_eq!((status.code(), info.as_deref()), (code, Some(reason)), "{status:?}");
}

/// Whether the server still reads and writes, by both doors.
pub(super) async fn still_serves(server: &Server) {
    let mut znodes = ZnodeServiceClient::new(server.grpc().await);
    let path = "/still-serves".to_owned();
    let request = v1::SetDataRequest { path: path.clone(), upsert: true, ..v1::SetDataRequest::default() };
    znodes.set_data(request).await.expect("the server still writes");
    znodes.get(v1::GetRequest { path, options: None }).await.expect("the server still reads");
    let answer = server.rest().get("/v1/znodes/still-serves").await.expect("the HTTP door still answers");
    assert_eq!(answer.status, 200);
}
