//! `WatchService`: streams of watches.

use std::ops::ControlFlow;

use http::Response;
use quorate_proto::v1;
use quorate_replica::{Delivery, Order, WatchItem};
use quorate_types::{Code, Error, WatchId, Zxid};
use tonic::body::Body;

use super::convert::{self, Refusal};
use super::error;
use super::exchange::{Dialogue, Flow, Outgoing};
use super::lists::LIST_MAX;
use super::options::Call;
use super::route::Incall;
use super::watches::Watches;
use crate::inbox::Inbox;

/// Answers a call, if there is such a method.
pub(super) async fn answer(method: &str, call: Incall<'_>) -> Option<Response<Body>> {
    Some(match method {
        "Watch" => call.exchange(Order::None, |call| Watch { call, telling: Telling::default() }),
        "Subscribe" => call.subscribe(begin).await,
        _ => return None,
    })
}

/// What the watches of a stream are told, until it is said.
#[derive(Default)]
struct Telling {
    watches: Watches,
    items: Vec<v1::WatchItem>,
}

impl Telling {
    fn begin(&mut self, call: &Call, create: v1::WatchCreate, outgoing: &mut Outgoing) -> Result<(), Refusal> {
        let id = WatchId(create.watch_id);
        let request = call.request(convert::create_watch(create)?)?;
        outgoing.push((self.watches.begin(id), request));
        Ok(())
    }

    fn cancel(&mut self, call: &Call, cancel: v1::WatchCancel, outgoing: &mut Outgoing) -> Result<(), Refusal> {
        let id = WatchId(cancel.watch_id);
        let request = call.request(convert::cancel_watch(cancel))?;
        outgoing.push((self.watches.cancel(id), request));
        Ok(())
    }

    fn deliver(&mut self, delivery: Delivery) -> Flow {
        match delivery {
            Delivery::Watch { watches, mut item } => {
                self.watches.told(&watches, &mut item);
                self.items.push(convert::watch_item(&watches, item));
            }
            Delivery::Reply { tag, zxid, response } => {
                if let Some((id, item)) = self.watches.replied(tag, response.err(), zxid) {
                    self.items.push(convert::watch_item(&[id], item));
                }
            }
            Delivery::Close(failed) => return ControlFlow::Break(Err(error::plain(&failed))),
            Delivery::Notify { .. } | Delivery::Tree { .. } | Delivery::Session { .. } => {
                return ControlFlow::Break(Err(error::plain(&convert::mismatch())));
            }
        }
        ControlFlow::Continue(())
    }

    fn say(&mut self) -> Option<Vec<v1::WatchItem>> {
        if self.items.is_empty() { None } else { Some(std::mem::take(&mut self.items)) }
    }
}

/// Refuses a watch: with its end, or by asking for the end of the one that has its name.
pub(super) fn refuse(
    watches: &mut Watches,
    call: &Call,
    id: WatchId,
    refusal: Refusal,
    outgoing: &mut Outgoing,
) -> Option<v1::WatchItem> {
    let error: Error = refusal.into();
    let cancel = call.request(convert::cancel_watch(v1::WatchCancel { watch_id: id.0 }));
    if let (Ok(request), Some(tag)) = (cancel, watches.refuse(id, &error)) {
        outgoing.push((tag, request));
        return None;
    }
    let item = WatchItem::Canceled { error: Some(error), resume: Zxid::ZERO, compacted: None };
    Some(convert::watch_item(&[id], item))
}

/// `WatchService.Watch`: watches that the client begins and ends at will.
struct Watch {
    call: Call,
    telling: Telling,
}

impl Dialogue for Watch {
    type In = v1::WatchRequest;
    type Out = v1::WatchResponse;

    fn hear(&mut self, message: v1::WatchRequest, _: &Inbox, outgoing: &mut Outgoing) -> Flow {
        use v1::watch_request::Action;
        let (id, done) = match message.action {
            Some(Action::Create(create)) => (create.watch_id, self.telling.begin(&self.call, create, outgoing)),
            Some(Action::Cancel(cancel)) => (cancel.watch_id, self.telling.cancel(&self.call, cancel, outgoing)),
            None => {
                let refusal = Refusal::bad("action", "none is given, or one that this server does not know");
                return ControlFlow::Break(Err(error::refused(&refusal)));
            }
        };
        // What is wrong with one watch is no reason to end the others.
        if let Err(refusal) = done {
            let watches = &mut self.telling.watches;
            self.telling.items.extend(refuse(watches, &self.call, WatchId(id), refusal, outgoing));
        }
        ControlFlow::Continue(())
    }

    fn deliver(&mut self, delivery: Delivery, _: &Inbox, _: &mut Outgoing) -> Flow {
        self.telling.deliver(delivery)
    }

    fn say(&mut self, header: impl FnOnce() -> v1::ReplyHeader) -> Option<v1::WatchResponse> {
        self.telling.say().map(|items| v1::WatchResponse { header: Some(header()), items })
    }

    fn is_over(&self) -> bool {
        self.telling.watches.is_empty()
    }
}

/// `WatchService.Subscribe`: watches that were all named at once.
struct Subscription {
    telling: Telling,
}

fn begin(call: Call, request: v1::SubscribeRequest, outgoing: &mut Outgoing) -> Result<Subscription, Refusal> {
    if request.watches.is_empty() {
        return Err(Refusal::bad("watches", "at least one"));
    }
    if request.watches.len() > LIST_MAX {
        let detail = format!("{} of them, more than {LIST_MAX}", request.watches.len());
        return Err(Refusal::new("watches", Code::TooLarge, detail));
    }
    let mut telling = Telling::default();
    for (index, watch) in request.watches.into_iter().enumerate() {
        telling.begin(&call, watch, outgoing).map_err(|refusal| refusal.within(format_args!("watches[{index}]")))?;
    }
    Ok(Subscription { telling })
}

impl Dialogue for Subscription {
    type In = v1::SubscribeRequest;
    type Out = v1::SubscribeResponse;

    fn hear(&mut self, _: v1::SubscribeRequest, _: &Inbox, _: &mut Outgoing) -> Flow {
        ControlFlow::Continue(())
    }

    fn deliver(&mut self, delivery: Delivery, _: &Inbox, _: &mut Outgoing) -> Flow {
        self.telling.deliver(delivery)
    }

    fn say(&mut self, header: impl FnOnce() -> v1::ReplyHeader) -> Option<v1::SubscribeResponse> {
        self.telling.say().map(|items| v1::SubscribeResponse { header: Some(header()), items })
    }

    fn is_over(&self) -> bool {
        self.telling.watches.is_empty()
    }
}
