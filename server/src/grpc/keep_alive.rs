//! `SessionService.KeepAlive`: the dialogue of a session that is kept alive by a stream.

use std::ops::ControlFlow;

use quorate_proto::v1;
use quorate_replica::{Delivery, SessionEnd};
use quorate_types::{Code, Error, Op, Reply, Tag};

use super::convert::{self, Asked};
use super::exchange::{Dialogue, Flow, Outgoing};
use super::options::{self, Call};
use super::{error, session};
use crate::inbox::Inbox;

/// The tag of the request that attaches the stream to its session; every other one touches the session.
const ATTACH: Tag = Tag(0);
const TOUCH: Tag = Tag(1);

/// One stream that keeps one session alive.
pub(super) struct KeepAlive {
    call: Call,
    attached: bool,
    /// Touches that wait for their replies.
    asked: u64,
    /// Ready to be said: a state, and the timeout granted.
    states: std::collections::VecDeque<(v1::SessionState, u32)>,
}

impl KeepAlive {
    pub(super) fn new(call: Call) -> KeepAlive {
        KeepAlive { call, attached: false, asked: 0, states: Default::default() }
    }

    /// The session that the first message names, which the stream is bound to from then on.
    fn attach(&mut self, message: &v1::KeepAliveRequest, outgoing: &mut Outgoing) -> Result<(), Error> {
        if let Some(named) = &message.session {
            self.call.session = Some(options::credential(named).map_err(|refusal| refusal.within("session"))?);
        }
        if self.call.session.is_none() {
            return Err(Error::new(Code::SessionRequired, "the first message or the metadata has to name a session"));
        }
        let attach = Asked { op: Op::AttachSession { exclusive: false }, options: None };
        outgoing.push((ATTACH, self.call.request(attach)?));
        self.attached = true;
        Ok(())
    }

    fn touch(&mut self, message: v1::KeepAliveRequest, outgoing: &mut Outgoing) -> Result<(), Error> {
        if !self.attached {
            self.attach(&message, outgoing)?;
        }
        let touch = self.call.request(session::touch(message)?)?;
        if touch.session != self.call.session {
            return Err(Error::new(Code::BadArguments, "session: a stream keeps one session alive, the first named"));
        }
        outgoing.push((TOUCH, touch));
        self.asked += 1;
        Ok(())
    }

    fn end(&mut self, state: v1::SessionState) -> Flow {
        self.states.push_back((state, 0));
        ControlFlow::Break(Ok(()))
    }
}

impl Dialogue for KeepAlive {
    type In = v1::KeepAliveRequest;
    type Out = v1::KeepAliveResponse;

    fn hear(&mut self, message: v1::KeepAliveRequest, _: &Inbox, outgoing: &mut Outgoing) -> Flow {
        match self.touch(message, outgoing) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failed) => ControlFlow::Break(Err(error::plain(&failed))),
        }
    }

    fn deliver(&mut self, delivery: Delivery, _: &Inbox, _: &mut Outgoing) -> Flow {
        match delivery {
            Delivery::Reply { tag: ATTACH, response: Ok(_), .. } => {}
            Delivery::Reply { response: Ok(Reply::Touched { timeout_ms }), .. } => {
                self.asked -= 1;
                self.states.push_back((v1::SessionState::Alive, timeout_ms));
            }
            Delivery::Reply { tag, zxid, response: Err(failed) } => {
                return match failed.code() {
                    Code::SessionExpired if tag != ATTACH => self.end(v1::SessionState::Expired),
                    Code::SessionMoved => self.end(v1::SessionState::Moved),
                    _ => ControlFlow::Break(Err(error::status(&failed, zxid))),
                };
            }
            Delivery::Session { id: _, end } => return self.end(state(end)),
            Delivery::Close(failed) => return ControlFlow::Break(Err(error::plain(&failed))),
            Delivery::Reply { .. } | Delivery::Watch { .. } | Delivery::Notify { .. } | Delivery::Tree { .. } => {
                return ControlFlow::Break(Err(error::plain(&convert::mismatch())));
            }
        }
        ControlFlow::Continue(())
    }

    fn say(&mut self, header: impl FnOnce() -> v1::ReplyHeader) -> Option<v1::KeepAliveResponse> {
        let (state, timeout_ms) = self.states.pop_front()?;
        Some(v1::KeepAliveResponse { header: Some(header()), state: state.into(), timeout_ms })
    }

    fn is_over(&self) -> bool {
        self.asked == 0
    }
}

/// What has become of a session, as the contract has it.
pub(super) fn state(end: SessionEnd) -> v1::SessionState {
    match end {
        SessionEnd::Expired => v1::SessionState::Expired,
        SessionEnd::Closed => v1::SessionState::Closed,
        SessionEnd::Moved => v1::SessionState::Moved,
    }
}
