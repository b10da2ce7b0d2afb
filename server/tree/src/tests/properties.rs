//! Properties that hold of every history: random requests against a leader and a follower.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use quorate_types::txn::TxnBody;
use quorate_types::{
    AclEntry, Caller, CreateMode, Identity, NodeKind, Op, Perms, Precondition, ReadOp, Reply, RequestId, SessionId,
    SessionSecret, Txn, TxnOp, WriteOp,
};

use super::fixture::*;
use crate::digest::Digest;
use crate::{CHUNK_BYTES_MAX, Prepared, SnapshotDecoder, SnapshotEncoder, Tree, ViewId, WalkItem, sessions};

/// One step of a history.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(WriteOp),
    Multi(Vec<WriteOp>),
    DeleteTree(String, u32),
    OpenSession,
    /// The later steps are of this session, of those that are open; of none if there are fewer.
    SwitchSession(usize),
    CloseSession,
    SwitchCaller(bool),
    /// The next write carries this sequence number.
    Identify(u64),
    Advance(i64),
    Reap,
    ApplyOne,
    ApplyAll,
}

fn any_path() -> impl Strategy<Value = String> {
    // Few names, so that requests meet; "-" sorts before "/", which orders paths otherwise than components.
    prop::collection::vec(prop::sample::select(vec!["a", "b", "a-b", "c"]), 1..4)
        .prop_map(|names| names.iter().fold(String::new(), |path, name| format!("{path}/{name}")))
}

fn any_mode() -> impl Strategy<Value = CreateMode> {
    prop_oneof![
        4 => Just(CreateMode::Persistent),
        2 => Just(CreateMode::PersistentSequential),
        3 => Just(CreateMode::Ephemeral),
        1 => Just(CreateMode::EphemeralSequential),
        2 => Just(CreateMode::Container),
        2 => (0u64..50).prop_map(|ttl_ms| CreateMode::Ttl { ttl_ms }),
        1 => (1u64..50).prop_map(|ttl_ms| CreateMode::TtlSequential { ttl_ms }),
    ]
}

fn any_acl() -> impl Strategy<Value = Vec<AclEntry>> {
    prop_oneof![
        8 => Just(open_acl()),
        1 => Just(vec![entry(Perms::ALL, "auth", "")]),
        1 => Just(vec![entry(Perms::READ.union(Perms::CREATE), "world", "anyone"), entry(Perms::ALL, "digest", "u:p")]),
    ]
}

fn any_precondition() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        6 => Just(Precondition::None),
        2 => (0..3).prop_map(Precondition::Version),
        1 => Just(Precondition::NotExists),
    ]
}

fn any_data() -> impl Strategy<Value = Option<bytes::Bytes>> {
    prop::option::weighted(0.9, prop::collection::vec(any::<u8>(), 0..20).prop_map(bytes::Bytes::from))
}

fn any_write() -> impl Strategy<Value = WriteOp> {
    prop_oneof![
        5 => (any_path(), any_data(), any_acl(), any_mode(), any::<bool>()).prop_map(|(at, data, acl, mode, parents)| {
            WriteOp::Create { path: path(&at), data, acl, mode, parents }
        }),
        2 => (any_path(), any_precondition()).prop_map(|(at, precondition)| delete_if(&at, precondition)),
        3 => (any_path(), any_data(), any_precondition(), prop::option::weighted(0.2, any_acl()))
            .prop_map(|(at, data, precondition, create)| WriteOp::SetData { path: path(&at), data, precondition, create }),
        1 => (any_path(), any_acl(), any_precondition()).prop_map(|(at, acl, precondition)| set_acl(&at, acl, precondition)),
        1 => (any_path(), any_precondition()).prop_map(|(at, precondition)| check(&at, precondition)),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => any_write().prop_map(Step::Write),
        4 => prop::collection::vec(any_write(), 0..5).prop_map(Step::Multi),
        2 => (any_path(), 0u32..8).prop_map(|(path, max)| Step::DeleteTree(path, max)),
        2 => Just(Step::OpenSession),
        2 => (0usize..4).prop_map(Step::SwitchSession),
        1 => Just(Step::CloseSession),
        1 => any::<bool>().prop_map(Step::SwitchCaller),
        3 => (1u64..12).prop_map(Step::Identify),
        2 => (-20i64..60).prop_map(Step::Advance),
        1 => Just(Step::Reap),
        6 => Just(Step::ApplyOne),
        2 => Just(Step::ApplyAll),
    ]
}

pub(crate) fn any_history(steps: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 0..steps)
}

