//! Every txn has one encoding, and no bytes make the decoder panic.

use alloc::vec;
use proptest::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::{AclEntry, Perms};

fn any_acl() -> impl Strategy<Value = Acl> {
    let entry = (any::<u32>(), "[a-z]{1,8}", "[a-z:]{0,8}").prop_map(|(perms, scheme, id)| AclEntry {
        perms: Perms(perms),
        scheme,
        id,
    });
    prop_oneof![Just(Acl::OPEN), prop::collection::vec(entry, 0..4).prop_map(Acl::new)]
}

fn any_stat() -> impl Strategy<Value = Stat> {
    any::<[u64; 5]>().prop_map(|[a, b, c, d, e]| Stat {
        czxid: Zxid(a),
        mzxid: Zxid(b),
        pzxid: Zxid(c),
        ctime_ms: d as i64,
        mtime_ms: e as i64,
        version: a as i32,
        cversion: b as i32,
        aversion: c as i32,
        ephemeral_owner: SessionId(d ^ e),
        data_length: d as u32,
        num_children: e as u32,
    })
}

fn any_data() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from))
}

fn any_kind() -> impl Strategy<Value = NodeKind> {
    prop_oneof![
        Just(NodeKind::Persistent),
        Just(NodeKind::Container),
        any::<u64>().prop_map(|id| NodeKind::Ephemeral(SessionId(id))),
        any::<u64>().prop_map(|ttl_ms| NodeKind::Ttl { ttl_ms }),
    ]
}

fn any_op() -> impl Strategy<Value = TxnOp> {
    prop_oneof![
        ("/[a-z/]{0,12}", any_data(), any_acl(), any_kind(), any::<u64>(), any_acl()).prop_map(
            |(path, data, acl, kind, parent_creations, parent_acl)| TxnOp::Create {
                path,
                data,
                acl,
                kind,
                parent_creations,
                parent_acl
            }
        ),
        ("/[a-z/]{0,12}", any_stat(), any_acl(), any_acl()).prop_map(|(path, stat, acl, parent_acl)| TxnOp::Delete {
            path,
            stat,
            acl,
            parent_acl
        }),
        ("/[a-z/]{0,12}", any_data(), any_stat(), any_acl()).prop_map(|(path, data, stat, acl)| TxnOp::SetData {
            path,
            data,
            stat,
            acl
        }),
        ("/[a-z/]{0,12}", any_acl(), any_stat()).prop_map(|(path, acl, stat)| TxnOp::SetAcl { path, acl, stat }),
        Just(TxnOp::Check),
    ]
}

fn any_body() -> impl Strategy<Value = TxnBody> {
    let shape = prop_oneof![Just(Shape::Single), Just(Shape::Multi), Just(Shape::Tree)];
    let deleted = ("/[a-z/]{0,12}", any_stat(), any_acl(), any_acl())
        .prop_map(|(path, stat, acl, parent_acl)| Deleted { path, stat, acl, parent_acl });
    prop_oneof![
        (shape, prop::collection::vec(any_op(), 0..5))
            .prop_map(|(shape, ops)| TxnBody::Ops { shape, ops: SmallVec::from_vec(ops) }),
        (any::<u64>(), any::<u32>(), any::<[u8; 16]>()).prop_map(|(id, timeout_ms, secret)| TxnBody::OpenSession {
            id: SessionId(id),
            timeout_ms,
            secret: SessionSecret(secret)
        }),
        (any::<u64>(), prop::option::of(prop::collection::vec(deleted, 0..4)))
            .prop_map(|(id, deleted)| TxnBody::CloseSession { id: SessionId(id), deleted }),
        crate::restore::tests::any_restore().prop_map(TxnBody::Restore),
    ]
}

fn any_txn() -> impl Strategy<Value = Txn> {
    let mark = (any::<u128>(), any::<[u64; 4]>()).prop_map(|(client, [a, b, caller, operation])| RequestMark {
        id: RequestId { client, sequence: a, acknowledged_through: b },
        caller,
        operation,
    });
    (any::<i64>(), any::<u64>(), prop::option::of(mark), any::<(u8, u64, u64)>(), any_body()).prop_map(
        |(time_ms, session, request, (server, outbox, tag), body)| Txn {
            time_ms,
            session: SessionId(session),
            request,
            route: Route { server: ServerId(server), outbox: OutboxId(outbox), tag: Tag(tag) },
            body,
        },
    )
}

proptest! {
    #[test]
    fn decode_is_the_inverse_of_encode(txn in any_txn()) {
        prop_assert_eq!(Txn::decode(txn.encode().into()), Ok(txn));
    }

    #[test]
    fn the_encoded_length_is_known_without_encoding(txn in any_txn()) {
        prop_assert_eq!(txn.encoded_len(), txn.encode().len());
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(txn in any_txn(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = txn.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = Txn::decode(bytes.clone().into()) {
            // The open ACL has two spellings; only the short one is written.
            prop_assert!(other.encode().len() <= bytes.len());
        }
    }

    #[test]
    fn truncated_and_random_bytes_are_errors_and_never_panics(txn in any_txn(), cut in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = txn.encode();
        prop_assert!(Txn::decode(Bytes::copy_from_slice(&bytes[..cut.index(bytes.len())])).is_err());
        let _ = Txn::decode(noise.into());
    }
}

#[test]
fn a_txn_says_what_watches_are_told() {
    let zxid = Zxid(0x1_0000_0005);
    let txn = Txn {
        time_ms: 7,
        session: SessionId(9),
        request: None,
        route: Route::default(),
        body: TxnBody::Ops {
            shape: Shape::Multi,
            ops: smallvec![
                TxnOp::Check,
                TxnOp::Create {
                    path: "/a".into(),
                    data: Some(Bytes::from_static(b"xy")),
                    acl: Acl::OPEN,
                    kind: NodeKind::Ephemeral(SessionId(9)),
                    parent_creations: 1,
                    parent_acl: Acl::OPEN,
                },
                TxnOp::Delete { path: "/b".into(), stat: Stat::default(), acl: Acl::OPEN, parent_acl: Acl::OPEN },
            ],
        },
    };
    let changes = txn.changes(zxid).unwrap();
    assert_eq!(
        changes.iter().map(|c| (c.kind, c.index, c.path.as_str())).collect::<Vec<_>>(),
        vec![(ChangeKind::Created, 0, "/a"), (ChangeKind::Deleted, 1, "/b")]
    );
    assert_eq!((changes[0].stat.czxid, changes[0].stat.mtime_ms, changes[0].stat.data_length), (zxid, 7, 2));
    let close = Txn { body: TxnBody::CloseSession { id: SessionId(9), deleted: None }, ..txn };
    assert_eq!(close.changes(zxid), None);
}
