//! Large questions: what one turn answers of them, and that the rest is answered all the same.

use std::format;
use std::string::String;

use quorate_types::limits::{CHILDREN_PAGE_MAX, MULTI_OPS_MAX};

use super::*;

/// Znodes below `/large`: two full pages of children.
const LARGE: usize = 2 * CHILDREN_PAGE_MAX as usize;

/// A server with outboxes 1 and 2, and a large directory.
fn furnished() -> Server {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.open(2, Order::Fifo);
    server.op(1, 0, create("/large", CreateMode::Persistent));
    let paths: Vec<String> = (0..LARGE).map(|i| format!("/large/{i:05}")).collect();
    for some in paths.chunks(MULTI_OPS_MAX) {
        let writes = some.iter().map(|at| match create(at, CreateMode::Persistent) {
            Op::Write(write) => write,
            other => panic!("{other:?}"),
        });
        server.op(1, 0, Op::Multi(writes.collect()));
        server.sync_all();
    }
    assert!(server.replies().into_iter().all(|reply| reply == (0, None)));
    server
}

impl Server {
    /// Steps a request without an end of the turn.
    fn ask(&mut self, outbox: u64, tag: u64, op: Op) {
        let input = ClientInput::Request { outbox: OutboxId(outbox), tag: Tag(tag), request: request(op) };
        self.replica.step(Input::Client(input), self.now, &mut self.out);
    }
}

fn list(at: &str) -> ReadOp {
    ReadOp::Children { path: path(at), after: String::new(), limit: 0, with_stat: false, with_data: false }
}

fn count(at: &str) -> Op {
    Op::Read { op: ReadOp::CountDescendants { path: path(at) }, watch: false }
}

#[test]
fn a_multi_read_looks_at_no_more_than_a_turn_has_time_for() {
    let mut server = furnished();
    server.op(1, 1, Op::MultiRead([list("/large"), ReadOp::Get { path: path("/large") }].to_vec()));
    let responses = |server: &mut Server| match server.deliveries().pop() {
        Some(Delivery::Reply { response: Ok(Reply::MultiRead(responses)), .. }) => responses,
        other => panic!("{other:?}"),
    };
    assert!(responses(&mut server).iter().all(Result::is_ok), "a page leaves room for another read");
    for many in [list("/large"), ReadOp::CountDescendants { path: path("/large") }] {
        let ops: Vec<_> = core::iter::repeat_n(many, MULTI_OPS_MAX).collect();
        server.op(1, 2, Op::MultiRead(ops));
        let responses = responses(&mut server);
        assert_eq!(responses.len(), MULTI_OPS_MAX);
        let answered = responses.iter().take_while(|response| response.is_ok()).count();
        let page_bytes = CHILDREN_PAGE_MAX as usize * 160;
        assert!(answered <= limits::EFFORT_BYTES.div_ceil(page_bytes), "{answered} are too much for one turn");
        let is_full = |response: &Response| response.as_ref().err().map(Error::code) == Some(Code::TooLarge);
        assert!(responses[answered..].iter().all(is_full));
    }
}

#[test]
fn a_turn_that_has_answered_enough_says_so_until_it_is_flushed() {
    let mut server = furnished();
    let mut check = |op: Op, most: usize| {
        let answered = (1..).find(|_| {
            server.ask(1, 1, op.clone());
            server.replica.is_flush_due()
        });
        assert!(answered.unwrap() <= most, "{op:?} {answered:?} times in one turn");
        server.collect();
        assert!(!server.replica.is_flush_due());
    };
    check(Op::Read { op: list("/large"), watch: false }, 3);
    check(count("/"), 20_000);
    check(get("/large"), 20_000);
    check(Op::MultiRead(core::iter::repeat_n(ReadOp::Exists { path: path("/none") }, MULTI_OPS_MAX).collect()), 10);
}

