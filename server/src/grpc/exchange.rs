//! `Exchange`: the one state machine of all streams. What a particular RPC makes of messages and deliveries is its
//! [`Dialogue`].
//!
//! One task does everything: it is woken by the client or by the outbox, hands all operations that have arrived to the
//! inbox as one batch, and makes one message of all deliveries that are ready. While the client does not read its
//! responses HTTP/2 does not ask for more, so nothing is taken out of the outbox, and nothing more is heard either.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use prost::{Message, Name};
use quorate_proto::v1;
use quorate_replica::{Delivery, Order};
use quorate_types::{Code, Error, Request, Tag};
use tokio_stream::Stream;
use tokio_util::sync::ReusableBoxFuture;
use tonic::{Status, Streaming};

use super::codec::receive_failure;
use super::error;
use super::route::header;
use crate::connection::Connection;
use crate::inbox::{Closed, Inbox, OutboxReceiver, OutboxSender};

/// Requests that go to the inbox at once: enough to make the hand-over cheap, few enough to leave others their turn.
const BATCH_MAX: usize = 1_024;

/// Bytes of deliveries that are made one message, unless the first alone has more.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Requests on their way out, each with the tag that its reply will bear.
pub(super) type Outgoing = Vec<(Tag, Request)>;

/// Goes on, or ends the stream: well, or with a status.
pub(super) type Flow = ControlFlow<Result<(), Status>>;

/// What one streaming RPC makes of its client's messages and of the replica's deliveries.
pub(super) trait Dialogue: Send + Unpin + 'static {
    /// What the client sends.
    type In: Name + Default + 'static;
    /// What it is sent.
    type Out: Message + 'static;

    /// Takes a message of the client.
    fn hear(&mut self, message: Self::In, inbox: &Inbox, outgoing: &mut Outgoing) -> Flow;

    /// Whether another message may be taken now.
    fn listens(&self) -> bool {
        true
    }

    /// Takes a delivery of the replica.
    fn deliver(&mut self, delivery: Delivery, inbox: &Inbox, outgoing: &mut Outgoing) -> Flow;

    /// Everything that is ready to be said, as one message.
    fn say(&mut self, header: impl FnOnce() -> v1::ReplyHeader) -> Option<Self::Out>;

    /// Whether nothing can follow any more if the client sends nothing more.
    fn is_over(&self) -> bool;
}

/// A stream of responses that speaks for a [`Dialogue`].
pub(super) struct Exchange<D: Dialogue> {
    dialogue: D,
    inbox: Inbox,
    /// `None` after the client's last message.
    requests: Option<Streaming<D::In>>,
    outgoing: Outgoing,
    sender: Sender,
    receiver: OutboxReceiver,
    deliveries: Vec<Delivery>,
    /// How the stream ends once everything that is ready is said.
    end: Option<Result<(), Status>>,
}

impl<D: Dialogue> Exchange<D> {
    /// An exchange on an outbox of its own, which begins with the requests in `outgoing`.
    pub(super) fn new(
        inbox: Inbox,
        connection: &Connection,
        order: Order,
        dialogue: D,
        requests: Option<Streaming<D::In>>,
        outgoing: Outgoing,
    ) -> Exchange<D> {
        let (sender, receiver) = inbox.open(order);
        receiver.bind(connection);
        let sender = Sender::new(sender);
        Exchange { dialogue, inbox, requests, outgoing, sender, receiver, deliveries: Vec::new(), end: None }
    }

