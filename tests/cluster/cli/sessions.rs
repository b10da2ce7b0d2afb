//! Whole sessions at the command line, as they look: each file of `sessions/` is typed at a new server, line by line, and
//! everything that is printed must be as it stands there, with every exit code but 0.
//!
//! `SNAPSHOTS=overwrite` writes what is printed now into the files, for a person to read it in the diff.

use std::path::Path;
use std::process::Command;

use quorate_tests::harness::{Server, server_binary};
use snapbox::{Assert, Data, Redactions};

use super::{Cli, finish};

/// What differs from run to run, and what stands for it.
const PLACEHOLDERS: [(&str, &str); 11] = [
    ("[TIME]", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    ("[MS]", r#""[cm]time_ms":(?<redacted>\d{13})"#),
    ("[DIGEST]", r"(?<redacted>\b[0-9a-f]{32}\b)"),
    ("[CLUSTER]", r"cluster +(?<redacted>0x[0-9a-f]+)"),
    ("[ID]", r#""cluster_id":"(?<redacted>0x[0-9a-f]+)""#),
    ("[GUID]", r"_c_(?<redacted>[0-9a-f-]{36})-"),
    ("[NUMBER]", r"(lock-|__READ__)(?<redacted>\d{10})"),
    ("[PID]", r"\.(?<redacted>\d+)\.partial"),
    ("[UPTIME]", r"up +(?<redacted>\d+ s)"),
    ("[BYTES]", r"\((?<redacted>\d+) bytes, verified\)"),
    ("[AGO]", r#""(lag|latency|uptime)_ms":(?<redacted>\d+)"#),
];

/// Types a file at a server that is new.
fn session(name: &str) {
    let server = Server::start();
    let cli = Cli::of(&server);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/cli/sessions").join(name);
    let written = std::fs::read_to_string(&file).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut seen = String::new();
    let mut is_session = false;
    for line in written.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            is_session = fence == "console";
        }
        let typed = line.strip_prefix("$ ").filter(|_| is_session);
        // What else stands in a session was printed, once.
        if typed.is_some() || !is_session || line.starts_with("```") {
            seen.push_str(&format!("{line}\n"));
        }
        typed.into_iter().for_each(|typed| seen.push_str(&run(&cli, typed, dir.path())));
    }
    let mut redactions = Redactions::new();
    redactions.insert("[SERVER]", server.address("grpc").to_owned()).unwrap();
    for (name, pattern) in PLACEHOLDERS {
        redactions.insert(name, regex::Regex::new(pattern).unwrap()).unwrap();
    }
    let assert = Assert::new().action_env("SNAPSHOTS").normalize_paths(false);
    assert.redact_with(redactions).eq(seen, Data::read_from(&file, None));
}

/// What a shell prints when this is typed, both on standard output and on standard error.
fn run(cli: &Cli, typed: &str, dir: &Path) -> String {
    let template = cli.command(&[]);
    let mut shell = Command::new("sh");
    for (name, value) in template.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let path = std::env::var("PATH").unwrap();
    let programs = server_binary().parent().unwrap().display().to_string();
    shell.env("PATH", format!("{programs}:{path}")).env("COLUMNS", "100").current_dir(dir);
    shell.args(["-c", &format!("{{ {typed}; }} 2>&1")]);
    let ran = finish(shell, b"");
    let mut printed = ran.stdout;
    if !printed.is_empty() && !printed.ends_with('\n') {
        printed.push('\n');
    }
    if ran.code != 0 {
        printed.push_str(&format!("(exit code {})\n", ran.code));
    }
    printed
}

#[test]
fn znodes_are_made_read_and_changed() {
    session("znodes.md");
}

#[test]
fn what_cannot_be_done_is_said_and_has_an_exit_code() {
    session("failures.md");
}

#[test]
fn several_changes_are_one() {
    session("multi.md");
}

#[test]
fn locks_and_leaders_have_commands() {
    session("locks.md");
}

#[test]
fn a_tree_goes_out_and_comes_back() {
    session("exports.md");
}

#[test]
fn a_server_tells_of_itself() {
    session("server.md");
}
