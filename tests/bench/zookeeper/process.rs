//! `ZooKeeper`: one standalone server process, as its documentation says to run it.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Connection, Installation, Request};

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(60);

/// ZooKeeper accepts connections before it can serve them, and forgets some of those: after so long, another one is
/// tried.
const PROBE_MAX: Duration = Duration::from_secs(1);

/// Java's memory, all of it from the beginning: several times what the workloads need, so that collecting garbage
/// costs little. The collector is the JVM's choice for the machine.
const HEAP: [&str; 2] = ["-Xms2g", "-Xmx2g"];

/// A server process. Killed when dropped.
pub(crate) struct ZooKeeper {
    child: Child,
    address: SocketAddr,
}

impl ZooKeeper {
    /// Starts a server with its data below `dir`, and waits until it serves.
    pub(crate) async fn start(installation: &Installation, dir: &Path) -> ZooKeeper {
        fs::create_dir_all(dir).unwrap();
        let address = free_address();
        let log = dir.join("log");
        let child = Command::new("java")
            .args(HEAP)
            .arg("-cp")
            .arg(installation.class_path())
            .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
            .arg(configure(dir, address))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut server = ZooKeeper { child, address };
        let deadline = Instant::now() + START_MAX;
        while !matches!(tokio::time::timeout(PROBE_MAX, probe(address)).await, Ok(Ok(()))) {
            let has_ended = server.child.try_wait().unwrap();
            if has_ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                panic!("ZooKeeper does not come up ({has_ended:?}): {said}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole session: opened, used, closed.
async fn probe(address: SocketAddr) -> io::Result<()> {
    let mut connection = Connection::open(address).await?;
    connection.call(&Request::Ping).await?;
    connection.call(&Request::Close).await
}

/// An address that was free a moment ago: ZooKeeper cannot tell which one it would have chosen itself.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Writes the configuration. Everything is as ZooKeeper has it by default (every write is synced, a snapshot every
/// 50,000 to 100,000 of them, old ones kept), except that it listens on loopback alone, that one address may have any
/// number of connections, and that there is no HTTP server on a fixed port.
fn configure(dir: &Path, address: SocketAddr) -> PathBuf {
    let path = dir.join("zoo.cfg");
    let text = format!(
        "dataDir={}\nclientPortAddress={}\nclientPort={}\nmaxClientCnxns=0\nadmin.enableServer=false\n",
        dir.join("data").display(),
        address.ip(),
        address.port()
    );
    fs::write(&path, text).unwrap();
    path
}
