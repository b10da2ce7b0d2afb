//! `SessionService.Channel`: the dialogue of pipelined operations, their replies and watch events, in one order.
//!
//! Replies come in the order of the operations, so a queue tells what each of them answers: no map, and nothing per
//! operation but a place in it. An operation that the door refuses takes its place in the same queue and is answered
//! when its turn comes.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use quorate_proto::v1;
use quorate_replica::Delivery;
use quorate_types::{Code, Op, Reply, Response, Tag, WatchId, Zxid};

use super::convert::{self, Asked, Refusal, Shape};
use super::exchange::{Dialogue, Flow, Outgoing};
use super::lists::LIST_MAX;
use super::options::{self, Call};
use super::watches::Watches;
use super::{error, keep_alive, session, watch};
use crate::inbox::Inbox;
use crate::slow::Subject;

/// The tag of the request that attaches the Channel to its session. Those of operations count from 0.
const ATTACH: Tag = Tag((1 << 63) - 1);

/// Operations and answers that a Channel holds; beyond it nothing more is heard until some of them are gone. As many as
/// wait for the replica at most: no Channel keeps more than all of them together may.
const HELD_MAX: usize = 16_384;

/// One Channel.
pub(super) struct Channel {
    call: Call,
    opening: Opening,
    /// What the next replies answer, in order. The first one's tag is `answered`.
    pending: VecDeque<Pending>,
    answered: u64,
    watches: Watches,
    /// Ready to be said.
    items: Vec<v1::ChannelItem>,
}

/// How far the Channel has come with its session.
enum Opening {
    /// The first message is awaited.
    First,
    /// The session is being attached; these operations came with the wish and wait for it.
    Attaching(Vec<v1::ChannelOperation>),
    /// There is no session, or it is attached.
    Open,
}

/// An operation that was not answered yet.
enum Pending {
    /// By a reply of the replica.
    Reply {
        id: u64,
        shape: Shape,
        subject: Subject,
        /// When it came, to within a tick.
        came_ms: u64,
    },
    /// By the door, as soon as those before it are.
    Refused(v1::ChannelItem),
}

impl Channel {
    pub(super) fn new(call: Call) -> Channel {
        // The metadata of a Channel names no session: being attached is more than that.
        let call = Call { session: None, ..call };
        Channel {
            call,
            opening: Opening::First,
            pending: VecDeque::new(),
            answered: 0,
            watches: Watches::default(),
            items: Vec::new(),
        }
    }

    fn attach(&mut self, message: v1::ChannelRequest, outgoing: &mut Outgoing) -> Result<(), Refusal> {
        let v1::ChannelRequest { attach, operations } = message;
        let Some(session) = attach else {
            self.opening = Opening::Open;
            return Ok(());
        };
        let credential = options::credential(&session).map_err(|refusal| refusal.within("attach"))?;
        let asked = Asked { op: Op::AttachSession { exclusive: true }, options: None };
        let request = Call { session: Some(credential), ..self.call.clone() }.request(asked)?;
        outgoing.push((ATTACH, request));
        self.opening = Opening::Attaching(operations);
        Ok(())
    }

    fn begin_all(&mut self, operations: Vec<v1::ChannelOperation>, inbox: &Inbox, outgoing: &mut Outgoing) {
        outgoing.reserve(operations.len());
        for operation in operations {
            self.begin(operation, inbox, outgoing);
        }
    }