#[test]
fn reads_that_waited_for_a_write_are_answered_some_in_each_turn() {
    let mut server = furnished();
    let last = 20;
    server.op(1, 1, create("/a", CreateMode::Persistent));
    (2..last).for_each(|tag| server.op(1, tag, Op::Read { op: list("/large"), watch: false }));
    server.op(1, last, get("/a"));
    assert_eq!(server.replies(), []);
    server.sync_all();
    let mut answered = Vec::new();
    let mut turns = 0;
    loop {
        let (others, replies): (Vec<_>, Vec<_>) = server.replies().into_iter().partition(|(tag, _)| *tag == 100);
        assert!((1..=8).contains(&replies.len()), "{replies:?} in turn {turns}");
        assert_eq!(others.len(), usize::from(turns > 0), "others are heard in between");
        answered.extend(replies);
        turns += 1;
        if !server.replica.has_work() {
            break;
        }
        server.op(2, 100, get("/a"));
    }
    assert_eq!(answered, (1..=last).map(|tag| (tag, None)).collect::<Vec<_>>());
    assert!(turns > 2, "{turns} turns for {last} large pages");
}

#[test]
fn a_large_count_is_true_at_one_zxid_and_nobody_waits_for_it_but_who_asked() {
    let mut server = furnished();
    (3..=4).for_each(|outbox| server.open(outbox, Order::Fifo));
    for outbox in 1..=3 {
        server.ask(outbox, 10 * outbox, count("/large"));
        server.ask(outbox, 10 * outbox + 1, count("/"));
    }
    let began = server.replica.tree().applied();
    server.ask(2, 22, delete("/large/00000"));
    server.ask(4, 40, get("/large"));
    server.step(Input::Client(ClientInput::Closed { outbox: OutboxId(3) }));
    server.sync_all();
    assert_eq!(server.replies(), [(40, None)], "the others' answers wait for those to their counts");
    assert!(server.replica.has_work());
    let mut counts = Vec::new();
    while server.replica.has_work() {
        assert!(server.replica.tree().view_count() <= 1);
        server.collect();
        for delivery in server.deliveries() {
            match delivery {
                Delivery::Reply { tag, zxid, response: Ok(Reply::Count(found)) } => counts.push((tag.0, zxid, found)),
                other => assert!(matches!(other, Delivery::Reply { response: Ok(Reply::Deleted), .. }), "{other:?}"),
            }
        }
    }
    let (large, all, ended) = (LARGE as u64, LARGE as u64 + 4, server.replica.tree().applied());
    assert_eq!(counts, [(10, began, large), (11, ended, all - 1), (20, ended, large - 1), (21, ended, all - 1)]);
    assert_eq!(server.replica.tree().view_count(), 0);
}

#[test]
fn a_large_count_is_given_up_when_its_deadline_passes() {
    let mut server = furnished();
    let deadline_ms = server.now.monotonic_ms + 10;
    for tag in 1..=2 {
        server.request(tag, tag, Request { deadline_ms, ..request(count("/large")) });
    }
    assert_eq!(server.replies(), []);
    server.now.monotonic_ms += 10;
    while server.replica.has_work() {
        server.collect();
    }
    assert_eq!(server.replies(), [(1, Some(Code::DeadlineExceeded)), (2, Some(Code::DeadlineExceeded))]);
    assert_eq!(server.replica.tree().view_count(), 0);
}

#[test]
fn a_count_that_is_under_way_begins_again_when_the_state_is_replaced() {
    let mut server = furnished();
    server.open(3, Order::None);
    server.replies();
    let ask = ClientInput::Request { outbox: OutboxId(3), tag: Tag(7), request: request(count("/large")) };
    server.replica.step(Input::Client(ask), server.now, &mut server.out);
    server.replica.count_on(server.now, &mut server.out);
    assert_eq!(server.replies(), [], "it takes more than two slices");
    let base = server.replica.zab.history().snapshot_base();
    let mut tree = Tree::new(1);
    tree.advance(base.position.zxid);
    let (position, tree) = (base.position, alloc::boxed::Box::new(tree));
    server.replica.received = Some(crate::ensemble::Received { base, tree });
    server.replica.restored(position, server.now, &mut server.out);
    server.collect();
    let counted = |delivery| match delivery {
        Delivery::Reply { tag: Tag(7), response, .. } => Some(response),
        _ => None,
    };
    let counted: Vec<_> = server.deliveries().into_iter().filter_map(counted).collect();
    let gone = counted.iter().map(|response| response.as_ref().err().map(Error::code)).collect::<Vec<_>>();
    assert_eq!(gone, [Some(Code::NoNode)], "in the new state there is nothing to count");
}
