//! `Caller`: who sends a request, and by what right. The one place where that is established, and the one place where
//! it is handed on to the servers, which alone decide what the caller may do.

use http::header::HeaderMap;
use quorate_client::{CallOptions, SessionCredential};

use crate::problem::Problem;
use crate::session;

/// Who sends a request.
pub(crate) struct Caller {
    session: Option<SessionCredential>,
}

impl Caller {
    /// Who sends a request with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Caller, Problem> {
        Ok(Caller { session: session::named(headers)? })
    }

    /// The session that the caller speaks for.
    pub(crate) fn session(&self) -> Option<&SessionCredential> {
        self.session.as_ref()
    }

    /// Makes a call the caller's.
    pub(crate) fn forward(self, options: &mut CallOptions) {
        options.session = self.session;
    }
}
