//! `Seldom`: a future that is polled much more often than it has news. A connection's task wakes for every message, while
//! the ends that it also waits for (it is cut, grows old, the server stops) come once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls what it holds only when that was woken.
pub(super) struct Seldom<F> {
    future: F,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Rung by whatever the future waits for.
struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future + Unpin> Seldom<F> {
    pub(super) fn new(future: F) -> Seldom<F> {
        // Rung at first: a future has to be polled once to begin.
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&bell));
        Seldom { future, bell, waker }
    }
}

impl<F: Future + Unpin> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        // Registered before looking: a ring in between is seen here or wakes the task.
        this.bell.task.register(cx.waker());
        if !this.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_held_is_polled_when_it_was_woken_and_not_otherwise() {
        let polls = Cell::new(0);
        let (sender, mut receiver) = oneshot::channel();
        let counted = std::future::poll_fn(|cx| {
            polls.set(polls.get() + 1);
            Pin::new(&mut receiver).poll(cx)
        });
        let mut seldom = Seldom::new(counted);
        for _ in 0..10 {
            std::future::poll_fn(|cx| {
                assert!(Pin::new(&mut seldom).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert_eq!(polls.get(), 1);
        sender.send(7).unwrap();
        assert_eq!(seldom.await, Ok(7));
        assert_eq!(polls.get(), 2);
    }

    #[tokio::test]
    async fn the_task_that_waits_is_woken() {
        let (sender, receiver) = oneshot::channel();
        let waiting = tokio::spawn(Seldom::new(receiver));
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }
}
