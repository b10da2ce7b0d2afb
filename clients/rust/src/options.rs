//! `CallOptions`: what any call may ask for besides what it is about.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use quorate_proto::v1;

use crate::TraceContext;

/// What any call may ask for besides what it is about. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Answer only from a state that has at least this txn.
    pub min_zxid: Option<ZxidBound>,
    /// How fresh the state that a read sees must be. Default: [`Consistency::Session`].
    pub consistency: Option<Consistency>,
    /// Makes a write idempotent. Default: the client makes one up (see [`crate::Builder::idempotent_writes`]).
    pub request_id: Option<RequestId>,
    /// The session that the call belongs to. Default: that of the [`crate::Session`] that it is made on, if any.
    pub session: Option<SessionCredential>,
    /// How long to wait. Default: the client's.
    pub timeout: Option<Duration>,
    /// The span that the call belongs to, for the servers' logs.
    pub trace: Option<TraceContext>,
}

impl CallOptions {
    /// The wire's options, if there is anything to say.
    pub(crate) fn to_wire(&self) -> Option<v1::RequestOptions> {
        let CallOptions { min_zxid, consistency, request_id, session, timeout: _, trace } = self;
        let is_named = request_id.is_some() || session.is_some() || trace.is_some();
        if min_zxid.is_none() && consistency.is_none() && !is_named {
            return None;
        }
        let consistency = match consistency {
            None => v1::Consistency::Unspecified,
            Some(Consistency::Local) => v1::Consistency::Local,
            Some(Consistency::Session) => v1::Consistency::Session,
            Some(Consistency::Linearizable) => v1::Consistency::Linearizable,
        };
        Some(v1::RequestOptions {
            min_zxid: min_zxid.map(ZxidBound::to_wire),
            consistency: consistency as i32,
            request_id: request_id.as_ref().map(RequestId::to_wire),
            session: session.as_ref().map(SessionCredential::to_wire),
            traceparent: trace.as_ref().map(TraceContext::to_string).unwrap_or_default(),
        })
    }
}

/// How fresh the state that a read sees must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Whatever the server has applied, however old it is: also when it has lost its ensemble, or has just started and has
    /// yet to learn what it missed.
    Local,
    /// At least the session's own earlier writes, and `min_zxid`; and every write that was acknowledged to anybody more
    /// than 5 s before. A server that may be further behind catches up first, or answers [`crate::Reason::Unavailable`].
    Session,
    /// Every write that was acknowledged to anybody before the read was sent.
    Linearizable,
}

/// A zxid together with the ensemble in which it means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZxidBound {
    /// From a [`crate::Header`].
    pub cluster_id: u64,
    /// From a header, or any result.
    pub zxid: u64,
}

impl ZxidBound {
    pub(crate) fn to_wire(self) -> v1::ZxidBound {
        v1::ZxidBound { cluster_id: self.cluster_id, zxid: self.zxid }
    }
}

/// The name of a write: sent again under the same name, it has the effect and the answer of the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// Without a session: 16 random bytes that distinguish this caller. Empty within a session.
    pub client_id: Bytes,
    /// Greater for every new request of the caller.
    pub sequence: u64,
    /// The caller has seen the results of all its requests up to this one; they are forgotten.
    pub acknowledged_through: u64,
}

impl RequestId {
    pub(crate) fn to_wire(&self) -> v1::RequestId {
        v1::RequestId {
            client_id: self.client_id.clone(),
            sequence: self.sequence,
            acknowledged_through: self.acknowledged_through,
        }
    }
}

/// What proves that a caller owns a session.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionCredential {
    /// Names the session.
    pub session_id: u64,
    /// Proves its ownership: 16 bytes, to be kept private.
    pub secret: Bytes,
}

impl SessionCredential {
    pub(crate) fn to_wire(&self) -> v1::SessionCredential {
        v1::SessionCredential { session_id: self.session_id, secret: self.secret.clone() }
    }
}

/// Without the secret.
impl fmt::Debug for SessionCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionCredential(0x{:x})", self.session_id)
    }
}
