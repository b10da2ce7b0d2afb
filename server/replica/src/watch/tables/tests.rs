//! The counts that the tables keep, against counting anew.

use alloc::collections::BTreeSet;
use alloc::string::String;

use super::*;

const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/a/b/c", "/d"];
const TABLES: [Table; 3] = [Table::Data, Table::Child, Table::Recursive];

/// What is counted, and what is known by connection, says the same as the tables.
fn check(tables: &Tables) {
    let (mut count, mut recursive, mut held) = (0, 0, BTreeSet::new());
    for (path, spot) in &tables.spots {
        assert!(!spot.is_empty(), "nobody watches {path}");
        for watching in [&spot.data, &spot.child, &spot.recursive] {
            assert!(watching.values().all(|modes| !modes.is_empty()));
            count += watching.values().map(|modes| modes.len()).sum::<usize>();
            held.extend(watching.keys().map(|outbox| (*outbox, String::from(&**path))));
        }
        recursive += spot.recursive.len();
    }
    let known =
        tables.paths.iter().flat_map(|(outbox, paths)| paths.iter().map(|path| (*outbox, String::from(&**path))));
    assert_eq!(known.collect::<BTreeSet<_>>(), held);
    assert_eq!((tables.count, tables.recursive), (count, recursive));
    assert!(tables.paths.values().all(|paths| !paths.is_empty()));
}

#[test]
fn counts_and_indexes_follow_the_tables() {
    let mut tables = Tables::new(3);
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut told = Vec::new();
    for _ in 0..5_000 {
        let (outbox, path, table) = (OutboxId(draw(4) as u64), PATHS[draw(5)], TABLES[draw(3)]);
        let modes = match (table, draw(3)) {
            (Table::Recursive, _) => Modes::PERSISTENT,
            (_, 0) => Modes::STANDARD,
            (_, 1) => Modes::PERSISTENT,
            (_, _) => Modes::ALL,
        };
        match draw(20) {
            0..9 => tables.add(outbox, path, table, modes),
            9..14 => tables.remove(outbox, path, table, modes),
            14..16 => tables.trigger_data(path, &mut told),
            16..19 => tables.trigger_child(path, &mut told),
            _ => tables.close(outbox),
        }
        assert!(told.is_sorted_by(|one, other| one < other), "each once and in order: {told:?}");
        told.clear();
        check(&tables);
    }
}
