//! The list behaves like an ordered map, whatever the order of changes, and old copies stay as they were.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use proptest::prelude::*;

use super::*;

/// Names by id, as the slab would have them.
struct Names(Vec<String>);

impl Names {
    fn upto(count: usize) -> Names {
        Names((0..count).map(|i| format!("{:04}", (i * 7919) % 10007)).collect())
    }

    fn of(&self, id: ZnodeId) -> &[u8] {
        self.0[id.0 as usize].as_bytes()
    }
}

fn ids(children: &Children) -> Vec<ZnodeId> {
    let mut position = Position::default();
    core::iter::from_fn(|| children.next(&mut position)).collect()
}

fn assert_shape(children: &Children) {
    assert!(children.chunks.iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.ids.len())));
    assert!(children.chunks.iter().all(|chunk| chunk.keys.len() == 0 || chunk.keys.len() == chunk.ids.len()));
    assert!(children.heads.len() == 0 || children.heads.len() == children.chunks.len());
    assert_eq!(children.chunks.iter().map(|chunk| chunk.ids.len()).sum::<usize>(), children.len() as usize);
}

#[test]
fn ascending_names_fill_chunks_to_the_brim() {
    let mut children = Children::default();
    let names = Names((0..2000).map(|i| format!("{i:06}")).collect());
    for i in 0..2000 {
        children.insert(ZnodeId(i), names.of(ZnodeId(i)), |id| names.of(id));
    }
    assert_eq!(children.chunks.len(), 2000_usize.div_ceil(CHUNK_MAX));
    assert_eq!(ids(&children), (0..2000).map(ZnodeId).collect::<Vec<_>>());
}

#[test]
fn draining_a_long_list_from_either_end_leaves_no_chunk_behind() {
    let names = Names::upto(3000);
    for reverse in [false, true] {
        let mut children = Children::default();
        (0..3000).for_each(|i| children.insert(ZnodeId(i), names.of(ZnodeId(i)), |id| names.of(id)));
        let mut order = ids(&children);
        if reverse {
            order.reverse();
        }
        for id in order {
            children.remove(names.of(id), |id| names.of(id));
            assert_shape(&children);
        }
        assert_eq!((children.len(), children.chunks.len()), (0, 0));
    }
}

#[test]
fn a_list_of_many_chunks_equals_an_ordered_map() {
    // Names of several shapes, so that prefixes are long, short and absent.
    let shape = |i: u32| match i % 4 {
        0 => format!("key-{i:08}"),
        1 => format!("{:x}", i.wrapping_mul(0x9e37_79b9)),
        2 => format!("key-{}", i % 1000 + 7 * i),
        _ => format!("{}", char::from(b'a' + (i % 26) as u8)).repeat(1 + i as usize % 9) + &format!("{i}"),
    };
    let names = Names((0..24_000).map(shape).collect());
    let mut order: Vec<_> = (0..24_000u32).map(|i| ZnodeId(i * 7919 % 24_000)).collect();
    let (mut children, mut model) = (Children::default(), BTreeMap::new());
    for id in &order {
        if model.insert(names.of(*id), *id).is_none() {
            children.insert(*id, names.of(*id), |id| names.of(id));
        } else {
            model.remove(names.of(*id));
            children.remove(names.of(*id), |id| names.of(id));
        }
    }
    assert!(children.heads.len() > KEYLESS_MAX);
    order.rotate_left(11_000);
    for (at, id) in order.iter().enumerate() {
        if at % 4000 == 0 {
            assert_shape(&children);
            assert_eq!(ids(&children), model.values().copied().collect::<Vec<_>>());
        }
        let expected = model.remove(names.of(*id));
        assert_eq!(children.search(names.of(*id), |id| names.of(id)).is_ok(), expected.is_some());
        if expected.is_some() {
            children.remove(names.of(*id), |id| names.of(id));
        }
    }
    assert_eq!(children.len(), 0);
}

#[test]
fn names_below_all_others_are_found_again() {
    let names = Names((0..20_000).map(|i| format!("{:06}", 900_000 - i)).collect());
    let mut children = Children::default();
    for i in 0..20_000 {
        children.insert(ZnodeId(i), names.of(ZnodeId(i)), |id| names.of(id));
    }
    assert_shape(&children);
    assert_eq!(ids(&children), (0..20_000).rev().map(ZnodeId).collect::<Vec<_>>());
    (0..20_000).for_each(|i| children.remove(names.of(ZnodeId(i)), |id| names.of(id)));
    assert_eq!(children.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_list_equals_an_ordered_map(steps in prop::collection::vec((0u32..1500, prop::bool::weighted(0.7)), 0..3000), probe in "[0-9]{0,5}") {
        let names = Names::upto(1500);
        let (mut children, mut model) = (Children::default(), BTreeMap::new());
        let mut old = (children.clone(), model.clone());
        for (step, (id, insert)) in steps.into_iter().enumerate() {
            let id = ZnodeId(id);
            if step % 500 == 250 {
                old = (children.clone(), model.clone());
            }
            match (insert, model.contains_key(names.of(id))) {
                (true, false) => {
                    children.insert(id, names.of(id), |id| names.of(id));
                    model.insert(names.of(id), id);
                }
                (false, true) => {
                    children.remove(names.of(id), |id| names.of(id));
                    model.remove(names.of(id));
                }
                _ => {}
            }
        }
        for (children, model) in [(&children, &model), (&old.0, &old.1)] {
            assert_shape(children);
            prop_assert_eq!(ids(children), model.values().copied().collect::<Vec<_>>());
            prop_assert_eq!(children.iter().collect::<Vec<_>>(), ids(children));
            let mut position = children.after(probe.as_bytes(), |id| names.of(id));
            let rest: Vec<_> = core::iter::from_fn(|| children.next(&mut position)).collect();
            let expected: Vec<_> = model.iter().filter(|(name, _)| **name > probe.as_bytes()).map(|(_, id)| *id).collect();
            prop_assert_eq!(rest, expected);
        }
    }
}
