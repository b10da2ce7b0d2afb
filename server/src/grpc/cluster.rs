//! `ClusterService`: what this server is, does and holds; who belongs to the ensemble, and who leads it; copies of its state.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use quorate_proto::v1;
use quorate_types::{Op, Reply, ServerId, Status};
use tonic::body::Body;

use super::config::Config;
use super::convert::{self, Asked, Refusal, Shape};
use super::options::Call;
use super::route::{self, Incall};

/// Answers a call, if there is such a method.
pub(super) async fn answer(method: &str, call: Incall<'_>) -> Option<Response<Body>> {
    match method {
        "Status" => Some(status(call).await),
        "Members" => Some(members(call).await),
        "Reconfigure" => Some(call.request(convert::reconfigure, convert::reconfigured).await),
        "TransferLeadership" => Some(call.request(convert::transfer_leadership, convert::transferred).await),
        "Digest" => Some(call.request(status_of::<v1::DigestRequest>, digest).await),
        "Snapshot" => Some(snapshot(call).await),
        "Restore" => Some(restore(call).await),
        _ => None,
    }
}

async fn status(incall: Incall<'_>) -> Response<Body> {
    let inbox = incall.route.inbox.clone();
    let (started, config) = (incall.route.started, Arc::clone(&incall.route.config));
    let ask = async move |call: Call, v1::StatusRequest {}: v1::StatusRequest| {
        let status = route::ask(&inbox, &call, status_of(v1::StatusRequest {}), to_response);
        let members = route::ask(&inbox, &call, convert::members(v1::MembersRequest {}), convert::ensemble);
        let (mut response, members) = tokio::try_join!(status, members)?;
        response.members = located(members.members, &config);
        response.uptime_ms = u64::try_from(Instant::now().duration_since(started).as_millis()).unwrap_or(u64::MAX);
        Ok(response)
    };
    incall.unary(ask).await
}

async fn members(incall: Incall<'_>) -> Response<Body> {
    let (inbox, config) = (incall.route.inbox.clone(), Arc::clone(&incall.route.config));
    let ask = async move |call: Call, request: v1::MembersRequest| {
        let response = route::ask(&inbox, &call, convert::members(request), convert::ensemble).await?;
        let members = located(response.members, &config);
        Ok(v1::MembersResponse { members, ..response })
    };
    incall.unary(ask).await
}

async fn snapshot(incall: Incall<'_>) -> Response<Body> {
    let (inbox, files) = (incall.route.inbox.clone(), Arc::clone(&incall.route.snapshots));
    incall.stream(async move |call: Call, request: v1::SnapshotRequest| files.send(&inbox, &call, request).await).await
}

async fn restore(incall: Incall<'_>) -> Response<Body> {
    let (inbox, files) = (incall.route.inbox.clone(), Arc::clone(&incall.route.snapshots));
    let restore = async move |call: Call, requests| {
        let _turn = files.turn_to_restore()?;
        super::restore::restore(inbox, call, requests).await
    };
    incall.collect(restore).await
}

/// The members, with the addresses that this server was told of those whose own ones are not part of the history.
fn located(mut members: Vec<v1::Member>, config: &Config) -> Vec<v1::Member> {
    for member in members.iter_mut().filter(|member| member.address.is_none()) {
        let server = u8::try_from(member.server_id).ok().map(ServerId);
        member.address = server.and_then(|server| config.places.get(&server).cloned());
    }
    members
}

/// The question behind all that is asked about this server alone.
fn status_of<Q>(_: Q) -> Result<Asked, Refusal> {
    Ok(Asked { op: Op::Status, options: None })
}

fn digest(reply: Reply, _: &Shape, header: Option<v1::ReplyHeader>) -> Option<v1::DigestResponse> {
    let Reply::Status(status) = reply else { return None };
    let digest = Bytes::copy_from_slice(&status.digest.to_be_bytes());
    Some(v1::DigestResponse { header, zxid: status.applied.0, digest })
}

fn to_response(reply: Reply, _: &Shape, header: Option<v1::ReplyHeader>) -> Option<v1::StatusResponse> {
    let Reply::Status(status) = reply else { return None };
    let Status {
        role: _,
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
        awaits,
        znodes,
        data_bytes,
        ephemerals,
        sessions,
        watches,
        outboxes,
        digest,
    } = *status;
    // The state may have moved on since, but this is what is told of it.
    let header = header.map(|header| v1::ReplyHeader { zxid: applied.0, ..header });
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
        members: Vec::new(),
        awaited_ids: awaits.into_iter().map(|server| server.0.into()).collect(),
    })
}
