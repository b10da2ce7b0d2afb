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
    /// Live sessions.
    pub(crate) sessions: HashSet<u64>,
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
            sessions: HashSet::new(),
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
            let known = self.znodes.get(*path).map(|(_, stat)| *stat);
            let stat = match known {
                Some(stat) => v1::Stat { mzxid: self.zxid, version: stat.version + 1, ..stat },
                None => v1::Stat { czxid: self.zxid, mzxid: self.zxid, ..Default::default() },
            };
            let data = Some(Bytes::copy_from_slice(data.as_bytes()));
            let kind = if known.is_some() { v1::EventType::Changed } else { v1::EventType::Created };
            self.znodes.insert((*path).to_owned(), (data.clone(), stat));
            self.history.push(v1::Event {
                zxid: self.zxid,
                index: u32::try_from(index).expect("small"),
                r#type: kind as i32,
                path: (*path).to_owned(),
                stat: Some(stat),
                data,
                previous_data: None,
            });
            newest = stat;
        }
        self.changed.send_modify(|changes| *changes += 1);
        newest
    }

    /// Does one operation.
    pub(crate) fn perform(&mut self, operation: Operation) -> Reply {
        let id = match &operation {
            Operation::SetData(request) => request.options.as_ref(),
            Operation::Create(request) => request.options.as_ref(),
            _ => None,
        };
        let name = id.and_then(|options| options.request_id.as_ref()).map(|id| (id.client_id.clone(), id.sequence));
        if let Some(result) = name.as_ref().and_then(|name| self.results.get(name)) {
            return result.clone();
        }
        let reply = self.perform_anew(operation);
        if let Some(name) = name.filter(|_| !matches!(reply, Reply::Error(_))) {
            self.results.insert(name, reply.clone());
        }
        reply
    }

    fn perform_anew(&mut self, operation: Operation) -> Reply {
        match operation {
            Operation::Get(request) => match self.znodes.get(&request.path) {
                Some((data, stat)) => {
                    Reply::Get(v1::GetResponse { header: None, data: data.clone(), stat: Some(*stat) })
                }
                None => Reply::Error(error(v1::ErrorReason::NoNode, &request.path)),
            },
            Operation::Create(request) => {
                if self.znodes.contains_key(&request.path) {
                    return Reply::Error(error(v1::ErrorReason::NodeExists, &request.path));
                }
                let stat = self.set_all(&[&request.path], "");
                Reply::Create(v1::CreateResponse { header: None, path: request.path, stat: Some(stat) })
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
                if !self.sessions.remove(&id) {
                    return Reply::Error(error(v1::ErrorReason::SessionExpired, ""));
                }
                Reply::Close(v1::CloseResponse { header: None })
            }
            _ => Reply::Error(error(v1::ErrorReason::Unimplemented, "")),
        }
    }
}

pub(crate) fn error(reason: v1::ErrorReason, path: &str) -> v1::Error {
    let path = (!path.is_empty()).then(|| path.to_owned());
    v1::Error { reason: reason as i32, message: "as the test demands".into(), path, retry_after_ms: None }
}
