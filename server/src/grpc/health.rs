//! `grpc.health.v1`: SERVING means that this server serves writes now, as the others of its ensemble and its disk let
//! it. Load balancers and Kubernetes ask here.

use std::time::Duration;

use http::Response;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::{Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{self, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::receiving::OWN_BYTES;
use super::route::Incall;
use crate::inbox::Inbox;

/// The services that can be asked about; the empty name stands for the whole server.
const SERVICES: &[&str] = &[
    "",
    "quorate.v1.ZnodeService",
    "quorate.v1.SessionService",
    "quorate.v1.WatchService",
    "quorate.v1.ClusterService",
];

/// Answers a call.
pub(super) async fn answer(_: &str, call: Incall<'_>) -> Option<Response<Body>> {
    let health = Health { inbox: call.route.inbox.clone(), interval: call.route.config.health_interval };
    let mut server = HealthServer::new(health).max_decoding_message_size(OWN_BYTES);
    match tower::Service::call(&mut server, call.into_request()).await {
        Ok(response) => Some(response),
        Err(never) => match never {},
    }
}

struct Health {
    inbox: Inbox,
    interval: Duration,
}

impl Health {
    fn status(inbox: &Inbox) -> ServingStatus {
        if inbox.is_serving() { ServingStatus::Serving } else { ServingStatus::NotServing }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !SERVICES.contains(&service.as_str()) {
            return Err(Status::not_found(format!("there is no service {service:?} here")));
        }
        Ok(tonic::Response::new(response(Health::status(&self.inbox))))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let known = SERVICES.contains(&request.get_ref().service.as_str());
        let inbox = self.inbox.clone();
        let mut told = None;
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(self.interval));
        let changes = ticks.filter_map(move |_| {
            let now = if known { Health::status(&inbox) } else { ServingStatus::ServiceUnknown };
            (told.replace(now) != Some(now)).then(|| Ok(response(now)))
        });
        Ok(tonic::Response::new(Box::pin(changes)))
    }
}
