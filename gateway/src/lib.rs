//! Quorate's HTTP gateway: REST, JSON and server-sent events over the Rust client.
//!
//! A request passes the [`door`] (limits, `Host`, its name), reaches a route, becomes one call of the client, and its
//! answer or problem passes the door again. No rule of the tree's semantics lives here: what a request means is decided
//! by the servers, and a gateway keeps nothing between requests, so any number of them can stand beside each other.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acl;
mod body;
mod caller;
mod compression;
mod config;
mod cors;
mod docs;
mod door;
mod etag;
mod event_stream;
mod events;
mod gateway;
mod guard;
mod handshake;
mod header;
mod hex;
mod html;
mod metrics;
mod openapi;
mod options;
mod page;
mod path;
mod patience;
mod position;
mod problem;
mod query;
mod readers;
mod representation;
mod routes;
mod serve;
mod session;
mod time;
mod trace;
mod tree_stream;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::Request;
use axum::routing::{self, MethodRouter};
use quorate_client::Client;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::door::DoorLayer;
use crate::gateway::Gateway;
use crate::problem::{Problem, Refusal};
use crate::routes::{
    access_checks, acls, children, cluster, members, multi, operations, sessions, snapshot, stats, tree, watch, znodes,
};

pub use crate::config::{Config, Origins};
pub use crate::handshake::Handshake;
pub use crate::metrics::Metrics;
pub use crate::openapi::openapi;
pub use crate::problem::http_status;
pub use crate::serve::serve;

/// The gateway's routes over `client`.
pub fn router(client: Client, config: Config) -> Router {
    router_with(client, config, Router::new())
}

/// The gateway's routes over `client`, and `others` behind the same door: their requests pass the same limits and
/// checks and get the same headers.
pub fn router_with(client: Client, config: Config, others: Router) -> Router {
    let (routes, _) = api(config.serve_metrics).split_for_parts();
    let gateway = Gateway::new(client, config);
    routes
        // A wildcard matches at least one character, so the root has routes of its own.
        .route(znodes::PREFIX, znode_methods())
        .route("/v1/children/", routing::get(children::get))
        .route("/v1/stats/", routing::get(stats::get))
        .route("/v1/acls/", routing::get(acls::get).put(acls::put))
        .route("/v1/tree/", routing::get(tree::get))
        .with_state(gateway.clone())
        .merge(others)
        .fallback(no_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DoorLayer(gateway))
}

/// The routes that the OpenAPI document describes.
fn api(with_metrics: bool) -> OpenApiRouter<Gateway> {
    let routes = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(znodes::get, znodes::head, znodes::put, znodes::post, znodes::delete))
        .routes(routes!(children::get))
        .routes(routes!(stats::get))
        .routes(routes!(acls::get, acls::put))
        .routes(routes!(access_checks::post))
        .routes(routes!(tree::get))
        .routes(routes!(multi::post))
        .routes(routes!(watch::get))
        .routes(routes!(sessions::open))
        .routes(routes!(sessions::get, sessions::close))
        .routes(routes!(sessions::keep_alive))
        .routes(routes!(cluster::get))
        .routes(routes!(members::get, members::put, members::post))
        .routes(routes!(members::transfer))
        .routes(routes!(snapshot::get, snapshot::put))
        .routes(routes!(operations::livez))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::openapi))
        .routes(routes!(operations::docs));
    if with_metrics { routes.routes(routes!(operations::metrics)) } else { routes }
}

fn znode_methods() -> MethodRouter<Gateway> {
    routing::get(znodes::get).head(znodes::head).put(znodes::put).post(znodes::post).delete(znodes::delete)
}

async fn no_route(request: Request) -> Problem {
    let url = request.uri().path();
    let hint = match url {
        "/v1/znodes" | "/v1/children" | "/v1/stats" | "/v1/acls" | "/v1/tree" => {
            "; the root znode is there with a slash at the end"
        }
        _ => "; see /openapi.json for what there is",
    };
    Problem::refusal(Refusal::NoRoute, format!("there is nothing at {url}{hint}"))
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail =
        format!("{} has no method {}; the header Allow lists those it has", request.uri().path(), request.method());
    Problem::refusal(Refusal::MethodNotAllowed, detail)
}
