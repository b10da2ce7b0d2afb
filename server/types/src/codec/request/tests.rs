//! Every request that is passed on has one encoding, and no bytes make the decoder panic.

use alloc::collections::BTreeMap;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{MemberRole, MembersChange, NewMember, ServerId};

fn any_path() -> impl Strategy<Value = Path> {
    "(/[a-z]{1,6}){1,3}".prop_map(|path| Path::new(path).unwrap())
}

fn any_acl() -> impl Strategy<Value = Vec<AclEntry>> {
    let entry = (any::<u32>(), "[a-z]{0,6}", ".{0,6}");
    prop::collection::vec(entry.prop_map(|(perms, scheme, id)| AclEntry { perms: Perms(perms), scheme, id }), 0..4)
}

fn any_data() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
}

fn any_mode() -> impl Strategy<Value = CreateMode> {
    prop_oneof![
        Just(CreateMode::Persistent),
        Just(CreateMode::PersistentSequential),
        Just(CreateMode::Ephemeral),
        Just(CreateMode::EphemeralSequential),
        Just(CreateMode::Container),
        any::<u64>().prop_map(|ttl_ms| CreateMode::Ttl { ttl_ms }),
        any::<u64>().prop_map(|ttl_ms| CreateMode::TtlSequential { ttl_ms }),
    ]
}

fn any_precondition() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        Just(Precondition::None),
        any::<i32>().prop_map(Precondition::Version),
        any::<u64>().prop_map(|zxid| Precondition::Mzxid(Zxid(zxid))),
        Just(Precondition::NotExists),
    ]
}

fn any_write() -> impl Strategy<Value = WriteOp> {
    prop_oneof![
        (any_path(), any_data(), any_acl(), any_mode(), any::<bool>())
            .prop_map(|(path, data, acl, mode, parents)| WriteOp::Create { path, data, acl, mode, parents }),
        (any_path(), any_precondition()).prop_map(|(path, precondition)| WriteOp::Delete { path, precondition }),
        (any_path(), any_data(), any_precondition(), prop::option::of(any_acl()))
            .prop_map(|(path, data, precondition, create)| WriteOp::SetData { path, data, precondition, create }),
        (any_path(), any_acl(), any_precondition()).prop_map(|(path, acl, precondition)| WriteOp::SetAcl {
            path,
            acl,
            precondition
        }),
        (any_path(), any_precondition()).prop_map(|(path, precondition)| WriteOp::Check { path, precondition }),
    ]
}

fn any_server() -> impl Strategy<Value = ServerId> {
    (1..=254u8).prop_map(ServerId)
}

fn any_new_members() -> impl Strategy<Value = BTreeMap<ServerId, NewMember>> {
    let role = prop_oneof![Just(MemberRole::Participant), Just(MemberRole::Observer)];
    let member = (role, prop::option::of(prop::collection::vec(any::<u8>(), 0..20)))
        .prop_map(|(role, address)| NewMember { role, address: address.map(Bytes::from) });
    prop::collection::btree_map(any_server(), member, 0..4)
}

fn any_change() -> impl Strategy<Value = MembersChange> {
    prop_oneof![
        any_new_members().prop_map(MembersChange::Whole),
        (any_new_members(), prop::collection::btree_set(any_server(), 0..4))
            .prop_map(|(add, remove)| MembersChange::Steps { add, remove }),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        any_write().prop_map(Op::Write),
        prop::collection::vec(any_write(), 0..5).prop_map(Op::Multi),
        (any_path(), any::<u32>()).prop_map(|(path, max)| Op::DeleteTree { path, max }),
        (any::<u32>(), any::<[u8; 16]>())
            .prop_map(|(timeout_ms, secret)| Op::OpenSession { timeout_ms, secret: SessionSecret(secret) }),
        Just(Op::CloseSession),
        Just(Op::Members),
        (any_change(), prop::option::of(any::<u64>()))
            .prop_map(|(change, version)| Op::Reconfigure { change, if_version: version.map(Zxid) }),
        prop::option::of(any_server()).prop_map(|target| Op::TransferLeadership { target }),
        crate::restore::tests::any_restore().prop_map(Op::Restore),
    ]
}

fn any_request() -> impl Strategy<Value = Request> {
    let identity = ("[a-z]{1,6}", ".{0,8}").prop_map(|(scheme, id)| Identity { scheme, id });
    let session = (any::<u64>(), any::<[u8; 16]>()).prop_map(|(id, secret)| (SessionId(id), SessionSecret(secret)));
    let id = (any::<u128>(), any::<u64>(), any::<u64>())
        .prop_map(|(client, sequence, acknowledged_through)| RequestId { client, sequence, acknowledged_through });
    let identities = prop::collection::vec(identity, 0..4);
    (any_op(), identities, prop::option::of(session), prop::option::of(id)).prop_map(
        |(op, identities, session, request_id)| Request {
            session,
            request_id,
            ..Request::new(op, Arc::new(Caller { identities }))
        },
    )
}

proptest! {
    #[test]
    fn a_request_survives_its_encoding(request in any_request(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        put_request(&mut bytes, &request);
        let mut reader = Reader::new(Bytes::from(bytes.clone()));
        prop_assert_eq!(super::request(&mut reader), Ok(request));
        prop_assert_eq!(reader.finish(), Ok(()));
        bytes.truncate(cut.index(bytes.len()));
        let mut reader = Reader::new(Bytes::from(bytes));
        prop_assert!(super::request(&mut reader).is_err());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..200)) {
        let _ = super::request(&mut Reader::new(Bytes::from(bytes)));
    }
}

#[test]
fn a_sequential_create_keeps_its_prefix() {
    let path = Path::new_sequential_prefix("/queue/").unwrap();
    let op =
        WriteOp::Create { path, data: None, acl: Vec::new(), mode: CreateMode::PersistentSequential, parents: false };
    let asked = Request::new(Op::Write(op), Arc::new(Caller::anonymous()));
    let mut bytes = Vec::new();
    put_request(&mut bytes, &asked);
    assert_eq!(super::request(&mut Reader::new(Bytes::from(bytes))), Ok(asked));
}

#[test]
fn servers_that_cannot_be_are_refused() {
    let transfer = |target: u8| [&[0; 6][..], &[TRANSFER_LEADERSHIP, target]].concat();
    let decode = |bytes: Vec<u8>| super::request(&mut Reader::new(Bytes::from(bytes))).map(|request| request.op);
    assert_eq!(decode(transfer(0)), Ok(Op::TransferLeadership { target: None }));
    assert_eq!(decode(transfer(254)), Ok(Op::TransferLeadership { target: Some(ServerId(254)) }));
    assert_eq!(decode(transfer(255)), Err(DecodeError::Invalid("server id")));

    let change = |change: &[u8]| [&[0; 6][..], &[RECONFIGURE], change, &[0]].concat();
    let twice = [2, 0, 0, 0, 0, 2, 0, 0, 0, 7, 7];
    assert_eq!(decode(change(&twice)), Err(DecodeError::Invalid("server named twice")));
    let long = [&[1, 1, 0, 0, 0, 7, 1, 1, 1, 0x10, 0, 0][..], &[0; 4_097]].concat();
    assert_eq!(decode(change(&long)), Err(DecodeError::Invalid("length of an address")));
}