    /// Hears what the client has sent and hands it on, until there is nothing more or no room for it.
    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        loop {
            let more = self.hear(cx);
            match self.sender.poll_send(&mut self.outgoing, cx) {
                Poll::Pending => return,
                // The replica has closed the outbox: the last deliveries say why.
                Poll::Ready(Err(Closed)) => {
                    self.requests = None;
                    return;
                }
                Poll::Ready(Ok(())) if more => {}
                Poll::Ready(Ok(())) => return,
            }
        }
    }

    /// Fills `outgoing`; says whether the client may have sent even more.
    fn hear(&mut self, cx: &mut Context<'_>) -> bool {
        while self.outgoing.len() < BATCH_MAX && self.end.is_none() && self.dialogue.listens() {
            let Some(requests) = &mut self.requests else { return false };
            let flow = match Pin::new(requests).poll_next(cx) {
                Poll::Pending => return false,
                Poll::Ready(None) => {
                    self.requests = None;
                    return false;
                }
                Poll::Ready(Some(Err(failed))) => Flow::Break(Err(receive_failure(failed))),
                Poll::Ready(Some(Ok(message))) => self.dialogue.hear(message, &self.inbox, &mut self.outgoing),
            };
            self.follow(flow);
        }
        self.outgoing.len() >= BATCH_MAX
    }

    /// Takes one batch of deliveries.
    fn poll_deliveries(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let more = ready!(self.receiver.poll_next(cx, &mut self.deliveries, MESSAGE_BYTES));
        let mut deliveries = std::mem::take(&mut self.deliveries);
        for delivery in deliveries.drain(..) {
            let flow = self.dialogue.deliver(delivery, &self.inbox, &mut self.outgoing);
            self.follow(flow);
            if self.end.is_some() {
                break;
            }
        }
        self.deliveries = deliveries;
        if more.is_none() {
            let gone = Error::new(Code::Unavailable, "the server has ended this stream; open another");
            self.follow(Flow::Break(Err(error::plain(&gone))));
        }
        Poll::Ready(())
    }

    fn follow(&mut self, flow: Flow) {
        if let Flow::Break(end) = flow {
            self.end.get_or_insert(end);
        }
    }

    /// Whether the client has sent its last message and was told everything that it can be told.
    fn is_over(&self) -> bool {
        self.requests.is_none() && self.outgoing.is_empty() && self.sender.is_idle() && self.dialogue.is_over()
    }
}

impl<D: Dialogue> Stream for Exchange<D> {
    type Item = Result<D::Out, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.end.is_none() {
                this.poll_requests(cx);
            }
            let idle = this.end.is_none() && this.poll_deliveries(cx).is_pending();
            if let Some(message) = this.dialogue.say(|| header(&this.inbox.header())) {
                return Poll::Ready(Some(Ok(message)));
            }
            if idle && this.is_over() {
                this.end = Some(Ok(()));
            }
            match this.end.take() {
                Some(end) => {
                    // Polled again, it has ended well: the failure is told once.
                    this.end = Some(Ok(()));
                    return Poll::Ready(end.err().map(Err));
                }
                None if idle => {
                    // An idle stream keeps no memory that a busy one needed.
                    this.deliveries = Vec::new();
                    return Poll::Pending;
                }
                None => {}
            }
        }
    }
}

/// The way to the inbox, and the batch that is on it: one at a time.
struct Sender {
    outbox: OutboxSender,
    /// Its allocation is used again for every batch.
    sending: Option<ReusableBoxFuture<'static, Result<(), Closed>>>,
    is_sending: bool,
}

impl Sender {
    fn new(outbox: OutboxSender) -> Sender {
        Sender { outbox, sending: None, is_sending: false }
    }

    fn is_idle(&self) -> bool {
        !self.is_sending
    }

    /// Finishes the batch that is on its way, then sends `outgoing`.
    fn poll_send(&mut self, outgoing: &mut Outgoing, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        loop {
            if let (true, Some(sending)) = (self.is_sending, &mut self.sending) {
                let sent = ready!(sending.poll(cx));
                self.is_sending = false;
                sent?;
            }
            if outgoing.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let (outbox, batch) = (self.outbox.clone(), std::mem::take(outgoing));
            let next = async move { outbox.send(batch).await };
            match &mut self.sending {
                Some(sending) => sending.set(next),
                None => self.sending = Some(ReusableBoxFuture::new(next)),
            }
            self.is_sending = true;
        }
    }
}
