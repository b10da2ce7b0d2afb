//! `Server`: one real server process, with its data in a directory of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use super::{Faults, ProcessStats, Rest, server_binary};

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(60);

/// A graceful stop that takes longer has failed.
const STOP_MAX: Duration = Duration::from_secs(30);

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Where its data is; a temporary directory unless set.
    pub data_dir: Option<PathBuf>,
    /// More arguments of `quorate serve`.
    pub arguments: Vec<String>,
    /// More environment.
    pub environment: Vec<(String, String)>,
    /// A command that becomes the server, given the server's own command line.
    pub wrapper: Vec<String>,
    /// Whether its disk and its clocks are to go wrong.
    pub has_faults: bool,
}

/// A server process. Killed when dropped; if the test is failing then, what the server had to say is printed.
pub struct Server {
    options: ServerOptions,
    child: Child,
    /// Holds the data unless the options say where.
    home: tempfile::TempDir,
    addresses: Value,
    faults: Option<Faults>,
}

impl Server {
    /// Starts a server with fresh data.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start() -> Server {
        Server::start_with(ServerOptions::default())
    }

    /// Starts a server.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start_with(options: ServerOptions) -> Server {
        let home = tempfile::Builder::new().prefix("quorate-test-").tempdir().expect("a temporary directory");
        let faults = options.has_faults.then(|| Faults::new(home.path().join("faults")));
        let (child, addresses) = spawn(&options, home.path(), faults.as_ref());
        Server { options, child, home, addresses, faults }
    }

    /// Kills the process as `kill -9` does and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server is ours to kill");
        self.child.wait().expect("a killed process can be waited for");
    }

    /// Lets the process stand still until [`Server::resume`], as a machine that is suspended does.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets the process go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Asks the process to stop, as a service manager does.
    pub fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("`kill` runs");
        assert!(sent.success(), "SIG{name} was not sent to {pid}");
    }

    /// Asks the process to stop, and waits until it has.
    ///
    /// # Panics
    /// If it does not stop, or reports a failure.
    pub fn stop(&mut self) {
        self.ask_to_stop();
        self.wait_for_stop();
    }

    /// Waits until the process has stopped.
    ///
    /// # Panics
    /// If it does not, or reports a failure.
    pub fn wait_for_stop(&mut self) {
        let status = self.wait_for_end();
        assert!(status.success(), "the server ended with {status}: {}", self.log());
    }

    /// Waits until the process has ended, and says how.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + STOP_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("the server is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the program again on the same data. The doors' ports are new.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        let (child, addresses) = spawn(&self.options, self.home.path(), self.faults.as_ref());
        self.child = child;
        self.addresses = addresses;
    }

    /// Forgets everything that the server had on disk, as when a disk was replaced. The process must be gone.
    ///
    /// # Panics
    /// If the data cannot be removed.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.data_dir()).expect("the data directory is ours");
    }

    /// Whether the process still runs.
    ///
    /// # Panics
    /// If that cannot be told.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the server is our child").is_none()
    }

    /// What goes wrong with its disk and its clocks.
    ///
    /// # Panics
    /// If it was started without.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.faults.as_ref().expect("this server was started with `has_faults`")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it uses.
    #[must_use]
    pub fn stats(&self) -> ProcessStats {
        ProcessStats::of(self.pid())
    }

    /// Where its data is.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.options, self.home.path())
    }

    /// The address of a door, `host:port`.
    ///
    /// # Panics
    /// If it has no such door.
    #[must_use]
    pub fn address(&self, door: &str) -> &str {
        self.addresses[door].as_str().unwrap_or_else(|| panic!("no address of {door} in {}", self.addresses))
    }

    /// A client of its HTTP door.
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::new(self.address("http"))
    }

    /// A connection to its gRPC door.
    ///
    /// # Panics
    /// If the door does not accept one.
    pub async fn grpc(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address("grpc"))).expect("an address is a URI");
        endpoint.connect().await.expect("the gRPC door accepts a connection")
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(self.home.path())).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the last words of the server in {}:", self.data_dir().display());
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

fn data_dir(options: &ServerOptions, home: &Path) -> PathBuf {
    options.data_dir.clone().unwrap_or_else(|| home.join("data"))
}

fn log_path(home: &Path) -> PathBuf {
    home.join("log")
}

fn spawn(options: &ServerOptions, home: &Path, faults: Option<&Faults>) -> (Child, Value) {
    let log = File::options().create(true).append(true).open(log_path(home)).expect("a log file");
    let mut command = match options.wrapper.split_first() {
        None => Command::new(server_binary()),
        Some((program, arguments)) => {
            let mut wrapper = Command::new(program);
            wrapper.args(arguments).arg(server_binary());
            wrapper
        }
    };
    without_settings(&mut command);
    let mut child = command
        .arg("serve")
        .arg("--data-dir")
        .arg(data_dir(options, home))
        .args(["--grpc", "127.0.0.1:0", "--print-addresses", "json"])
        // Unless a test wants it elsewhere.
        .args(
            (!options.arguments.iter().any(|argument| argument == "--http"))
                .then_some(["--http", "127.0.0.1:0"])
                .iter()
                .flatten(),
        )
        .args(&options.arguments)
        .envs(options.environment.iter().map(|(key, value)| (key, value)))
        .envs(faults.map(Faults::environment).into_iter().flatten())
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the server's program runs");
    match first_line(&mut child) {
        Some(addresses) => (child, addresses),
        None => {
            let _ = child.kill();
            let status = child.wait();
            let log = std::fs::read_to_string(log_path(home)).unwrap_or_default();
            panic!("the server does not come up ({status:?}): {log}");
        }
    }
}

/// What is set for the tests is not meant for the program.
pub(super) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("QUORATE_")) {
        command.env_remove(name);
    }
}

/// The JSON on the first line that a process prints; `None` if it prints none for long.
pub(super) fn first_line(child: &mut Child) -> Option<Value> {
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let (sender, receiver) = mpsc::channel();
    // A thread, since a pipe's read has no time limit. It ends with the process.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The receiver only wants the first line.
            let _ = sender.send(line);
        }
    });
    let line = receiver.recv_timeout(START_MAX).ok()?;
    Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}")))
}
