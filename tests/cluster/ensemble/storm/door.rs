//! `Door`: a client whose every request is written down.

use std::time::Instant;

use bytes::Bytes;
use quorate_client::reply::{MultiReply, MultiResult};
use quorate_client::{Client, Consistency, CreateMode, Error, Session, Stat};
use quorate_types::{Acl, Child, Code, Op, Path, Precondition, ReadOp, Reply, Response, SessionId, WriteOp, Zxid};

use super::journal::{Answer, Entry, Journal};

/// One client, which has one request under way at a time.
pub(super) struct Door {
    pub(super) client: Client,
    pub(super) number: usize,
    pub(super) journal: Journal,
    /// Requests so far.
    asked: u64,
}

impl Door {
    pub(super) fn new(client: Client, number: usize, journal: Journal) -> Door {
        Door { client, number, journal, asked: 0 }
    }

    /// Something that nobody else writes.
    pub(super) fn token(&self) -> Bytes {
        self.value().to_string().into()
    }

    /// The same as a number.
    pub(super) fn value(&self) -> u64 {
        ((self.number as u64) << 32) | self.asked
    }

    pub(super) async fn write(&mut self, op: WriteOp) -> Answer {
        self.ask(Op::Write(op), None, false).await
    }

    /// Reads what is there now for everybody.
    pub(super) async fn read(&mut self, op: ReadOp) -> Answer {
        self.ask(Op::Read { op, watch: false }, None, true).await
    }

    /// Reads what some server has.
    pub(super) async fn glance(&mut self, op: ReadOp) -> Answer {
        self.ask(Op::Read { op, watch: false }, None, false).await
    }

    pub(super) async fn ask(&mut self, op: Op, session: Option<&Session>, is_linearizable: bool) -> Answer {
        self.asked += 1;
        let (called, began) = (self.journal.now(), Instant::now());
        let client: &Client = session.map_or(&self.client, |session| session);
        let outcome = send(client, &op, is_linearizable).await;
        let (at, ended) = (self.journal.now(), Instant::now());
        let answer = match outcome {
            Ok((zxid, reply)) => Answer::Done { at, zxid: Zxid(zxid), reply },
            Err(error) if is_verdict(&error) => Answer::Refused { at, reason: error.reason() },
            Err(error) => {
                println!("storm: client {} was left in doubt: {error:?}", self.number);
                Answer::Unknown
            }
        };
        let session = session.map_or(SessionId::NONE, |session| SessionId(session.id()));
        let entry =
            Entry { client: self.number, op, session, is_linearizable, called, answer: answer.clone(), began, ended };
        self.journal.add(entry);
        answer
    }
}

/// Whether an error says that the request did nothing, and nothing will come of it.
fn is_verdict(error: &Error) -> bool {
    !error.is_retryable() && !error.maybe_applied()
}

async fn send(client: &Client, op: &Op, is_linearizable: bool) -> Result<(u64, Reply), Error> {
    let consistency = if is_linearizable { Consistency::Linearizable } else { Consistency::Session };
    match op {
        Op::Write(WriteOp::Create { path, data, mode, .. }) => {
            let create = client.create(path.as_str(), data.clone()).mode(wire_mode(*mode));
            let made = create.await?;
            Ok((made.zxid, Reply::Created { path: made.path, stat: stat(made.stat) }))
        }
        Op::Write(WriteOp::SetData { path, data, precondition, .. }) => {
            let made = set(client, path, data, *precondition).await?;
            Ok((made.zxid, Reply::Changed { stat: stat(made.stat) }))
        }
        Op::Write(WriteOp::Delete { path, precondition }) => {
            let delete = client.delete(path.as_str());
            let made = match precondition {
                Precondition::Version(version) => delete.version(*version).await?,
                Precondition::Mzxid(mzxid) => delete.mzxid(mzxid.0).await?,
                Precondition::None | Precondition::NotExists => delete.await?,
            };
            Ok((made.zxid, Reply::Deleted))
        }
        Op::Multi(ops) => {
            let mut multi = client.multi();
            for op in ops {
                multi = match op {
                    WriteOp::Check { path, precondition: Precondition::Mzxid(mzxid) } => {
                        multi.add(client.check(path.as_str()).mzxid(mzxid.0))
                    }
                    WriteOp::SetData { path, data, precondition, .. } => {
                        multi.add(set(client, path, data, *precondition))
                    }
                    other => panic!("nobody asks for {other:?} in a multi"),
                };
            }
            let made = multi.await?;
            Ok((made.zxid, Reply::Multi(results(made))))
        }
        Op::Read { op: ReadOp::Get { path }, .. } => {
            let found = client.get(path.as_str()).consistency(consistency).await?;
            Ok((found.zxid, Reply::Data { data: found.data, stat: stat(found.stat) }))
        }
        Op::Read { op: ReadOp::Children { path, .. }, .. } => {
            let found = client.children(path.as_str()).consistency(consistency).await?;
            let child = |child: quorate_client::Child| Child { name: child.name, stat: None, data: None };
            let children = found.children.into_iter().map(child).collect();
            Ok((found.zxid, Reply::Children { children, stat: stat(found.stat), more: found.more }))
        }
        other => panic!("nobody asks for {other:?}"),
    }
}

