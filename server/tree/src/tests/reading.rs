//! Reads: what they answer, whom, and how much at once.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::limits::PAGE_BYTES_MAX;
use quorate_types::reply::Child;
use quorate_types::{
    AclEntry, Caller, Code, CreateMode, Identity, Op, Path, Perms, Precondition, ReadOp, Reply, SessionId, WriteOp,
};

use super::fixture::*;
use crate::acl;

fn furnished() -> Ensemble {
    let mut ensemble = Ensemble::new();
    ensemble.must(create("/a"));
    for name in ["c", "b", "e"] {
        ensemble.must(create(&format!("/a/{name}")));
    }
    ensemble.must(create_with_acl("/a/d", vec![entry(Perms::ALL, "digest", "u:p")]));
    ensemble.must(create_with_acl(
        "/admin",
        vec![entry(Perms::ADMIN, "world", "anyone"), entry(Perms::ALL, "digest", "u:p")],
    ));
    ensemble
}

fn children(at: &str, after: &str, limit: u32, with_stat: bool, with_data: bool) -> ReadOp {
    ReadOp::Children { path: path(at), after: after.into(), limit, with_stat, with_data }
}

#[test]
fn a_missing_znode_and_a_missing_permission_are_told_apart() {
    let ensemble = furnished();
    let check = |op: ReadOp, expected| assert_eq!(code(ensemble.read(&op)), expected, "{op:?}");
    check(get("/none"), Some(Code::NoNode));
    check(get("/a/d/none"), Some(Code::NoNode));
    check(get("/a/d"), Some(Code::NoAuth));
    check(children("/none", "", 0, false, false), Some(Code::NoNode));
    check(children("/a/d", "", 0, false, false), Some(Code::NoAuth));
    check(ReadOp::GetAcl { path: path("/none") }, Some(Code::NoNode));
    check(ReadOp::GetAcl { path: path("/a/d") }, Some(Code::NoAuth));
    check(ReadOp::GetAcl { path: path("/admin") }, None);
    check(get("/admin"), Some(Code::NoAuth));
    check(ReadOp::Access { path: path("/none") }, Some(Code::NoNode));
    check(ReadOp::Access { path: path("/a/d") }, None);
    check(ReadOp::CountDescendants { path: path("/none") }, Some(Code::NoNode));
    check(ReadOp::CountDescendants { path: path("/a/d") }, Some(Code::NoAuth));
    check(ReadOp::Exists { path: path("/a/d") }, Some(Code::NoAuth));
    assert_eq!(ensemble.read(&ReadOp::Exists { path: path("/none") }), Ok(Reply::Exists(None)));
    // A prefix of a sequential path is no path: it does not alias its parent.
    let prefix = Path::new_sequential_prefix("/a/").unwrap();
    check(ReadOp::Get { path: prefix }, Some(Code::NoNode));
}

#[test]
fn reads_answer_data_and_stat() {
    let ensemble = furnished();
    let stat = ensemble.stat("/a");
    let data = Some(Bytes::from_static(b"data"));
    assert_eq!(ensemble.read(&get("/a")), Ok(Reply::Data { data, stat }));
    assert_eq!(ensemble.read(&ReadOp::Exists { path: path("/a") }), Ok(Reply::Exists(Some(stat))));
    assert_eq!(ensemble.read(&ReadOp::CountDescendants { path: path("/a") }), Ok(Reply::Count(4)));
    assert_eq!(ensemble.read(&ReadOp::CountDescendants { path: path("/") }), Ok(Reply::Count(9)));
    assert_eq!(ensemble.read(&ReadOp::CountDescendants { path: path("/a/b") }), Ok(Reply::Count(0)));
}

#[test]
fn everybody_may_know_what_he_may_do_and_why() {
    let mut ensemble = furnished();
    let world = entry(Perms::READ, "world", "anyone");
    let (ann, bob) = (entry(Perms::WRITE, "digest", "ann:p"), entry(Perms::ALL, "digest", "bob:p"));
    ensemble.must(create_with_acl("/r", vec![world.clone(), ann.clone(), bob.clone()]));
    let mut check = |ids: &[&str], perms, entries: &[&AclEntry]| {
        let identity =
            |id: &&str| Identity { scheme: if id.is_empty() { "super" } else { "digest" }.into(), id: (*id).into() };
        ensemble.caller = Caller { identities: ids.iter().map(identity).collect() };
        let entries = entries.iter().map(|entry| (*entry).clone()).collect();
        assert_eq!(
            ensemble.read(&ReadOp::Access { path: path("/r") }),
            Ok(Reply::Access { perms, entries }),
            "{ids:?}"
        );
        // The answer is that of every check.
        let acl = ensemble.leader.acl_of(ensemble.leader.lookup("/r").unwrap());
        for perm in [Perms::READ, Perms::WRITE, Perms::CREATE, Perms::DELETE, Perms::ADMIN] {
            assert_eq!(acl::permits(acl, &ensemble.caller, perm), perms.intersects(perm), "{ids:?} {perm:?}");
        }
    };
    let masked = entry(Perms::WRITE, "digest", "ann:x");
    check(&[], Perms::READ, &[&world]);
    check(&["eve:p"], Perms::READ, &[&world]);
    check(&["ann:p"], Perms::READ.union(Perms::WRITE), &[&world, &masked]);
    check(&["ann:p", "bob:p"], Perms::ALL, &[&world, &ann, &bob]);
    check(&[""], Perms::ALL, &[]);
    ensemble.caller = Caller::anonymous();
    let open = Reply::Access { perms: Perms::ALL, entries: vec![entry(Perms::ALL, "world", "anyone")] };
    assert_eq!(ensemble.read(&ReadOp::Access { path: path("/a") }), Ok(open));
}

