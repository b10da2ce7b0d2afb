//! `Chroot`: a prefix that a client's paths have on the servers and not in its own eyes.
//!
//! Invariant: no path that a client of a chroot names lies outside of it, and none that it is shown begins with it.

use std::sync::Arc;

use quorate_proto::v1;
use v1::multi_operation::Operation as Change;
use v1::multi_result::Result as Outcome;
use v1::read_operation::Operation as Read;

use crate::ops::{WireOperation, WireReply};
use crate::{Error, Reason};

/// Begins with a slash and does not end with one; `None` is the whole tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chroot(Option<Arc<str>>);

impl Chroot {
    /// The chroot `path` within this one.
    pub(crate) fn enter(&self, path: &str) -> Result<Chroot, Error> {
        if path == "/" {
            return Ok(self.clone());
        }
        let is_sound = path.starts_with('/')
            && path[1..].split('/').all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains('\0'));
        if !is_sound {
            return Err(Error::new(Reason::InvalidPath, format!("{path} cannot be a chroot: write /a/b")));
        }
        Ok(Chroot(Some(self.outside(path.to_owned()).into())))
    }

    /// A client's path as the servers know it.
    pub(crate) fn outside(&self, path: String) -> String {
        match &self.0 {
            Some(root) if path == "/" => root.as_ref().to_owned(),
            Some(root) if path.starts_with('/') => format!("{root}{path}"),
            // A malformed path stays malformed, and nothing is added to it that could make it a good one.
            Some(_) | None => path,
        }
    }

    /// A server's path as the client knows it.
    pub(crate) fn inside(&self, path: String) -> String {
        let Some(root) = &self.0 else { return path };
        match path.strip_prefix(root.as_ref()) {
            Some("") => "/".to_owned(),
            Some(rest) if rest.starts_with('/') => rest.to_owned(),
            Some(_) | None => path,
        }
    }

    fn take_out(&self, path: &mut String) {
        if self.0.is_some() {
            *path = self.outside(std::mem::take(path));
        }
    }

    fn take_in(&self, path: &mut String) {
        if self.0.is_some() {
            *path = self.inside(std::mem::take(path));
        }
    }

    /// What a client asks, as the servers know it.
    pub(crate) fn ask(&self, operation: &mut WireOperation) {
        if self.0.is_none() {
            return;
        }
        match operation {
            WireOperation::Get(request) => self.take_out(&mut request.path),
            WireOperation::SetData(request) => self.take_out(&mut request.path),
            WireOperation::Create(request) => self.take_out(&mut request.path),
            WireOperation::Delete(request) => self.take_out(&mut request.path),
            WireOperation::Exists(request) => self.take_out(&mut request.path),
            WireOperation::ListChildren(request) => self.take_out(&mut request.path),
            WireOperation::GetAcl(request) => self.take_out(&mut request.path),
            WireOperation::SetAcl(request) => self.take_out(&mut request.path),
            WireOperation::CountDescendants(request) => self.take_out(&mut request.path),
            WireOperation::CheckAccess(request) => self.take_out(&mut request.path),
            WireOperation::Watch(request) => self.take_out(&mut request.path),
            WireOperation::Multi(request) => {
                request.operations.iter_mut().filter_map(|one| one.operation.as_mut()).for_each(|one| self.change(one));
            }
            WireOperation::MultiRead(request) => {
                request.operations.iter_mut().filter_map(|one| one.operation.as_mut()).for_each(|one| self.read(one));
            }
            WireOperation::GetEphemerals(request) => {
                // A text and no path: nothing, or the beginning of one.
                let prefix = if request.prefix.is_empty() { "/" } else { &request.prefix };
                request.prefix = format!("{}{prefix}", self.0.as_deref().unwrap_or_default());
            }
            WireOperation::Sync(_)
            | WireOperation::Open(_)
            | WireOperation::Close(_)
            | WireOperation::KeepAlive(_)
            | WireOperation::CancelWatch(_) => {}
        }
    }

    fn change(&self, operation: &mut Change) {
        match operation {
            Change::Create(request) => self.take_out(&mut request.path),
            Change::SetData(request) => self.take_out(&mut request.path),
            Change::Delete(request) => self.take_out(&mut request.path),
            Change::SetAcl(request) => self.take_out(&mut request.path),
            Change::Check(request) => self.take_out(&mut request.path),
        }
    }

    fn read(&self, operation: &mut Read) {
        match operation {
            Read::Get(request) => self.take_out(&mut request.path),
            Read::Exists(request) => self.take_out(&mut request.path),
            Read::ListChildren(request) => self.take_out(&mut request.path),
            Read::GetAcl(request) => self.take_out(&mut request.path),
        }
    }

    /// What the servers answer, as the client knows it.
    pub(crate) fn answer(&self, reply: &mut WireReply) {
        if self.0.is_none() {
            return;
        }
        match reply {
            WireReply::Create(created) => self.take_in(&mut created.path),
            WireReply::Multi(multi) => multi.results.iter_mut().for_each(|result| self.outcome(result)),
            WireReply::MultiRead(multi) => multi.results.iter_mut().for_each(|result| self.outcome(result)),
            WireReply::GetEphemerals(listed) => listed.paths.iter_mut().for_each(|path| self.take_in(path)),
            WireReply::Error(error) => error.path.iter_mut().for_each(|path| self.take_in(path)),
            // Nothing else names a path: children come by their names.
            _ => {}
        }
    }

    fn outcome(&self, result: &mut v1::MultiResult) {
        match &mut result.result {
            Some(Outcome::Create(created)) => self.take_in(&mut created.path),
            Some(Outcome::Error(error)) => error.path.iter_mut().for_each(|path| self.take_in(path)),
            Some(_) | None => {}
        }
    }

    /// An error, as the client knows it.
    pub(crate) fn error(&self, error: Error) -> Error {
        if self.0.is_some() { error.map_path(|path| self.inside(path)) } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_translated_both_ways() {
        let root = Chroot::default().enter("/app").and_then(|app| app.enter("/x")).expect("sound");
        for (inside, outside) in [("/", "/app/x"), ("/a", "/app/x/a"), ("/a/b", "/app/x/a/b")] {
            assert_eq!(root.outside(inside.to_owned()), outside);
            assert_eq!(root.inside(outside.to_owned()), inside);
        }
        assert_eq!(root.outside("a".to_owned()), "a", "malformed, and not /app/xa");
        assert_eq!(root.inside("/app/xa".to_owned()), "/app/xa", "another one");
        assert_eq!(Chroot::default().enter("/"), Ok(Chroot::default()));
        for wrong in ["", "app", "/app/", "//app", "/app/../x", "/."] {
            assert_eq!(Chroot::default().enter(wrong).expect_err("malformed").reason(), Reason::InvalidPath, "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_is_asked_of_the_chroot() {
        let root = Chroot::default().enter("/app").expect("sound");
        let path = || "/a".to_owned();
        let mut asked = [
            WireOperation::Get(v1::GetRequest { path: path(), ..Default::default() }),
            WireOperation::CheckAccess(v1::CheckAccessRequest { path: path(), ..Default::default() }),
            WireOperation::GetEphemerals(v1::GetEphemeralsRequest { prefix: path(), ..Default::default() }),
        ];
        for operation in &mut asked {
            root.ask(operation);
            assert!(format!("{operation:?}").contains("\"/app/a\""), "{operation:?}");
        }
    }
}