fn set(
    client: &Client,
    path: &Path,
    data: &Option<Bytes>,
    precondition: Precondition,
) -> quorate_client::Call<quorate_client::ops::SetData> {
    let set = client.set(path.as_str(), data.clone());
    match precondition {
        Precondition::Version(version) => set.version(version),
        Precondition::Mzxid(mzxid) => set.mzxid(mzxid.0),
        Precondition::None | Precondition::NotExists => set,
    }
}

fn results(made: MultiReply) -> Vec<Response> {
    let result = |result: Result<MultiResult, Error>| match result {
        Ok(MultiResult::Checked) => Ok(Reply::Checked),
        Ok(MultiResult::Updated(updated)) => Ok(Reply::Changed { stat: stat(updated.stat) }),
        Ok(other) => panic!("nobody asked for {other:?}"),
        // Only that it failed matters.
        Err(_) => Err(quorate_types::Error::new(Code::NotApplied, "")),
    };
    made.results.into_iter().map(result).collect()
}

fn wire_mode(mode: quorate_types::CreateMode) -> CreateMode {
    match mode {
        quorate_types::CreateMode::Persistent => CreateMode::Persistent,
        quorate_types::CreateMode::PersistentSequential => CreateMode::PersistentSequential,
        quorate_types::CreateMode::Ephemeral => CreateMode::Ephemeral,
        other => panic!("nobody creates {other:?}"),
    }
}

/// The same in the words of the core.
pub(super) fn stat(stat: Stat) -> quorate_types::Stat {
    quorate_types::Stat {
        czxid: Zxid(stat.czxid),
        mzxid: Zxid(stat.mzxid),
        pzxid: Zxid(stat.pzxid),
        ctime_ms: stat.ctime_ms,
        mtime_ms: stat.mtime_ms,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeral_owner: SessionId(stat.ephemeral_owner),
        data_length: stat.data_length,
        num_children: stat.num_children,
    }
}

// ---- What clients ask for --------------------------------------------------------------------------------------------

pub(super) fn path(text: &str) -> Path {
    Path::new(text).expect("a test writes valid paths")
}

pub(super) fn create(text: &str, data: Bytes) -> WriteOp {
    create_as(text, data, quorate_types::CreateMode::Persistent)
}

pub(super) fn create_as(text: &str, data: Bytes, mode: quorate_types::CreateMode) -> WriteOp {
    WriteOp::Create { path: path(text), data: Some(data), acl: Acl::OPEN.entries(), mode, parents: false }
}

pub(super) fn set_data(text: &str, data: Bytes, precondition: Precondition) -> WriteOp {
    WriteOp::SetData { path: path(text), data: Some(data), precondition, create: None }
}

pub(super) fn delete(text: &str, precondition: Precondition) -> WriteOp {
    WriteOp::Delete { path: path(text), precondition }
}

pub(super) fn get(text: &str) -> ReadOp {
    ReadOp::Get { path: path(text) }
}

pub(super) fn list(text: &str) -> ReadOp {
    ReadOp::Children { path: path(text), after: String::new(), limit: 0, with_stat: false, with_data: false }
}
