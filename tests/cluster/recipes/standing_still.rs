//! Clients that stand still longer than their sessions live, with a lock in their hands: see `client.rs`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_tests::harness::Ensemble;
use quorate_tests::report;

use super::{PATIENCE, ensemble};

/// A client's process; killed when dropped.
struct Process(Child);

impl Process {
    fn start(at: usize, ensemble: &Ensemble, manner: &str, lines: Sender<(usize, String)>) -> Process {
        let addresses: Vec<_> = ensemble.ids().map(|id| ensemble.server(id).address("grpc").to_owned()).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_recipes-client"));
        command.args([&addresses.join(","), "/resource", manner]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        // Ends with the process.
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| lines.send((at, line))));
        Process(child)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What only the holder of the lock may change: it turns away whoever has a smaller token than it has seen.
#[derive(Default)]
struct Resource {
    /// Who made the accepted changes, with which token.
    accepted: Vec<(usize, u64)>,
    refused: Vec<usize>,
    /// Clients who found out by themselves that they had lost the lock.
    lost: Vec<usize>,
}

impl Resource {
    fn hear(&mut self, at: usize, line: &str) {
        match line.split_once(' ') {
            Some(("change", token)) => {
                let token = token.parse().unwrap();
                if self.accepted.last().is_some_and(|(_, newest)| *newest > token) {
                    self.refused.push(at);
                } else {
                    self.accepted.push((at, token));
                }
            }
            Some(("lost", _)) => self.lost.push(at),
            _ => panic!("{line}"),
        }
    }

    /// Hears until something is so.
    fn until(&mut self, lines: &Receiver<(usize, String)>, what: &str, check: impl Fn(&Resource) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !check(self) {
            let (at, line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).expect(what);
            self.hear(at, &line);
        }
    }

    fn holder(&self) -> usize {
        self.accepted.last().unwrap().0
    }
}

/// Stops whoever holds the lock, until another one does; then has it go on.
fn stop_holder(
    resource: &mut Resource,
    lines: &Receiver<(usize, String)>,
    clients: &[Process],
    wanted: usize,
) -> Duration {
    resource.until(lines, "its turn", |resource| resource.accepted.last().is_some_and(|(at, _)| *at == wanted));
    clients[wanted].signal("STOP");
    let stopped = Instant::now();
    resource.until(lines, "another one's turn", |resource| resource.holder() != wanted);
    let after = stopped.elapsed();
    clients[wanted].signal("CONT");
    after
}

#[tokio::test]
async fn a_client_that_stood_still_changes_nothing_that_another_one_holds() {
    let (mut ensemble, leader) = ensemble().await;
    let (sender, lines) = channel();
    let (careful, careless, other) = (0, 1, 2);
    let manners = ["careful", "careless", "careful"];
    let start = |(at, manner): (usize, &&str)| Process::start(at, &ensemble, manner, sender.clone());
    let clients: Vec<Process> = manners.iter().enumerate().map(start).collect();
    let mut resource = Resource::default();

    let after = stop_holder(&mut resource, &lines, &clients, careless);
    assert!(after >= Duration::from_millis(900), "its session ended after {after:?}");
    // It goes on as if nothing had happened; its token tells.
    resource.until(&lines, "a refused change", |resource| resource.refused.contains(&careless));
    resource.until(&lines, "its turn with a new session", |resource| resource.holder() == careless);

    stop_holder(&mut resource, &lines, &clients, careful);
    // It looks first. One change may be under way at the very moment.
    resource.until(&lines, "it has noticed", |resource| resource.lost.contains(&careful));
    assert!(resource.refused.iter().filter(|at| **at == careful).count() <= 1);

    ensemble.kill(leader);
    let before = resource.accepted.len();
    for at in [careful, careless, other] {
        let turn = |resource: &Resource| resource.accepted[before..].iter().any(|(by, _)| *by == at);
        resource.until(&lines, "everybody's turn after the leader's death", turn);
    }
    // A token belongs to one holder, and holders follow each other in the order of their tokens.
    for pair in resource.accepted.windows(2) {
        let [(by, token), (next_by, next_token)] = [pair[0], pair[1]];
        assert!(token < next_token || (token == next_token && by == next_by), "{pair:?}");
    }
    let (accepted, refused) = (resource.accepted.len(), resource.refused.len());
    report::note(&format!("recipes: {accepted} changes under a lock, {refused} refused for their tokens"));
}
