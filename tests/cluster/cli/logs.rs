//! `log dump`: what stands in a server's log, while the server runs.

use quorate_tests::harness::Server;
use serde_json::json;

use super::{Cli, finish, program};

#[test]
fn the_log_of_a_server_that_runs_is_printed() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "-p", "/app/config", "42"]);
    cli.prints(&["set", "/app/config", "430"]);
    cli.prints(&["create", "/apple"]);
    let dir = server.data_dir().to_str().unwrap().to_owned();
    let dump = |more: &[&str]| {
        let ran = finish(program(&[&["log", "dump", &dir], more].concat()), b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout
    };

    let all = dump(&[]);
    let changes: Vec<&str> = all.lines().map(|line| line[59..].trim_start()).collect();
    let expected = [
        "marker epoch 1",
        "txn    create /app null; create /app/config 2 bytes",
        "txn    set /app/config version 1, 3 bytes",
        "txn    create /apple null",
    ];
    assert_eq!(changes, expected, "{all}");

    assert_eq!(dump(&["--path", "/app"]).lines().count(), 2);
    assert_eq!(
        dump(&["--from", "0x100000002"]),
        dump(&["--path", "/"]).lines().skip(1).fold(String::new(), |text, line| text + line + "\n")
    );
    assert_eq!(dump(&["--to", "0x100000001", "-n", "1"]).lines().count(), 1);
    let json: serde_json::Value =
        serde_json::from_str(&dump(&["--from", "0x100000002", "-n", "1", "--output", "json"])).unwrap();
    let set = json!([{"change": "set", "path": "/app/config", "detail": "version 1, 3 bytes"}]);
    assert_eq!((&json["zxid"], &json["kind"], &json["changes"]), (&json!("0x100000002"), &json!("txn"), &set));
    assert_eq!(cli.prints(&["get", "/app/config"]), "430", "the server goes on");
}

#[test]
fn what_is_no_data_directory_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let nothing = home.path().join("nothing");
    let ran = finish(program(&["log", "dump", nothing.to_str().unwrap()]), b"");
    assert_eq!((ran.code, ran.stderr.contains("is no directory"), nothing.exists()), (1, true, false), "{ran:?}");
    let ran = finish(program(&["log", "dump", home.path().to_str().unwrap()]), b"");
    assert_eq!((ran.code, ran.stderr.contains("it has no meta record")), (1, true), "{ran:?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    let ran = finish(program(&["log", "dump", ".", "--from", "7"]), b"");
    assert_eq!((ran.code, ran.stderr.contains("0x7")), (2, true), "{ran:?}");
}
