//! `World`: a tree, the watches on it, and everything that was emitted, as lines of text.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use quorate_types::txn::Shape;
use quorate_types::{
    Acl, AclEntry, ChangeKind, Event, Identity, NodeKind, Path, Perms, Route, SessionId, Stat, StreamWatch, Txn,
    TxnBody, TxnOp, WatchScope,
};

use super::super::*;
use crate::{Delivery, WatchItem, ZkEvent};

/// One change of a txn, as tests write it down.
#[derive(Clone, Debug)]
pub(in crate::watch) enum Do {
    Create(String, Option<Bytes>, Acl),
    Set(String, Option<Bytes>),
    SetAcl(String, Acl),
    Delete(String),
}

pub(in crate::watch) fn create(path: &str) -> Do {
    Do::Create(path.into(), None, Acl::OPEN)
}

pub(in crate::watch) fn create_with(path: &str, data: &str, acl: &Acl) -> Do {
    Do::Create(path.into(), Some(Bytes::copy_from_slice(data.as_bytes())), acl.clone())
}

pub(in crate::watch) fn set(path: &str, data: &str) -> Do {
    Do::Set(path.into(), Some(Bytes::copy_from_slice(data.as_bytes())))
}

pub(in crate::watch) fn delete(path: &str) -> Do {
    Do::Delete(path.into())
}

/// An ACL that only lets the user of this name do anything.
pub(in crate::watch) fn only(user: &str) -> Acl {
    Acl::new(vec![AclEntry { perms: Perms::ALL, scheme: "digest".into(), id: format!("{user}:secret") }])
}

pub(in crate::watch) fn anyone() -> Arc<Caller> {
    Arc::new(Caller::anonymous())
}

/// Somebody with the identity that [`only`] asks for.
pub(in crate::watch) fn user(user: &str) -> Arc<Caller> {
    Arc::new(Caller { identities: vec![Identity { scheme: "digest".into(), id: format!("{user}:secret") }] })
}

pub(in crate::watch) fn path(path: &str) -> Path {
    Path::new(path).unwrap()
}

/// A watch with nothing special about it.
pub(in crate::watch) fn spec(id: u64, scope: WatchScope, at: &str) -> StreamWatch {
    StreamWatch {
        id: WatchId(id),
        path: path(at),
        scope,
        start: None,
        send_initial: false,
        with_data: false,
        with_previous_data: false,
        exclude: Default::default(),
        progress_ms: 0,
    }
}

/// What a leader keeps in mind of a znode to decide the next change of it.
#[derive(Clone, Debug, Default)]
struct Shadow {
    creations: u64,
    version: i32,
    aversion: i32,
}

pub(in crate::watch) struct World {
    pub(in crate::watch) tree: Tree,
    pub(in crate::watch) watches: Watches,
    pub(in crate::watch) out: Effects,
    pub(in crate::watch) now: Now,
    /// Every change so far.
    pub(in crate::watch) log: Vec<Change>,
    shadows: BTreeMap<String, Shadow>,
    zxid: Zxid,
}

impl World {
    pub(in crate::watch) fn new(history_bytes: usize, config: WatchConfig) -> World {
        World {
            tree: Tree::new(7),
            watches: Watches::new(History::new(Zxid::ZERO, history_bytes), config),
            out: Effects::default(),
            now: Now::default(),
            log: Vec::new(),
            shadows: BTreeMap::new(),
            zxid: Zxid(1 << 32),
        }
    }

    /// With the bounds of production.
    pub(in crate::watch) fn usual() -> World {
        World::new(1 << 24, WatchConfig::default())
    }

    /// Applies a txn.
    pub(in crate::watch) fn txn(&mut self, changes: &[Do]) -> Zxid {
        let ops = changes.iter().map(|change| self.decide(change)).collect();
        self.apply(TxnBody::Ops { shape: Shape::Multi, ops })
    }

    pub(in crate::watch) fn apply(&mut self, body: TxnBody) -> Zxid {
        self.zxid = self.zxid.next();
        let txn = Txn { time_ms: 0, session: SessionId::NONE, request: None, route: Route::default(), body };
        let changes = self.tree.apply(self.zxid, &txn);
        self.log.extend(changes.iter().cloned());
        self.watches.applied(&self.tree, self.zxid, changes, &mut self.out);
        self.zxid
    }

    fn decide(&mut self, change: &Do) -> TxnOp {
        let mut shadow = |path: &str| self.shadows.entry(path.into()).or_default().clone();
        match change {
            Do::Create(path, data, acl) => {
                self.shadows.insert(path.clone(), Shadow::default());
                let parent = self.shadows.entry(quorate_types::path::parent(path).unwrap().into()).or_default();
                parent.creations += 1;
                TxnOp::Create {
                    path: path.clone(),
                    data: data.clone(),
                    acl: acl.clone(),
                    kind: NodeKind::Persistent,
                    parent_creations: parent.creations,
                    parent_acl: Acl::OPEN,
                }
            }
            Do::Set(path, data) => {
                let version = shadow(path).version + 1;
                self.shadows.get_mut(path).unwrap().version = version;
                let stat = Stat { version, ..Stat::default() };
                TxnOp::SetData { path: path.clone(), data: data.clone(), stat, acl: Acl::OPEN }
            }
            Do::SetAcl(path, acl) => {
                let aversion = shadow(path).aversion + 1;
                self.shadows.get_mut(path).unwrap().aversion = aversion;
                TxnOp::SetAcl { path: path.clone(), acl: acl.clone(), stat: Stat { aversion, ..Stat::default() } }
            }
            Do::Delete(path) => {
                self.shadows.remove(path);
                TxnOp::Delete { path: path.clone(), stat: Stat::default(), acl: Acl::OPEN, parent_acl: Acl::OPEN }
            }
        }
    }