    /// Makes a request of an operation, or notes why it cannot be one.
    fn begin(&mut self, operation: v1::ChannelOperation, inbox: &Inbox, outgoing: &mut Outgoing) {
        use v1::channel_operation::Operation;
        let v1::ChannelOperation { id, timeout_ms, operation } = operation;
        let asked = match operation {
            Some(Operation::Get(get)) => convert::get(get),
            Some(Operation::SetData(set)) => convert::set_data(set),
            Some(Operation::Create(create)) => convert::create(create),
            Some(Operation::Delete(delete)) => convert::delete(delete),
            Some(Operation::Exists(exists)) => convert::exists(exists),
            Some(Operation::ListChildren(list)) => convert::list_children(list),
            Some(Operation::GetAcl(get)) => convert::get_acl(get),
            Some(Operation::SetAcl(set)) => convert::set_acl(set),
            Some(Operation::Multi(multi)) => convert::multi(multi),
            Some(Operation::MultiRead(read)) => convert::multi_read(read),
            Some(Operation::Sync(sync)) => convert::sync(sync),
            Some(Operation::GetEphemerals(get)) => convert::get_ephemerals(get),
            Some(Operation::CheckAccess(check)) => convert::check_access(check),
            Some(Operation::CountDescendants(count)) => convert::count_descendants(count),
            Some(Operation::Open(open)) => session::open(open),
            Some(Operation::Close(close)) => session::close(close),
            Some(Operation::KeepAlive(keep_alive)) => session::touch(keep_alive),
            Some(Operation::Watch(create)) => {
                let of = WatchId(create.watch_id);
                return self.ask_watch(of, convert::create_watch(create), Watches::begin, outgoing);
            }
            Some(Operation::CancelWatch(cancel)) => {
                let of = WatchId(cancel.watch_id);
                return self.ask_watch(of, Ok(convert::cancel_watch(cancel)), Watches::cancel, outgoing);
            }
            None => Err(Refusal::bad("operation", "none is given, or one that this server does not know")),
        };
        match asked.and_then(|asked| self.call.request(asked)) {
            Ok(mut request) => {
                if timeout_ms != 0 {
                    let timeout = Duration::from_millis(timeout_ms.into());
                    request.deadline_ms = request.deadline_ms.min(inbox.deadline_ms(timeout));
                }
                let tag = Tag(self.answered + self.pending.len() as u64);
                let (shape, subject) = (Shape::of(&request.op), Subject::of(&request.op));
                self.pending.push_back(Pending::Reply { id, shape, subject, came_ms: inbox.now_ms() });
                outgoing.push((tag, request));
            }
            Err(refusal) => self.refuse(reply(id, Zxid::ZERO, Err(refusal.into()), &Shape::Plain)),
        }
    }

    fn ask_watch(
        &mut self,
        id: WatchId,
        asked: Result<Asked, Refusal>,
        tag: fn(&mut Watches, WatchId) -> Tag,
        outgoing: &mut Outgoing,
    ) {
        match asked.and_then(|asked| self.call.request(asked)) {
            Ok(request) => outgoing.push((tag(&mut self.watches, id), request)),
            Err(refusal) => {
                if let Some(end) = watch::refuse(&mut self.watches, &self.call, id, refusal, outgoing) {
                    self.refuse(item(v1::channel_item::Item::Watch(end)));
                }
            }
        }
    }

    /// Answers in turn: at once if nothing is before it.
    fn refuse(&mut self, answer: v1::ChannelItem) {
        self.pending.push_back(Pending::Refused(answer));
        self.say_refused();
    }

    fn say_refused(&mut self) {
        while let Some(Pending::Refused(_)) = self.pending.front() {
            if let Some(Pending::Refused(answer)) = self.pending.pop_front() {
                self.items.push(answer);
            }
            self.answered += 1;
        }
    }

    fn replied(&mut self, tag: Tag, zxid: Zxid, response: Response, inbox: &Inbox) -> Flow {
        if Watches::is_of(tag) {
            if let Some((id, told)) = self.watches.replied(tag, response.err(), zxid) {
                self.items.push(item(v1::channel_item::Item::Watch(convert::watch_item(&[id], told))));
            }
            return ControlFlow::Continue(());
        }
        match (tag.0 == self.answered, self.pending.pop_front()) {
            (true, Some(Pending::Reply { id, shape, subject, came_ms })) => {
                self.answered += 1;
                let took_ms = inbox.now_ms().saturating_sub(came_ms);
                if took_ms >= inbox.slow_ms() {
                    subject.was_slow("channel", Duration::from_millis(took_ms), zxid, &response);
                }
                self.items.push(reply(id, zxid, response, &shape));
                self.say_refused();
                ControlFlow::Continue(())
            }
            // The replica answers in order, each operation once.
            (_, _) => ControlFlow::Break(Err(error::plain(&convert::mismatch()))),
        }
    }

