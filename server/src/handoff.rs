//! `Handoff`: a queue into a dedicated thread, which takes everything at once.
//!
//! Whoever pushes never waits: what may be on its way is bounded by the replica. The thread is only notified when it
//! waits, so under load a push costs one uncontended lock.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The queue.
#[derive(Debug)]
pub(crate) struct Handoff<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    closed: bool,
}

/// What a thread found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Something.
    Some,
    /// Nothing, so far.
    Empty,
    /// Nothing, and nothing will come.
    Closed,
}

impl<T> Default for Handoff<T> {
    fn default() -> Self {
        Handoff { state: Mutex::new(State { items: Vec::new(), closed: false }), filled: Condvar::new() }
    }
}

impl<T> Handoff<T> {
    /// Adds items at the end.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = T>) {
        self.state.lock().items.extend(items);
        self.filled.notify_one();
    }

    /// Nothing will be pushed any more.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Whether nothing will be pushed any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Takes what there is, into an empty `into`; waits for something for at most `wait`, `None` for however long.
    pub(crate) fn take(&self, into: &mut Vec<T>, wait: Option<Duration>) -> Taken {
        assert!(into.is_empty(), "{} items were not worked off", into.len());
        let mut state = self.state.lock();
        if state.items.is_empty() && !state.closed {
            match wait {
                Some(Duration::ZERO) => {}
                Some(wait) => {
                    self.filled.wait_for(&mut state, wait);
                }
                None => self.filled.wait_while(&mut state, |state| state.items.is_empty() && !state.closed),
            }
        }
        std::mem::swap(&mut state.items, into);
        match (into.is_empty(), state.closed) {
            (false, _) => Taken::Some,
            (true, false) => Taken::Empty,
            (true, true) => Taken::Closed,
        }
    }

    /// Sleeps for `pause`, or less if the queue is closed meanwhile. Items do not wake it.
    pub(crate) fn pause(&self, pause: Duration) {
        let deadline = std::time::Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.closed && !self.filled.wait_until(&mut state, deadline).timed_out() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_was_pushed_is_taken_at_once_and_in_order() {
        let handoff = Handoff::default();
        handoff.push([1, 2]);
        handoff.push([3]);
        let mut items = Vec::new();
        assert_eq!(handoff.take(&mut items, None), Taken::Some);
        assert_eq!(items, [1, 2, 3]);
        items.clear();
        assert_eq!(handoff.take(&mut items, Some(Duration::ZERO)), Taken::Empty);
        handoff.push([4]);
        handoff.close();
        assert_eq!(handoff.take(&mut items, None), Taken::Some);
        items.clear();
        assert_eq!(handoff.take(&mut items, None), Taken::Closed);
    }

    #[test]
    fn a_waiting_thread_is_woken_by_a_push_and_by_the_close() {
        let handoff = Arc::new(Handoff::default());
        let thread = std::thread::spawn({
            let handoff = Arc::clone(&handoff);
            move || {
                let (mut items, mut sum) = (Vec::new(), 0);
                while handoff.take(&mut items, None) == Taken::Some {
                    sum += items.drain(..).sum::<u32>();
                }
                sum
            }
        });
        for item in 1..=100 {
            handoff.push([item]);
        }
        handoff.close();
        assert_eq!(thread.join().unwrap(), 5050);
    }
}
