//! Everything that agreement can say survives its encoding, and nothing else is taken for it.

use bytes::{Buf, Bytes};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use quorate_proto::peer::v1;
use quorate_types::frame::FrameError;
use quorate_types::{Epoch, Frame, FrameKind, Role, ServerId, Zxid};
use quorate_zab::{
    Digest, Member, MemberRole, Members, Message, Notification, Plan, Position, Refusal, Standing, Vote,
};

use super::assembler::PREFIX_BYTES;
use super::*;

fn epoch() -> impl Strategy<Value = Epoch> {
    (0..=Epoch::MAX.0).prop_map(Epoch)
}

fn zxid() -> impl Strategy<Value = Zxid> {
    any::<u64>().prop_map(Zxid)
}

fn server() -> impl Strategy<Value = ServerId> {
    (1..=254u8).prop_map(ServerId)
}

fn position() -> impl Strategy<Value = Position> {
    (zxid(), any::<u64>()).prop_map(|(zxid, chain)| Position { zxid, chain })
}

fn digest() -> impl Strategy<Value = Digest> {
    (zxid(), any::<u128>()).prop_map(|(zxid, value)| Digest { zxid, value })
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![Just(Standing::Voter), Just(Standing::Amnesiac)]
}

/// Mostly small, some beyond the size from which pieces are shared.
fn payload() -> impl Strategy<Value = Bytes> {
    let large = (10_000..40_000usize, any::<u8>()).prop_map(|(len, byte)| Bytes::from(vec![byte; len]));
    prop_oneof![4 => vec(any::<u8>(), 0..300).prop_map(Bytes::from), 1 => large]
}

fn frame() -> impl Strategy<Value = Frame> {
    let kind = prop_oneof![
        Just(FrameKind::Marker),
        Just(FrameKind::Txn),
        Just(FrameKind::Reconfig),
        Just(FrameKind::ConfigFinal)
    ];
    (kind, zxid(), any::<u64>(), payload())
        .prop_map(|(kind, zxid, chain, payload)| Frame::encode(kind, zxid, chain, &payload))
}

fn from_learner() -> impl Strategy<Value = Message> {
    prop_oneof![
        (epoch(), zxid(), standing()).prop_map(|(accepted_epoch, config_version, standing)| {
            Message::FollowerInfo { accepted_epoch, config_version, standing }
        }),
        (epoch(), any::<bool>(), position(), zxid(), vec((epoch(), any::<u32>()), 0..20)).prop_map(
            |(epoch, counts, last, delivered, epochs)| Message::AckEpoch { epoch, counts, last, delivered, epochs }
        ),
        epoch().prop_map(|at_least| Message::NeedEpoch { at_least }),
        (epoch(), zxid(), standing()).prop_map(|(epoch, durable, standing)| Message::Ack { epoch, durable, standing }),
        (epoch(), any::<u64>(), zxid(), any::<u64>()).prop_map(|(epoch, seq, delivered, progress)| Message::Pong {
            epoch,
            seq,
            delivered,
            progress
        }),
        (epoch(), vec(any::<u64>(), 0..50)).prop_map(|(epoch, ids)| Message::ReadIndex { epoch, ids }),
        (epoch(), payload()).prop_map(|(epoch, payload)| Message::ToLeader { epoch, payload }),
    ]
}

fn from_leader() -> impl Strategy<Value = Message> {
    let plan = prop_oneof![Just(Plan::Diff), Just(Plan::Trunc), Just(Plan::Snap)];
    let refusal = prop_oneof![
        option::of(server()).prop_map(|hint| Refusal::NotLeading { hint }),
        zxid().prop_map(|version| Refusal::Removed { version }),
        zxid().prop_map(|common| Refusal::Diverged { common }),
    ];
    prop_oneof![
        epoch().prop_map(|epoch| Message::LeaderInfo { epoch }),
        (epoch(), plan, position(), any::<bool>()).prop_map(|(epoch, plan, base, readmits)| Message::SyncPlan {
            epoch,
            plan,
            base,
            readmits
        }),
        (epoch(), position(), vec(frame(), 1..8), zxid(), digest())
            .prop_map(|(epoch, prev, frames, commit, digest)| Message::Append { epoch, prev, frames, commit, digest }),
        (epoch(), zxid(), digest()).prop_map(|(epoch, commit, digest)| Message::Commit { epoch, commit, digest }),
        (epoch(), zxid()).prop_map(|(epoch, commit)| Message::UpToDate { epoch, commit }),
        (epoch(), any::<u64>(), zxid(), digest()).prop_map(|(epoch, seq, commit, digest)| Message::Ping {
            epoch,
            seq,
            commit,
            digest
        }),
        (epoch(), vec(any::<u64>(), 0..50), zxid()).prop_map(|(epoch, ids, zxid)| Message::ReadIndexOk {
            epoch,
            ids,
            zxid
        }),
        (epoch(), server()).prop_map(|(epoch, target)| Message::Handoff { epoch, target }),
        refusal.prop_map(Message::Refused),
        (epoch(), payload()).prop_map(|(epoch, payload)| Message::ToLearner { epoch, payload }),
    ]
}

fn said() -> impl Strategy<Value = Notification> {
    let role = prop_oneof![Just(Role::Looking), Just(Role::Following), Just(Role::Leading), Just(Role::Observing)];
    let vote = (zxid(), any::<u8>(), server()).prop_map(|(last, priority, leader)| Vote { last, priority, leader });
    let member = (any::<bool>(), vec(any::<u8>(), 0..40)).prop_map(|(votes, address)| Member {
        role: if votes { MemberRole::Participant } else { MemberRole::Observer },
        address: address.into(),
    });
    let members =
        (zxid(), btree_map(server(), member, 0..8)).prop_map(|(version, servers)| Members { version, servers });
    let flags = (any::<bool>(), any::<bool>());
    (role, any::<u64>(), option::of(vote), option::of(epoch()), members, flags).prop_map(
        |(role, round, vote, epoch, members, (is_blank, is_answer))| Notification {
            role,
            round,
            vote,
            epoch,
            members,
            is_blank,
            is_answer,
        },
    )
}

