//! `World`: what all fake servers share.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use quorate_proto::v1;
use tokio::sync::watch;
use v1::channel_operation::Operation;
use v1::channel_reply::Result as Reply;

pub(crate) const CLUSTER_ID: u64 = 77;

/// What happens to the next message of a Channel or the next call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The connection is cut before anything is done.
    CutBefore,
    /// Everything is done, then the connection is cut before it is answered.
    CutAfter,
    /// The connection is cut, and everything is done some seconds later.
    CutLate,
    /// Nothing is done and nothing is answered.
    Silence,
    /// Everything is refused.
    Refuse(v1::ErrorReason),
}

pub(crate) struct World {
    pub(crate) zxid: u64,
    pub(crate) znodes: BTreeMap<String, (Option<Bytes>, v1::Stat)>,
    /// Results of writes with a name.
    pub(crate) results: HashMap<(Bytes, u64), Reply>,
    /// Up to where clients have acknowledged results, by writes that took effect.
    pub(crate) acknowledged: HashMap<Bytes, u64>,
    /// Live sessions.
    pub(crate) sessions: HashSet<u64>,
    /// Sequential children made so far, by parent.
    pub(crate) numbered: HashMap<String, u64>,
    pub(crate) opened: u64,
    pub(crate) history: Vec<v1::Event>,
    /// Watches cannot begin before this txn.
    pub(crate) compacted_zxid: u64,
    /// Grows with every change of the world.
    pub(crate) changed: watch::Sender<u64>,
    /// Servers that refuse connections.
    pub(crate) down: HashSet<u32>,
    /// Servers that have no leader, hence serve nothing.
    pub(crate) looking: HashSet<u32>,
    pub(crate) connections: usize,
    pub(crate) faults: VecDeque<Fault>,
    /// All that came on Channels, with the server that it came to.
    pub(crate) messages: Vec<(u32, v1::ChannelRequest)>,
    /// Watch requests, likewise.
    pub(crate) watches: Vec<(u32, v1::WatchCreate)>,
    /// What happens to streams of watches after so many messages: see [`super::doors`].
    pub(crate) watch_faults: VecDeque<(usize, WatchFault)>,
}

/// What happens to a stream of watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum WatchFault {
    Cut,
    Lag,
    Unavailable,
}

impl Default for World {
    fn default() -> World {
        World {
            zxid: 1 << 32,
            znodes: BTreeMap::new(),
            results: HashMap::new(),
            acknowledged: HashMap::new(),
            sessions: HashSet::new(),
            numbered: HashMap::new(),
            opened: 0,
            history: Vec::new(),
            compacted_zxid: 0,
            changed: watch::Sender::new(0),
            down: HashSet::new(),
            looking: HashSet::new(),
            connections: 0,
            faults: VecDeque::new(),
            messages: Vec::new(),
            watches: Vec::new(),
            watch_faults: VecDeque::new(),
        }
    }
}

impl World {
    pub(crate) fn next_fault(&mut self) -> Fault {
        self.faults.pop_front().unwrap_or(Fault::None)
    }

    pub(crate) fn header(&self, server_id: u32) -> v1::ReplyHeader {
        let role = match server_id {
            looking if self.looking.contains(&looking) => v1::Role::Looking,
            1 => v1::Role::Leading,
            _ => v1::Role::Following,
        };
        v1::ReplyHeader { cluster_id: CLUSTER_ID, server_id, role: role as i32, epoch: 1, zxid: self.zxid }
    }

    /// One txn that sets some znodes; the data stands in every event.
    pub(crate) fn set_all(&mut self, paths: &[&str], data: &str) -> v1::Stat {
        self.zxid += 1;
        let mut newest = v1::Stat::default();
        for (index, path) in paths.iter().enumerate() {
            let data = Some(Bytes::copy_from_slice(data.as_bytes()));
            newest = self.put(index, path, data, 0);
        }
        self.changed.send_modify(|changes| *changes += 1);
        newest
    }

