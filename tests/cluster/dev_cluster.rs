//! `quorate dev-cluster`: one command, several servers, and what is said about them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_client::{Client, Consistency, Role};
use quorate_tests::harness::server_binary;
use serde_json::Value;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The command at work. It ends, with its servers, when this is dropped.
struct DevCluster {
    child: Child,
    servers: Vec<Value>,
}

impl DevCluster {
    fn start(dir: &std::path::Path, more: &[&str]) -> DevCluster {
        let mut child = Command::new(server_binary())
            .args(["dev-cluster", "--base-port", "0", "--print-addresses", "json", "--data-dir"])
            .arg(dir)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let servers = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        DevCluster { child, servers }
    }

    fn client(&self, servers: impl IntoIterator<Item = usize>) -> Client {
        let address = |at: usize| self.servers[at]["grpc"].as_str().unwrap().to_owned();
        Client::builder().addresses(servers.into_iter().map(address)).build()
    }

    fn pid(&self, at: usize) -> String {
        self.servers[at]["pid"].to_string()
    }

    /// Asks the command to stop, and waits until it has.
    fn stop(mut self) {
        signal("-INT", &self.child.id().to_string());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success(), "kill {signal} {pid}");
}

fn is_alive(pid: &str) -> bool {
    // A zombie has ended: only its parent has not asked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn three_servers_and_an_observer_outlive_their_leader_and_begin_again_with_their_data() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = DevCluster::start(dir.path(), &["--servers", "3", "--observers", "1"]);
    assert_eq!(cluster.servers.len(), 4);
    let ids: Vec<_> = cluster.servers.iter().map(|server| server["server_id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);

    cluster.client([0]).create("/greeting", "hello").await.unwrap();
    let observer = cluster.client([3]);
    let read = observer.get("/greeting").consistency(Consistency::Linearizable).await.unwrap();
    assert_eq!(read.data.as_deref(), Some(&b"hello"[..]));
    let status = observer.status().await.unwrap();
    assert_eq!(status.header.role, Role::Observing);

    let leader = status.leader_id as usize - 1;
    signal("-KILL", &cluster.pid(leader));
    let others = || (0..3).filter(|at| *at != leader);
    cluster.client(others()).set("/greeting", "hello again").await.unwrap();
    until("the killed server is dead, and stays so", || !is_alive(&cluster.pid(leader)));

    let pids: Vec<String> = (0..4).map(|at| cluster.pid(at)).collect();
    cluster.stop();
    assert!(!pids.iter().any(|pid| is_alive(pid)), "a server outlives the command that was told to stop");

    let again = DevCluster::start(dir.path(), &["--servers", "3", "--observers", "1"]);
    let client = again.client([leader]);
    let read = client.get("/greeting").consistency(Consistency::Linearizable).await.unwrap();
    assert_eq!(read.data.as_deref(), Some(&b"hello again"[..]));
}

#[test]
fn servers_end_with_the_command_however_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = DevCluster::start(dir.path(), &["--servers", "1"]);
    let pid = cluster.pid(0);
    assert!(is_alive(&pid));
    cluster.child.kill().unwrap();
    cluster.child.wait().unwrap();
    until("the server has ended", || !is_alive(&pid));
}

#[test]
fn data_of_another_number_of_servers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("1")).unwrap();
    let output = Command::new(server_binary()).args(["dev-cluster", "--data-dir"]).arg(dir.path()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("1 servers, and not of 3"), "{error}");
}
