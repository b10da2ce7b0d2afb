//! `Step`: what may happen in a random history. Everything is named by small numbers that mean something only when
//! the step is run (the third session, the present mzxid), so that a history stays meaningful while it shrinks.

use bytes::Bytes;
use proptest::prelude::*;
use quorate_types::{AclEntry, Caller, CreateMode, Identity, Perms};

/// The digests of `alice:secret` and `bob:secret`.
pub(super) const ALICE: &str = "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=";
const BOB: &str = "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=";

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A request of a session (0 for none), by somebody, perhaps with a request id.
    Write { session: u8, who: Who, id: Option<RequestName>, what: What },
    /// The same request as this many writes ago, sent again.
    Repeat { back: u8 },
    /// A read of what has been applied.
    Read { session: u8, who: Who, what: Reading },
    /// Everybody is given a session.
    Open { timeout_ms: u32 },
    /// A session ends.
    Close { session: u8 },
    /// So many of the pending txns are applied.
    Apply { count: u8 },
    /// The wall clock moves, perhaps back.
    Clock { by_ms: i64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Anonymous,
    Alice,
    /// With an address, too.
    Bob,
    Super,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RequestName {
    pub(super) client: u8,
    pub(super) sequence: u8,
    pub(super) acknowledged: u8,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    One(Change),
    Multi(Vec<Change>),
    DeleteTree { path: Place, max: u32 },
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    /// With `prefix`, a sequential name is digits alone, below `path`.
    Create {
        path: Place,
        data: Option<Bytes>,
        acl: Access,
        mode: CreateMode,
        parents: bool,
        prefix: bool,
    },
    Delete {
        path: Place,
        condition: Condition,
    },
    SetData {
        path: Place,
        data: Option<Bytes>,
        condition: Condition,
        create: Option<Access>,
    },
    SetAcl {
        path: Place,
        acl: Access,
        condition: Condition,
    },
    Check {
        path: Place,
        condition: Condition,
        not_exists: bool,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Reading {
    Get(Place),
    Exists(Place),
    Children { path: Place, after: Option<Place>, limit: u32, with_stat: bool, with_data: bool },
    GetAcl(Place),
    Access(Place),
    Ephemerals(Place),
    Count(Place),
}

/// A path.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Of these components; the root if there are none.
    Of(Vec<&'static str>),
    /// A znode that exists, counted in the order of paths: sequential ones are met like this.
    Existing(u8),
    /// One of those that are always there.
    Reserved(u8),
}

/// What has to hold of a znode; what is "present" is so when the request is prepared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    None,
    Version(i32),
    PresentVersion,
    PresentMzxid,
    PastMzxid(u8),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    Open,
    ReadOnly,
    /// Everything but this permission, for everybody.
    Without(u32),
    AliceOnly,
    Auth,
    /// Everybody reads, whoever was proven does the rest, one entry twice.
    Mixed,
    /// Everybody reads, one other does the rest.
    BobAdmin,
    Empty,
    UnknownScheme,
    SuperScheme,
    BadDigest,
    BadWorld,
}

impl Who {
    pub(super) fn caller(self) -> Caller {
        let of = |scheme: &str, id: &str| Identity { scheme: scheme.into(), id: id.into() };
        let identities = match self {
            Who::Anonymous => vec![],
            Who::Alice => vec![of("digest", ALICE)],
            Who::Bob => vec![of("ip", "10.1.2.3"), of("digest", BOB)],
            Who::Super => vec![of("super", "")],
        };
        Caller { identities }
    }
}

impl Access {
    pub(super) fn entries(self) -> Vec<AclEntry> {
        let of = |perms, scheme: &str, id: &str| AclEntry { perms, scheme: scheme.into(), id: id.into() };
        match self {
            Access::Open => vec![of(Perms::ALL, "world", "anyone")],
            Access::ReadOnly => vec![of(Perms::READ, "world", "anyone")],
            Access::Without(bit) => vec![of(Perms(Perms::ALL.0 & !(1 << bit)), "world", "anyone")],
            Access::AliceOnly => vec![of(Perms::ALL, "digest", ALICE)],
            Access::Auth => vec![of(Perms::ALL, "auth", "ignored")],
            Access::Mixed => {
                let world = of(Perms::READ, "world", "anyone");
                vec![world.clone(), of(Perms::ALL, "auth", ""), world]
            }
            Access::BobAdmin => vec![of(Perms::ALL, "digest", BOB), of(Perms::READ, "world", "anyone")],
            Access::Empty => vec![],
            Access::UnknownScheme => vec![of(Perms::ALL, "guild", "smiths")],
            Access::SuperScheme => vec![of(Perms::ALL, "super", "")],
            Access::BadDigest => vec![of(Perms::ALL, "digest", "no-colon")],
            Access::BadWorld => vec![of(Perms::ALL, "world", "somebody")],
        }
    }
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let session = 0..4_u8;
    prop_oneof![
        24 => (session.clone(), any_who(), prop::option::weighted(0.2, any_name()), any_what())
            .prop_map(|(session, who, id, what)| Step::Write { session, who, id, what }),
        2 => (0..4_u8).prop_map(|back| Step::Repeat { back }),
        8 => (session, any_who(), any_reading()).prop_map(|(session, who, what)| Step::Read { session, who, what }),
        4 => prop_oneof![Just(0), Just(30_000), Just(u32::MAX)].prop_map(|timeout_ms| Step::Open { timeout_ms }),
        1 => (0..4_u8).prop_map(|session| Step::Close { session }),
        6 => (1..6_u8).prop_map(|count| Step::Apply { count }),
        1 => (-5_000..50_000_i64).prop_map(|by_ms| Step::Clock { by_ms }),
    ]
}

fn any_who() -> impl Strategy<Value = Who> {
    prop_oneof![4 => Just(Who::Anonymous), 2 => Just(Who::Alice), 2 => Just(Who::Bob), 3 => Just(Who::Super)]
}

fn any_name() -> impl Strategy<Value = RequestName> {
    (0..2_u8, 1..8_u8, 0..3_u8).prop_map(|(client, sequence, acknowledged)| RequestName {
        client,
        sequence,
        // Nobody has seen the answer to what he is sending.
        acknowledged: acknowledged.min(sequence - 1),
    })
}

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![
        10 => any_change().prop_map(What::One),
        4 => prop::collection::vec(any_change(), 0..4).prop_map(What::Multi),
        2 => (any_place(), prop_oneof![Just(1), Just(3), Just(10_000)])
            .prop_map(|(path, max)| What::DeleteTree { path, max }),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        10 => (any_place(), any_data(), any_access(), any_mode(), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(path, data, acl, mode, parents, prefix)| {
                Change::Create { path, data, acl, mode, parents, prefix }
            }),
        2 => (any_place(), any_condition()).prop_map(|(path, condition)| Change::Delete { path, condition }),
        4 => (any_place(), any_data(), any_condition(), prop::option::weighted(0.3, any_access()))
            .prop_map(|(path, data, condition, create)| Change::SetData { path, data, condition, create }),
        1 => (any_place(), any_access(), any_condition())
            .prop_map(|(path, acl, condition)| Change::SetAcl { path, acl, condition }),
        1 => (any_place(), any_condition(), any::<bool>())
            .prop_map(|(path, condition, not_exists)| Change::Check { path, condition, not_exists }),
    ]
}

fn any_reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        2 => any_place().prop_map(Reading::Get),
        1 => any_place().prop_map(Reading::Exists),
        3 => (any_place(), prop::option::of(any_place()), 0..4_u32, any::<bool>(), any::<bool>()).prop_map(
            |(path, after, limit, with_stat, with_data)| Reading::Children { path, after, limit, with_stat, with_data }
        ),
        1 => any_place().prop_map(Reading::GetAcl),
        1 => any_place().prop_map(Reading::Access),
        1 => any_place().prop_map(Reading::Ephemerals),
        1 => any_place().prop_map(Reading::Count),
    ]
}

