//! One voter, through all phases, with a disk that reports when the test lets it.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::{Configs, Members, NotProposed, PeerOutput};
use quorate_types::{Epoch, FrameKind};

const ME: ServerId = ServerId(1);

fn config(counter_soft_max: u32) -> Config {
    Config { counter_soft_max, ..Config::new(ME, Members::founding([ME])) }
}

fn beginning() -> Start {
    Start {
        promise: Promise::default(),
        standing: Standing::Voter,
        may_found: false,
        history: History::new(Zxid::ZERO, 0, vec![]),
        commit: Zxid::ZERO,
        log_start: Zxid::ZERO,
        snapshot: None,
    }
}

fn fresh(counter_soft_max: u32) -> Zab {
    Zab::new(config(counter_soft_max), beginning())
}

fn synced(zab: &mut Zab, token: u64, out: &mut Vec<Output>) {
    zab.step(0, Input::Synced(token), out);
}

fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// What came out, in short: `promise 1`, `append (1,0)`, `deliver (1,0)`, `established 1`.
fn trace(out: &mut Vec<Output>) -> Vec<std::string::String> {
    out.drain(..)
        .map(|output| match output {
            Output::Append { frame, .. } => std::format!("append {:?}", frame.zxid()),
            Output::Promise { promise, .. } => std::format!("promise {}", promise.epoch.0),
            Output::Deliver(frame) => std::format!("deliver {:?}", frame.zxid()),
            Output::Established(epoch) => std::format!("established {}", epoch.0),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn one_voter_goes_through_every_phase_and_waits_for_its_disk_in_each() {
    let (mut zab, mut out) = (fresh(1000), vec![]);
    zab.start(0, &mut out);
    assert_eq!(trace(&mut out), ["promise 1"]);
    assert_eq!(zab.next_zxid(&mut out), Err(NotProposed::Later));
    synced(&mut zab, 0, &mut out);
    assert_eq!(trace(&mut out), [""; 0]);
    synced(&mut zab, 1, &mut out);
    assert_eq!(trace(&mut out), ["append (1,0)"]);
    assert_eq!(zab.phase(), Phase::Synchronization);
    synced(&mut zab, 2, &mut out);
    assert_eq!(trace(&mut out), ["deliver (1,0)", "established 1"]);
    for payload in [b"a", b"b", b"c"] {
        let zxid = zab.next_zxid(&mut out).unwrap();
        zab.propose(zxid, payload, &mut out);
    }
    assert_eq!(trace(&mut out), ["append (1,1)", "append (1,2)", "append (1,3)"]);
    synced(&mut zab, 4, &mut out);
    assert_eq!(trace(&mut out), ["deliver (1,1)", "deliver (1,2)"]);
    assert_eq!((zab.commit(), zab.durable(), zab.history().last()), (z(1, 2), z(1, 2), z(1, 3)));
    synced(&mut zab, 5, &mut out);
    assert_eq!(trace(&mut out), ["deliver (1,3)"]);
}

#[test]
fn the_counter_runs_out_into_a_new_epoch_in_place_and_the_tail_becomes_its_history() {
    let (mut zab, mut out) = (fresh(2), vec![]);
    zab.start(0, &mut out);
    synced(&mut zab, 1, &mut out);
    synced(&mut zab, 2, &mut out);
    for _ in 0..2 {
        let zxid = zab.next_zxid(&mut out).unwrap();
        zab.propose(zxid, b"", &mut out);
    }
    trace(&mut out);
    assert_eq!(zab.next_zxid(&mut out), Err(NotProposed::Later));
    assert_eq!(trace(&mut out), ["promise 2"]);
    // The records of epoch 1 become durable meanwhile, and are committed by what they were proposed under.
    synced(&mut zab, 4, &mut out);
    assert_eq!(trace(&mut out), ["deliver (1,1)", "deliver (1,2)"]);
    synced(&mut zab, 5, &mut out);
    assert_eq!(trace(&mut out), ["append (2,0)"]);
    synced(&mut zab, 6, &mut out);
    assert_eq!(trace(&mut out), ["deliver (2,0)", "established 2"]);
    assert_eq!(zab.next_zxid(&mut out), Ok(z(2, 1)));
}

#[test]
fn a_restarted_server_delivers_what_was_committed_and_the_rest_with_its_marker() {
    let mut history = History::new(Zxid::ZERO, 0, vec![]);
    history.extend(FrameKind::Marker, z(1, 0), &[&[1][..], &Configs::new([ME]).encode()].concat());
    history.extend(FrameKind::Txn, z(1, 1), b"known to be committed");
    history.extend(FrameKind::Txn, z(1, 2), b"perhaps");
    let promise = Promise { epoch: Epoch(1), leader: Some(ME) };
    let start = Start { promise, history, commit: z(1, 1), ..beginning() };
    let (mut zab, mut out) = (Zab::new(config(1000), start), vec![]);
    zab.start(0, &mut out);
    assert_eq!(trace(&mut out), ["deliver (1,0)", "deliver (1,1)", "promise 2"]);
    synced(&mut zab, 1, &mut out);
    assert_eq!(trace(&mut out), ["append (2,0)"]);
    synced(&mut zab, 2, &mut out);
    assert_eq!(trace(&mut out), ["deliver (1,2)", "deliver (2,0)", "established 2"]);
}

#[test]
fn two_voters_decide_nothing_while_one_is_silent() {
    let mut zab = Zab::new(Config::new(ME, Members::founding([ME, ServerId(2)])), beginning());
    let mut out = vec![];
    zab.start(0, &mut out);
    assert!(matches!(&out[..], [Output::Peer(PeerOutput::Notify { to: ServerId(2), .. })]), "{out:?}");
    assert_eq!((zab.role(), zab.next_zxid(&mut out)), (Role::Looking, Err(NotProposed::NotLeading)));
}
