//! `grpc.reflection`, in both of the versions that tools speak: lets them discover the contract.

use std::convert::Infallible;

use http::{Request, Response};
use quorate_proto::v1;
use tonic::body::Body;
use tonic_reflection::pb;
use tonic_reflection::server::Builder;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::receiving::OWN_BYTES;
use super::route::Arriving;

type Server = BoxCloneSyncService<Request<Arriving>, Response<Body>, Infallible>;

/// What is told of the contract, the same to everybody.
#[derive(Clone)]
pub(super) struct Reflection {
    v1: Server,
    v1alpha: Server,
}

impl Reflection {
    /// Knows every service of this door.
    ///
    /// # Panics
    /// If the descriptors that are compiled in cannot be read, which every start and every test would show.
    pub(super) fn new() -> Reflection {
        let builder = || {
            Builder::configure()
                .include_reflection_service(false)
                .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(pb::v1::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(pb::v1alpha::FILE_DESCRIPTOR_SET)
        };
        let readable = "the descriptors were compiled in";
        Reflection {
            v1: BoxCloneSyncService::new(builder().build_v1().expect(readable).max_decoding_message_size(OWN_BYTES)),
            v1alpha: BoxCloneSyncService::new(
                builder().build_v1alpha().expect(readable).max_decoding_message_size(OWN_BYTES),
            ),
        }
    }

    pub(super) async fn v1(&self, request: Request<Arriving>) -> Response<Body> {
        answer(self.v1.clone(), request).await
    }

    pub(super) async fn v1alpha(&self, request: Request<Arriving>) -> Response<Body> {
        answer(self.v1alpha.clone(), request).await
    }
}

async fn answer(server: Server, request: Request<Arriving>) -> Response<Body> {
    match server.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
