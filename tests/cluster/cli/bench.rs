//! `bench`: it counts what it does, and leaves nothing behind.

use std::time::{Duration, Instant};

use quorate_tests::harness::Server;
use serde_json::{Value, json};

use super::{Cli, Running};

/// Longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a measurement that goes on, and waits until it calls.
fn start(cli: &Cli) -> Running {
    let line = ["bench", "write", "--duration", "60s", "--znodes", "1", "--timeout", "1s"];
    let running = cli.start(&line);
    let deadline = Instant::now() + PATIENCE;

    loop {
        assert!(Instant::now() < deadline, "it never writes");
        let znodes = cli.prints(&["getEphemerals", "--all"]);
        let Some((znode, _)) = znodes.split_once(' ') else { continue };
        if cli.json(&["stat", znode])["stat"]["version"] != json!(0) {
            return running;
        }
    }
}

#[test]
fn a_load_is_measured_and_removed() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let line = ["bench", "--duration", "500ms", "--connections", "2", "--callers", "3", "--value-size", "7"];
    let measured = cli.json(&line);
    assert_eq!((&measured["connections"], &measured["callers_per_connection"]), (&json!(2), &json!(3)));
    assert_eq!((&measured["value_bytes"], &measured["errors"]), (&json!(7), &json!({})));
    let [reads, writes] = &measured["results"].as_array().unwrap()[..] else { panic!("{measured}") };
    let number = |value: &Value| value.as_f64().unwrap();
    for (kind, name) in [(reads, "read"), (writes, "write")] {
        assert_eq!((&kind["what"], &kind["errors"]), (&json!(name), &json!(0)));
        assert!(number(&kind["p50_us"]) > 0.0 && number(&kind["p50_us"]) <= number(&kind["max_us"]), "{measured}");
        let calls = number(&kind["per_second"]) * number(&measured["seconds"]);
        assert!((calls - number(&kind["calls"])).abs() < 1.0, "{measured}");
    }
    assert!(number(&reads["calls"]) > 2.0 * number(&writes["calls"]), "four of five are reads: {measured}");
    assert!(number(&measured["client_cpu"]) > 0.0);
    let shown = cli.prints(&["bench", "read", "-d", "200ms", "-n", "1"]);
    assert!(shown.starts_with(" what  calls "), "{shown}");
    let about = "\n\n4 connections, 16 callers on each, 1 znodes of 100 bytes, ";
    assert!(shown.contains(about) && shown.contains(" s\nthis program used "), "{shown}");
    assert_eq!(cli.prints(&["ls"]), "zookeeper\n");
    assert_eq!(cli.prints(&["getEphemerals", "--all"]), "");
}

#[test]
fn one_that_is_told_to_stop_tells_what_it_has_found_and_leaves_nothing() {
    let mut server = Server::start();
    let cli = Cli::of(&server);
    let running = start(&cli);
    running.terminate();
    let ran = running.end();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains(" write "), "{ran:?}");
    assert_eq!(cli.prints(&["ls"]), "zookeeper\n");

    // What fails is counted, and the exit code says so.
    let running = start(&cli);
    server.kill();
    std::thread::sleep(Duration::from_millis(500));
    running.terminate();
    let ran = running.end();
    assert!(ran.code != 0 && ran.stdout.contains(" x UNREACHABLE"), "{ran:?}");
}