fn any_place() -> impl Strategy<Value = Place> {
    // `a` and `a-` lie on both sides of `a/` in the order of bytes.
    let name = prop_oneof![3 => Just("a"), 2 => Just("b"), 1 => Just("a-"), 1 => Just("ü")];
    prop_oneof![
        12 => (prop_oneof![5 => Just(1_usize), 4 => Just(2), 1 => Just(3)], prop::collection::vec(name, 3))
            .prop_map(|(depth, names)| Place::Of(names[..depth].to_vec())),
        8 => any::<u8>().prop_map(Place::Existing),
        1 => (0..4_u8).prop_map(Place::Reserved),
        1 => Just(Place::Of(Vec::new())),
    ]
}

fn any_data() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![Just(None), Just(Some("")), Just(Some("x")), Just(Some("a little longer than the rest of them"))]
        .prop_map(|text| text.map(|text| Bytes::from_static(text.as_bytes())))
}

fn any_mode() -> impl Strategy<Value = CreateMode> {
    prop_oneof![
        6 => Just(CreateMode::Persistent),
        3 => Just(CreateMode::PersistentSequential),
        3 => Just(CreateMode::Ephemeral),
        2 => Just(CreateMode::EphemeralSequential),
        1 => Just(CreateMode::Container),
        1 => prop_oneof![Just(0), Just(1), Just(60_000), Just(u64::MAX)].prop_map(|ttl_ms| CreateMode::Ttl { ttl_ms }),
        1 => Just(CreateMode::TtlSequential { ttl_ms: 5 }),
    ]
}

fn any_condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        6 => Just(Condition::None),
        1 => (-1..3_i32).prop_map(Condition::Version),
        2 => Just(Condition::PresentVersion),
        2 => Just(Condition::PresentMzxid),
        1 => (0..6_u8).prop_map(Condition::PastMzxid),
    ]
}

fn any_access() -> impl Strategy<Value = Access> {
    prop_oneof![
        50 => Just(Access::Open),
        1 => Just(Access::ReadOnly),
        3 => (0..5_u32).prop_map(Access::Without),
        1 => Just(Access::AliceOnly),
        1 => Just(Access::Auth),
        1 => Just(Access::Mixed),
        1 => Just(Access::BobAdmin),
        1 => prop_oneof![
            Just(Access::Empty),
            Just(Access::UnknownScheme),
            Just(Access::SuperScheme),
            Just(Access::BadDigest),
            Just(Access::BadWorld),
        ],
    ]
}
