//! The command line, run as its users run it: the real program against a real server.

mod backups;
mod bench;
mod changes;
mod ensembles;
mod exports;
mod failures;
mod holding;
mod logs;
mod manuals;
mod multis;
mod sessions;
mod shell;
mod watching;
mod znodes;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use quorate_tests::harness::{Server, server_binary};
use serde_json::Value;

/// Every command of a client, as `--help` lists them. Each has tests here.
const COMMANDS: &[&str] = &[
    "create",
    "get",
    "set",
    "ls",
    "stat",
    "delete",
    "deleteall",
    "getAcl",
    "setAcl",
    "multi",
    "getEphemerals",
    "getAllChildrenNumber",
    "sync",
    "watch",
    "addWatch",
    "removewatches",
    "lock",
    "elect",
    "tree",
    "export",
    "import",
    "status",
    "members",
    "config",
    "reconfig",
    "transfer-leadership",
    "bench",
    "version",
    "shell",
    "backup",
    "restore",
    "snapshot",
    "log",
    "completions",
    "man",
];

/// The command line of one server.
struct Cli {
    server: String,
}

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Cli {
    fn of(server: &Server) -> Cli {
        Cli::at(server.address("grpc"))
    }

    fn at(address: &str) -> Cli {
        Cli { server: address.to_owned() }
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = program(line);
        // As most users name the server.
        command.env("QUORATE_SERVER", &self.server);
        command
    }

    /// Runs a command to its end.
    fn run(&self, line: &[&str]) -> Ran {
        self.run_with(line, b"")
    }

    /// Runs a command that reads from standard input.
    fn run_with(&self, line: &[&str], input: &[u8]) -> Ran {
        finish(self.command(line), input)
    }

    /// What a command that succeeds prints.
    #[track_caller]
    fn prints(&self, line: &[&str]) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line:?}: {ran:?}");
        ran.stdout
    }

    /// The one object that a command prints as JSON.
    #[track_caller]
    fn json(&self, line: &[&str]) -> Value {
        let mut objects = self.json_lines(line);
        assert_eq!(objects.len(), 1, "{line:?}: {objects:?}");
        objects.remove(0)
    }

    /// The objects that a command prints as JSON, one on a line.
    #[track_caller]
    fn json_lines(&self, line: &[&str]) -> Vec<Value> {
        let stdout = self.prints(&[&["--output", "json"], line].concat());
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A command that fails: with this exit code, and with this said on standard error.
    #[track_caller]
    fn fails(&self, line: &[&str], code: i32, stderr: &str) {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.stderr.as_str(), ran.stdout.as_str()), (code, stderr, ""), "{line:?}");
    }

    /// Starts a command that goes on by itself.
    fn start(&self, line: &[&str]) -> Running {
        let mut command = self.command(line);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout: Some(stdout) }
    }
}

/// A command that runs. Killed when dropped.
struct Running {
    child: Child,
    /// `None` once nobody reads it any more.
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// The next line that it prints, without its end; empty if it prints no more.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("somebody reads").read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// Nobody reads what it prints any more.
    fn stop_reading(&mut self) {
        self.stdout = None;
    }

    fn terminate(&self) {
        self.signal("TERM");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends, with what it printed since.
    fn end(mut self) -> Ran {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        if let Some(printed) = &mut self.stdout {
            printed.read_to_string(&mut stdout).unwrap();
        }
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ran { code: self.child.wait().unwrap().code().unwrap(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with nothing that is set for the tests.
fn program(line: &[&str]) -> Command {
    let mut command = Command::new(server_binary());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("QUORATE_")) {
        command.env_remove(name);
    }
    command.args(line);
    command
}

fn finish(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read has closed its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A zxid as the command line prints it.
fn zxid(text: &Value) -> u64 {
    let text = text.as_str().unwrap_or_else(|| panic!("{text} is no zxid"));
    u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

#[test]
fn help_lists_the_commands_that_are_tested_and_shows_examples_and_exit_codes_for_each() {
    let help = finish(program(&["--help"]), b"");
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    let listed =
        help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A longer description goes on in a line that is indented further.
    let names = listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let expected: Vec<&str> =
        ["serve", "dev-cluster", "gateway"].into_iter().chain(COMMANDS.iter().copied()).chain(["help"]).collect();
    assert_eq!(names.collect::<Vec<_>>(), expected);
    for command in COMMANDS {
        let help = finish(program(&[command, "--help"]), b"");
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{command}");
        assert!(help.stdout.contains("Exit codes:\n  0  done"), "{command}: {}", help.stdout);
        let needs_none = ["sync", "status", "version", "removewatches"].contains(command);
        assert_eq!(help.stdout.contains(&format!("  quorate {command}")), !needs_none, "{command}: {}", help.stdout);
    }
    let version = finish(program(&["--version"]), b"");
    assert_eq!((version.code, version.stdout), (0, format!("quorate {}\n", env!("CARGO_PKG_VERSION"))));
}