    pub(in crate::watch) fn begin(&mut self, outbox: u64, caller: &Arc<Caller>, watch: &StreamWatch) {
        let response = self.operate(outbox, caller, &WatchOp::Create(watch.clone()));
        assert_eq!(response, None);
    }

    pub(in crate::watch) fn operate(&mut self, outbox: u64, caller: &Arc<Caller>, op: &WatchOp) -> Option<Response> {
        self.watches.operate(&mut self.tree, OutboxId(outbox), caller, op, self.now, &mut self.out)
    }

    /// A read with the `watch` flag.
    pub(in crate::watch) fn read(&mut self, outbox: u64, caller: &Arc<Caller>, op: &ReadOp) -> Result<(), Error> {
        let response = self.tree.read(op, caller, SessionId::NONE);
        self.watches.after_read(OutboxId(outbox), caller, op, &response)
    }

    /// One slice; whether there is more to do.
    pub(in crate::watch) fn work(&mut self) -> bool {
        self.watches.work(&mut self.tree, &mut self.out)
    }

    pub(in crate::watch) fn ready(&mut self, outbox: u64) {
        self.watches.ready(OutboxId(outbox));
    }

    pub(in crate::watch) fn close(&mut self, outbox: u64) {
        self.watches.closed(&mut self.tree, OutboxId(outbox));
    }

    pub(in crate::watch) fn tick(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.watches.tick(&self.tree, self.now, &mut self.out);
    }

    /// Works until there is nothing more to do, while every outbox reads whatever it is sent.
    pub(in crate::watch) fn settle(&mut self) {
        loop {
            let has_more = self.work();
            let mut waiting: Vec<OutboxId> = self.watches.streams.keys().copied().collect();
            waiting.retain(|outbox| {
                let streams = &self.watches.streams[outbox];
                streams.has_work() && streams.room == 0
            });
            if !has_more && waiting.is_empty() {
                break;
            }
            waiting.iter().for_each(|outbox| self.watches.ready(*outbox));
        }
    }

    /// What was emitted since the last call.
    pub(in crate::watch) fn take(&mut self) -> Vec<(OutboxId, Delivery)> {
        core::mem::take(&mut self.out.outbox)
    }

    /// What was emitted since the last call, one line for each delivery.
    pub(in crate::watch) fn told(&mut self) -> Vec<String> {
        self.take().iter().map(|(outbox, delivery)| format!("{}: {}", outbox.0, text(delivery))).collect()
    }
}

/// A delivery as text. A zxid is written as its counter: `@4`.
pub(in crate::watch) fn text(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Watch { watches, item } => {
            let names: Vec<String> = watches.iter().map(|watch| watch.0.to_string()).collect();
            format!("w{} {}", names.join(","), item_text(item))
        }
        Delivery::Notify { event, path, zxid } => format!("{} {path}{}", zk_text(*event), zxid_text(*zxid)),
        Delivery::Tree { tag, zxid, nodes } => {
            let nodes: Vec<String> = nodes.iter().map(|node| with_data(&node.path, node.data.as_ref())).collect();
            format!("t{}{} {}", tag.0, zxid_text(*zxid), nodes.join(" "))
        }
        Delivery::Reply { tag, zxid, response: Ok(_) } => format!("t{}{} end", tag.0, zxid_text(*zxid)),
        Delivery::Reply { tag, response: Err(error), .. } => format!("t{} {}", tag.0, error.code().reason()),
        Delivery::Session { .. } | Delivery::Close(_) => panic!("watches do not speak of sessions: {delivery:?}"),
    }
}

fn item_text(item: &WatchItem) -> String {
    match item {
        WatchItem::Created(zxid) => format!("created{}", zxid_text(*zxid)),
        WatchItem::Events(events) => {
            let zxids: BTreeSet<Zxid> = events.iter().map(|event| event.zxid).collect();
            assert_eq!(zxids.len(), 1, "an item is about one zxid: {events:?}");
            let events: Vec<String> = events.iter().map(event_text).collect();
            format!("told{} {}", zxid_text(*zxids.first().unwrap()), events.join(" "))
        }
        WatchItem::Synced(zxid) => format!("synced{}", zxid_text(*zxid)),
        WatchItem::Progress(zxid) => format!("progress{}", zxid_text(*zxid)),
        WatchItem::Canceled { error, resume, compacted } => {
            let reason = error.as_ref().map_or("", |error| error.code().reason());
            let compacted = compacted.map_or(String::new(), |zxid| format!(" oldest{}", zxid_text(zxid)));
            format!("canceled {reason} resume{}{compacted}", zxid_text(*resume))
        }
    }
}

fn event_text(event: &Event) -> String {
    let sign = match event.kind {
        ChangeKind::Created => '+',
        ChangeKind::Deleted => '-',
        ChangeKind::DataChanged => '=',
    };
    let before = event.previous_data.as_ref().map_or(String::new(), |data| format!("<{}", lossy(data)));
    format!("{sign}{}{before}", with_data(&event.path, event.data.as_ref()))
}

fn with_data(path: &str, data: Option<&Bytes>) -> String {
    data.map_or(String::from(path), |data| format!("{path}={}", lossy(data)))
}

fn lossy(data: &Bytes) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn zxid_text(zxid: Zxid) -> String {
    if zxid == Zxid::ZERO { String::from("@none") } else { format!("@{}", zxid.counter()) }
}

fn zk_text(event: ZkEvent) -> &'static str {
    match event {
        ZkEvent::Node(ChangeKind::Created) => "created",
        ZkEvent::Node(ChangeKind::Deleted) => "deleted",
        ZkEvent::Node(ChangeKind::DataChanged) => "changed",
        ZkEvent::ChildrenChanged => "children",
    }
}
