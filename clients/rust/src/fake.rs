//! A server for this crate's tests: the protocol as it is written, a tree without rules, and faults on demand.
//!
//! It is reached in memory. Any number of servers share one [`World`], as the servers of an ensemble do.

mod doors;
mod world;

use std::io;
use std::sync::Arc;

use futures_util::stream;
use parking_lot::Mutex;
use quorate_proto::v1;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::Notify;
use tonic::transport::Server;
use v1::session_service_server::SessionServiceServer;
use v1::watch_service_server::WatchServiceServer;
use v1::znode_service_server::ZnodeServiceServer;

pub(crate) use self::world::{CLUSTER_ID, Fault, WatchFault, World};
use crate::{Builder, Client};

/// Bytes that the pretended network holds.
const PIPE_BYTES: usize = 64 * 1024;

/// One connection's server: the services see the world through it.
#[derive(Clone)]
struct Door {
    world: Arc<Mutex<World>>,
    server_id: u32,
    /// Cuts the connection.
    cut: Arc<Notify>,
}

/// A world of servers and the way to it.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) world: Arc<Mutex<World>>,
    cuts: Arc<Mutex<Vec<Arc<Notify>>>>,
}

impl Fake {
    /// Cuts every connection.
    pub(crate) fn cut_all(&self) {
        self.cuts.lock().drain(..).for_each(|cut| cut.notify_one());
    }

    /// A client of servers 1 and 2, to be configured further.
    pub(crate) fn builder(&self) -> Builder {
        let fake = self.clone();
        Client::builder().addresses(["server:1", "server:2"]).connector(move |address| {
            let server_id = address.rsplit(':').next().and_then(|id| id.parse().ok()).expect("a fake address");
            let fake = fake.clone();
            async move { fake.connect(server_id) }
        })
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build()
    }

    fn connect(&self, server_id: u32) -> io::Result<DuplexStream> {
        if self.world.lock().down.contains(&server_id) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.world.lock().connections += 1;
        let cut = Arc::new(Notify::new());
        self.cuts.lock().push(Arc::clone(&cut));
        let door = Door { world: Arc::clone(&self.world), server_id, cut: Arc::clone(&cut) };
        let (client, mut near) = duplex(PIPE_BYTES);
        let (mut far, server) = duplex(PIPE_BYTES);
        // tonic's own task keeps a connection until its peer goes: so the peer is this pipe, which can be cut.
        tokio::spawn(async move {
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = cut.notified() => {}
            }
        });
        let serving = Server::builder()
            .add_service(SessionServiceServer::new(door.clone()))
            .add_service(WatchServiceServer::new(door.clone()))
            .add_service(ZnodeServiceServer::new(door))
            .serve_with_incoming(stream::iter([Ok::<_, io::Error>(server)]));
        tokio::spawn(serving);
        Ok(client)
    }
}
