//! The window against the plainest representation of it: a list of txns with their changes.

use proptest::prelude::*;
use quorate_types::SessionId;

use super::*;

/// What is pushed, in numbers that always mean something.
#[derive(Clone, Debug)]
enum Push {
    Txn(u32, Vec<Change>),
    Gap(u32),
}

fn any_number() -> impl Strategy<Value = i64> {
    prop_oneof![3 => -3..300i64, 1 => any::<i64>()]
}

fn any_stat() -> impl Strategy<Value = Stat> {
    (prop::collection::vec(any_number(), 11), prop::collection::vec(any::<bool>(), 11)).prop_map(
        |(numbers, are_set)| {
            let number = |at: usize| if are_set[at] { numbers[at] } else { 0 };
            Stat {
                czxid: Zxid(number(0) as u64),
                mzxid: Zxid(number(1) as u64),
                pzxid: Zxid(number(2) as u64),
                ctime_ms: number(3),
                mtime_ms: number(4),
                version: number(5) as i32,
                cversion: number(6) as i32,
                aversion: number(7) as i32,
                ephemeral_owner: SessionId(number(8) as u64),
                data_length: number(9) as u32,
                num_children: number(10) as u32,
            }
        },
    )
}

fn any_data() -> impl Strategy<Value = Option<Bytes>> {
    let len = prop_oneof![8 => 0..300usize, 1 => 4_000..5_000usize];
    prop::option::of(
        (len, any::<u8>()).prop_map(|(len, first)| (0..len).map(|at| first.wrapping_add(at as u8)).collect::<Bytes>()),
    )
}

/// More than are compared with each other.
fn any_acl() -> impl Strategy<Value = Acl> {
    prop_oneof![
        2 => Just(Acl::OPEN),
        1 => (0..20u32).prop_map(|number| {
            let id = format!("user-{number}:hash");
            Acl::new(vec![AclEntry { perms: Perms(number % 5), scheme: "digest".into(), id }])
        }),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    let kind = prop::sample::select(vec![ChangeKind::Created, ChangeKind::Deleted, ChangeKind::DataChanged]);
    let path = "/[a-c\u{fc}\u{6f22}]{0,12}";
    (kind, path, any_stat(), any_data(), any_data(), any_acl(), any_acl()).prop_map(
        |(kind, path, stat, data, previous_data, acl, parent_acl)| {
            let (zxid, index) = (Zxid::ZERO, 0);
            Change { kind, zxid, index, path, stat, data, previous_data, acl, parent_acl }
        },
    )
}

fn any_push() -> impl Strategy<Value = Push> {
    let ahead = || prop_oneof![6 => 1..3u32, 1 => Just(1 << 20)];
    prop_oneof![
        30 => (ahead(), prop::collection::vec(any_change(), 0..4)).prop_map(|(ahead, changes)| Push::Txn(ahead, changes)),
        1 => ahead().prop_map(Push::Gap),
    ]
}

/// The changes that a reader finds who goes on at `position`; `None` if the window has left it behind.
fn read(history: &History, position: Position) -> Option<Vec<Change>> {
    let (mut reader, mut read) = (history.read(position)?, Vec::new());
    while let Some((zxid, changes)) = reader.next() {
        for change in (0..changes.len()).map(|at| changes.get(at)) {
            let event = change.event(true, true);
            let bare = change.event(false, false);
            assert_eq!((change.kind, change.path, zxid), (event.kind, event.path.as_str(), event.zxid));
            assert_eq!(bare, quorate_types::Event { data: None, previous_data: None, ..event.clone() });
            let quorate_types::Event { kind, zxid, index, path, stat, data, previous_data } = event;
            let (acl, parent_acl) = (change.acl().clone(), change.parent_acl().clone());
            read.push(Change { kind, zxid, index, path, stat, data, previous_data, acl, parent_acl });
        }
    }
    Some(read)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_pushed_is_read_back_until_it_leaves_the_window(
        pushes in prop::collection::vec(any_push(), 1..50),
        bytes_max in prop_oneof![0..30_000usize, Just(1 << 20)],
        resumes in prop::collection::vec((0..200u32, prop_oneof![Just(u32::MAX), 0..4u32]), 5),
    ) {
        let mut history = History::new(z(10), bytes_max);
        let (mut log, mut known_after, mut held) = (Vec::<Change>::new(), z(10), Vec::new());
        for push in pushes {
            let before = (history.start(), history.end());
            let zxid = match push {
                Push::Txn(ahead, changes) => {
                    let zxid = Zxid(history.end().0 + u64::from(ahead));
                    let number = |(index, change)| Change { zxid, index, ..change };
                    let changes: Vec<Change> = (0..).zip(changes).map(number).collect();
                    log.extend(changes.iter().cloned());
                    history.push(zxid, changes);
                    zxid
                }
                Push::Gap(ahead) => {
                    let zxid = Zxid(history.end().0 + u64::from(ahead));
                    history.push_gap(zxid);
                    known_after = zxid;
                    zxid
                }
            };
            prop_assert_eq!(history.end(), zxid);
            prop_assert!(history.bytes() <= bytes_max);
            prop_assert!(history.start() >= before.0 && history.start() >= known_after);
            let start = history.start();
            prop_assert!(start == before.0 || start == zxid || log.iter().any(|change| change.zxid == start));
            for (back, index) in &resumes {
                let resume = Resume { zxid: Zxid(history.end().0.saturating_sub(u64::from(*back))), index: *index };
                let is_after = |change: &&Change| Resume { zxid: change.zxid, index: change.index } > resume;
                let owed = || log.iter().filter(is_after).cloned().collect::<Vec<_>>();
                let is_known = resume >= Resume { zxid: start, index: u32::MAX };
                let position = history.position_after(resume);
                prop_assert_eq!(position.is_some(), is_known);
                if let Some(position) = position {
                    prop_assert_eq!(read(&history, position), Some(owed()));
                    held.push((position, resume));
                }
            }
            // A position stays what it was, or says that it is lost: never is a change passed over.
            held.truncate(20);
            for (position, resume) in &held {
                let is_after = |change: &&Change| Resume { zxid: change.zxid, index: change.index } > *resume;
                let owed: Vec<Change> = log.iter().filter(is_after).cloned().collect();
                let has_lost = owed.first().is_some_and(|first| first.zxid <= start) || resume.zxid < known_after;
                prop_assert_eq!(read(&history, *position), (!has_lost).then_some(owed));
            }
        }
    }
}
