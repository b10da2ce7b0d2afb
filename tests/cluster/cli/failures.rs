//! Failures: exit codes that scripts can rely on, and words that say what to do.

use std::net::TcpListener;

use quorate_tests::harness::{Server, ServerOptions};
use serde_json::{Value, json};

use super::Cli;

#[test]
fn failures_have_exit_codes_and_say_what_to_do() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "-p", "/app/below"]);
    let exists = "quorate: /app: the znode exists already\n  \
                  change it with `set`, or let a number be appended with `create -s`\n";
    cli.fails(&["create", "/app"], 4, exists);
    let orphan = "quorate: /no/parent: its parent /no does not exist\n  \
                  create the parent first, or it with all that is missing by `create --parents`\n";
    cli.fails(&["create", "/no/parent"], 3, orphan);
    let parent = "quorate: /app: it still has children (1): delete them first, or the whole subtree\n  \
                  delete what is below it, too, with `deleteall`\n";
    cli.fails(&["delete", "/app"], 4, parent);
    for read in ["get", "ls", "stat", "getAcl", "tree", "export"] {
        let ran = cli.run(&[read, "/nothing"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{read}: {ran:?}");
        assert!(ran.stderr.starts_with("quorate: /nothing: there is no such znode"), "{read}: {ran:?}");
    }
    for path in ["relative", "/a//b", "/a/../b", "/trailing/"] {
        let ran = cli.run(&["get", path]);
        assert_eq!((ran.code, ran.stderr.starts_with("quorate: ")), (2, true), "{path}: {ran:?}");
    }
    let large = cli.run_with(&["set", "/app", "-"], &vec![b'x'; 1_000_001]);
    assert_eq!(large.code, 1, "{large:?}");
    assert!(large.stderr.contains("1000000"), "it says how much may be: {large:?}");
}

#[test]
fn wrong_usage_is_told_apart_from_failures() {
    let cli = Cli::at("127.0.0.1:1");
    for line in [
        &["creat", "/a"][..],
        &["create"],
        &["get", "/a", "--hex", "--base64"],
        &["set", "/a", "x", "--null"],
        &["set", "/a", "x", "--upsert", "-v", "1"],
        &["create", "-e", "-t", "1s", "/a"],
        &["watch", "/a", "--count", "0"],
        &["watch", "/a", "--from", "yesterday"],
        &["--timeout", "0", "get", "/a"],
        &["--output", "xml", "get", "/a"],
        &["import", "file", "--existing", "perhaps"],
    ] {
        let ran = cli.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line:?}: {ran:?}");
        assert!(ran.stderr.contains("--help"), "{line:?}: {ran:?}");
    }
    let slip = cli.run(&["creat", "/a"]);
    assert!(slip.stderr.contains("'create'"), "it names what was meant: {slip:?}");
}

#[test]
fn errors_are_json_where_results_are() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let error = |line: &[&str], code: i32| {
        let ran = cli.run(&[&["--output", "json"], line].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line:?}: {ran:?}");
        serde_json::from_str::<Value>(&ran.stderr).unwrap()["error"].clone()
    };
    let missing = error(&["delete", "/nothing"], 3);
    assert_eq!((&missing["reason"], &missing["path"]), (&json!("NO_NODE"), &json!("/nothing")));
    assert_eq!(missing["maybe_applied"], json!(false));
    assert_eq!(error(&["create", "/"], 4)["reason"], json!("NODE_EXISTS"));
    assert_eq!(error(&["set", "/"], 2)["reason"], json!("USAGE"));
    assert_eq!(error(&["import", "/nowhere"], 1)["reason"], json!("FAILED"));
}

#[test]
fn a_server_that_is_not_there_and_one_that_does_not_answer_are_told_apart() {
    // Nobody listens on a port that was just given back.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = Cli::at(&free.to_string()).run(&["get", "/"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(
        ran.stderr.contains("is a server running there? Others can be named with --server or QUORATE_SERVER"),
        "{ran:?}"
    );

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = Cli::at(&silent.local_addr().unwrap().to_string()).run(&["--timeout", "300ms", "get", "/"]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.stderr.contains("wait longer with --timeout"), "{ran:?}");

    // Of several servers, any will do.
    let server = Server::start_with(ServerOptions::default());
    let both = format!("{free},{}", server.address("grpc"));
    assert_eq!(Cli::at(&both).prints(&["ls"]), "zookeeper\n");
    assert_eq!(Cli::at(&free.to_string()).prints(&["--server", server.address("grpc"), "ls"]), "zookeeper\n");
}
