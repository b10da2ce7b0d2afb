//! `Server`: one running server. Everything that it starts is started, owned and joined here.

mod data;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use quorate_replica::{Effects, Halted};
use quorate_storage::InitializeError;
use quorate_types::{ClusterId, ServerId, Zxid};
use quorate_zab::Halt;
use thiserror::Error;
use tokio::io::DuplexStream;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::connection::Connection;
use crate::disk::Disk;
use crate::driver::Driver;
use crate::durable::{RecoverError, Recovered};
use crate::grpc::{self, Door};
use crate::inbox::Inbox;
use crate::listener::{self, Listener};
use crate::peers::{self, Identity, Peers};
use crate::tls::io::Io;
use crate::tls::{Acceptor, TlsError};

/// Bytes that may be on their way through a connection within the process, in each direction.
const LOCAL_BYTES: usize = 256 * 1024;

/// How long a stop waits for connections after their streams were ended.
const CONNECTION_GRACE: Duration = Duration::from_secs(1);

/// How often a long recovery says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// One running server.
pub struct Server {
    inbox: Inbox,
    door: Door,
    grpc_address: SocketAddr,
    peer_address: Option<SocketAddr>,
    driver: JoinHandle<Option<Halted>>,
    /// It is known how the driver has ended.
    has_failed: bool,
    accepting: JoinHandle<()>,
    /// Of connections.
    tasks: TaskTracker,
    /// Nothing is accepted any more.
    stop_accepting: CancellationToken,
    /// The driver is to end.
    stop_driver: CancellationToken,
    /// What is left is given up.
    abandon: CancellationToken,
}

/// Why a server did not start; the whole story is in the chain of sources.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address} for {door}")]
    Bind {
        /// For which door.
        door: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data directory cannot be opened.
    #[error("cannot open the data directory {}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data directory cannot be prepared.
    #[error("cannot initialize the data directory {}", path.display())]
    Initialize {
        /// Which.
        path: PathBuf,
        /// Why.
        source: InitializeError,
    },
    /// What the data directory holds cannot be used.
    #[error("cannot start from the data directory {}", path.display())]
    Recover {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        source: RecoverError,
    },
    /// The data directory belongs to somebody else.
    #[error(
        "the data directory {} belongs to server {} of ensemble {}, and this is to be server {} of ensemble {}: correct \
         data_dir, server_id or cluster_name",
        path.display(), found.0, found.1, wanted.0, wanted.1
    )]
    Owner {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: (ServerId, ClusterId),
        /// Who this server is to be.
        wanted: (ServerId, ClusterId),
    },
    /// The certificates of the doors for clients cannot be used.
    #[error("cannot open the doors with TLS")]
    DoorTls(#[source] TlsError),
    /// The certificates for the other servers cannot be used.
    #[error("cannot prove to other servers who this one is")]
    Tls(#[source] TlsError),
    /// The system has no randomness to give.
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// Why a server has ended by itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// It does not belong to the ensemble any more.
    #[error(
        "this server was removed from the ensemble by the configuration of zxid {0}; if it is to come back, add it there \
         first, and start it with an empty data directory"
    )]
    Removed(Zxid),
    /// What it has logged contradicts what the ensemble has agreed on.
    #[error(
        "the history of this server and the leader's contradict each other after zxid {0}, where both are final: one of \
         them was restored from a backup, or two ensembles have the same name. Keep the data directory, and find out which \
         one is right before anything else"
    )]
    Contradicted(Zxid),
    /// Its state is not what the same txns have led to on the leader.
    #[error("after zxid {0} the state of this server differs from the leader's: please report this as a bug")]
    Diverged(Zxid),
    /// A bug.
    #[error("the driver has ended; the log says why")]
    Driver,
}