    fn attached(&mut self, zxid: Zxid, response: Response, inbox: &Inbox, outgoing: &mut Outgoing) -> Flow {
        match response {
            Ok(Reply::Session { id: _, timeout_ms }) => {
                self.call.bound = true;
                self.items.push(state(v1::SessionState::Alive, timeout_ms));
                if let Opening::Attaching(held) = std::mem::replace(&mut self.opening, Opening::Open) {
                    self.begin_all(held, inbox, outgoing);
                }
                ControlFlow::Continue(())
            }
            Ok(_) => ControlFlow::Break(Err(error::plain(&convert::mismatch()))),
            Err(failed) => ControlFlow::Break(Err(error::status(&failed, zxid))),
        }
    }
}

impl Dialogue for Channel {
    type In = v1::ChannelRequest;
    type Out = v1::ChannelResponse;

    fn hear(&mut self, mut message: v1::ChannelRequest, inbox: &Inbox, outgoing: &mut Outgoing) -> Flow {
        if message.operations.len() > LIST_MAX {
            let detail = format!("{} of them, more than {LIST_MAX} to a message", message.operations.len());
            return ControlFlow::Break(Err(error::refused(&Refusal::new("operations", Code::TooLarge, detail))));
        }
        let opened = match self.opening {
            Opening::First => {
                let operations =
                    if message.attach.is_none() { std::mem::take(&mut message.operations) } else { vec![] };
                self.attach(message, outgoing).map(|()| operations)
            }
            Opening::Attaching(_) | Opening::Open if message.attach.is_some() => {
                Err(Refusal::bad("attach", "only in the first message of a Channel"))
            }
            Opening::Attaching(_) | Opening::Open => Ok(message.operations),
        };
        match opened {
            Ok(operations) => {
                self.begin_all(operations, inbox, outgoing);
                ControlFlow::Continue(())
            }
            Err(refusal) => ControlFlow::Break(Err(error::refused(&refusal))),
        }
    }

    fn listens(&self) -> bool {
        // What follows belongs to the session, or to nothing if there is none.
        let is_attaching = matches!(self.opening, Opening::Attaching(_));
        !is_attaching && self.pending.len() + self.watches.asked() + self.items.len() < HELD_MAX
    }

    fn deliver(&mut self, delivery: Delivery, inbox: &Inbox, outgoing: &mut Outgoing) -> Flow {
        match delivery {
            Delivery::Reply { tag: ATTACH, zxid, response } => self.attached(zxid, response, inbox, outgoing),
            Delivery::Reply { tag, zxid, response } => self.replied(tag, zxid, response, inbox),
            Delivery::Watch { watches, item: mut told } => {
                self.watches.told(&watches, &mut told);
                self.items.push(item(v1::channel_item::Item::Watch(convert::watch_item(&watches, told))));
                ControlFlow::Continue(())
            }
            Delivery::Session { id: _, end } => {
                self.items.push(state(keep_alive::state(end), 0));
                ControlFlow::Break(Ok(()))
            }
            Delivery::Close(failed) => ControlFlow::Break(Err(error::plain(&failed))),
            Delivery::Notify { .. } | Delivery::Tree { .. } => {
                ControlFlow::Break(Err(error::plain(&convert::mismatch())))
            }
        }
    }

    fn say(&mut self, header: impl FnOnce() -> v1::ReplyHeader) -> Option<v1::ChannelResponse> {
        if self.items.is_empty() {
            return None;
        }
        let items = std::mem::take(&mut self.items);
        Some(v1::ChannelResponse { header: Some(header()), items })
    }

    fn is_over(&self) -> bool {
        !matches!(self.opening, Opening::Attaching(_)) && self.pending.is_empty() && self.watches.is_empty()
    }
}

fn item(item: v1::channel_item::Item) -> v1::ChannelItem {
    v1::ChannelItem { item: Some(item) }
}

fn reply(id: u64, zxid: Zxid, response: Response, shape: &Shape) -> v1::ChannelItem {
    let result = Some(convert::channel_result(response, shape));
    item(v1::channel_item::Item::Reply(v1::ChannelReply { id, zxid: zxid.0, result }))
}

fn state(state: v1::SessionState, timeout_ms: u32) -> v1::ChannelItem {
    item(v1::channel_item::Item::Session(v1::KeepAliveResponse { header: None, state: state.into(), timeout_ms }))
}
