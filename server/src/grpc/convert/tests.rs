//! Conversions: what goes in comes out, and what is wrong is refused with the field that is.

use bytes::Bytes;
use proptest::prelude::*;
use quorate_proto::v1;
use quorate_types::limits::{ACL_ENTRIES_MAX, DATA_BYTES_MAX, MULTI_OPS_MAX};
use quorate_types::{
    Acl, AclEntry, ChangeKind, Child, Code, CreateMode, Error, Event, Op, Perms, Precondition, ReadOp, Reply,
    SessionId, Stat, WatchId, WatchOp, WriteOp, Zxid,
};

use super::*;

fn refused<T: std::fmt::Debug>(converted: Result<T, Refusal>, field: &str, code: Code) {
    let refusal = converted.unwrap_err();
    assert_eq!((refusal.field.as_ref(), refusal.error.code()), (field, code), "{refusal:?}");
    assert!(refusal.error.detail().starts_with(field), "{refusal:?}");
}

fn create_request(path: &str, mode: v1::CreateMode) -> v1::CreateRequest {
    v1::CreateRequest { path: path.into(), mode: mode.into(), ..Default::default() }
}

#[test]
fn null_data_is_not_empty_data() {
    let data = |data: Option<Bytes>| match create(v1::CreateRequest { path: "/a".into(), data, ..Default::default() }) {
        Ok(Asked { op: Op::Write(WriteOp::Create { data, .. }), .. }) => data,
        other => panic!("{other:?}"),
    };
    assert_eq!(data(None), None);
    assert_eq!(data(Some(Bytes::new())), Some(Bytes::new()));
}

#[test]
fn data_is_moved_and_not_copied() {
    let data = Bytes::from(vec![1; 100]);
    let request = v1::SetDataRequest { path: "/a".into(), data: Some(data.clone()), ..Default::default() };
    let Ok(Asked { op: Op::Write(WriteOp::SetData { data: Some(moved), .. }), .. }) = set_data(request) else {
        panic!("no data");
    };
    assert_eq!(moved.as_ptr(), data.as_ptr());
    let reply = Reply::Data { data: Some(moved), stat: Stat::default() };
    let answered = answer::get(reply, &Shape::Plain, None).unwrap();
    assert_eq!(answered.data.unwrap().as_ptr(), data.as_ptr());
}

#[test]
fn every_create_mode_is_understood() {
    let check = |mode: v1::CreateMode, ttl_ms, expected| {
        let converted = create(v1::CreateRequest { ttl_ms, ..create_request("/a", mode) }).unwrap();
        let Op::Write(WriteOp::Create { mode, .. }) = converted.op else { panic!("{converted:?}") };
        assert_eq!(mode, expected);
    };
    check(v1::CreateMode::Unspecified, 0, CreateMode::Persistent);
    check(v1::CreateMode::Persistent, 0, CreateMode::Persistent);
    check(v1::CreateMode::PersistentSequential, 0, CreateMode::PersistentSequential);
    check(v1::CreateMode::Ephemeral, 0, CreateMode::Ephemeral);
    check(v1::CreateMode::EphemeralSequential, 0, CreateMode::EphemeralSequential);
    check(v1::CreateMode::Container, 0, CreateMode::Container);
    check(v1::CreateMode::Ttl, 5, CreateMode::Ttl { ttl_ms: 5 });
    check(v1::CreateMode::TtlSequential, (1 << 40) - 1, CreateMode::TtlSequential { ttl_ms: (1 << 40) - 1 });
    let ttl = |mode, ttl_ms| create(v1::CreateRequest { ttl_ms, ..create_request("/a", mode) });
    refused(ttl(v1::CreateMode::Ttl, 0), "ttl_ms", Code::BadArguments);
    refused(ttl(v1::CreateMode::Ttl, 1 << 40), "ttl_ms", Code::BadArguments);
    refused(ttl(v1::CreateMode::Container, 1), "ttl_ms", Code::BadArguments);
    refused(
        create(v1::CreateRequest { path: "/a".into(), mode: 99, ..Default::default() }),
        "mode",
        Code::BadArguments,
    );
}

#[test]
fn only_sequential_creates_may_end_with_a_slash() {
    assert!(create(create_request("/q/", v1::CreateMode::PersistentSequential)).is_ok());
    refused(create(create_request("/q/", v1::CreateMode::Persistent)), "path", Code::InvalidPath);
    refused(create(create_request("", v1::CreateMode::PersistentSequential)), "path", Code::InvalidPath);
}

