//! `lock` and `elect`: a command runs as long as something is held, and no longer, whoever is killed.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use quorate_tests::harness::Server;

use super::{Cli, Ran, Running};

/// Longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of sessions that are to end: as short as it can be where the machine is busy with other tests.
const SESSION: &str = "3s";

/// Until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Those who hold a lock or wait for it.
fn contenders(cli: &Cli, path: &str) -> Vec<String> {
    let listed = cli.run(&["ls", path]);
    // Nobody was ever there, or nobody is any more.
    assert!([0, 3].contains(&listed.code), "{listed:?}");
    listed.stdout.lines().map(str::to_owned).collect()
}

/// Whether a process that wrote its id into a file runs.
fn runs(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    status.is_ok_and(|status| !status.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn ends_with(running: Running, code: i32, stderr: &str) -> Ran {
    let ran = running.end();
    assert_eq!(ran.code, code, "{ran:?}");
    assert!(ran.stderr.contains(stderr), "no {stderr:?}: {ran:?}");
    ran
}

#[test]
fn a_command_runs_with_its_token_and_the_lock_is_given_back() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let script = "echo $QUORATE_FENCING_TOKEN $QUORATE_FENCING_PATH; exit 41";
    let run = || cli.run(&["lock", "/locks/a", "--exec", "--", "sh", "-c", script]);
    let (first, second) = (run(), run());
    assert_eq!((first.code, first.stderr.as_str()), (41, ""), "{first:?}");
    let read = |ran: &Ran| {
        let (token, path) = ran.stdout.trim().split_once(' ').unwrap();
        assert!(path.starts_with("/locks/a/_c_") && path.contains("-lock-"), "{ran:?}");
        token.parse::<u64>().unwrap()
    };
    assert!(read(&first) < read(&second), "tokens grow: {first:?} {second:?}");
    assert_eq!(contenders(&cli, "/locks/a"), [""; 0]);

    // Arguments are the command's as they are, and its input and output as well.
    let ran = cli.run_with(&["lock", "/locks/a", "--exec", "--", "cat", "-", "--", "/dev/null"], b"as it is");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "as it is"), "{ran:?}");
    let ran = cli.run(&["lock", "/locks/a", "--exec", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (128 + 9, ""), "{ran:?}");
    let ran = cli.run(&["lock", "/locks/a", "--exec", "--", "/nonexistent/program"]);
    assert_eq!(ran.code, 127, "{ran:?}");
    assert!(ran.stderr.starts_with("quorate: cannot run /nonexistent/program: "), "{ran:?}");
    assert_eq!(contenders(&cli, "/locks/a"), [""; 0]);
}

#[test]
fn two_who_want_the_same_lock_have_it_one_after_the_other_and_those_who_share_it_at_once() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let dir = tempfile::tempdir().unwrap();
    // Fails if another one is inside.
    let script = format!("mkdir {0}/in && sleep 0.05 && rmdir {0}/in", dir.path().display());
    let contend = || cli.start(&["lock", "/locks/a", "--exec", "--", "sh", "-c", &script]);
    let all: Vec<Running> = (0..6).map(|_| contend()).collect();
    all.into_iter().for_each(|one| drop(ends_with(one, 0, "")));

    let mut reading = cli.start(&["lock", "/locks/a", "--shared"]);
    let held = reading.line();
    assert!(held.contains("__READ__"), "{held}");
    let beside = cli.json(&["lock", "/locks/a", "-s", "--exec", "--", "echo", "{}"]);
    assert_eq!(beside, serde_json::json!({}), "it does not wait");
    let in_vain = cli.run(&["lock", "/locks/a", "--wait", "200ms", "--exec", "--", "true"]);
    let expected = "quorate: the lock /locks/a was not to be had within 200ms\n";
    assert_eq!((in_vain.code, in_vain.stderr.as_str()), (7, expected), "{in_vain:?}");
    assert_eq!(contenders(&cli, "/locks/a").len(), 1, "whoever has given up waits no more");

    let waiting = cli.start(&["lock", "/locks/a", "--exec", "--", "true"]);
    until("somebody who waits", || contenders(&cli, "/locks/a").len() == 2);
    waiting.terminate();
    ends_with(waiting, 128 + 15, "told to stop while waiting for the lock /locks/a");
    reading.terminate();
    ends_with(reading, 0, "the lock /locks/a is held until this command is interrupted");
    assert_eq!(contenders(&cli, "/locks/a"), [""; 0]);
}

