//! From bytes to what agreement says, none of it believed.

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::peer::v1;
use quorate_types::codec::Reader;
use quorate_types::frame::FrameError;
use quorate_types::{Epoch, Frame, Role, ServerId, Zxid};
use quorate_zab::{Digest, Members, Message, Notification, Plan, Position, Refusal, Standing, Vote};

use super::DecodeError;
use v1::session_request::Body as Request;
use v1::session_response::Body as Response;

/// A message of a learner, after its hello.
pub(in crate::peers) fn message_from_learner(bytes: Bytes) -> Result<Message, DecodeError> {
    let message = match v1::SessionRequest::decode(bytes)?.body {
        Some(Request::FollowerInfo(info)) => Message::FollowerInfo {
            accepted_epoch: epoch(info.accepted_epoch)?,
            config_version: Zxid(info.config_version),
            standing: standing(info.standing)?,
        },
        Some(Request::AckEpoch(ack)) => Message::AckEpoch {
            epoch: epoch(ack.epoch)?,
            counts: ack.counts,
            last: position(ack.last)?,
            delivered: Zxid(ack.delivered_zxid),
            epochs: ack.epochs.into_iter().map(epoch_end).collect::<Result<_, _>>()?,
        },
        Some(Request::NeedEpoch(need)) => Message::NeedEpoch { at_least: epoch(need.at_least)? },
        Some(Request::Ack(ack)) => Message::Ack {
            epoch: epoch(ack.epoch)?,
            durable: Zxid(ack.durable_zxid),
            standing: standing(ack.standing)?,
        },
        Some(Request::Pong(pong)) => Message::Pong {
            epoch: epoch(pong.epoch)?,
            seq: pong.seq,
            delivered: Zxid(pong.delivered_zxid),
            progress: pong.progress,
        },
        Some(Request::ReadIndex(read)) => Message::ReadIndex { epoch: epoch(read.epoch)?, ids: read.ids },
        Some(Request::ToLeader(said)) => Message::ToLeader { epoch: epoch(said.epoch)?, payload: said.payload },
        Some(Request::Hello(_)) | None => return Err(DecodeError::Unexpected),
    };
    Ok(message)
}

/// A message of a leader, after its answer to the hello.
pub(in crate::peers) fn message_from_leader(bytes: Bytes) -> Result<Message, DecodeError> {
    let message = match v1::SessionResponse::decode(bytes)?.body {
        Some(Response::LeaderInfo(info)) => Message::LeaderInfo { epoch: epoch(info.epoch)? },
        Some(Response::SyncPlan(sync)) => Message::SyncPlan {
            epoch: epoch(sync.epoch)?,
            plan: plan(sync.plan)?,
            base: position(sync.base)?,
            readmits: sync.readmits,
        },
        Some(Response::Append(append)) => Message::Append {
            epoch: epoch(append.epoch)?,
            prev: position(append.prev)?,
            frames: frames(append.frames)?,
            commit: Zxid(append.commit_zxid),
            digest: digest(append.digest)?,
        },
        Some(Response::Commit(commit)) => Message::Commit {
            epoch: epoch(commit.epoch)?,
            commit: Zxid(commit.commit_zxid),
            digest: digest(commit.digest)?,
        },
        Some(Response::UpToDate(up)) => Message::UpToDate { epoch: epoch(up.epoch)?, commit: Zxid(up.commit_zxid) },
        Some(Response::Ping(ping)) => Message::Ping {
            epoch: epoch(ping.epoch)?,
            seq: ping.seq,
            commit: Zxid(ping.commit_zxid),
            digest: digest(ping.digest)?,
        },
        Some(Response::ReadIndexOk(read)) => {
            Message::ReadIndexOk { epoch: epoch(read.epoch)?, ids: read.ids, zxid: Zxid(read.zxid) }
        }
        Some(Response::Handoff(handoff)) => {
            Message::Handoff { epoch: epoch(handoff.epoch)?, target: server(handoff.target_server_id)? }
        }
        Some(Response::Refused(refused)) => Message::Refused(refusal(refused)?),
        Some(Response::ToLearner(said)) => Message::ToLearner { epoch: epoch(said.epoch)?, payload: said.payload },
        Some(Response::HelloReply(_)) | None => return Err(DecodeError::Unexpected),
    };
    Ok(message)
}

