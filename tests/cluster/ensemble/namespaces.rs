//! The same with a real network: each server in a network namespace of its own, with its own address, its clients
//! beside it, and a cable that can be pulled.
//!
//! It takes root and `ip netns`. A machine that lets root make a namespace has to pass; on any other one it is said that
//! nothing was tried.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use quorate_tests::harness::{Server, ServerOptions, server_binary};
use quorate_tests::report;
use serde_json::Value;

const SERVERS: [u8; 3] = [1, 2, 3];
const PEER_PORT: u16 = 7182;

/// Longer than an election takes.
const ELECTION_MAX: Duration = Duration::from_secs(20);

/// Namespaces that are joined by a bridge in another one. Gone with everything in them when this is dropped.
struct Namespaces {
    prefix: String,
}

/// Runs `ip`; the error is what it said.
fn ip(line: &str) -> Result<(), String> {
    match Command::new("ip").args(line.split(' ')).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("ip: {error}")),
    }
}

impl Namespaces {
    /// `None` if this machine does not let us.
    fn make() -> Option<Namespaces> {
        let namespaces = Namespaces { prefix: format!("quorate-{}", std::process::id()) };
        if let Err(reason) = ip(&format!("netns add {}", namespaces.hub())) {
            report::note(&format!("namespaces: not tried, {reason}"));
            return None;
        }
        // From here on nothing may fail.
        namespaces.join().unwrap();
        Some(namespaces)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn of(&self, server: u8) -> String {
        format!("{}-{server}", self.prefix)
    }

    fn join(&self) -> Result<(), String> {
        let hub = self.hub();
        ip(&format!("-n {hub} link add bridge type bridge"))?;
        ip(&format!("-n {hub} link set bridge up"))?;
        for server in SERVERS {
            let own = self.of(server);
            ip(&format!("netns add {own}"))?;
            ip(&format!("-n {hub} link add port{server} type veth peer name cable netns {own}"))?;
            ip(&format!("-n {hub} link set port{server} master bridge up"))?;
            ip(&format!("-n {own} address add {}/24 dev cable", address(server)))?;
            ip(&format!("-n {own} link set cable up"))?;
            ip(&format!("-n {own} link set lo up"))?;
        }
        Ok(())
    }

    /// Pulls a server's cable, or puts it in again.
    fn set_cable(&self, server: u8, state: &str) {
        ip(&format!("-n {} link set port{server} {state}", self.hub())).unwrap();
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in SERVERS.map(|server| self.of(server)).into_iter().chain([self.hub()]) {
            // It may never have been made.
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// Two servers of different runs never meet, whatever their addresses.
fn address(server: u8) -> String {
    format!("10.71.82.{server}")
}

/// A server in its namespace.
struct Host {
    namespace: String,
    server: Server,
}

impl Host {
    fn start(namespaces: &Namespaces, server: u8) -> Host {
        let member = |server: &u8| format!("{server}={}:{PEER_PORT}", address(*server));
        let members: Vec<String> = SERVERS.iter().map(member).collect();
        let id = server.to_string();
        let arguments = ["--server-id", &id, "--member", &members.join(","), "--insecure"];
        let namespace = namespaces.of(server);
        let options = ServerOptions {
            arguments: arguments.map(str::to_owned).to_vec(),
            wrapper: ["ip", "netns", "exec", &namespace].map(str::to_owned).to_vec(),
            ..ServerOptions::default()
        };
        Host { server: Server::start_with(options), namespace }
    }

    /// Runs a command of a client beside the server.
    fn client(&self, timeout: &str, command: &[&str]) -> Output {
        let mut client = Command::new("ip");
        client.args(["netns", "exec", &self.namespace]).arg(server_binary());
        client.args(["--server", self.server.address("grpc"), "--timeout", timeout]).args(command);
        client.output().expect("`ip` runs")
    }

    fn status(&self) -> Value {
        let output = self.client("2s", &["--output", "json", "status"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The text of a znode, as fresh as it gets.
    fn get(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.client("5s", &["get", path]).stdout).trim().to_owned()
    }
}

/// The leader that one of these hosts knows, once it serves.
fn leader_of(host: &Host) -> u8 {
    let began = Instant::now();
    loop {
        let status = host.status();
        if status["serving"] == true
            && let Some(leader) = status["leader_id"].as_u64().filter(|leader| *leader != 0)
        {
            return leader as u8;
        }
        assert!(began.elapsed() < ELECTION_MAX, "no leader: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_leader_whose_cable_is_pulled_is_replaced_and_comes_back() {
    let Some(namespaces) = Namespaces::make() else { return };
    let hosts = SERVERS.map(|server| Host::start(&namespaces, server));
    let host = |server: u8| &hosts[usize::from(server) - 1];
    let leader = leader_of(host(1));
    assert!(host(leader).client("5s", &["create", "/value", "before"]).status.success());

    namespaces.set_cable(leader, "down");
    let pulled = Instant::now();
    let others: Vec<u8> = SERVERS.into_iter().filter(|server| *server != leader).collect();
    let written = host(others[0]).client("20s", &["set", "/value", "after"]);
    assert!(written.status.success(), "{written:?}");
    let took = pulled.elapsed();
    assert_ne!(leader_of(host(others[0])), leader);
    assert!(!host(leader).client("1s", &["set", "/value", "lost"]).status.success(), "there is no quorum here");

    namespaces.set_cable(leader, "up");
    assert_ne!(leader_of(host(leader)), leader);
    assert!(host(leader).client("5s", &["sync"]).status.success());
    for server in SERVERS {
        assert_eq!(host(server).get("/value"), "after", "server {server}");
    }
    report::note(&format!("namespaces: a write {} ms after the leader's cable was pulled", took.as_millis()));
}
