//! `Refusal`: a message that breaks a rule of the contract, noticed before the core was asked.

use std::borrow::Cow;

use quorate_types::{Code, Error};

/// What is wrong with a request, and in which of its fields.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::grpc) struct Refusal {
    /// The field as a path from the request message, `operations[3].create.mode` for example.
    pub(in crate::grpc) field: Cow<'static, str>,
    /// What is wrong.
    pub(in crate::grpc) error: Error,
}

impl Refusal {
    /// Refuses because of `field`.
    pub(in crate::grpc) fn new(field: &'static str, code: Code, detail: impl Into<String>) -> Refusal {
        Refusal { field: Cow::Borrowed(field), error: Error::new(code, format!("{field}: {}", detail.into())) }
    }

    /// Refuses because `field` contradicts another one or is not what it has to be.
    pub(in crate::grpc) fn bad(field: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal::new(field, Code::BadArguments, detail)
    }

    /// The same, seen from a message whose field `outer` holds the message that was refused.
    pub(in crate::grpc) fn within(self, outer: impl std::fmt::Display) -> Refusal {
        let error = Error::new(self.error.code(), format!("{outer}.{}", self.error.detail()));
        Refusal { field: Cow::Owned(format!("{outer}.{}", self.field)), error }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        refusal.error
    }
}