impl Server {
    /// Recovers what the data directory holds, or initializes an empty one, and opens the gRPC door.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way.
    pub async fn start(config: &Config) -> Result<Server, StartError> {
        let tls = config.tls.as_ref().map(Acceptor::grpc).transpose().map_err(StartError::DoorTls)?;
        let grpc = bind("gRPC", config.grpc)?;
        let peer = config.ensemble.as_ref().map(|ensemble| bind("peers", ensemble.peer)).transpose()?;
        let clock = Clock::start();
        let incarnation = getrandom::u64().map_err(StartError::Random)?;
        let Recovered { recovery, log, snapshots, found } = data::recover(config, incarnation)?;
        let inbox = Inbox::new(found.meta.cluster_id, found.meta.server_id, incarnation, clock, config.outbox);
        inbox.log_slow(config.slow_request);
        let mut effects = Effects::default();
        let replica = recovery.finish(inbox.now(), &mut effects);
        let snapshot_dir = snapshots.dir().clone();
        let disk = Disk::start(log, snapshots, &inbox).map_err(StartError::Thread)?;
        let peers = config.ensemble.as_ref().zip(peer).map(|(ensemble, socket)| {
            let addresses = ensemble.places.iter().map(|(server, place)| (server, place.peer.clone())).collect();
            let identity = Identity { cluster: ensemble.cluster, server: ensemble.server };
            let (listener, address) = listen("peers", ensemble.peer, socket)?;
            let peers_config =
                peers::Config { tls: ensemble.tls.clone(), ..peers::Config::new(addresses, incarnation) };
            let peers = Peers::start(peers_config, identity, listener, snapshot_dir.clone(), Arc::new(inbox.clone()));
            Ok((peers.map_err(StartError::Tls)?, address))
        });
        let (peers, peer_address) = peers.transpose()?.unzip();
        let driver = Driver::new(replica, effects, inbox.clone(), disk, peers, config.read_timeout);
        let stop_driver = CancellationToken::new();
        let driver = tokio::spawn(driver.run(stop_driver.clone()));

        let (listener, grpc_address) = listen("gRPC", config.grpc, grpc)?;
        let places = config.ensemble.iter().flat_map(|ensemble| ensemble.places.iter());
        let places = places.map(|(server, place)| (server, place.into())).collect();
        let door = grpc::Config { places, web_origins: config.cors_origins.clone(), ..grpc::Config::default() };
        let door = Door::new(inbox.clone(), door, snapshot_dir);
        let (tasks, stop_accepting, abandon) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let listener = Listener {
            listener,
            connections_max: config.connections_max,
            metrics: Arc::clone(&inbox.shared().metrics),
            tasks: tasks.clone(),
            abandon: abandon.clone(),
        };
        if let Some(tls) = tls.clone() {
            tasks.spawn(tls.keep_fresh(stop_accepting.clone().cancelled_owned()));
        }
        let accepting = tokio::spawn({
            let (door, stop) = (door.clone(), stop_accepting.clone());
            listener.run(stop_accepting.clone(), move |stream, connection| {
                welcome(door.clone(), tls.clone(), stream, connection, stop.clone())
            })
        });
        Ok(Server {
            inbox,
            door,
            grpc_address,
            peer_address,
            driver,
            has_failed: false,
            accepting,
            tasks,
            stop_accepting,
            stop_driver,
            abandon,
        })
    }

    /// Where the gRPC door is.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where the door for the other servers is, if there is one.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// The way to the replica.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Opens connections to the gRPC door from within the process, without a socket.
    pub fn local(&self) -> Local {
        Local {
            door: self.door.clone(),
            tasks: self.tasks.clone(),
            stop: self.stop_accepting.clone(),
            abandon: self.abandon.clone(),
        }
    }

    /// Lets somebody add to what `/metrics` shows.
    pub fn register_metrics(&self, register: impl FnOnce(&mut Registry)) {
        self.inbox.shared().metrics.register(register);
    }

