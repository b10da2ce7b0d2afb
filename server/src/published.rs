//! `Published`: what the driver lets everybody know of the replica, readable without asking it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use quorate_types::{ClusterId, Epoch, Role, ServerId, Zxid};

use crate::inbox::Header;

/// Written by the driver before it dispatches what a turn has led to, so nobody sees a delivery that is ahead of it.
#[derive(Debug)]
pub(crate) struct Published {
    cluster: ClusterId,
    server: ServerId,
    role: AtomicU8,
    epoch: AtomicU32,
    zxid: AtomicU64,
    serving: AtomicBool,
    now_ms: AtomicU64,
}

impl Published {
    pub(crate) fn new(cluster: ClusterId, server: ServerId) -> Published {
        Published {
            cluster,
            server,
            role: AtomicU8::new(encode(Role::Looking)),
            epoch: AtomicU32::new(0),
            zxid: AtomicU64::new(0),
            serving: AtomicBool::new(false),
            now_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, role: Role, epoch: Epoch, zxid: Zxid, serving: bool) {
        self.role.store(encode(role), Ordering::Relaxed);
        self.epoch.store(epoch.0, Ordering::Relaxed);
        self.serving.store(serving, Ordering::Relaxed);
        self.zxid.store(zxid.0, Ordering::Release);
    }

    pub(crate) fn set_now(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When the driver's latest turn began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }

    pub(crate) fn header(&self) -> Header {
        let zxid = Zxid(self.zxid.load(Ordering::Acquire));
        Header {
            cluster: self.cluster,
            server: self.server,
            role: decode(self.role.load(Ordering::Relaxed)),
            epoch: Epoch(self.epoch.load(Ordering::Relaxed)),
            zxid,
        }
    }
}

fn encode(role: Role) -> u8 {
    match role {
        Role::Looking => 0,
        Role::Following => 1,
        Role::Leading => 2,
        Role::Observing => 3,
    }
}

fn decode(role: u8) -> Role {
    match role {
        1 => Role::Following,
        2 => Role::Leading,
        3 => Role::Observing,
        _ => Role::Looking,
    }
}
