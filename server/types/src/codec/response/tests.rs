//! Every answer of a leader has one encoding, and no bytes make the decoder panic.

use alloc::string::String;
use alloc::vec;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Ensemble, Epoch, Member, MemberRole, MemberState, MemberStatus, ServerId, Stat, Zxid};

fn any_role() -> impl Strategy<Value = MemberRole> {
    prop_oneof![Just(MemberRole::Participant), Just(MemberRole::Observer)]
}

fn any_member() -> impl Strategy<Value = MemberStatus> {
    let state = prop_oneof![
        Just(MemberState::Unknown),
        Just(MemberState::Unreachable),
        Just(MemberState::Looking),
        Just(MemberState::Following),
        Just(MemberState::Leading),
        Just(MemberState::Observing),
    ];
    let about = (1..=254u8, prop::option::of(any_role()), prop::collection::vec(any::<u8>(), 0..9), state);
    let number = || prop::option::of(any::<u64>());
    (about, any::<(bool, bool)>(), number(), number(), number(), number()).prop_map(
        |((server, role, address, state), (is_amnesiac, is_synchronizing), zxid, behind, lag_ms, latency_ms)| {
            let (server, address, zxid) = (ServerId(server), address.into(), zxid.map(Zxid));
            MemberStatus {
                server,
                role,
                address,
                state,
                is_amnesiac,
                is_synchronizing,
                zxid,
                behind,
                lag_ms,
                latency_ms,
            }
        },
    )
}

fn any_ensemble() -> impl Strategy<Value = Ensemble> {
    let pending = prop::option::of(any::<u64>());
    (any::<[u8; 3]>(), any::<u32>(), any::<u64>(), pending, prop::collection::vec(any_member(), 0..4)).prop_map(
        |([told_by, leader, quorum], epoch, version, pending, members)| Ensemble {
            told_by: ServerId(told_by),
            leader: ServerId(leader),
            epoch: Epoch(epoch),
            version: Zxid(version),
            pending: pending.map(Zxid),
            quorum,
            members,
        },
    )
}

fn any_members() -> impl Strategy<Value = Members> {
    let member = (any_role(), prop::collection::vec(any::<u8>(), 0..9))
        .prop_map(|(role, address)| Member { role, address: address.into() });
    let servers = prop::collection::btree_map((1..=254u8).prop_map(ServerId), member, 0..4);
    (any::<u64>(), servers).prop_map(|(version, servers)| Members { version: Zxid(version), servers })
}

fn any_single() -> impl Strategy<Value = Response> {
    let stat = || any::<u64>().prop_map(|zxid| Stat { mzxid: Zxid(zxid), ..Stat::default() });
    let error = (0..Code::ALL.len(), prop::option::of("/[a-z]{1,5}"), ".{0,20}").prop_map(
        |(code, path, detail): (usize, Option<String>, String)| match path {
            Some(path) => Error::at(Code::ALL[code], path, detail),
            None => Error::new(Code::ALL[code], detail),
        },
    );
    prop_oneof![
        error.prop_map(Err),
        ("/[a-z]{1,5}", stat()).prop_map(|(path, stat)| Ok(Reply::Created { path, stat })),
        Just(Ok(Reply::Deleted)),
        any::<u32>().prop_map(|count| Ok(Reply::TreeDeleted { count })),
        stat().prop_map(|stat| Ok(Reply::Changed { stat })),
        Just(Ok(Reply::Checked)),
        (any::<u64>(), any::<u32>()).prop_map(|(id, timeout_ms)| Ok(Reply::Session { id: SessionId(id), timeout_ms })),
        Just(Ok(Reply::SessionClosed)),
        any_ensemble().prop_map(|ensemble| Ok(Reply::Ensemble(Box::new(ensemble)))),
        any_members().prop_map(|members| Ok(Reply::Reconfigured(members))),
        any::<u64>().prop_map(|zxid| Ok(Reply::RestoreStep { zxid: Zxid(zxid) })),
        any::<u8>().prop_map(|leader| Ok(Reply::LeadershipTransferred { leader: ServerId(leader) })),
    ]
}

fn any_response() -> impl Strategy<Value = Response> {
    let multi = prop::collection::vec(any_single(), 0..5).prop_map(|results| Ok(Reply::Multi(results)));
    prop_oneof![3 => any_single(), 1 => multi]
}

proptest! {
    #[test]
    fn an_answer_survives_its_encoding(answer in any_response(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        put_response(&mut bytes, answer.as_ref());
        let mut reader = Reader::new(Bytes::from(bytes.clone()));
        prop_assert_eq!(response(&mut reader), Ok(answer));
        prop_assert_eq!(reader.finish(), Ok(()));
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(response(&mut Reader::new(Bytes::from(bytes))).is_err());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(prop_oneof![0..13u8, any::<u8>()], 0..200)) {
        let _ = response(&mut Reader::new(Bytes::from(bytes)));
    }
}
