//! From what agreement says to bytes.

use bytes::{BufMut, Bytes, BytesMut};
use prost::{encode_length_delimiter, length_delimiter_len};
use quorate_proto::peer::v1;
use quorate_types::{Epoch, Frame, Role};
use quorate_zab::{Digest, Message, Notification, Plan, Position, Refusal, Standing};

use super::assembler::PREFIX_BYTES;
use super::pieces::PiecesMut;
use v1::session_request::Body as Request;
use v1::session_response::Body as Response;

/// What a message takes at most besides records, payloads and lists.
const FIXED_BYTES: usize = 128;

/// Numbers of fields that are encoded here and not by the generated code, so that what they hold is not copied.
const TO_LEADER: u32 = 8;
const APPEND: u32 = 19;
const TO_LEARNER: u32 = 26;
const APPEND_FRAMES: u32 = 5;
const PAYLOAD: u32 = 2;

/// About as many bytes as the message has on the wire.
pub(in crate::peers) fn message_bytes(message: &Message) -> usize {
    let list_or_payload = match message {
        Message::Append { frames, .. } => frames.iter().map(|frame| frame.bytes().len() + 4).sum(),
        Message::ToLeader { payload, .. } | Message::ToLearner { payload, .. } => payload.len(),
        Message::ReadIndex { ids, .. } | Message::ReadIndexOk { ids, .. } => ids.len() * 8,
        Message::AckEpoch { epochs, .. } => epochs.len() * 14,
        Message::FollowerInfo { .. }
        | Message::NeedEpoch { .. }
        | Message::Ack { .. }
        | Message::Pong { .. }
        | Message::LeaderInfo { .. }
        | Message::SyncPlan { .. }
        | Message::Commit { .. }
        | Message::UpToDate { .. }
        | Message::Ping { .. }
        | Message::Handoff { .. }
        | Message::Refused(_) => 0,
    };
    FIXED_BYTES + list_or_payload
}

/// Appends a message of a session.
pub(in crate::peers) fn put_message(message: &Message, out: &mut PiecesMut) {
    match message {
        Message::Append { epoch, prev, frames, commit, digest } => {
            let append = v1::Append {
                epoch: epoch.0,
                prev: Some(wire_position(*prev)),
                commit_zxid: commit.0,
                digest: Some(wire_digest(*digest)),
                frames: Vec::new(),
            };
            put_with_tail(APPEND, &append, APPEND_FRAMES, frames.iter().map(Frame::bytes), out);
        }
        Message::ToLeader { epoch, payload } => {
            let to_leader = v1::ToLeader { epoch: epoch.0, payload: Bytes::new() };
            put_with_tail(TO_LEADER, &to_leader, PAYLOAD, [payload].into_iter(), out);
        }
        Message::ToLearner { epoch, payload } => {
            let to_learner = v1::ToLearner { epoch: epoch.0, payload: Bytes::new() };
            put_with_tail(TO_LEARNER, &to_learner, PAYLOAD, [payload].into_iter(), out);
        }
        Message::FollowerInfo { .. }
        | Message::AckEpoch { .. }
        | Message::NeedEpoch { .. }
        | Message::Ack { .. }
        | Message::Pong { .. }
        | Message::ReadIndex { .. } => put(&v1::SessionRequest { body: from_learner(message) }, out),
        Message::LeaderInfo { .. }
        | Message::SyncPlan { .. }
        | Message::Commit { .. }
        | Message::UpToDate { .. }
        | Message::Ping { .. }
        | Message::ReadIndexOk { .. }
        | Message::Handoff { .. }
        | Message::Refused(_) => put(&v1::SessionResponse { body: from_leader(message) }, out),
    }
}

/// Appends any message.
pub(in crate::peers) fn put(message: &impl prost::Message, out: &mut PiecesMut) {
    let bytes = message.encoded_len();
    let buffer = out.buffer();
    buffer.reserve(PREFIX_BYTES + bytes);
    put_prefix(bytes, buffer);
    message.encode_raw(buffer);
}

/// Appends a message that is nothing but one field of bytes.
pub(in crate::peers) fn put_bytes_field(field: u32, content: &Bytes, out: &mut PiecesMut) {
    put_prefix(field_bytes(field, content.len()), out.buffer());
    put_field(field, content, out);
}

/// Appends a message whose one field is `head`, which ends with a field of bytes, or a list of such.
fn put_with_tail<'a>(
    field: u32,
    head: &impl prost::Message,
    tail_field: u32,
    tail: impl Iterator<Item = &'a Bytes> + Clone,
    out: &mut PiecesMut,
) {
    let head_bytes = head.encoded_len();
    let tail_bytes: usize = tail.clone().map(|bytes| field_bytes(tail_field, bytes.len())).sum();
    let buffer = out.buffer();
    put_prefix(field_bytes(field, head_bytes + tail_bytes), buffer);
    put_key(field, head_bytes + tail_bytes, buffer);
    buffer.reserve(head_bytes);
    head.encode_raw(buffer);
    tail.for_each(|bytes| put_field(tail_field, bytes, out));
}

fn put_prefix(message_bytes: usize, buffer: &mut BytesMut) {
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(message_bytes).expect("the senders' own limits are far below 4 GiB"));
}

fn put_field(field: u32, content: &Bytes, out: &mut PiecesMut) {
    put_key(field, content.len(), out.buffer());
    out.put(content);
}

fn put_key(field: u32, content_bytes: usize, buffer: &mut BytesMut) {
    let room = "a growing buffer has room";
    encode_length_delimiter(key(field), buffer).expect(room);
    encode_length_delimiter(content_bytes, buffer).expect(room);
}