impl Ensemble {
    /// Takes a step, and what it was decided to be, if it was a request.
    pub(crate) fn take(&mut self, step: &Step) -> Option<Prepared> {
        let op = match step {
            Step::Write(op) => Op::Write(op.clone()),
            Step::Multi(ops) => Op::Multi(ops.clone()),
            Step::DeleteTree(at, max) => Op::DeleteTree { path: path(at), max: *max },
            Step::OpenSession => Op::OpenSession { timeout_ms: 5000, secret: SessionSecret([1; 16]) },
            Step::CloseSession => Op::CloseSession,
            Step::SwitchSession(nth) => {
                self.session = self.leader.sessions().nth(*nth).map_or(SessionId::NONE, |session| session.id);
                return None;
            }
            Step::SwitchCaller(known) => {
                self.caller = Caller::anonymous();
                if *known {
                    self.caller.identities.push(Identity { scheme: "digest".into(), id: "u:p".into() });
                }
                return None;
            }
            Step::Identify(sequence) => {
                let acknowledged_through = sequence.saturating_sub(4);
                self.request_id = Some(RequestId { client: 5, sequence: *sequence, acknowledged_through });
                return None;
            }
            Step::Advance(ms) => {
                self.wall_ms += ms;
                return None;
            }
            Step::Reap => {
                for reap in self.leader.due(self.wall_ms, 3) {
                    self.prepare_reap(&reap);
                }
                return None;
            }
            Step::ApplyOne => {
                self.apply_one();
                return None;
            }
            Step::ApplyAll => {
                self.apply_all();
                return None;
            }
        };
        let prepared = self.prepare(&op);
        self.request_id = None;
        Some(prepared)
    }
}

/// The state as a walk over the living tree sees it.
fn content(tree: &mut Tree) -> Vec<WalkItem> {
    let view = tree.open_view();
    let items = walk_all(tree, view, "/");
    tree.close_view(view);
    items
}

pub(crate) fn walk_all(tree: &Tree, view: ViewId, root: &str) -> Vec<WalkItem> {
    let Some(mut walk) = tree.walk(view, root) else { return Vec::new() };
    core::iter::from_fn(|| tree.walk_next(&mut walk)).collect()
}

/// The digest computed from nothing but what the tree holds.
fn digest_from_scratch(tree: &Tree) -> u128 {
    let mut scratch = Tree::without_znodes(0);
    let mut digest = Digest::default();
    for session in tree.sessions() {
        digest.add(sessions::term(session.id, session.timeout_ms, session.secret));
    }
    for (key, client) in tree.requests.share() {
        scratch.requests.restore(&mut digest, key, (*client).clone());
    }
    let mut open = vec![(crate::znode::ZnodeId::ROOT, "/".to_string())];
    while let Some((id, at)) = open.pop() {
        let (znode, path) = (&tree.slab[id], crate::digest::PathHash::of(&at));
        digest.add(crate::digest::stat_term(path, znode, tree.acls.hash(znode.acl)));
        digest.add(crate::digest::data_term(path, znode));
        for child in znode.children().into_iter().flat_map(|children| children.iter()) {
            open.push((child, quorate_types::path::join(&at, tree.slab[child].name_str())));
        }
    }
    scratch.digest = digest;
    scratch.last_time_ms = tree.last_time_ms();
    scratch.digest()
}

/// What the tree keeps besides the znodes follows from them.
pub(crate) fn assert_consistent(tree: &mut Tree) {
    assert_eq!(digest_from_scratch(tree), tree.digest());
    let items = content(tree);
    assert_eq!(items.len(), tree.znode_count());
    assert_eq!(items.iter().map(|item| item.path.len()).sum::<usize>(), tree.path_bytes());
    assert_eq!(items.iter().map(|item| item.stat.data_length as usize).sum::<usize>(), tree.data_bytes());
    let mut owned: BTreeMap<SessionId, Vec<String>> = BTreeMap::new();
    for item in &items {
        assert_eq!(tree.stat(&item.path), Some(item.stat), "{}", item.path);
        let children =
            items.iter().filter(|other| quorate_types::path::parent(&other.path) == Some(&item.path)).count();
        assert_eq!(item.stat.num_children as usize, children);
        if let NodeKind::Ephemeral(session) = item.kind {
            owned.entry(session).or_default().push(item.path.clone());
        }
    }
    for session in tree.sessions().collect::<Vec<_>>() {
        let mut paths = owned.remove(&session.id).unwrap_or_default();
        paths.sort();
        assert_eq!((tree.ephemerals(session.id), session.ephemerals as usize), (paths.clone(), paths.len()));
    }
    assert!(owned.is_empty(), "ephemerals of closed sessions: {owned:?}");
}

