//! `ClusterService`: what this server is, does and holds.

use std::time::Instant;

use bytes::Bytes;
use http::Response;
use quorate_proto::v1;
use quorate_types::{Op, Reply, Status};
use tonic::body::Body;

use super::convert::{self, Asked, Shape};
use super::options::Call;
use super::route::{self, Incall};

/// Answers a call, if there is such a method.
pub(super) async fn answer(method: &str, call: Incall<'_>) -> Option<Response<Body>> {
    match method {
        "Status" => Some(status(call).await),
        _ => None,
    }
}

async fn status(incall: Incall<'_>) -> Response<Body> {
    let inbox = incall.route.inbox.clone();
    let started = incall.route.started;
    let ask = async move |call: Call, v1::StatusRequest {}: v1::StatusRequest| {
        let asked = Ok(Asked { op: Op::Status, options: None });
        let mut response = route::ask(&inbox, &call, asked, to_response).await?;
        response.uptime_ms = u64::try_from(Instant::now().duration_since(started).as_millis()).unwrap_or(u64::MAX);
        Ok(response)
    };
    incall.unary(ask).await
}

fn to_response(reply: Reply, _: &Shape, header: Option<v1::ReplyHeader>) -> Option<v1::StatusResponse> {
    let Reply::Status(status) = reply else { return None };
    let Status {
        role,
        epoch: _,
        leader,
        serving,
        logged,
        durable,
        committed: _,
        applied,
        snapshot,
        history,
        disk_full,
        znodes,
        data_bytes,
        ephemerals,
        sessions,
        watches,
        outboxes,
        digest,
    } = *status;
    let this_server = v1::Member {
        server_id: header.as_ref().map_or(0, |header| header.server_id),
        role: convert::role(role).into(),
        zxid: applied.0,
    };
    Some(v1::StatusResponse {
        header,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        serving,
        leader_id: leader.0.into(),
        uptime_ms: 0,
        state: Some(v1::StateSummary {
            znodes,
            data_bytes,
            ephemerals,
            digest: Bytes::copy_from_slice(&digest.to_be_bytes()),
        }),
        storage: Some(v1::StorageSummary {
            logged_zxid: logged.0,
            durable_zxid: durable.0,
            snapshot_zxid: snapshot.0,
            full: disk_full,
        }),
        sessions,
        watches,
        streams: outboxes,
        history_zxid: history.0,
        members: vec![this_server],
    })
}
