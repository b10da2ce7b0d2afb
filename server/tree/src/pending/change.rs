//! Deciding changes of data and of ACLs, and guards.

use alloc::string::String;

use bytes::Bytes;
use quorate_types::txn::Shape;
use quorate_types::{AclEntry, Code, CreateMode, Error, Path, Perms, Precondition, TxnOp};

use super::create::Create;
use super::step::{self, Step};
use crate::{acl, znode};

impl Step<'_> {
    /// Sets the data; `create` is the ACL of a znode that is to be created if there is none.
    pub(super) fn set_data(
        &mut self,
        path: &Path,
        data: Option<&Bytes>,
        precondition: Precondition,
        create: Option<&[AclEntry]>,
        shape: Shape,
    ) -> Result<(), Error> {
        let text = path.as_str();
        let mut state = match (self.znode(text), create) {
            (Some(state), _) => state,
            (None, Some(acl)) => {
                return self.create(&Create { path, data, acl, mode: CreateMode::Persistent, parents: false, shape });
            }
            (None, None) => return Err(Error::at(Code::NoNode, text, "there is no such znode")),
        };
        self.permit(text, &state, Perms::WRITE)?;
        step::check_precondition(text, precondition, state.stat.version, state.stat.mzxid)?;
        state.stat.version = znode::next_version(state.stat.version);
        state.stat.mzxid = self.zxid;
        state.stat.mtime_ms = self.time_ms;
        state.stat.data_length = data.map_or(0, |data| data.len() as u32);
        let (stat, acl) = (state.stat, state.acl.clone());
        self.set(text, Some(state));
        // What is kept until it is applied does not pin the buffer that the request arrived in.
        let data = data.map(|data| Bytes::copy_from_slice(data));
        self.ops.push(TxnOp::SetData { path: String::from(text), data, stat, acl });
        Ok(())
    }

    pub(super) fn set_acl(&mut self, path: &str, acl: &[AclEntry], precondition: Precondition) -> Result<(), Error> {
        let acl = acl::normalize(acl, self.caller)?;
        let mut state = self.existing(path)?;
        self.permit(path, &state, Perms::ADMIN)?;
        step::check_precondition(path, precondition, state.stat.aversion, state.stat.mzxid)?;
        state.stat.aversion = znode::next_version(state.stat.aversion);
        state.acl = acl.clone();
        let stat = state.stat;
        self.set(path, Some(state));
        self.ops.push(TxnOp::SetAcl { path: String::from(path), acl, stat });
        Ok(())
    }

    pub(super) fn check(&mut self, path: &str, precondition: Precondition) -> Result<(), Error> {
        match (self.znode(path), precondition) {
            (None, Precondition::NotExists) => {}
            (None, _) => return Err(Error::at(Code::NoNode, path, "there is no such znode")),
            (Some(state), _) => {
                self.permit(path, &state, Perms::READ)?;
                step::check_precondition(path, precondition, state.stat.version, state.stat.mzxid)?;
            }
        }
        self.ops.push(TxnOp::Check);
        Ok(())
    }
}