#[test]
fn an_acl_that_is_absent_is_open_and_one_that_is_empty_is_not() {
    let acl = |acl: Option<v1::Acl>| {
        let converted = create(v1::CreateRequest { acl, ..create_request("/a", v1::CreateMode::Persistent) })?;
        let Op::Write(WriteOp::Create { acl, .. }) = converted.op else { panic!("{:?}", converted.op) };
        Ok(acl)
    };
    assert_eq!(acl(None), Ok(Acl::OPEN.entries()));
    assert_eq!(acl(Some(v1::Acl { entries: vec![] })), Ok(vec![]));
    let entry = |perms, id: &str| v1::AclEntry { perms, scheme: "digest".into(), id: id.into() };
    let one = AclEntry { perms: Perms(3), scheme: "digest".into(), id: "u:h".into() };
    assert_eq!(acl(Some(v1::Acl { entries: vec![entry(3, "u:h")] })), Ok(vec![one]));
    refused(acl(Some(v1::Acl { entries: vec![entry(32, "u:h")] })), "acl", Code::InvalidAcl);
    refused(acl(Some(v1::Acl { entries: vec![entry(1, &"x".repeat(600))] })), "acl", Code::TooLarge);
    refused(acl(Some(v1::Acl { entries: vec![entry(1, "u:h"); ACL_ENTRIES_MAX + 1] })), "acl", Code::TooLarge);
    let none = v1::SetAclRequest { path: "/a".into(), ..Default::default() };
    refused(set_acl(none), "acl", Code::InvalidAcl);
}

#[test]
fn preconditions_keep_their_kind() {
    use v1::set_data_request::Precondition as Wanted;
    let check = |precondition, expected| {
        let request = v1::SetDataRequest { path: "/a".into(), precondition, ..Default::default() };
        let Op::Write(WriteOp::SetData { precondition, create, .. }) = set_data(request).unwrap().op else { panic!() };
        assert_eq!((precondition, create), (expected, None));
    };
    check(None, Precondition::None);
    check(Some(Wanted::Version(0)), Precondition::Version(0));
    check(Some(Wanted::Version(-7)), Precondition::Version(-7));
    check(Some(Wanted::Mzxid(0)), Precondition::Mzxid(Zxid(0)));
    let acl = Some(v1::Acl::default());
    refused(set_data(v1::SetDataRequest { path: "/a".into(), acl, ..Default::default() }), "acl", Code::BadArguments);
}

#[test]
fn a_recursive_delete_has_a_maximum_and_no_precondition() {
    use v1::delete_request::Precondition as Wanted;
    let request = |recursive, recursive_max, precondition| v1::DeleteRequest {
        path: "/a".into(),
        recursive,
        recursive_max,
        precondition,
        options: None,
    };
    let max = |request| match delete(request).map(|asked| asked.op) {
        Ok(Op::DeleteTree { max, .. }) => max,
        other => panic!("{other:?}"),
    };
    assert_eq!(max(request(true, 0, None)), 10_000);
    assert_eq!(max(request(true, 7, None)), 7);
    refused(delete(request(true, 10_001, None)), "recursive_max", Code::BadArguments);
    refused(delete(request(true, 0, Some(Wanted::Version(1)))), "precondition", Code::BadArguments);
    refused(delete(request(false, 7, None)), "recursive_max", Code::BadArguments);
}

#[test]
fn too_much_is_refused_before_it_waits_in_a_queue() {
    let data = Some(Bytes::from(vec![0; DATA_BYTES_MAX + 1]));
    refused(set_data(v1::SetDataRequest { path: "/a".into(), data, ..Default::default() }), "data", Code::TooLarge);
    let operations = vec![v1::MultiOperation { operation: None }; MULTI_OPS_MAX + 1];
    refused(multi(v1::MultiRequest { operations, options: None }), "operations", Code::TooLarge);
    let operations = vec![v1::ReadOperation { operation: None }; MULTI_OPS_MAX + 1];
    refused(multi_read(v1::MultiReadRequest { operations, options: None }), "operations", Code::TooLarge);
    let list = v1::ListChildrenRequest { path: "/a".into(), limit: 10_001, ..Default::default() };
    refused(list_children(list), "limit", Code::BadArguments);
}

