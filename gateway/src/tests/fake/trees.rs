//! The fake's trees. Everything else about znodes comes by the Channel.

use quorate_proto::v1;
use tonic::{Code, Request, Response, Status};
use v1::znode_service_server::ZnodeService;

use super::{Fake, Streamed, ZXID, header, refused};

/// A stat that says of itself only how long its znode's data is.
fn stat(data: &[u8]) -> Option<v1::Stat> {
    Some(v1::Stat { data_length: data.len() as u32, ..v1::Stat::default() })
}

fn part(nodes: Vec<v1::TreeNode>) -> Result<v1::StreamTreeResponse, Status> {
    Ok(v1::StreamTreeResponse { header: header(), zxid: ZXID, nodes })
}

fn by_channel<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the gateway uses the Channel"))
}

#[tonic::async_trait]
impl ZnodeService for Fake {
    type StreamTreeStream = Streamed<v1::StreamTreeResponse>;

    /// Three znodes in two parts, one of each kind of data. `/none` is not there, `/broken` breaks off after its first
    /// part, and `/endless` has no end.
    async fn stream_tree(
        &self,
        request: Request<v1::StreamTreeRequest>,
    ) -> Result<Response<Self::StreamTreeStream>, Status> {
        let request = request.into_inner();
        self.0.streamed.lock().unwrap().push(request.clone());
        let path = request.path.as_str();
        if path == "/none" {
            return Err(refused(Code::NotFound, "NO_NODE"));
        }
        let node = |name: &str, data: &'static [u8], mode: v1::CreateMode| v1::TreeNode {
            path: format!("{path}{name}"),
            stat: stat(data),
            data: (request.with_data && !data.is_empty()).then(|| data.into()),
            acl: request.with_acl.then(|| v1::Acl {
                entries: vec![v1::AclEntry { perms: 1, scheme: "world".to_owned(), id: "anyone".to_owned() }],
            }),
            mode: mode.into(),
            ttl_ms: if mode == v1::CreateMode::Ttl { 5 } else { 0 },
        };
        let first = vec![node("", b"", v1::CreateMode::Persistent), node("/a", b"text", v1::CreateMode::Ttl)];
        let rest = match path {
            "/broken" => vec![Err(refused(Code::Aborted, "LAGGED"))],
            _ => vec![part(vec![node("/b", b"\xff", v1::CreateMode::Container)])],
        };
        let parts = std::iter::once(part(first.clone())).chain(rest);
        Ok(Response::new(match path {
            "/endless" => Box::pin(tokio_stream::iter(std::iter::repeat_with(move || part(first.clone())))),
            _ => Box::pin(tokio_stream::iter(parts.collect::<Vec<_>>())),
        }))
    }

    async fn create(&self, _: Request<v1::CreateRequest>) -> Result<Response<v1::CreateResponse>, Status> {
        by_channel()
    }

    async fn get(&self, _: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        by_channel()
    }

    async fn exists(&self, _: Request<v1::ExistsRequest>) -> Result<Response<v1::ExistsResponse>, Status> {
        by_channel()
    }

    async fn set_data(&self, _: Request<v1::SetDataRequest>) -> Result<Response<v1::SetDataResponse>, Status> {
        by_channel()
    }

    async fn delete(&self, _: Request<v1::DeleteRequest>) -> Result<Response<v1::DeleteResponse>, Status> {
        by_channel()
    }

    async fn list_children(
        &self,
        _: Request<v1::ListChildrenRequest>,
    ) -> Result<Response<v1::ListChildrenResponse>, Status> {
        by_channel()
    }

    async fn get_acl(&self, _: Request<v1::GetAclRequest>) -> Result<Response<v1::GetAclResponse>, Status> {
        by_channel()
    }

    async fn set_acl(&self, _: Request<v1::SetAclRequest>) -> Result<Response<v1::SetAclResponse>, Status> {
        by_channel()
    }

    async fn multi(&self, _: Request<v1::MultiRequest>) -> Result<Response<v1::MultiResponse>, Status> {
        by_channel()
    }

    async fn multi_read(&self, _: Request<v1::MultiReadRequest>) -> Result<Response<v1::MultiReadResponse>, Status> {
        by_channel()
    }

    async fn sync(&self, _: Request<v1::SyncRequest>) -> Result<Response<v1::SyncResponse>, Status> {
        by_channel()
    }

    async fn get_ephemerals(
        &self,
        _: Request<v1::GetEphemeralsRequest>,
    ) -> Result<Response<v1::GetEphemeralsResponse>, Status> {
        by_channel()
    }

    async fn check_access(
        &self,
        _: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        by_channel()
    }

    async fn count_descendants(
        &self,
        _: Request<v1::CountDescendantsRequest>,
    ) -> Result<Response<v1::CountDescendantsResponse>, Status> {
        by_channel()
    }
}
