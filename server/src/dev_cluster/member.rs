//! `Member`: one server of the pseudo-cluster, a process.

use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use quorate_client::Client;
use serde::Serialize;
use tokio::process::{Child, Command};

use super::board::{Condition, Row};

/// How long a server may take to say how it is.
const STATUS_MAX: Duration = Duration::from_millis(500);

/// How long a server may take to stop.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A process and a way to ask it how it is.
pub(crate) struct Member {
    addresses: Addresses,
    log: PathBuf,
    child: Child,
    client: Client,
}

/// Where a server is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Addresses {
    pub(crate) server_id: u8,
    /// Of its process.
    pub(crate) pid: u32,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Member {
    /// Starts a process of this very program. Its log goes to a file.
    pub(super) fn start(
        id: u8,
        ports: [u16; 3],
        dir: &Path,
        common: &[String],
        more: &[String],
    ) -> anyhow::Result<Member> {
        let [http, grpc, peer] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let log = log_of(dir, id);
        let stderr = File::options().create(true).append(true).open(&log);
        let program = std::env::current_exe().context("cannot find this program")?;
        let child = Command::new(program)
            .arg("serve")
            .args(["--server-id", &id.to_string(), "--print-addresses", "none", "--stop-with-stdin"])
            .args(["--http", &http.to_string(), "--grpc", &grpc.to_string(), "--peer", &peer.to_string()])
            .arg("--data-dir")
            .arg(dir.join(id.to_string()))
            .args(common)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr.with_context(|| format!("cannot write {}", log.display()))?)
            // What is typed into the terminal is for this process, which passes it on in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start server {id}"))?;
        let pid = child.id().context("a process that was just started has an id")?;
        let client = Client::builder()
            .addresses([grpc.to_string()])
            .request_timeout(STATUS_MAX)
            .connect_timeout(STATUS_MAX)
            .fail_fast(true)
            .build();
        Ok(Member { addresses: Addresses { server_id: id, pid, http, grpc, peer }, log, child, client })
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Where another server of the same ensemble has its log.
    pub(super) fn log_of(&self, id: u8) -> PathBuf {
        log_of(self.log.parent().unwrap_or(Path::new(".")), id)
    }

    /// How the server is now.
    pub(super) async fn look(&mut self) -> Row {
        let condition = match self.child.try_wait() {
            Ok(Some(status)) => Condition::Dead(how(status)),
            Ok(None) | Err(_) => match self.client.status().timeout(STATUS_MAX).send().await {
                Ok(status) => Condition::Alive(Box::new(status)),
                Err(_) => Condition::Silent,
            },
        };
        Row { server: self.addresses.server_id, condition }
    }

    /// Asks it to stop, and sees to it that it does.
    pub(super) async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        // Its standard input must not end before the process: it would be told to stop twice.
        let _stdin = self.child.stdin.take();
        if tokio::time::timeout(STOP_MAX, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Addresses { server_id, pid, http, grpc, .. } = self.addresses;
        write!(f, "server {server_id}  HTTP http://{http}  gRPC {grpc}  pid {pid}")
    }
}

fn log_of(dir: &Path, id: u8) -> PathBuf {
    dir.join(format!("server-{id}.log"))
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("was killed by signal {signal}"),
        (Some(code), None) => format!("has ended with exit code {code}"),
        (None, None) => "has ended".to_owned(),
    }
}
