//! The routes from HTTP to gRPC and back, against a server that answers what each test says.

mod acls;
mod browsers;
mod cluster;
mod connections;
mod event_streams;
mod fake;
mod limits;
mod multi;
mod operations;
mod problems;
mod sessions;
mod trees;
mod znodes;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use quorate_proto::v1;
use serde_json::Value;
use tower::ServiceExt;

use self::fake::{Fake, Operation, Reply};
use crate::{Config, router};

/// A stat whose fields all differ.
const STAT: v1::Stat = v1::Stat {
    czxid: 0x1_0000_0002,
    mzxid: 0x1_0000_0007,
    pzxid: 0x1_0000_0009,
    ctime_ms: 1_795_252_115_120,
    mtime_ms: 1_795_252_202_007,
    version: 3,
    cversion: 4,
    aversion: 5,
    ephemeral_owner: 0,
    data_length: 5,
    num_children: 2,
};

/// An answer, read to its end.
#[derive(Debug)]
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The status and, if it is a problem, the code.
    fn verdict(&self) -> (u16, String) {
        let is_problem = self.header("content-type") == "application/problem+json";
        let code = is_problem.then(|| self.json()["code"].as_str().unwrap().to_owned());
        (self.status.as_u16(), code.unwrap_or_default())
    }
}

/// A gateway before `fake`.
fn gateway(fake: &Fake) -> Router {
    router(fake.client(), Config::default())
}

async fn send(gateway: &Router, request: Builder, body: impl Into<Body>) -> Answered {
    let response = gateway.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Answered { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

fn request(method: &str, uri: &str) -> Builder {
    Request::builder().method(method).uri(uri)
}

async fn get(gateway: &Router, uri: &str) -> Answered {
    send(gateway, request("GET", uri), Body::empty()).await
}

/// A tree in which every znode has `STAT` and holds `hello`.
fn tree() -> Fake {
    Fake::answering(|operation| match operation {
        Operation::Get(_) => {
            Reply::Get(v1::GetResponse { data: Some(Bytes::from_static(b"hello")), stat: Some(STAT), header: None })
        }
        Operation::Exists(_) => Reply::Exists(v1::ExistsResponse { stat: Some(STAT), header: None }),
        Operation::SetData(_) => Reply::SetData(v1::SetDataResponse { stat: Some(STAT), created: false, header: None }),
        Operation::Create(create) => {
            Reply::Create(v1::CreateResponse { path: create.path.clone(), stat: Some(STAT), header: None })
        }
        Operation::Delete(_) => Reply::Delete(v1::DeleteResponse { deleted: 1, header: None }),
        Operation::ListChildren(_) => Reply::ListChildren(v1::ListChildrenResponse {
            children: Vec::new(),
            stat: Some(STAT),
            more: false,
            header: None,
        }),
        _ => fake::refusal(v1::ErrorReason::Unimplemented),
    })
}
