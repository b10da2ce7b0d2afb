//! The search for an order (Wing and Gong, "Testing and verifying concurrent objects", 1993, with the memory of Lowe,
//! "Testing for linearizability", 2017).
//!
//! Events are walked in the order of time. An operation that has begun may come next if the znode, as it would be
//! then, gives the answer that was seen; it is then taken out of the list. If the end of one that was answered is
//! reached first, it should have come earlier: the last choice is taken back. At the end of one that was lost, it is
//! chosen that it never happened. Two ways to settle the same operations that leave the same znode have the same
//! futures, so only the first is followed.

use std::collections::HashSet;

use super::{Action, Answer, Operation, Znode};

/// Whether there is an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is one.
    Linearizable {
        /// How many places were tried.
        steps: u64,
    },
    /// There is none: at most so many of the operations with an answer can be explained.
    Impossible {
        /// How many.
        explained: usize,
    },
    /// It was not found out in time.
    Undecided,
}

/// The list's head, and the end of the walk.
const HEAD: usize = 0;

#[derive(Clone, Copy)]
enum Event {
    Head,
    Begin(usize),
    End(usize),
}

/// How an operation was settled, to be taken back.
struct Choice {
    number: usize,
    happened: bool,
    before: Znode,
}

struct Search<'a> {
    operations: &'a [&'a Operation],
    /// In the order of time, linked to a list without those of operations that are settled.
    events: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Where each operation begins and, if it ends, where that is.
    begins: Vec<usize>,
    ends: Vec<Option<usize>>,
    /// Operations with an answer that are not settled.
    left: usize,
    settled: Settled,
    znode: Znode,
    choices: Vec<Choice>,
    seen: HashSet<(Settled, Znode)>,
}

/// Looks for an order of the operations on one znode, which does not exist at first, with at most `steps_max` steps.
#[must_use]
pub fn judge(operations: &[&Operation], steps_max: u64) -> Verdict {
    // A read that was never answered says nothing.
    let says_something = |operation: &&Operation| operation.answer.is_seen() || operation.action != Action::Get;
    let operations: Vec<&Operation> = operations.iter().copied().filter(says_something).collect();
    Search::new(&operations).run(steps_max)
}

impl<'a> Search<'a> {
    fn new(operations: &'a [&'a Operation]) -> Search<'a> {
        let begins = operations.iter().enumerate().map(|(number, operation)| (operation.called, true, number));
        let ends = operations.iter().enumerate();
        let ends = ends.filter_map(|(number, operation)| Some((operation.answer.end()?, false, number)));
        let mut moments: Vec<(u64, bool, usize)> = begins.chain(ends).collect();
        moments.sort_unstable();
        let mut search = Search {
            operations,
            events: vec![Event::Head],
            next: Vec::new(),
            previous: Vec::new(),
            begins: vec![0; operations.len()],
            ends: vec![None; operations.len()],
            left: operations.iter().filter(|operation| operation.answer.is_seen()).count(),
            settled: Settled::new(operations.len()),
            znode: Znode::default(),
            choices: Vec::new(),
            seen: HashSet::new(),
        };
        for (_, is_begin, number) in moments {
            let at = search.events.len();
            if is_begin {
                search.begins[number] = at;
                search.events.push(Event::Begin(number));
            } else {
                search.ends[number] = Some(at);
                search.events.push(Event::End(number));
            }
        }
        let count = search.events.len();
        search.next = (0..count).map(|at| (at + 1) % count).collect();
        search.previous = (0..count).map(|at| (at + count - 1) % count).collect();
        search
    }

    fn run(mut self, steps_max: u64) -> Verdict {
        let (answered, mut least_left, mut steps) = (self.left, self.left, 0);
        let mut at = self.next[HEAD];
        while self.left > 0 {
            steps += 1;
            if steps > steps_max {
                return Verdict::Undecided;
            }
            let chosen = match self.events[at] {
                Event::Begin(number) => self.explained(number).is_some_and(|after| self.settle(number, true, after)),
                Event::End(number) => !self.is_seen(number) && self.settle(number, false, self.znode),
                Event::Head => unreachable!("an operation with an answer is not settled, so its end comes first"),
            };
            at = match (chosen, self.events[at]) {
                (true, _) => self.next[HEAD],
                (false, Event::Begin(_)) => self.next[at],
                (false, Event::End(_) | Event::Head) => match self.take_back() {
                    Some(number) => self.next[self.begins[number]],
                    None => return Verdict::Impossible { explained: answered - least_left },
                },
            };
            least_left = least_left.min(self.left);
        }
        Verdict::Linearizable { steps }
    }

    fn is_seen(&self, number: usize) -> bool {
        self.operations[number].answer.is_seen()
    }

    /// What the operation would make of the znode, if that gives the answer that was seen.
    fn explained(&self, number: usize) -> Option<Znode> {
        let Operation { action, answer, .. } = *self.operations[number];
        let (after, expected) = self.znode.after(action);
        match answer {
            Answer::Seen { outcome, .. } if outcome != expected => None,
            Answer::Seen { .. } | Answer::Lost { .. } => Some(after),
        }
    }

    /// Lets an operation have happened next, or never. False if that leads where the search was before.
    fn settle(&mut self, number: usize, happened: bool, after: Znode) -> bool {
        self.settled.toggle(number);
        if !self.seen.insert((self.settled.clone(), after)) {
            self.settled.toggle(number);
            return false;
        }
        self.choices.push(Choice { number, happened, before: std::mem::replace(&mut self.znode, after) });
        self.take_out(number);
        true
    }

    /// Takes choices back up to the last operation that was let happen, which is named: what comes after its beginning
    /// may come first instead. `None` if there is none.
    fn take_back(&mut self) -> Option<usize> {
        loop {
            let Choice { number, happened, before } = self.choices.pop()?;
            self.znode = before;
            self.settled.toggle(number);
            self.put_back(number);
            if happened {
                return Some(number);
            }
        }
    }

    fn take_out(&mut self, number: usize) {
        self.left -= usize::from(self.is_seen(number));
        for at in [Some(self.begins[number]), self.ends[number]].into_iter().flatten() {
            self.next[self.previous[at]] = self.next[at];
            self.previous[self.next[at]] = self.previous[at];
        }
    }

    /// Undoes the last [`Search::take_out`], in the reverse order.
    fn put_back(&mut self, number: usize) {
        self.left += usize::from(self.is_seen(number));
        for at in [self.ends[number], Some(self.begins[number])].into_iter().flatten() {
            self.next[self.previous[at]] = at;
            self.previous[self.next[at]] = at;
        }
    }
}

/// Which operations are settled: a set of bits.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Settled(Box<[u64]>);

impl Settled {
    fn new(count: usize) -> Settled {
        Settled(vec![0; count.div_ceil(64)].into())
    }

    fn toggle(&mut self, number: usize) {
        self.0[number / 64] ^= 1 << (number % 64);
    }
}
