//! `Call`: what a call's headers and a request's options say besides what is asked.

use std::sync::Arc;

use quorate_proto::v1;
use quorate_types::{Caller, ClusterId, Code, Consistency, Request, RequestId, SessionId, SessionSecret, Zxid};
use tonic::metadata::MetadataMap;

use super::convert::{Asked, Refusal};

/// Who proves to own a session.
pub(super) type Credential = (SessionId, SessionSecret);

/// Names a session, in hexadecimal.
const SESSION_ID: &str = "quorate-session-id";

/// Bytes of what names a span (W3C Trace Context).
const TRACEPARENT_BYTES: usize = 55;

/// Proves that the caller owns it.
const SESSION_SECRET: &str = "quorate-session-secret-bin";

/// One call, as far as all of its requests share it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Who asks.
    pub(super) caller: Arc<Caller>,
    /// The ensemble that `min_zxid` has to be of.
    pub(super) cluster: ClusterId,
    /// The session that requests belong to unless they name another.
    pub(super) session: Option<Credential>,
    /// The outbox is bound to a session: requests that name none belong to that.
    pub(super) bound: bool,
    /// When the client stops waiting, in the replica's time; `u64::MAX` for never.
    pub(super) deadline_ms: u64,
}

impl Call {
    /// Takes the session that the call's metadata names.
    pub(super) fn name_session(&mut self, metadata: &MetadataMap) -> Result<(), Refusal> {
        let (id, secret) = match (metadata.get(SESSION_ID), metadata.get_bin(SESSION_SECRET)) {
            (None, None) => return Ok(()),
            (Some(id), Some(secret)) => (id, secret),
            (Some(_), None) => return Err(Refusal::bad(SESSION_SECRET, "missing")),
            (None, Some(_)) => return Err(Refusal::bad(SESSION_ID, "missing")),
        };
        let id =
            id.to_str().ok().and_then(|text| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok());
        let Some(id) = id else { return Err(Refusal::bad(SESSION_ID, "not a hexadecimal number")) };
        let secret = secret.to_bytes().map_err(|_| Refusal::bad(SESSION_SECRET, "not base64"))?;
        self.session = Some(credential_of(id, &secret)?);
        Ok(())
    }

    /// The request for what is asked.
    pub(super) fn request(&self, asked: Asked) -> Result<Request, Refusal> {
        let Asked { op, options } = asked;
        let mut request = Request {
            op,
            caller: Arc::clone(&self.caller),
            session: self.session,
            min_zxid: Zxid::ZERO,
            consistency: Consistency::Session,
            request_id: None,
            deadline_ms: self.deadline_ms,
        };
        if let Some(options) = options {
            self.apply(&mut request, options).map_err(|refusal| refusal.within("options"))?;
        }
        Ok(request)
    }

    fn in_session(&self, request: &Request) -> bool {
        self.bound || request.session.is_some()
    }

    fn apply(&self, request: &mut Request, options: v1::RequestOptions) -> Result<(), Refusal> {
        let v1::RequestOptions { min_zxid, consistency, request_id, session, traceparent } = options;
        if let Some(session) = session {
            request.session = Some(credential(&session).map_err(|refusal| refusal.within("session"))?);
        }
        if traceparent.len() == TRACEPARENT_BYTES {
            let session = request.session.map(|(id, _)| id);
            tracing::debug!(traceparent, ?session, "a request of a trace has come in");
        }
        if let Some(v1::ZxidBound { cluster_id, zxid }) = &min_zxid {
            if *cluster_id != self.cluster.0 {
                let detail = format!("of the ensemble {}; this is {}", ClusterId(*cluster_id), self.cluster);
                return Err(Refusal::new("min_zxid", Code::ZxidUnknown, detail));
            }
            request.min_zxid = Zxid(*zxid);
        }
        let in_session = self.in_session(request);
        request.consistency = match v1::Consistency::try_from(consistency) {
            Ok(v1::Consistency::Unspecified | v1::Consistency::Session) => Consistency::Session,
            Ok(v1::Consistency::Local) => Consistency::Local,
            Ok(v1::Consistency::Linearizable) => Consistency::Linearizable,
            Err(_) => return Err(Refusal::bad("consistency", format!("{consistency} is none that this server knows"))),
        };
        request.request_id = request_id
            .map(|id| request_id_of(&id, in_session).map_err(|refusal| refusal.within("request_id")))
            .transpose()?;
        Ok(())
    }
}

fn request_id_of(id: &v1::RequestId, in_session: bool) -> Result<RequestId, Refusal> {
    let v1::RequestId { client_id, sequence, acknowledged_through } = id;
    let client = match <[u8; 16]>::try_from(client_id.as_ref()) {
        Ok(client) if !in_session => u128::from_be_bytes(client),
        Ok(_) => return Err(Refusal::bad("client_id", "not within a session, which says who the client is")),
        Err(_) if in_session && client_id.is_empty() => 0,
        Err(_) => return Err(Refusal::bad("client_id", "16 random bytes, or none within a session")),
    };
    if acknowledged_through >= sequence {
        return Err(Refusal::bad("acknowledged_through", "must be less than `sequence`, which is yet to be answered"));
    }
    Ok(RequestId { client, sequence: *sequence, acknowledged_through: *acknowledged_through })
}

/// A session's name and its proof.
pub(super) fn credential(session: &v1::SessionCredential) -> Result<Credential, Refusal> {
    credential_of(session.session_id, &session.secret)
}

fn credential_of(id: u64, secret: &[u8]) -> Result<Credential, Refusal> {
    if id == 0 {
        return Err(Refusal::bad("session_id", "0 names no session"));
    }
    let secret = <[u8; 16]>::try_from(secret).map_err(|_| Refusal::bad("secret", "must have 16 bytes"))?;
    Ok((SessionId(id), SessionSecret(secret)))
}