#[test]
fn a_multi_says_which_of_its_operations_is_wrong() {
    use v1::multi_operation::Operation;
    let check = |operation: Option<Operation>, field: &str, code| {
        let good = Operation::Check(v1::CheckRequest { path: "/a".into(), precondition: None });
        let operations = vec![v1::MultiOperation { operation: Some(good) }, v1::MultiOperation { operation }];
        refused(multi(v1::MultiRequest { operations, options: None }), field, code);
    };
    let options = Some(v1::RequestOptions::default());
    let create = v1::CreateRequest { options, ..create_request("/a", v1::CreateMode::Persistent) };
    check(Some(Operation::Create(create)), "operations[1].create.options", Code::BadArguments);
    let delete = v1::DeleteRequest { path: "/a".into(), recursive: true, ..Default::default() };
    check(Some(Operation::Delete(delete)), "operations[1].delete.recursive", Code::BadArguments);
    let set = v1::SetDataRequest { path: "a".into(), ..Default::default() };
    check(Some(Operation::SetData(set)), "operations[1].set_data.path", Code::InvalidPath);
    let not_exists = Some(v1::check_request::Precondition::NotExists(false));
    let guard = v1::CheckRequest { path: "/a".into(), precondition: not_exists };
    check(Some(Operation::Check(guard)), "operations[1].check.not_exists", Code::BadArguments);
    check(None, "operations[1].operation", Code::BadArguments);

    let get = v1::GetRequest { path: "/a".into(), options: Some(v1::RequestOptions::default()) };
    let operations = vec![v1::ReadOperation { operation: Some(v1::read_operation::Operation::Get(get)) }];
    let read = v1::MultiReadRequest { operations, options: None };
    refused(multi_read(read), "operations[0].get.options", Code::BadArguments);
}

#[test]
fn watches_begin_where_they_are_told_to() {
    let request = |request: v1::WatchCreate| v1::WatchCreate { path: "/a".into(), ..request };
    let start = |start_zxid, start_index| {
        let asked = create_watch(request(v1::WatchCreate { start_zxid, start_index, ..Default::default() }))?;
        let Op::Watch(WatchOp::Create(watch)) = asked.op else { panic!("{asked:?}") };
        Ok(watch.start.map(|resume| (resume.zxid.0, resume.index)))
    };
    assert_eq!(start(None, None), Ok(None));
    assert_eq!(start(Some(5), None), Ok(Some((5, u32::MAX))));
    assert_eq!(start(Some(0), Some(0)), Ok(Some((0, 0))));
    refused(start(None, Some(1)), "start_index", Code::BadArguments);
    let wrong = |create, field| refused(create_watch(request(create)), field, Code::BadArguments);
    wrong(v1::WatchCreate { start_zxid: Some(5), send_initial: true, ..Default::default() }, "send_initial");
    wrong(v1::WatchCreate { kind: 9, ..Default::default() }, "kind");
    wrong(v1::WatchCreate { exclude: vec![0], ..Default::default() }, "exclude");
    wrong(v1::WatchCreate { progress_interval_ms: 99, ..Default::default() }, "progress_interval_ms");
}

#[test]
fn a_reply_of_another_kind_is_noticed() {
    assert_eq!(answer::get(Reply::Synced, &Shape::Plain, None), None);
    assert_eq!(answer::multi(Reply::Multi(vec![]), &Shape::Multi([true].into()), None), None);
    let strayed = channel_result(Ok(Reply::WatchDone), &Shape::Plain);
    assert!(matches!(strayed, v1::channel_reply::Result::Error(error) if error.reason() == v1::ErrorReason::Internal));
}