/// A notification, of either direction of a link.
pub(in crate::peers) fn notification(wire: v1::Notification) -> Result<Notification, DecodeError> {
    let role = match v1::Role::try_from(wire.role) {
        Ok(v1::Role::Looking) => Role::Looking,
        Ok(v1::Role::Following) => Role::Following,
        Ok(v1::Role::Leading) => Role::Leading,
        Ok(v1::Role::Observing) => Role::Observing,
        Ok(v1::Role::Unspecified) | Err(_) => return Err(DecodeError::Invalid("role")),
    };
    let mut reader = Reader::new(wire.members);
    let members = Members::decode(&mut reader).map_err(DecodeError::Members)?;
    reader.finish().map_err(DecodeError::Members)?;
    Ok(Notification {
        role,
        round: wire.round,
        vote: wire.vote.map(vote).transpose()?,
        epoch: wire.epoch.map(epoch).transpose()?,
        members,
        is_blank: wire.is_blank,
        is_answer: wire.is_answer,
    })
}

fn vote(vote: v1::Vote) -> Result<Vote, DecodeError> {
    Ok(Vote {
        last: Zxid(vote.last_zxid),
        priority: u8::try_from(vote.priority).map_err(|_| DecodeError::Invalid("priority"))?,
        leader: server(vote.leader_id)?,
    })
}

fn frames(wire: Vec<Bytes>) -> Result<Vec<Frame>, DecodeError> {
    if wire.is_empty() {
        return Err(DecodeError::Invalid("append without records"));
    }
    let frame = |mut bytes: Bytes| {
        let frame = Frame::decode(&mut bytes).map_err(DecodeError::Frame)?;
        if bytes.is_empty() { Ok(frame) } else { Err(DecodeError::Frame(FrameError::BadLength(bytes.len() as u32))) }
    };
    wire.into_iter().map(frame).collect()
}

fn refusal(refused: v1::Refused) -> Result<Refusal, DecodeError> {
    use v1::refused::Reason;
    match refused.reason.ok_or(DecodeError::Invalid("refusal"))? {
        Reason::NotLeading(not) => Ok(Refusal::NotLeading { hint: not.leader_id.map(server).transpose()? }),
        Reason::Removed(removed) => Ok(Refusal::Removed { version: Zxid(removed.config_version) }),
        Reason::Diverged(diverged) => Ok(Refusal::Diverged { common: Zxid(diverged.common_zxid) }),
    }
}

fn epoch(epoch: u32) -> Result<Epoch, DecodeError> {
    if epoch <= Epoch::MAX.0 { Ok(Epoch(epoch)) } else { Err(DecodeError::Invalid("epoch")) }
}

fn epoch_end(end: v1::EpochEnd) -> Result<(Epoch, u32), DecodeError> {
    Ok((epoch(end.epoch)?, end.last_counter))
}

fn position(position: Option<v1::Position>) -> Result<Position, DecodeError> {
    let position = position.ok_or(DecodeError::Invalid("position"))?;
    Ok(Position { zxid: Zxid(position.zxid), chain: position.chain })
}

fn digest(digest: Option<v1::Digest>) -> Result<Digest, DecodeError> {
    let digest = digest.ok_or(DecodeError::Invalid("digest"))?;
    Ok(Digest { zxid: Zxid(digest.zxid), value: u128::from(digest.high) << 64 | u128::from(digest.low) })
}

fn standing(standing: i32) -> Result<Standing, DecodeError> {
    match v1::Standing::try_from(standing) {
        Ok(v1::Standing::Voter) => Ok(Standing::Voter),
        Ok(v1::Standing::Amnesiac) => Ok(Standing::Amnesiac),
        Ok(v1::Standing::Unspecified) | Err(_) => Err(DecodeError::Invalid("standing")),
    }
}

fn plan(plan: i32) -> Result<Plan, DecodeError> {
    match v1::Plan::try_from(plan) {
        Ok(v1::Plan::Diff) => Ok(Plan::Diff),
        Ok(v1::Plan::Trunc) => Ok(Plan::Trunc),
        Ok(v1::Plan::Snap) => Ok(Plan::Snap),
        Ok(v1::Plan::Unspecified) | Err(_) => Err(DecodeError::Invalid("plan")),
    }
}

fn server(id: u32) -> Result<ServerId, DecodeError> {
    super::server_id(id).ok_or(DecodeError::Invalid("server id"))
}
