//! Reads: every question that is answered from the applied state, with the ACL asked each time.

use alloc::format;
use alloc::vec::Vec;

use quorate_types::limits::{CHILDREN_PAGE_MAX, PAGE_BYTES_MAX};
use quorate_types::reply::Child;
use quorate_types::{Caller, Code, Error, Path, Perms, ReadOp, Reply, Response, SessionId};

use crate::znode::{Znode, ZnodeId};
use crate::{Tree, acl};

/// Bytes that a child's stat adds to a page.
const STAT_BYTES: usize = quorate_types::codec::STAT_BYTES;

/// Znodes that a count looks at which is to be answered at once; a larger one is what [`Tree::count`] is for.
const COUNT_AT_ONCE_MAX: usize = CHILDREN_PAGE_MAX as usize;

/// Which part of a list of children is asked for.
#[derive(Clone, Copy)]
struct Page<'a> {
    after: &'a str,
    limit: u32,
    with_stat: bool,
    with_data: bool,
}

impl Tree {
    /// Answers a read from the state at [`Tree::applied`], within a bounded time. `session` is whose ephemerals are meant.
    ///
    /// # Errors
    /// What the client is told: no such znode, no permission, no session.
    pub fn read(&self, op: &ReadOp, caller: &Caller, session: SessionId) -> Response {
        match op {
            ReadOp::Get { path } => {
                let znode = &self.slab[self.readable(path, caller, Perms::READ)?];
                Ok(Reply::Data { data: znode.data_copy(), stat: znode.stat() })
            }
            ReadOp::Exists { path } => {
                if self.lookup(path.as_str()).is_none() {
                    return Ok(Reply::Exists(None));
                }
                let id = self.readable(path, caller, Perms::READ)?;
                Ok(Reply::Exists(Some(self.slab[id].stat())))
            }
            ReadOp::Children { path, after, limit, with_stat, with_data } => {
                let id = self.readable(path, caller, Perms::READ)?;
                let page = Page { after, limit: *limit, with_stat: *with_stat, with_data: *with_data };
                Ok(self.read_children(id, page, caller))
            }
            ReadOp::GetAcl { path } => {
                let id = self.readable(path, caller, Perms::READ.union(Perms::ADMIN))?;
                Ok(Reply::Acl { acl: acl::visible(self.acl_of(id), caller), stat: self.slab[id].stat() })
            }
            ReadOp::Access { path } => {
                // Whoever may do nothing with a znode may know so: every other operation tells him, too.
                let (perms, entries) = acl::granted(self.acl_of(self.existing(path)?), caller);
                Ok(Reply::Access { perms, entries })
            }
            ReadOp::Ephemerals { prefix } => self.read_ephemerals(prefix, session),
            ReadOp::CountDescendants { path } => {
                let id = self.readable(path, caller, Perms::READ)?;
                let found = self.count_at_once(id, COUNT_AT_ONCE_MAX);
                found.map(Reply::Count).ok_or_else(|| {
                    let detail = "too much lies below the znode to be counted among other reads; ask for it alone";
                    Error::at(Code::TooLarge, path.as_str(), detail)
                })
            }
        }
    }

    /// The znode, if the caller is granted one of `wanted`.
    pub(crate) fn readable(&self, path: &Path, caller: &Caller, wanted: Perms) -> Result<ZnodeId, Error> {
        let id = self.existing(path)?;
        if acl::permits(self.acl_of(id), caller, wanted) {
            Ok(id)
        } else {
            Err(Error::at(Code::NoAuth, path.as_str(), "the znode's ACL does not let you read it"))
        }
    }

    fn existing(&self, path: &Path) -> Result<ZnodeId, Error> {
        self.lookup(path.as_str()).ok_or_else(|| Error::at(Code::NoNode, path.as_str(), "there is no such znode"))
    }

    fn read_children(&self, id: ZnodeId, page: Page<'_>, caller: &Caller) -> Reply {
        let stat = self.slab[id].stat();
        let Some(list) = self.slab[id].children() else {
            return Reply::Children { children: Vec::new(), stat, more: false };
        };
        let limit = match page.limit {
            0 => CHILDREN_PAGE_MAX,
            limit => limit.min(CHILDREN_PAGE_MAX),
        } as usize;
        let mut position = list.after(page.after.as_bytes(), |id| self.slab[id].name());
        let mut children = Vec::with_capacity(limit.min(list.len() as usize));
        let mut bytes = 0;
        let mut more = false;
        while let Some(id) = list.next(&mut position) {
            let child = self.child(&self.slab[id], page, caller);
            bytes += child.name.len() + child.stat.map_or(0, |_| STAT_BYTES);
            bytes += child.data.iter().flatten().map(|data| data.len()).sum::<usize>();
            more = children.len() == limit || (bytes > PAGE_BYTES_MAX && !children.is_empty());
            if more {
                break;
            }
            children.push(child);
        }
        Reply::Children { children, stat, more }
    }

    /// What the caller may see of a child. Its name belongs to the parent; the rest is subject to its own ACL.
    fn child(&self, znode: &Znode, page: Page<'_>, caller: &Caller) -> Child {
        let wants_more = page.with_stat || page.with_data;
        let shows_more = wants_more && acl::permits(self.acls.acl(znode.acl), caller, Perms::READ);
        Child {
            name: znode.name_str().into(),
            stat: shows_more.then(|| znode.stat()),
            data: (shows_more && page.with_data).then(|| znode.data_copy()),
        }
    }

    fn read_ephemerals(&self, prefix: &str, session: SessionId) -> Response {
        if !session.is_some() {
            return Err(Error::new(Code::SessionRequired, "ephemerals belong to a session; name yours"));
        }
        if self.session(session).is_none() {
            return Err(Error::new(Code::SessionExpired, format!("session {session} has ended or never was")));
        }
        let (mut paths, mut bytes) = (Vec::new(), 0);
        for id in self.sessions.ephemerals(session) {
            let path = self.path_of(id);
            if path.starts_with(prefix.trim()) {
                bytes += path.len();
                if bytes > PAGE_BYTES_MAX {
                    let detail =
                        "the paths of the session's ephemerals fill more than a reply; ask for a longer prefix";
                    return Err(Error::new(Code::TooLarge, detail));
                }
                paths.push(path);
            }
        }
        paths.sort_unstable();
        Ok(Reply::Ephemerals(paths))
    }
}