#[test]
fn acls_are_masked_for_those_who_may_not_change_them() {
    let mut ensemble = furnished();
    ensemble
        .must(create_with_acl("/r", vec![entry(Perms::READ, "world", "anyone"), entry(Perms::ALL, "digest", "u:p")]));
    let ids = |ensemble: &Ensemble, at: &str| match ensemble.read(&ReadOp::GetAcl { path: path(at) }) {
        Ok(Reply::Acl { acl, .. }) => acl.into_iter().map(|entry| entry.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ids(&ensemble, "/r"), ["anyone", "u:x"]);
    assert_eq!(ids(&ensemble, "/admin"), ["anyone", "u:p"]);
    ensemble.caller = Caller { identities: vec![Identity { scheme: "digest".into(), id: "u:p".into() }] };
    assert_eq!(ids(&ensemble, "/r"), ["anyone", "u:p"]);
}

#[test]
fn children_come_sorted_with_what_each_of_them_permits() {
    let ensemble = furnished();
    let Ok(Reply::Children { children: found, stat, more }) = ensemble.read(&children("/a", "", 0, true, true)) else {
        panic!()
    };
    assert_eq!((stat, more), (ensemble.stat("/a"), false));
    let open = |name: &str| Child {
        name: name.into(),
        stat: Some(ensemble.stat(&format!("/a/{name}"))),
        data: Some(Some(Bytes::from_static(b"data"))),
    };
    // The name of /a/d is its parent's to show, the rest its own.
    let hidden = Child { name: "d".into(), stat: None, data: None };
    assert_eq!(found, [open("b"), open("c"), hidden, open("e")]);
}

#[test]
fn a_page_is_bounded_by_count_and_by_bytes() {
    let mut ensemble = furnished();
    let names = |ensemble: &Ensemble, op: ReadOp| match ensemble.read(&op) {
        Ok(Reply::Children { children, more, .. }) => {
            (children.into_iter().map(|child| child.name).collect::<Vec<String>>(), more)
        }
        other => panic!("{other:?}"),
    };
    let page = |names: &[&str], more| (names.iter().map(|name| String::from(*name)).collect::<Vec<_>>(), more);
    assert_eq!(names(&ensemble, children("/a", "", 2, false, false)), page(&["b", "c"], true));
    assert_eq!(names(&ensemble, children("/a", "c", 2, false, false)), page(&["d", "e"], false));
    assert_eq!(names(&ensemble, children("/a", "cc", 1, false, false)), page(&["d"], true));
    assert_eq!(names(&ensemble, children("/a", "e", 1, false, false)), page(&[], false));
    assert_eq!(names(&ensemble, children("/a/b", "", 0, false, false)), page(&[], false));
    let large = Some(Bytes::from(vec![0; PAGE_BYTES_MAX / 3]));
    for at in ["/a/b", "/a/c", "/a/e"] {
        let data = large.clone();
        ensemble.must(WriteOp::SetData { path: path(at), data, precondition: Precondition::None, create: None });
    }
    assert_eq!(names(&ensemble, children("/a", "", 0, false, true)), page(&["b", "c", "d"], true));
    assert_eq!(names(&ensemble, children("/a", "d", 0, false, true)), page(&["e"], false));
    assert_eq!(names(&ensemble, children("/a", "", 0, true, false)), page(&["b", "c", "d", "e"], false));
}

#[test]
fn ephemerals_are_those_of_the_asking_session() {
    let mut ensemble = furnished();
    ensemble.open_session();
    ensemble.must(create_as("/other", CreateMode::Ephemeral));
    ensemble.open_session();
    for at in ["/z", "/a/x", "/ab"] {
        ensemble.must(create_as(at, CreateMode::Ephemeral));
    }
    let list = |ensemble: &Ensemble, prefix: &str| ensemble.read(&ReadOp::Ephemerals { prefix: prefix.into() });
    let paths = |paths: &[&str]| Ok(Reply::Ephemerals(paths.iter().map(|path| String::from(*path)).collect()));
    assert_eq!(list(&ensemble, ""), paths(&["/a/x", "/ab", "/z"]));
    assert_eq!(list(&ensemble, "/"), paths(&["/a/x", "/ab", "/z"]));
    assert_eq!(list(&ensemble, "/a"), paths(&["/a/x", "/ab"]));
    assert_eq!(list(&ensemble, "/none"), paths(&[]));
    ensemble.run(&Op::CloseSession).unwrap();
    assert_eq!(code(list(&ensemble, "")), Some(Code::SessionExpired));
    ensemble.session = SessionId::NONE;
    assert_eq!(code(list(&ensemble, "")), Some(Code::SessionRequired));
}

#[test]
fn the_ephemerals_of_a_session_fill_no_more_than_a_page() {
    let mut ensemble = furnished();
    ensemble.open_session();
    let long = "n".repeat(4_000);
    let fitting = PAGE_BYTES_MAX / (long.len() + "/000-".len());
    for i in 0..fitting {
        ensemble.must(create_as(&format!("/{i:03}-{long}"), CreateMode::Ephemeral));
    }
    let list = |ensemble: &Ensemble, prefix: &str| match ensemble.read(&ReadOp::Ephemerals { prefix: prefix.into() }) {
        Ok(Reply::Ephemerals(paths)) => Ok(paths.len()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code()),
    };
    assert_eq!(list(&ensemble, ""), Ok(fitting));
    ensemble.must(create_as(&format!("/last-{long}"), CreateMode::Ephemeral));
    assert_eq!(list(&ensemble, ""), Err(Code::TooLarge));
    assert_eq!(list(&ensemble, "/0"), Ok(100));
}