    /// Waits until the server can serve writes, but no longer than `wait`.
    pub async fn serving(&self, wait: Duration) {
        const LOOK_AGAIN: Duration = Duration::from_millis(1);
        let serving = async {
            while !self.inbox.is_serving() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(wait, serving).await.is_err() {
            tracing::warn!("the server answers reads, but accepts no writes");
        }
    }

    /// Waits until the server has ended by itself, which it never does in good order. To be awaited to its end once.
    pub async fn failed(&mut self) -> Failure {
        let ended = (&mut self.driver).await;
        self.has_failed = true;
        match ended {
            Ok(Some(Halted::Agreement(Halt::Removed { version }))) => Failure::Removed(version),
            Ok(Some(Halted::Agreement(Halt::Diverged { common }))) => Failure::Contradicted(common),
            Ok(Some(Halted::Diverged(zxid))) => Failure::Diverged(zxid),
            Ok(None) => Failure::Driver,
            Err(error) => {
                tracing::error!(error = %error, "the driver has ended");
                Failure::Driver
            }
        }
    }

    /// Gives up what the data directory of a stopped server holds: the next start copies the history from the other
    /// servers, and it counts in no quorum until it has it. The old files stay beside it.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way.
    ///
    /// # Panics
    /// If the server is alone: there is nobody to copy from.
    pub fn start_over(config: &Config) -> Result<(), StartError> {
        let ensemble = config.ensemble.as_ref().expect("a server alone has nobody who could contradict it");
        data::start_over(config, ensemble)
    }

    /// Accepts nothing more, finishes what is under way, tells every client, and marks the log as ended in order.
    pub async fn stop(self) {
        self.stop_accepting.cancel();
        self.stop_driver.cancel();
        if let Err(error) = self.accepting.await {
            tracing::error!(error = %error, "the listener has failed");
        }
        if !self.has_failed
            && let Err(error) = self.driver.await
        {
            tracing::error!(error = %error, "the driver has failed");
        }
        self.tasks.close();
        if tokio::time::timeout(CONNECTION_GRACE, self.tasks.wait()).await.is_err() {
            tracing::info!(connections = self.tasks.len(), "connections that are not finished are closed");
            self.abandon.cancel();
            self.tasks.wait().await;
        }
    }
}

/// A way to the gRPC door from within the process.
#[derive(Clone)]
pub struct Local {
    door: Door,
    tasks: TaskTracker,
    stop: CancellationToken,
    abandon: CancellationToken,
}

impl Local {
    /// One connection.
    ///
    /// # Errors
    /// When the server is stopping.
    pub fn connect(&self) -> std::io::Result<DuplexStream> {
        if self.stop.is_cancelled() {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(LOCAL_BYTES);
        let connection = Connection::new(None, &self.abandon);
        self.tasks.spawn(serve(self.door.clone(), ours, connection, self.stop.clone()));
        Ok(theirs)
    }
}

/// Serves a connection that was accepted, once it is encrypted if it has to be.
async fn welcome(
    door: Door,
    tls: Option<Acceptor>,
    stream: TcpStream,
    connection: Connection,
    stop: CancellationToken,
) {
    let io = match tls {
        None => Io::Left(stream),
        Some(tls) => {
            let handshake = tokio::select! {
                handshake = tls.accept(stream) => handshake,
                () = stop.cancelled() => return,
            };
            match handshake {
                Ok(io) => io,
                Err(error) => {
                    return tracing::debug!(error = %error, peer = ?connection.peer(), "there was no handshake");
                }
            }
        }
    };
    serve(door, io, connection, stop).await;
}

async fn serve<I>(door: Door, io: I, connection: Connection, stop: CancellationToken)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let peer = connection.peer();
    if let Err(error) = door.serve(io, connection, stop).await {
        tracing::debug!(error = %error, peer = ?peer, "a connection broke");
    }
}

fn bind(door: &'static str, address: SocketAddr) -> Result<TcpSocket, StartError> {
    listener::bind(address).map_err(|source| StartError::Bind { door, address, source })
}

fn listen(
    door: &'static str,
    address: SocketAddr,
    socket: TcpSocket,
) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
    let bound = listener::listen(socket).and_then(|listener| listener.local_addr().map(|bound| (listener, bound)));
    bound.map_err(|source| StartError::Bind { door, address, source })
}

#[cfg(test)]
mod tests;