/// The stats that a txn announces, and where.
fn announced(txn: &Txn) -> Vec<(String, quorate_types::Stat)> {
    let TxnBody::Ops { ops, .. } = &txn.body else { return Vec::new() };
    let stat = |op: &TxnOp| match op {
        TxnOp::SetData { path, stat, .. } | TxnOp::SetAcl { path, stat, .. } => Some((path.clone(), *stat)),
        TxnOp::Create { .. } | TxnOp::Delete { .. } | TxnOp::Check => None,
    };
    ops.iter().filter_map(stat).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The fixture asserts along the way that leader and follower agree after each txn, that the txn tells exactly the
    /// changes that the tree makes, and that nothing ever fails to apply.
    #[test]
    fn servers_agree_and_all_sums_follow_from_the_znodes(history in any_history(120)) {
        let mut ensemble = Ensemble::new();
        for step in &history {
            ensemble.take(step);
        }
        ensemble.apply_all();
        assert_consistent(&mut ensemble.leader);
        assert_consistent(&mut ensemble.follower);
        prop_assert_eq!(content(&mut ensemble.leader), content(&mut ensemble.follower));
        prop_assert!(ensemble.pending.is_empty() && ensemble.pending.holds_nothing());
    }

    #[test]
    fn the_stat_that_is_decided_is_the_stat_that_results(history in any_history(120)) {
        let mut ensemble = Ensemble::new();
        for step in &history {
            let Some(Prepared::Txn(txn)) = ensemble.take(step) else { continue };
            ensemble.apply_all();
            // A later operation of the same multi may have changed it again: the last announcement counts, as far as
            // no child came or went after it.
            let last: BTreeMap<_, _> = announced(&txn).into_iter().collect();
            for (path, stat) in last {
                let Some(now) = ensemble.leader.stat(&path) else { continue };
                let of_children = |stat| quorate_types::Stat { pzxid: now.pzxid, cversion: now.cversion, num_children: now.num_children, ..stat };
                prop_assert_eq!(of_children(stat), now);
                if !matches!(txn.body, TxnBody::Ops { shape: quorate_types::txn::Shape::Multi, .. }) {
                    prop_assert_eq!(stat, now);
                }
            }
        }
    }

    /// Whatever is decided against pending changes is decided as it would be after them.
    #[test]
    fn a_pipeline_decides_as_one_request_at_a_time_does(history in any_history(100)) {
        let (mut piped, mut stepped) = (Ensemble::new(), Ensemble::new());
        let requests = history.iter().filter(|step| {
            // What looks at the applied tree to find its target depends on what is applied.
            !matches!(step, Step::ApplyOne | Step::ApplyAll | Step::Reap | Step::SwitchSession(_))
        });
        for (at, step) in requests.enumerate() {
            let expected = stepped.take(step);
            stepped.apply_all();
            if at % 17 == 3 {
                piped.apply_one();
            }
            match (piped.take(step), expected) {
                (Some(Prepared::Pending(zxid)), Some(Prepared::Answer(Ok(_)))) => prop_assert!(zxid <= piped.last),
                (found, expected) => prop_assert_eq!(found, expected),
            }
        }
        piped.apply_all();
        prop_assert_eq!(piped.leader.digest(), stepped.leader.digest());
    }

    #[test]
    fn what_fails_leaves_no_trace_among_what_is_pending(history in any_history(60), writes in prop::collection::vec(any_write(), 0..6)) {
        let mut ensemble = Ensemble::new();
        for step in &history {
            ensemble.take(step);
        }
        let mut ops = writes;
        ops.push(delete("/not/there"));
        let before = ensemble.pending.clone();
        let answer = ensemble.prepare(&Op::Multi(ops));
        let failed = match &answer {
            Prepared::Answer(Ok(Reply::Multi(results))) => results.iter().filter(|result| result.is_err()).count() == results.len(),
            Prepared::Answer(Err(_)) => true,
            _ => false,
        };
        prop_assert!(failed, "{:?}", answer);
        prop_assert_eq!(&ensemble.pending, &before);
        ensemble.apply_all();
        prop_assert!(ensemble.pending.holds_nothing());
    }

    #[test]
    fn views_stay_exact_while_writes_go_on(history in any_history(200), every in 5usize..40) {
        let mut ensemble = Ensemble::new();
        let mut views: Vec<(ViewId, Vec<WalkItem>, crate::Walk, Vec<WalkItem>)> = Vec::new();
        for (at, step) in history.iter().enumerate() {
            ensemble.take(step);
            let tree = &mut ensemble.leader;
            // Each walk makes one step while the tree makes one.
            for (_, _, walk, seen) in &mut views {
                seen.extend(tree.walk_next(walk));
            }
            if at % every == 0 {
                let expected = content(tree);
                let view = tree.open_view();
                views.push((view, expected, tree.walk(view, "/").unwrap(), Vec::new()));
            }
            if at % (3 * every) == 2 && views.len() > 1 {
                let (view, expected, mut walk, mut seen) = views.remove(at % views.len());
                seen.extend(core::iter::from_fn(|| tree.walk_next(&mut walk)));
                prop_assert_eq!(&seen, &expected);
                prop_assert_eq!(walk_all(tree, view, "/"), expected);
                tree.close_view(view);
            }
        }
        ensemble.apply_all();
        let tree = &mut ensemble.leader;
        for (view, expected, mut walk, mut seen) in views {
            seen.extend(core::iter::from_fn(|| tree.walk_next(&mut walk)));
            prop_assert_eq!(&seen, &expected);
            for item in &expected {
                let below: Vec<_> = expected.iter().filter(|other| quorate_types::path::is_at_or_below(&other.path, &item.path)).cloned().collect();
                prop_assert_eq!(walk_all(tree, view, &item.path), below);
            }
            prop_assert!(tree.walk(view, "/nobody/has/this").is_none());
            tree.close_view(view);
        }
        while tree.sweep(10) {}
        prop_assert_eq!((tree.view_count(), tree.memory().views), (0, 0));
    }

    #[test]
    fn a_walk_that_skips_shows_all_but_what_lies_below_the_skipped(
        history in any_history(120), later in any_history(20), skipped in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let mut ensemble = Ensemble::new();
        for step in &history {
            ensemble.take(step);
        }
        ensemble.apply_all();
        let view = ensemble.leader.open_view();
        let mut walk = ensemble.leader.walk(view, "/").unwrap();
        let (mut shown, mut steps) = (Vec::new(), later.iter());
        while let Some(item) = ensemble.leader.walk_next(&mut walk) {
            if skipped[shown.len() % skipped.len()] {
                walk.skip_below();
                walk.skip_below();
            }
            shown.push(item);
            if let Some(step) = steps.next() {
                ensemble.take(step);
            }
        }
        let (mut expected, mut hidden) = (Vec::new(), None::<String>);
        for item in walk_all(&ensemble.leader, view, "/") {
            if hidden.as_ref().is_some_and(|hidden| quorate_types::path::is_at_or_below(&item.path, hidden)) {
                continue;
            }
            hidden = skipped[expected.len() % skipped.len()].then(|| item.path.clone());
            expected.push(item);
        }
        prop_assert_eq!(shown, expected);
        ensemble.leader.close_view(view);
    }

    #[test]
    fn a_snapshot_restores_to_the_same_state_however_it_is_cut(history in any_history(150), later in any_history(50), cut in 1usize..3000) {
        let mut ensemble = Ensemble::new();
        for step in &history {
            ensemble.take(step);
        }
        ensemble.apply_all();
        let (digest, zxid) = (ensemble.leader.digest(), ensemble.leader.applied());
        let expected = content(&mut ensemble.leader);
        let mut encoder = SnapshotEncoder::new(&mut ensemble.leader);
        let mut decoder = SnapshotDecoder::new(9);
        let mut later = later.iter();
        while let Some(chunk) = encoder.next_chunk(&ensemble.leader, cut) {
            prop_assert!((1..=cut.min(CHUNK_BYTES_MAX)).contains(&chunk.len()));
            prop_assert_eq!(decoder.push(&chunk), Ok(()));
            if let Some(step) = later.next() {
                ensemble.take(step);
            }
        }
        prop_assert_eq!(encoder.zxid(), zxid);
        encoder.close(&mut ensemble.leader);
        let mut restored = decoder.finish().unwrap();
        prop_assert_eq!((restored.digest(), restored.applied()), (digest, zxid));
        prop_assert_eq!(content(&mut restored), expected);
        assert_consistent(&mut restored);

        // The restored server goes on as the others do.
        let mut again = Ensemble::new();
        for step in &history {
            again.take(step);
        }
        again.apply_all();
        prop_assert_eq!(again.leader.digest(), digest);
        again.follower = restored;
        for step in &history {
            again.take(step);
        }
        again.apply_all();
    }

    #[test]
    fn reads_see_the_children_in_pages_as_a_whole(names in prop::collection::btree_set("[a-c]{1,3}", 0..30), limit in 1u32..8, after in "[a-c]{0,3}") {
        let mut ensemble = Ensemble::new();
        ensemble.must(create("/p"));
        for name in &names {
            ensemble.must(create(&format!("/p/{name}")));
        }
        let (mut seen, mut from) = (Vec::new(), after.clone());
        loop {
            let op = ReadOp::Children { path: path("/p"), after: from.clone(), limit, with_stat: false, with_data: false };
            let Ok(Reply::Children { children, more, .. }) = ensemble.read(&op) else { panic!() };
            prop_assert!(children.len() <= limit as usize && (!more || children.len() == limit as usize));
            seen.extend(children.into_iter().map(|child| child.name));
            if !more {
                break;
            }
            from = seen.last().unwrap().clone();
        }
        prop_assert_eq!(seen, names.into_iter().filter(|name| *name > after).collect::<Vec<_>>());
    }
}