#[test]
fn signals_go_on_to_the_command_and_to_what_it_has_started() {
    let server = Server::start();
    let cli = Cli::of(&server);
    for (signal, name) in [("USR1", "usr1"), ("HUP", "hup"), ("TERM", "term"), ("INT", "int")] {
        let script = format!("trap 'echo {name}; exit 9' {signal}; echo ready; while :; do sleep 0.02; done");
        let mut running = cli.start(&["lock", "/locks/a", "--exec", "--", "sh", "-c", &script]);
        assert_eq!(running.line(), "ready");
        running.signal(signal);
        let ran = ends_with(running, 9, "");
        assert_eq!(ran.stdout, format!("{name}\n"));
    }
    // The shell that waits for its child cannot be asked; the child can.
    let mut running = cli.start(&["lock", "/locks/a", "--exec", "--", "sh", "-c", "echo ready; sleep 60; echo on"]);
    assert_eq!(running.line(), "ready");
    running.terminate();
    ends_with(running, 128 + 15, "");
}

#[test]
fn a_command_whose_lock_is_lost_is_stopped() {
    let mut server = Server::start();
    let cli = Cli::of(&server);
    let start = |script: &str| {
        let line = ["lock", "/locks/a", "--session-timeout", SESSION, "--grace", "300ms", "--exec", "--", "sh", "-c"];
        let mut running = cli.start(&[&line[..], &[script]].concat());
        assert_eq!(running.line(), "ready");
        running
    };
    // Somebody takes it away by hand.
    let running = start("trap 'echo cleaned up; exit 3' TERM; echo ready; while :; do sleep 0.02; done");
    cli.prints(&["delete", &format!("/locks/a/{}", contenders(&cli, "/locks/a")[0])]);
    let ran = ends_with(running, 8, "quorate: the lock /locks/a is lost: the command is told to stop\n");
    assert_eq!(ran.stdout, "cleaned up\n");
    assert!(ran.stderr.contains("quorate: the lock /locks/a was lost: somebody else has deleted"), "{ran:?}");

    // Nothing is heard of the ensemble; and the command does not listen.
    let running = start("trap '' TERM; echo ready; while :; do sleep 0.02; done");
    server.kill();
    ends_with(running, 8, "quorate: the lock /locks/a is lost: the command is told to stop\n");
}

#[test]
fn the_command_of_a_killed_holder_is_gone_before_another_one_runs() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let script = format!("echo $$ > {}; echo ready; while :; do sleep 0.02; done", pid_file.display());
    let line = ["lock", "/locks/a", "--session-timeout", SESSION, "--exec", "--", "sh", "-c"];
    let mut holder = cli.start(&[&line[..], &[script.as_str()]].concat());
    assert_eq!(holder.line(), "ready");
    let next = cli.start(&[&line[..], &["echo next"]].concat());
    until("somebody who waits", || contenders(&cli, "/locks/a").len() == 2);
    assert!(runs(&pid_file));
    holder.signal("KILL");
    until("the end of the command", || !runs(&pid_file));
    assert_eq!(contenders(&cli, "/locks/a").len(), 2, "its session has not ended yet");
    let ran = ends_with(next, 0, "");
    assert_eq!(ran.stdout, "next\n");
    until("the lock to be free", || contenders(&cli, "/locks/a").is_empty());
}

#[test]
fn one_leads_at_a_time_and_leads_again_when_it_repeats() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let line = ["elect", "/leaders/a", "--session-timeout", SESSION, "--data"];
    let stand = |name: &str, more: &[&str], script: &str| {
        cli.start(&[&line[..], &[name], more, &["--exec", "--", "sh", "-c", script]].concat())
    };
    let mut first = stand("first", &[], "echo first leads; while :; do sleep 0.02; done");
    assert_eq!(first.line(), "first leads");
    let leader = &contenders(&cli, "/leaders/a")[0];
    assert_eq!(cli.prints(&["get", &format!("/leaders/a/{leader}")]), "first");
    let mut second = stand("second", &["--repeat"], "echo second leads; exit 3");
    until("a candidate", || contenders(&cli, "/leaders/a").len() == 2);
    first.signal("KILL");
    // Its command fails at once, and it stands again and again.
    assert_eq!(second.line(), "second leads");
    assert_eq!(second.line(), "second leads");
    second.terminate();
    let ran = second.end();
    // Between two commands, at the end of one, or before it had ended.
    assert!([0, 3, 128 + 15].contains(&ran.code), "{ran:?}");
    let again = "quorate: the command has ended with exit code 3; standing again\n";
    assert!(ran.stderr.starts_with(again), "{ran:?}");
    until("nobody to stand", || contenders(&cli, "/leaders/a").is_empty());
    // Without repeating, the command's end is the end.
    ends_with(stand("third", &[], "exit 4"), 4, "");
}