/// What arrives of messages that were sent in one go.
fn transfer(messages: &[Message]) -> Vec<Bytes> {
    let mut out = PiecesMut::default();
    messages.iter().for_each(|message| put_message(message, &mut out));
    let bounds: usize = messages.iter().map(|message| message_bytes(message) + PREFIX_BYTES).sum();
    let mut pieces = out.take(&Unsent::default());
    assert!(pieces.remaining() <= bounds, "{} bytes, and {bounds} were charged", pieces.remaining());
    let mut assembler = Assembler::new(usize::MAX);
    assembler.push(pieces.copy_to_bytes(pieces.remaining())).unwrap();
    std::iter::from_fn(|| assembler.next().unwrap()).collect()
}

proptest! {
    #[test]
    fn what_a_learner_says_survives_its_encoding(messages in vec(from_learner(), 1..5)) {
        let arrived = transfer(&messages).into_iter().map(|bytes| message_from_learner(bytes).unwrap());
        prop_assert_eq!(arrived.collect::<Vec<_>>(), messages);
    }

    #[test]
    fn what_a_leader_says_survives_its_encoding(messages in vec(from_leader(), 1..5)) {
        let arrived = transfer(&messages).into_iter().map(|bytes| message_from_leader(bytes).unwrap());
        prop_assert_eq!(arrived.collect::<Vec<_>>(), messages);
    }

    #[test]
    fn a_message_in_the_wrong_direction_is_none(learners in from_learner(), leaders in from_leader()) {
        prop_assert!(message_from_leader(transfer(&[learners]).remove(0)).is_err());
        prop_assert!(message_from_learner(transfer(&[leaders]).remove(0)).is_err());
    }

    #[test]
    fn a_notification_survives_its_encoding(said in said()) {
        let bytes = wire_notification(&said).encode_to_vec();
        prop_assert_eq!(notification(v1::Notification::decode(&bytes[..]).unwrap()).unwrap(), said);
    }

    #[test]
    fn damaged_messages_and_noise_are_refused_or_understood_but_never_believed_blindly(
        message in from_leader(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        noise in vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = transfer(&[message]).remove(0).to_vec();
        if !bytes.is_empty() {
            *at.get_mut(&mut bytes) = byte;
        }
        for bytes in [bytes, noise] {
            let bytes = Bytes::from(bytes);
            if let Ok(message) = message_from_leader(bytes.clone()) {
                // Whatever was understood can be said again, in the same words.
                prop_assert_eq!(message_from_leader(transfer(std::slice::from_ref(&message)).remove(0)).unwrap(), message);
            }
            let _ = message_from_learner(bytes);
        }
    }
}

#[test]
fn records_arrive_in_the_memory_that_they_were_received_in() {
    let frame = Frame::encode(FrameKind::Txn, Zxid(7), 1, &[5; 100]);
    let (prev, digest) = (Position::default(), Digest::default());
    let append = Message::Append { epoch: Epoch(1), prev, frames: vec![frame], commit: Zxid(6), digest };
    let bytes = transfer(&[append]).remove(0);
    let Message::Append { frames, .. } = message_from_leader(bytes.clone()).unwrap() else { panic!("not an append") };
    assert!(bytes.as_ptr_range().contains(&frames[0].bytes().as_ptr()));
}

#[test]
fn values_that_no_server_would_send_are_refused_with_their_name() {
    use v1::session_response::Body;
    let check = |body: Body, expected: &str| {
        let bytes = v1::SessionResponse { body: Some(body) }.encode_to_vec();
        assert_eq!(message_from_leader(bytes.into()).unwrap_err().to_string(), expected);
    };
    let append = |frames: &[&[u8]]| v1::Append {
        prev: Some(v1::Position::default()),
        digest: Some(v1::Digest::default()),
        frames: frames.iter().map(|frame| Bytes::copy_from_slice(frame)).collect(),
        ..v1::Append::default()
    };
    check(Body::LeaderInfo(v1::LeaderInfo { epoch: 1 << 31 }), "invalid epoch");
    check(Body::SyncPlan(v1::SyncPlan { base: Some(v1::Position::default()), ..Default::default() }), "invalid plan");
    check(Body::SyncPlan(v1::SyncPlan { plan: 1, ..Default::default() }), "invalid position");
    check(Body::Commit(v1::Commit::default()), "invalid digest");
    check(Body::Handoff(v1::Handoff { target_server_id: 255, ..Default::default() }), "invalid server id");
    check(Body::Refused(v1::Refused { reason: None }), "invalid refusal");
    check(Body::HelloReply(v1::HelloReply::default()), "unexpected message");
    check(Body::Append(append(&[])), "invalid append without records");
    check(Body::Append(append(&[b"abc"])), &DecodeError::Frame(FrameError::Short).to_string());
    let frame = Frame::encode(FrameKind::Txn, Zxid(7), 1, b"x");
    let trailing = [frame.bytes().as_ref(), b"y"].concat();
    check(Body::Append(append(&[&trailing])), &DecodeError::Frame(FrameError::BadLength(1)).to_string());
    assert!(matches!(message_from_learner(Bytes::new()), Err(DecodeError::Unexpected)));
}
