//! `Server`: one running server. Everything that it starts is started, owned and joined here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use quorate_replica::Effects;
use quorate_storage::{InitializeError, MetaError, OpenError, Options, RealDisk, Salt, Storage};
use quorate_types::{ClusterId, ServerId, Zxid};
use thiserror::Error;
use tokio::io::DuplexStream;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::connection::Connection;
use crate::disk::Disk;
use crate::driver::Driver;
use crate::durable::{self, RecoverError, Recovered};
use crate::grpc::{self, Door};
use crate::inbox::Inbox;
use crate::listener::{self, Listener};

/// The id of a server that stands alone.
const STANDALONE: ServerId = ServerId(1);

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
    driver: JoinHandle<()>,
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
    /// The system has no randomness to give.
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl Server {
    /// Recovers what the data directory holds, or initializes an empty one, and opens the gRPC door.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way.
    pub async fn start(config: &Config) -> Result<Server, StartError> {
        let grpc = bind("gRPC", config.grpc)?;
        let clock = Clock::start();
        let incarnation = getrandom::u64().map_err(StartError::Random)?;
        let Recovered { recovery, log, snapshots, found } = recover(config, incarnation)?;
        let inbox = Inbox::new(found.meta.cluster_id, found.meta.server_id, incarnation, clock, config.outbox);
        let mut effects = Effects::default();
        let replica = recovery.finish(inbox.now(), &mut effects);
        let disk = Disk::start(log, snapshots, &inbox).map_err(StartError::Thread)?;
        let driver = Driver::new(replica, effects, inbox.clone(), disk, config.read_timeout);
        let stop_driver = CancellationToken::new();
        let driver = tokio::spawn(driver.run(stop_driver.clone()));

        let (listener, grpc_address) = listen("gRPC", config.grpc, grpc)?;
        let door = Door::new(inbox.clone(), grpc::Config::default());
        let (tasks, stop_accepting, abandon) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let listener = Listener {
            listener,
            connections_max: config.connections_max,
            metrics: Arc::clone(&inbox.shared().metrics),
            tasks: tasks.clone(),
            abandon: abandon.clone(),
        };
        let accepting = tokio::spawn({
            let (door, stop) = (door.clone(), stop_accepting.clone());
            listener.run(stop_accepting.clone(), move |stream, connection| {
                serve(door.clone(), stream, connection, stop.clone())
            })
        });
        Ok(Server { inbox, door, grpc_address, driver, accepting, tasks, stop_accepting, stop_driver, abandon })
    }

    /// Where the gRPC door is.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
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

    /// Waits until the server has ended by itself, which it never does in good order.
    pub async fn failed(&mut self) {
        if let Err(error) = (&mut self.driver).await {
            tracing::error!(error = %error, "the driver has ended");
        }
    }

    /// Accepts nothing more, finishes what is under way, tells every client, and marks the log as ended in order.
    pub async fn stop(self) {
        self.stop_accepting.cancel();
        self.stop_driver.cancel();
        for (task, name) in [(self.accepting, "listener"), (self.driver, "driver")] {
            if let Err(error) = task.await {
                tracing::error!(error = %error, task = name, "a task has failed");
            }
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

fn recover(config: &Config, incarnation: u64) -> Result<Recovered<RealDisk>, StartError> {
    let path = &config.data_dir;
    let disk = RealDisk::open(path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
    let began = Instant::now();
    match open(config, disk.clone(), incarnation) {
        Err(RecoverError::Open(OpenError::Meta(MetaError::Missing))) => initialize(path, disk.clone())?,
        recovered => return finish(recovered, path, began),
    }
    finish(open(config, disk, incarnation), path, began)
}

/// Makes an empty directory that of a server which stands alone.
fn initialize(path: &Path, disk: RealDisk) -> Result<(), StartError> {
    let cluster = ClusterId(getrandom::u64().map_err(StartError::Random)?);
    let salt = Salt(getrandom::u64().map_err(StartError::Random)?);
    Storage::initialize(disk, cluster, STANDALONE, salt)
        .map_err(|source| StartError::Initialize { path: path.to_owned(), source })?;
    tracing::info!(data_dir = %path.display(), cluster = %cluster, "a new data directory is initialized");
    Ok(())
}

fn open(config: &Config, disk: RealDisk, incarnation: u64) -> Result<Recovered<RealDisk>, RecoverError> {
    let options = Options { segment_bytes: config.segment_bytes, ..Options::default() };
    let replica_config = |server, cluster| quorate_replica::Config {
        history_bytes: config.history_bytes,
        snapshot_records: config.snapshot_records,
        snapshot_bytes: config.snapshot_bytes,
        ..quorate_replica::Config::new(server, cluster, incarnation)
    };
    let mut told = Instant::now();
    durable::recover(disk, &options, replica_config, |reached: Zxid, last: Zxid| {
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            tracing::info!(zxid = %reached, last = %last, "replaying the log");
        }
    })
}

fn finish(
    recovered: Result<Recovered<RealDisk>, RecoverError>,
    path: &Path,
    began: Instant,
) -> Result<Recovered<RealDisk>, StartError> {
    let recovered = recovered.map_err(|source| StartError::Recover { path: path.to_owned(), source })?;
    let found = &recovered.found;
    for damage in &found.damaged_snapshots {
        tracing::error!(damage = %damage, "a snapshot is damaged; it is not needed, but look at the disk");
    }
    if let Some(torn) = &found.truncated {
        tracing::warn!(file = torn.file, offset = torn.offset, reason = torn.reason, "an unfinished write was removed");
    }
    tracing::info!(
        cluster = %found.meta.cluster_id,
        server = %found.meta.server_id,
        snapshot = %found.snapshot.as_ref().map_or(Zxid::ZERO, |(info, ..)| info.position.zxid),
        last = %found.last.zxid,
        clean = found.clean,
        took_ms = began.elapsed().as_millis() as u64,
        "recovered"
    );
    Ok(recovered)
}

#[cfg(test)]
mod tests;