fn field_bytes(field: u32, content_bytes: usize) -> usize {
    length_delimiter_len(key(field)) + length_delimiter_len(content_bytes) + content_bytes
}

/// The key of a field that has a length.
fn key(field: u32) -> usize {
    const LENGTH_DELIMITED: u32 = 2;
    (field << 3 | LENGTH_DELIMITED) as usize
}

fn from_learner(message: &Message) -> Option<Request> {
    let body = match message {
        Message::FollowerInfo { accepted_epoch, config_version, standing } => Request::FollowerInfo(v1::FollowerInfo {
            accepted_epoch: accepted_epoch.0,
            config_version: config_version.0,
            standing: wire_standing(*standing),
        }),
        Message::AckEpoch { epoch, counts, last, delivered, epochs } => Request::AckEpoch(v1::AckEpoch {
            epoch: epoch.0,
            counts: *counts,
            last: Some(wire_position(*last)),
            delivered_zxid: delivered.0,
            epochs: epochs.iter().map(wire_epoch_end).collect(),
        }),
        Message::NeedEpoch { at_least } => Request::NeedEpoch(v1::NeedEpoch { at_least: at_least.0 }),
        Message::Ack { epoch, durable, standing } => {
            Request::Ack(v1::Ack { epoch: epoch.0, durable_zxid: durable.0, standing: wire_standing(*standing) })
        }
        Message::Pong { epoch, seq, delivered, progress } => {
            Request::Pong(v1::Pong { epoch: epoch.0, seq: *seq, delivered_zxid: delivered.0, progress: *progress })
        }
        Message::ReadIndex { epoch, ids } => Request::ReadIndex(v1::ReadIndex { epoch: epoch.0, ids: ids.clone() }),
        _ => return None,
    };
    Some(body)
}

fn from_leader(message: &Message) -> Option<Response> {
    let body = match message {
        Message::LeaderInfo { epoch } => Response::LeaderInfo(v1::LeaderInfo { epoch: epoch.0 }),
        Message::SyncPlan { epoch, plan, base, readmits } => Response::SyncPlan(v1::SyncPlan {
            epoch: epoch.0,
            plan: wire_plan(*plan),
            base: Some(wire_position(*base)),
            readmits: *readmits,
        }),
        Message::Commit { epoch, commit, digest } => {
            Response::Commit(v1::Commit { epoch: epoch.0, commit_zxid: commit.0, digest: Some(wire_digest(*digest)) })
        }
        Message::UpToDate { epoch, commit } => {
            Response::UpToDate(v1::UpToDate { epoch: epoch.0, commit_zxid: commit.0 })
        }
        Message::Ping { epoch, seq, commit, digest } => Response::Ping(v1::Ping {
            epoch: epoch.0,
            seq: *seq,
            commit_zxid: commit.0,
            digest: Some(wire_digest(*digest)),
        }),
        Message::ReadIndexOk { epoch, ids, zxid } => {
            Response::ReadIndexOk(v1::ReadIndexOk { epoch: epoch.0, ids: ids.clone(), zxid: zxid.0 })
        }
        Message::Handoff { epoch, target } => {
            Response::Handoff(v1::Handoff { epoch: epoch.0, target_server_id: target.0.into() })
        }
        Message::Refused(refusal) => Response::Refused(v1::Refused { reason: Some(wire_refusal(refusal)) }),
        _ => return None,
    };
    Some(body)
}

/// A notification, for either direction of a link.
pub(in crate::peers) fn wire_notification(notification: &Notification) -> v1::Notification {
    let Notification { role, round, vote, epoch, members, is_blank, is_answer } = notification;
    let role = match role {
        Role::Looking => v1::Role::Looking,
        Role::Following => v1::Role::Following,
        Role::Leading => v1::Role::Leading,
        Role::Observing => v1::Role::Observing,
    };
    let mut bytes = Vec::new();
    members.encode(&mut bytes);
    v1::Notification {
        role: role.into(),
        round: *round,
        vote: vote.map(|vote| v1::Vote {
            last_zxid: vote.last.0,
            priority: vote.priority.into(),
            leader_id: vote.leader.0.into(),
        }),
        epoch: epoch.map(|epoch| epoch.0),
        members: bytes.into(),
        is_answer: *is_answer,
        is_blank: *is_blank,
    }
}

fn wire_position(position: Position) -> v1::Position {
    v1::Position { zxid: position.zxid.0, chain: position.chain }
}

fn wire_digest(digest: Digest) -> v1::Digest {
    v1::Digest { zxid: digest.zxid.0, high: (digest.value >> 64) as u64, low: digest.value as u64 }
}

fn wire_epoch_end((epoch, last_counter): &(Epoch, u32)) -> v1::EpochEnd {
    v1::EpochEnd { epoch: epoch.0, last_counter: *last_counter }
}

fn wire_standing(standing: Standing) -> i32 {
    match standing {
        Standing::Voter => v1::Standing::Voter.into(),
        Standing::Amnesiac => v1::Standing::Amnesiac.into(),
    }
}

fn wire_plan(plan: Plan) -> i32 {
    match plan {
        Plan::Diff => v1::Plan::Diff.into(),
        Plan::Trunc => v1::Plan::Trunc.into(),
        Plan::Snap => v1::Plan::Snap.into(),
    }
}

fn wire_refusal(refusal: &Refusal) -> v1::refused::Reason {
    use v1::refused::Reason;
    match refusal {
        Refusal::NotLeading { hint } => {
            Reason::NotLeading(v1::NotLeading { leader_id: hint.map(|leader| leader.0.into()) })
        }
        Refusal::Removed { version } => Reason::Removed(v1::Removed { config_version: version.0 }),
        Refusal::Diverged { common } => Reason::Diverged(v1::Diverged { common_zxid: common.0 }),
    }
}
