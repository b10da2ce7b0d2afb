//! Reads of the model.

use quorate_types::{Caller, Child, Code, Perms, ReadOp, Reply, Response, SessionId, limits};

use super::{Model, access, error};

impl Model {
    /// Answers a read.
    ///
    /// # Errors
    /// What the specification says that the read fails with.
    pub fn read(&self, op: &ReadOp, caller: &Caller, session: SessionId) -> Response {
        match op {
            ReadOp::Get { path } => {
                self.readable(path.as_str(), caller)?;
                Ok(Reply::Data { data: self.znodes[path.as_str()].data.clone(), stat: self.stat(path.as_str()) })
            }
            ReadOp::Exists { path } => match self.readable(path.as_str(), caller) {
                Ok(()) => Ok(Reply::Exists(Some(self.stat(path.as_str())))),
                Err(error) if error.code() == Code::NoNode => Ok(Reply::Exists(None)),
                Err(error) => Err(error),
            },
            ReadOp::Children { path, after, limit, with_stat, with_data } => {
                self.readable(path.as_str(), caller)?;
                let of = |name: &String| self.child(path.as_str(), name, caller, *with_stat, *with_data);
                let names = self.children(path.as_str()).into_iter().filter(|name| name > after);
                let names: Vec<String> = names.collect();
                let limit = if *limit == 0 { limits::CHILDREN_PAGE_MAX } else { *limit };
                let page = names.len().min(limit.min(limits::CHILDREN_PAGE_MAX) as usize);
                let children = names[..page].iter().map(of).collect();
                Ok(Reply::Children { children, stat: self.stat(path.as_str()), more: page < names.len() })
            }
            ReadOp::GetAcl { path } => {
                let znode = self.znodes.get(path.as_str()).ok_or_else(|| error(Code::NoNode))?;
                self.demand(path.as_str(), caller, Perms::READ.union(Perms::ADMIN))?;
                let in_full = self.permits(path.as_str(), caller, Perms::ADMIN);
                let acl = if in_full { znode.acl.clone() } else { access::mask(&znode.acl) };
                Ok(Reply::Acl { acl, stat: self.stat(path.as_str()) })
            }
            ReadOp::Access { path } => {
                let znode = self.znodes.get(path.as_str()).ok_or_else(|| error(Code::NoNode))?;
                let (perms, entries) = access::granted(&znode.acl, caller);
                Ok(Reply::Access { perms, entries })
            }
            ReadOp::Ephemerals { prefix } => {
                self.check_session(session, true)?;
                let owned = self.ephemerals(session);
                Ok(Reply::Ephemerals(owned.into_iter().filter(|path| path.starts_with(prefix)).collect()))
            }
            ReadOp::CountDescendants { path } => {
                self.readable(path.as_str(), caller)?;
                Ok(Reply::Count(self.subtree(path.as_str()).len() as u64 - 1))
            }
        }
    }

    /// The stat of the znode at `path`, which exists.
    #[must_use]
    pub fn stat(&self, path: &str) -> quorate_types::Stat {
        self.znodes[path].stat(self.children(path).len())
    }

    fn readable(&self, path: &str, caller: &Caller) -> Result<(), quorate_types::Error> {
        if !self.znodes.contains_key(path) {
            return Err(error(Code::NoNode));
        }
        self.demand(path, caller, Perms::READ)
    }

    fn child(&self, parent: &str, name: &str, caller: &Caller, with_stat: bool, with_data: bool) -> Child {
        let path = quorate_types::path::join(parent, name);
        // Its name is its parent's to tell, all else is its own.
        let readable = self.permits(&path, caller, Perms::READ);
        Child {
            name: name.to_owned(),
            stat: (readable && (with_stat || with_data)).then(|| self.stat(&path)),
            data: (readable && with_data).then(|| self.znodes[&path].data.clone()),
        }
    }
}