    /// Sets a znode within the present txn.
    fn put(&mut self, index: usize, path: &str, data: Option<Bytes>, ephemeral_owner: u64) -> v1::Stat {
        let known = self.znodes.get(path).map(|(_, stat)| *stat);
        let stat = match known {
            Some(stat) => v1::Stat { mzxid: self.zxid, version: stat.version + 1, ..stat },
            None => v1::Stat { czxid: self.zxid, mzxid: self.zxid, ephemeral_owner, ..Default::default() },
        };
        let kind = if known.is_some() { v1::EventType::Changed } else { v1::EventType::Created };
        self.znodes.insert(path.to_owned(), (data.clone(), stat));
        self.note(index, kind, path, stat, data);
        stat
    }

    fn note(&mut self, index: usize, kind: v1::EventType, path: &str, stat: v1::Stat, data: Option<Bytes>) {
        self.history.push(v1::Event {
            zxid: self.zxid,
            index: u32::try_from(index).expect("small"),
            r#type: kind as i32,
            path: path.to_owned(),
            stat: Some(stat),
            data,
            previous_data: None,
        });
    }

    /// One txn that deletes these znodes.
    pub(crate) fn delete_all(&mut self, paths: &[String]) {
        self.zxid += 1;
        for (index, path) in paths.iter().enumerate() {
            let (_, stat) = self.znodes.remove(path).expect("it exists");
            self.note(index, v1::EventType::Deleted, path, stat, None);
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// A session ends, and its ephemeral znodes with it.
    pub(crate) fn end_session(&mut self, id: u64) {
        self.sessions.remove(&id);
        let owned = self.znodes.iter().filter(|(_, (_, stat))| stat.ephemeral_owner == id);
        let paths: Vec<String> = owned.map(|(path, _)| path.clone()).collect();
        self.delete_all(&paths);
    }

    /// The names of the children of a znode.
    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        let names = self.znodes.keys().filter(|child| parent(child) == path && *child != "/");
        names.filter_map(|child| child.rsplit('/').next()).map(str::to_owned).collect()
    }

    /// Does one operation, of a session if one is given.
    pub(crate) fn perform(&mut self, operation: Operation, session: u64) -> Reply {
        let id = match &operation {
            Operation::SetData(request) => request.options.as_ref(),
            Operation::Create(request) => request.options.as_ref(),
            Operation::Delete(request) => request.options.as_ref(),
            _ => None,
        };
        let name = id.and_then(|options| options.request_id.clone()).map(|id| {
            // Within a session, that is the client.
            let client =
                if id.client_id.is_empty() { Bytes::copy_from_slice(&session.to_be_bytes()) } else { id.client_id };
            (client, id.sequence, id.acknowledged_through)
        });
        let Some((client, sequence, through)) = name else { return self.perform_anew(operation, session) };
        if let Some(result) = self.results.get(&(client.clone(), sequence)) {
            return result.clone();
        }
        if self.acknowledged.get(&client).is_some_and(|through| sequence <= *through) {
            return Reply::Error(error(v1::ErrorReason::RequestIdForgotten, ""));
        }
        let reply = self.perform_anew(operation, session);
        if !matches!(reply, Reply::Error(_)) {
            self.results.insert((client.clone(), sequence), reply.clone());
            let known = self.acknowledged.entry(client).or_default();
            *known = through.max(*known);
        }
        reply
    }

    fn perform_anew(&mut self, operation: Operation, session: u64) -> Reply {
        match operation {
            Operation::Get(request) => match self.znodes.get(&request.path) {
                Some((data, stat)) => {
                    Reply::Get(v1::GetResponse { header: None, data: data.clone(), stat: Some(*stat) })
                }
                None => Reply::Error(error(v1::ErrorReason::NoNode, &request.path)),
            },
            Operation::Create(request) => self.create(request, session),
            Operation::Delete(request) => {
                if !self.znodes.contains_key(&request.path) {
                    return Reply::Error(error(v1::ErrorReason::NoNode, &request.path));
                }
                self.delete_all(&[request.path]);
                Reply::Delete(v1::DeleteResponse { header: None, deleted: 1 })
            }
            Operation::ListChildren(request) => {
                if request.path != "/" && !self.znodes.contains_key(&request.path) {
                    return Reply::Error(error(v1::ErrorReason::NoNode, &request.path));
                }
                let names = self.children(&request.path).into_iter().filter(|name| *name > request.after);
                let child = |name: String| {
                    let (data, stat) = &self.znodes[&format!("{}/{name}", request.path.trim_end_matches('/'))];
                    v1::Child { name, data: data.clone(), stat: Some(*stat) }
                };
                // Short pages, so that nobody takes the first one for all.
                let mut children: Vec<_> = names.map(child).take(PAGE + 1).collect();
                let more = children.len() > PAGE;
                children.truncate(PAGE);
                Reply::ListChildren(v1::ListChildrenResponse { header: None, children, stat: None, more })
            }
            Operation::SetData(request) => {
                let text = String::from_utf8(request.data.unwrap_or_default().into()).expect("tests write text");
                let stat = Some(self.set_all(&[&request.path], &text));
                Reply::SetData(v1::SetDataResponse { header: None, stat, created: false })
            }
            Operation::Sync(_) => Reply::Sync(v1::SyncResponse { header: None }),
            Operation::Open(request) => {
                self.opened += 1;
                self.sessions.insert(self.opened);
                let secret = Bytes::from_static(&[7; 16]);
                let timeout_ms = request.timeout_ms;
                Reply::Open(v1::OpenResponse { header: None, session_id: self.opened, secret, timeout_ms })
            }
            Operation::KeepAlive(request) => {
                let alive = request.session.is_none_or(|session| self.sessions.contains(&session.session_id));
                let state = if alive { v1::SessionState::Alive } else { v1::SessionState::Expired };
                Reply::KeepAlive(v1::KeepAliveResponse { header: None, state: state as i32, timeout_ms: 1000 })
            }
            Operation::Close(request) => {
                let id = request.session.map_or(0, |session| session.session_id);
                if !self.sessions.contains(&id) {
                    return Reply::Error(error(v1::ErrorReason::SessionExpired, ""));
                }
                self.end_session(id);
                Reply::Close(v1::CloseResponse { header: None })
            }
            _ => Reply::Error(error(v1::ErrorReason::Unimplemented, "")),
        }
    }

    fn create(&mut self, request: v1::CreateRequest, session: u64) -> Reply {
        let mode = request.mode();
        let parent = parent(&request.path).to_owned();
        if !request.create_parents && parent != "/" && !self.znodes.contains_key(&parent) {
            return Reply::Error(error(v1::ErrorReason::NoParent, &request.path));
        }
        let mut path = request.path;
        if matches!(mode, v1::CreateMode::PersistentSequential | v1::CreateMode::EphemeralSequential) {
            let number = self.numbered.entry(parent).or_default();
            path = format!("{path}{number:010}");
            *number += 1;
        }
        if self.znodes.contains_key(&path) {
            return Reply::Error(error(v1::ErrorReason::NodeExists, &path));
        }
        let ephemeral = matches!(mode, v1::CreateMode::Ephemeral | v1::CreateMode::EphemeralSequential);
        self.zxid += 1;
        let stat = self.put(0, &path, request.data, if ephemeral { session } else { 0 });
        self.changed.send_modify(|changes| *changes += 1);
        Reply::Create(v1::CreateResponse { header: None, path, stat: Some(stat) })
    }
}

/// Children of one page.
const PAGE: usize = 3;

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// Whether a watch of this kind on `path` tells of what happened to `changed`.
pub(crate) fn concerns(kind: v1::WatchKind, path: &str, changed: &str) -> bool {
    match kind {
        v1::WatchKind::Unspecified | v1::WatchKind::Node => changed == path,
        v1::WatchKind::Children => changed == path || parent(changed) == path,
        v1::WatchKind::Recursive => path == "/" || changed == path || changed.starts_with(&format!("{path}/")),
    }
}

pub(crate) fn error(reason: v1::ErrorReason, path: &str) -> v1::Error {
    let path = (!path.is_empty()).then(|| path.to_owned());
    v1::Error { reason: reason as i32, message: "as the test demands".into(), path, retry_after_ms: None }
}
