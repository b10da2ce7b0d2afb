//! gRPC-Web, from the bytes of an HTTP/1 client.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HOST,
    ORIGIN,
};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use prost::Message;
use quorate_proto::v1;
use quorate_types::{Reply, Stat, Zxid};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::script::Script;
use crate::connection::Connection;
use crate::grpc::{Config, Door};

const PAGE: &str = "https://page.example";
const GET: &str = "/quorate.v1.ZnodeService/Get";
const GRPC_WEB: &str = "application/grpc-web+proto";

fn door() -> (Script, Door) {
    Script::new(Config { web_origins: vec![PAGE.to_owned()], ..Config::default() })
}

async fn connect(door: &Door) -> SendRequest<Body> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (door, connection) = (door.clone(), Connection::new(None, &CancellationToken::new()));
    tokio::spawn(async move { door.serve(far, connection, CancellationToken::new()).await });
    let (client, connection) = handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A message in its envelope.
fn enveloped(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    [&[0], &(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()
}

fn get_a(content_type: &str, origin: Option<&str>) -> Request<Body> {
    let message = enveloped(&v1::GetRequest { path: "/a".into(), options: None });
    let mut request = Request::post(GET).header(HOST, "localhost").header(CONTENT_TYPE, content_type);
    if let Some(origin) = origin {
        request = request.header(ORIGIN, origin);
    }
    request.body(Body::new(http_body_util::Full::from(message))).unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Lets the replica answer the next call.
async fn answer(script: &mut Script) {
    let (tag, _) = script.call().await;
    script.answer(tag, Zxid(6), Ok(Reply::Data { data: Some("hello".into()), stat: Stat::default() }));
}

async fn call(client: &mut SendRequest<Body>, script: &mut Script, request: Request<Body>) -> Response<Incoming> {
    let (response, ()) = tokio::join!(client.send_request(request), answer(script));
    response.unwrap()
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_call_and_reads_the_trailers_in_the_body() {
    let (mut script, door) = door();
    let mut client = connect(&door).await;
    let question = Request::builder().method(Method::OPTIONS).uri(GET).header(HOST, "localhost").header(ORIGIN, PAGE);
    let question = question.header(ACCESS_CONTROL_REQUEST_METHOD, "POST").body(Body::empty()).unwrap();
    let told = client.send_request(question).await.unwrap();
    assert_eq!((told.status().as_u16(), text(told.headers(), ACCESS_CONTROL_ALLOW_ORIGIN.as_str())), (204, PAGE));
    assert!(text(told.headers(), ACCESS_CONTROL_ALLOW_HEADERS.as_str()).contains("x-grpc-web"));

    let response = call(&mut client, &mut script, get_a(GRPC_WEB, Some(PAGE))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(text(response.headers(), "content-type"), GRPC_WEB);
    assert_eq!(text(response.headers(), "access-control-allow-origin"), PAGE);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    let (message, trailers) = body[5..].split_at(length);
    assert_eq!(v1::GetResponse::decode(message).unwrap().data.as_deref(), Some(&b"hello"[..]));
    assert_eq!(trailers[0], 0x80, "after the message come the trailers");
    assert!(String::from_utf8_lossy(&trailers[5..]).contains("grpc-status:0"), "{trailers:?}");
}

#[tokio::test]
async fn pages_of_other_origins_may_not_call() {
    let (_script, door) = door();
    for origin in ["https://evil.example", "https://page.example:1", "http://localhost", "null", ""] {
        for content_type in [GRPC_WEB, "application/grpc"] {
            let mut client = connect(&door).await;
            let refused = client.send_request(get_a(content_type, Some(origin))).await.unwrap();
            assert_eq!((refused.status().as_u16(), refused.headers().get("access-control-allow-origin")), (403, None));
        }
    }
}

#[tokio::test]
async fn whoever_is_no_page_needs_no_origin() {
    let (mut script, door) = door();
    let mut client = connect(&door).await;
    let response = call(&mut client, &mut script, get_a(GRPC_WEB, None)).await;
    assert_eq!((response.status().as_u16(), response.headers().get("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn by_http_1_there_is_no_plain_grpc() {
    let (_script, door) = door();
    let mut client = connect(&door).await;
    for content_type in ["application/grpc", "application/grpc+proto", "text/plain"] {
        let refused = client.send_request(get_a(content_type, Some(PAGE))).await.unwrap();
        assert_eq!(refused.status(), 415, "{content_type}");
        refused.into_body().collect().await.unwrap();
    }
}