#[test]
fn a_failed_multi_is_not_committed_and_says_why() {
    use v1::multi_result::Result as Outcome;
    let responses = vec![Err(Error::new(Code::NotApplied, "")), Err(Error::at(Code::NoNode, "/b", "none"))];
    let response = answer::multi(Reply::Multi(responses), &Shape::Multi([true, false].into()), None).unwrap();
    assert!(!response.committed);
    let reasons = response.results.into_iter().map(|one| match one.result {
        Some(Outcome::Error(error)) => error.reason(),
        other => panic!("{other:?}"),
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [v1::ErrorReason::NotApplied, v1::ErrorReason::NoNode]);
}

#[test]
fn a_childs_data_is_there_if_it_was_asked_for_and_allowed_and_is_not_null() {
    let child = |data| Child { name: "a".into(), stat: None, data };
    let children = vec![child(None), child(Some(None)), child(Some(Some(Bytes::new())))];
    let reply = Reply::Children { children, stat: Stat::default(), more: true };
    let page = answer::list_children(reply, &Shape::Plain, None).unwrap();
    let data: Vec<_> = page.children.into_iter().map(|child| child.data).collect();
    assert_eq!((data, page.more), (vec![None, None, Some(Bytes::new())], true));
}

prop_compose! {
    fn any_stat()(numbers in any::<[u64; 4]>(), times in any::<[i64; 2]>(), versions in any::<[i32; 3]>(),
                  sizes in any::<[u32; 2]>()) -> Stat {
        Stat {
            czxid: Zxid(numbers[0]),
            mzxid: Zxid(numbers[1]),
            pzxid: Zxid(numbers[2]),
            ctime_ms: times[0],
            mtime_ms: times[1],
            version: versions[0],
            cversion: versions[1],
            aversion: versions[2],
            ephemeral_owner: SessionId(numbers[3]),
            data_length: sizes[0],
            num_children: sizes[1],
        }
    }
}

/// The way back, which only clients go.
fn back(stat: &v1::Stat) -> Stat {
    Stat {
        czxid: Zxid(stat.czxid),
        mzxid: Zxid(stat.mzxid),
        pzxid: Zxid(stat.pzxid),
        ctime_ms: stat.ctime_ms,
        mtime_ms: stat.mtime_ms,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeral_owner: SessionId(stat.ephemeral_owner),
        data_length: stat.data_length,
        num_children: stat.num_children,
    }
}

proptest! {
    #[test]
    fn stats_lose_nothing(original in any_stat()) {
        prop_assert_eq!(back(&stat::stat(&original)), original);
    }

    #[test]
    fn acls_lose_nothing(entries in proptest::collection::vec((0u32..32, "[a-z]{1,8}", ".{0,20}"), 0..8)) {
        let entries: Vec<_> =
            entries.into_iter().map(|(perms, scheme, id)| AclEntry { perms: Perms(perms), scheme, id }).collect();
        prop_assert_eq!(stat::acl_entries(stat::acl(entries.clone())), Ok(entries));
    }

    #[test]
    fn events_lose_nothing(of in any_stat(), zxid in any::<u64>(), index in any::<u32>(), kind in 0usize..3,
                           path in "(/[a-z]{1,5}){1,4}", data in any::<Option<Vec<u8>>>()) {
        let kinds = [ChangeKind::Created, ChangeKind::Deleted, ChangeKind::DataChanged];
        let types = [v1::EventType::Created, v1::EventType::Deleted, v1::EventType::Changed];
        let data = data.map(Bytes::from);
        let event = Event {
            kind: kinds[kind],
            zxid: Zxid(zxid),
            index,
            path: path.clone(),
            stat: of,
            data: data.clone(),
            previous_data: data.clone(),
        };
        let item = watch_item(&[WatchId(zxid)], quorate_replica::WatchItem::Events([event].into()));
        prop_assert_eq!(&item.watch_ids, &[zxid]);
        let Some(v1::watch_item::Item::Events(events)) = item.item else { panic!("no events") };
        let [told] = &events.events[..] else { panic!("not one event") };
        prop_assert_eq!((told.zxid, told.index, told.r#type()), (zxid, index, types[kind]));
        prop_assert_eq!((&told.path, &told.data, &told.previous_data), (&path, &data, &data));
        prop_assert_eq!(back(told.stat.as_ref().unwrap()), of);
    }

    /// Valid or not, a path comes out as it went in, or is refused for what the core's rules say.
    #[test]
    fn paths_are_held_to_the_rules_of_the_core(path in "/?([a-z.]{0,3}/?){0,4}") {
        let converted = get(v1::GetRequest { path: path.clone(), options: None });
        match Path::new(path.clone()) {
            Ok(path) => prop_assert_eq!(converted.unwrap().op, Op::Read { op: ReadOp::Get { path }, watch: false }),
            Err(error) => {
                let refusal = converted.unwrap_err();
                prop_assert_eq!(refusal.error.code(), Code::InvalidPath);
                prop_assert_eq!(refusal.error.detail(), format!("path: {error}"));
            }
        }
    }
}
