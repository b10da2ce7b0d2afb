//! `EventStream`: the body of a response that tells what watches tell, as it happens.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use quorate_client::Watches;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::events::Frames;
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::readers::Reader;

/// The body of an event stream.
pub(crate) struct EventStream {
    reader: Arc<Reader<Watches>>,
    frames: Frames,
    /// Of a document: what it waits for.
    wait: Option<Wait>,
    keep_alive: Duration,
    /// When the last piece left.
    sent: Instant,
    silence: Pin<Box<Sleep>>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

/// What a document waits for that tells all there is at one time.
pub(crate) struct Wait {
    /// It ends then, even if there is nothing to tell.
    until: Pin<Box<Sleep>>,
    /// It ends with the present state, even if that is nothing.
    at_once: bool,
}

impl Wait {
    pub(crate) fn new(time: Duration, at_once: bool) -> Wait {
        Wait { until: Box::pin(sleep(time)), at_once }
    }
}

impl EventStream {
    /// Of watches that have begun and what they have told so far; a document `wait`s, and nothing else does.
    pub(crate) fn new(
        gateway: &Gateway,
        watches: Watches,
        frames: Frames,
        wait: Option<Wait>,
        place: OwnedSemaphorePermit,
    ) -> EventStream {
        let now = Instant::now();
        let keep_alive = gateway.config.silence_max();
        EventStream {
            reader: gateway.readers.admit(watches, gateway.config.metrics.event_stream_begins(), place),
            frames,
            wait,
            keep_alive,
            sent: now,
            silence: Box::pin(sleep_until(now + keep_alive)),
            shutdown: Box::pin(gateway.config.shutdown.clone().cancelled_owned()),
            ended: false,
        }
    }

    /// Takes in what is ready, as much as one piece may hold.
    fn fill(&mut self, context: &mut Context<'_>) {
        while !self.ended && !self.frames.is_full() {
            match self.reader.poll_next(context) {
                Poll::Ready(Some(Ok((index, Ok(told))))) => self.frames.push(index, told),
                Poll::Ready(Some(Ok((_, Err(error))) | Err(error))) => {
                    // One watch that cannot go on ends them all: the reader connects again and is told why.
                    self.end(Some(&Problem::from(error)));
                }
                Poll::Ready(None) => self.end(None),
                Poll::Pending => return,
            }
        }
    }

    /// Whether there is enough for a document: something, the present state, or nothing for long enough.
    fn is_answered(&mut self, context: &mut Context<'_>) -> bool {
        let Some(Wait { until, at_once }) = &mut self.wait else { return false };
        let is_over = until.is_elapsed() || until.as_mut().poll(context).is_ready();
        self.frames.is_resumable() && (is_over || *at_once || self.frames.told() > 0)
    }

    fn end(&mut self, problem: Option<&Problem>) {
        self.frames.end(problem);
        self.ended = true;
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.fill(context);
        if !self.ended && (self.is_answered(context) || self.shutdown.as_mut().poll(context).is_ready()) {
            self.end(None);
        }
        if let Some(piece) = self.frames.take() {
            self.sent = Instant::now();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            ready!(self.silence.as_mut().poll(context));
            // The timer is not moved with every piece; it finds out here whether there was one.
            let due = self.sent + self.keep_alive;
            let now = Instant::now();
            if due <= now {
                self.sent = now;
                let next = now + self.keep_alive;
                self.silence.as_mut().reset(next);
                return Poll::Ready(Some(Ok(Frame::data(self.frames.format().keep_alive()))));
            }
            self.silence.as_mut().reset(due);
        }
    }
}
