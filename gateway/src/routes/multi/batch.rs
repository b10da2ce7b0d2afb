//! `Batch`: a multi that is being put together, of changes or of reads.

use quorate_client::ops::{Multi, MultiOperation, MultiRead, MultiReadOperation};
use quorate_client::{Call, Client};

use super::operation::{Check, Children, Create, Delete, Operation, Set, SetAcl};
use crate::hex::Hex;
use crate::problem::Problem;
use crate::representation::data_bytes;
use crate::routes::children::{ListParameters, With};
use crate::{acl, path};

/// A multi that is being put together.
pub(super) struct Batch<'a> {
    client: &'a Client,
    /// Absent before the first operation, which says of which kind all are.
    made: Option<Made>,
    asked: Vec<Asked>,
}

/// The call of a multi.
pub(super) enum Made {
    Changes(Call<Multi>),
    Reads(Call<MultiRead>),
}

/// What the result of an operation has to know of it.
pub(super) struct Asked {
    pub(super) op: &'static str,
    pub(super) path: String,
    /// Of a list of children.
    pub(super) with: With,
}

/// What has to hold of a znode that is changed.
enum Guard {
    None,
    Version(i32),
    Mzxid(u64),
}

impl<'a> Batch<'a> {
    pub(super) fn new(client: &'a Client) -> Batch<'a> {
        Batch { client, made: None, asked: Vec::new() }
    }

    /// One operation more.
    pub(super) fn add(&mut self, operation: Operation) -> Result<(), Problem> {
        match operation {
            Operation::Check(check) => self.check(check),
            Operation::Create(create) => self.create(create),
            Operation::Set(set) => self.set(set),
            Operation::Delete(delete) => self.delete(delete),
            Operation::SetAcl(set) => self.set_acl(set),
            Operation::Get(target) => self.read("get", target.path, Client::get),
            Operation::Exists(target) => self.read("exists", target.path, Client::exists),
            Operation::GetAcl(target) => self.read("get_acl", target.path, Client::acl),
            Operation::Children(children) => self.children(children),
        }
    }

    /// The call, and what was asked. A multi of nothing changes nothing.
    pub(super) fn finish(self) -> (Made, Vec<Asked>) {
        (self.made.unwrap_or_else(|| Made::Changes(self.client.multi())), self.asked)
    }

    fn check(&mut self, Check { path, version, mzxid, not_exists }: Check) -> Result<(), Problem> {
        check_path(&path)?;
        let call = self.client.check(path.as_str());
        let call = match (Guard::of(version, mzxid)?, not_exists) {
            (Guard::None, false) => call,
            (Guard::None, true) => call.not_exists(),
            (Guard::Version(version), false) => call.version(version),
            (Guard::Mzxid(mzxid), false) => call.mzxid(mzxid),
            (Guard::Version(_) | Guard::Mzxid(_), true) => {
                return Err(Problem::bad_arguments("what does not exist has neither version nor mzxid").at(&path));
            }
        };
        self.push_change("check", path, call)
    }

    fn create(&mut self, create: Create) -> Result<(), Problem> {
        let Create { path, data, encoding, mode, ttl_ms, acl, parents } = create;
        let mode = mode.with_ttl(ttl_ms).map_err(|problem| problem.at(&path))?;
        let checked = if mode.is_sequential() { path::check_prefix(&path) } else { path::check(&path) };
        checked.map_err(|fault| Problem::from(fault).at(&path))?;
        let mut call = self.client.create(path.as_str(), data_bytes(data, encoding)?).mode(mode);
        if let Some(acl) = acl {
            call = call.acl(acl::read(acl)?);
        }
        let call = if parents { call.parents() } else { call };
        self.push_change("create", path, call)
    }

    fn set(&mut self, set: Set) -> Result<(), Problem> {
        let Set { path, data, encoding, version, mzxid, upsert } = set;
        check_path(&path)?;
        let call = self.client.set(path.as_str(), data_bytes(data, encoding)?);
        let call = match (Guard::of(version, mzxid)?, upsert) {
            (Guard::None, false) => call,
            (Guard::None, true) => call.upsert(),
            (Guard::Version(version), false) => call.version(version),
            (Guard::Mzxid(mzxid), false) => call.mzxid(mzxid),
            (Guard::Version(_) | Guard::Mzxid(_), true) => {
                return Err(Problem::bad_arguments("upsert takes neither version nor mzxid").at(&path));
            }
        };
        self.push_change("set", path, call)
    }

    fn delete(&mut self, Delete { path, version, mzxid }: Delete) -> Result<(), Problem> {
        check_path(&path)?;
        let call = self.client.delete(path.as_str());
        let call = match Guard::of(version, mzxid)? {
            Guard::None => call,
            Guard::Version(version) => call.version(version),
            Guard::Mzxid(mzxid) => call.mzxid(mzxid),
        };
        self.push_change("delete", path, call)
    }

    fn set_acl(&mut self, SetAcl { path, acl, aversion }: SetAcl) -> Result<(), Problem> {
        check_path(&path)?;
        let call = self.client.set_acl(path.as_str(), acl::read(acl)?);
        let call = if let Some(aversion) = aversion { call.aversion(aversion) } else { call };
        self.push_change("set_acl", path, call)
    }

    fn read<R: MultiReadOperation>(
        &mut self,
        op: &'static str,
        path: String,
        call: impl FnOnce(&Client, String) -> R,
    ) -> Result<(), Problem> {
        check_path(&path)?;
        let call = call(self.client, path.clone());
        self.push_read(Asked { op, path, with: With::default() }, call)
    }

    fn children(&mut self, Children { path, limit, page_token, with }: Children) -> Result<(), Problem> {
        check_path(&path)?;
        let parameters = ListParameters { limit, page_token, with, consistency: None };
        let (call, with) = parameters.call(self.client, &path)?;
        self.push_read(Asked { op: "children", path, with }, call)
    }

    fn push_change(&mut self, op: &'static str, path: String, change: impl MultiOperation) -> Result<(), Problem> {
        let call = match self.made.take() {
            None => self.client.multi(),
            Some(Made::Changes(call)) => call,
            Some(Made::Reads(_)) => return Err(mixed(&path)),
        };
        self.made = Some(Made::Changes(call.add(change)));
        self.asked.push(Asked { op, path, with: With::default() });
        Ok(())
    }

    fn push_read(&mut self, asked: Asked, read: impl MultiReadOperation) -> Result<(), Problem> {
        let call = match self.made.take() {
            None => self.client.multi_read(),
            Some(Made::Reads(call)) => call,
            Some(Made::Changes(_)) => return Err(mixed(&asked.path)),
        };
        self.made = Some(Made::Reads(call.add(read)));
        self.asked.push(asked);
        Ok(())
    }
}

impl Guard {
    fn of(version: Option<i32>, mzxid: Option<String>) -> Result<Guard, Problem> {
        match (version, mzxid) {
            (None, None) => Ok(Guard::None),
            (Some(version), None) => Ok(Guard::Version(version)),
            (None, Some(mzxid)) => match Hex::parse(&mzxid) {
                Some(Hex(mzxid)) => Ok(Guard::Mzxid(mzxid)),
                None => Err(Problem::bad_arguments(format!("{mzxid:?} is no zxid: it is written 0x.. in hexadecimal"))),
            },
            (Some(_), Some(_)) => Err(Problem::bad_arguments("name one condition: version or mzxid")),
        }
    }
}

fn check_path(path: &str) -> Result<(), Problem> {
    path::check(path).map_err(|fault| Problem::from(fault).at(path))
}

fn mixed(path: &str) -> Problem {
    Problem::bad_arguments("a multi is either of changes or of reads: send two").at(path)
}
