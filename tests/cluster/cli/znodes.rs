//! Reading: `get ls stat tree getAcl sync status`.

use quorate_tests::harness::Server;
use serde_json::json;

use super::{Cli, zxid};

/// A small tree, with every kind of data.
fn sample(server: &Server) -> Cli {
    let cli = Cli::of(server);
    cli.prints(&["create", "/app"]);
    cli.prints(&["create", "-p", "/app/config/port", "8080"]);
    cli.prints(&["create", "-b", "/app/binary", "AP8="]);
    cli.prints(&["create", "/app/empty", ""]);
    cli
}

#[test]
fn get_prints_exactly_the_data_or_what_shows_it() {
    let server = Server::start();
    let cli = sample(&server);
    assert_eq!(cli.prints(&["get", "/app/config/port"]), "8080");
    assert_eq!(cli.prints(&["get", "--base64", "/app/binary"]), "AP8=\n");
    let dump = "00000000  38 30 38 30                                      |8080|\n";
    assert_eq!(cli.prints(&["get", "-x", "/app/config/port"]), dump);
    assert_eq!(cli.prints(&["get", "/app/empty"]), "");
    // Null is not empty; what says so is not on standard output, where it could be taken for data.
    let null = cli.run(&["get", "/app"]);
    assert_eq!((null.code, null.stdout.as_str(), null.stderr.as_str()), (0, "", "/app has null data\n"));

    let with_stat = cli.prints(&["get", "-s", "/app/config/port"]);
    let (data, stat) = with_stat.split_once('\n').unwrap();
    assert_eq!(data, "8080");
    assert_eq!(stat, cli.prints(&["stat", "/app/config/port"]), "the same block");
    assert!(stat.starts_with("cZxid = 0x1") && stat.contains("\ndataVersion = 0\n"), "{stat}");

    let text = cli.json(&["get", "/app/config/port"]);
    assert_eq!(
        (&text["path"], &text["data"], &text["encoding"]),
        (&json!("/app/config/port"), &json!("8080"), &json!("utf8"))
    );
    assert_eq!((&text["stat"]["version"], &text["stat"]["data_length"]), (&json!(0), &json!(4)));
    assert!(text["stat"]["mtime"].as_str().unwrap().ends_with('Z') && text["stat"]["mtime_ms"].is_u64(), "{text}");
    let binary = cli.json(&["get", "/app/binary"]);
    assert_eq!((&binary["data"], &binary["encoding"]), (&json!("AP8="), &json!("base64")));
    assert_eq!(cli.json(&["get", "/app"])["data"], json!(null));
    assert_eq!(cli.json(&["get", "/app/empty"])["data"], json!(""));
}

#[test]
fn ephemerals_are_listed_by_their_owners_and_everything_below_is_counted() {
    let server = Server::start();
    let cli = sample(&server);
    assert_eq!(cli.prints(&["getAllChildrenNumber", "/app"]), "4\n");
    assert_eq!(cli.json(&["get-all-children-number", "/app/config"]), json!({"path": "/app/config", "count": 1}));

    let mut first = cli.start(&["create", "-e", "/app/first"]);
    let mut second = cli.start(&["create", "-e", "-p", "/other/second"]);
    assert_eq!((first.line(), second.line()), ("/app/first".to_owned(), "/other/second".to_owned()));
    let all = cli.json_lines(&["getEphemerals", "--all"]);
    let paths: Vec<_> = all.iter().map(|znode| &znode["path"]).collect();
    assert_eq!(paths, ["/app/first", "/other/second"]);
    let owner = all[0]["ephemeral_owner"].as_str().unwrap();
    assert_eq!(cli.prints(&["getEphemerals", "--owner", owner]), "/app/first\n");
    assert_eq!(cli.prints(&["getEphemerals", "--all", "/app"]), format!("/app/first {owner}\n"));
    let nobody = cli.run(&["getEphemerals"]);
    assert_eq!(
        (nobody.code, nobody.stderr.contains("name one with --owner, or all with --all")),
        (2, true),
        "{nobody:?}"
    );
    let ran = cli.run_with(&["shell"], b"create -e /mine\ngetEphemerals\ngetEphemerals /app\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "/mine\n/mine\n"), "those of the shell: {ran:?}");
}

#[test]
fn ls_stat_and_tree_show_what_there_is() {
    let server = Server::start();
    let cli = sample(&server);
    assert_eq!(cli.prints(&["ls"]), "app\nzookeeper\n");
    assert_eq!(cli.prints(&["ls", "/app"]), "binary\nconfig\nempty\n");
    assert_eq!(cli.prints(&["ls", "-R", "/app"]), "/app\n/app/binary\n/app/config\n/app/config/port\n/app/empty\n");
    let with_stat = cli.prints(&["ls", "-s", "/app"]);
    assert!(with_stat.starts_with("binary\nconfig\nempty\ncZxid = ") && with_stat.ends_with("numChildren = 3\n"));
    let drawing = "/app\n├── binary\n├── config\n│   └── port\n└── empty\n";
    assert_eq!(cli.prints(&["tree", "/app"]), drawing);
    assert_eq!(cli.prints(&["tree", "/app", "--depth", "1"]), "/app\n├── binary\n├── config\n└── empty\n");
    let with_data = "/app\n├── binary = (2 bytes)\n├── config\n│   └── port = \"8080\"\n└── empty = \"\"\n";
    assert_eq!(cli.prints(&["tree", "/app", "--data"]), with_data);

    let listing = cli.json(&["ls", "/app"]);
    assert_eq!((&listing["path"], &listing["children"]), (&json!("/app"), &json!(["binary", "config", "empty"])));
    assert_eq!(listing["stat"]["num_children"], json!(3));
    assert_eq!(
        cli.json_lines(&["ls", "-R", "/app/config"]),
        [json!({"path": "/app/config"}), json!({"path": "/app/config/port"})]
    );
    assert_eq!(cli.json_lines(&["ls", "-R", "-s", "/app/config"])[1]["stat"]["data_length"], json!(4));
    let stat = cli.json(&["stat", "/app/config"]);
    assert_eq!((&stat["path"], &stat["stat"]["ephemeral_owner"]), (&json!("/app/config"), &json!(null)));
    assert_eq!(zxid(&stat["stat"]["czxid"]), zxid(&stat["stat"]["pzxid"]), "made with its child");
    let tree = cli.json_lines(&["tree", "/app", "--data"]);
    let shown: Vec<_> = tree.iter().map(|znode| (znode["path"].as_str().unwrap(), &znode["data"])).collect();
    let (null, port, binary, empty) = (json!(null), json!("8080"), json!("AP8="), json!(""));
    let expected = [
        ("/app", &null),
        ("/app/binary", &binary),
        ("/app/config", &null),
        ("/app/config/port", &port),
        ("/app/empty", &empty),
    ];
    assert_eq!(shown, expected);
    assert!(cli.json_lines(&["tree", "/app"])[1].get("data").is_none(), "nobody asked for data");
}

#[test]
fn a_pipe_that_nobody_reads_ends_a_command_quietly() {
    let server = Server::start();
    let cli = Cli::of(&server);
    // More than a pipe holds.
    for name in ["/a", "/b"] {
        cli.run_with(&["create", name, "-"], &vec![b'x'; 300_000]);
    }
    let mut exporting = cli.start(&["export"]);
    assert!(exporting.line().starts_with("{\"quorate_export\":1"));
    exporting.stop_reading();
    let ended = exporting.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn sync_and_status_tell_how_far_the_server_is() {
    let server = Server::start();
    let cli = sample(&server);
    let last = zxid(&cli.json(&["stat", "/app/empty"])["stat"]["czxid"]);
    assert_eq!(cli.prints(&["sync"]), format!("{last:#x}\n"));
    assert_eq!(cli.json(&["sync", "/"]), json!({"zxid": format!("{last:#x}")}));

    let status = cli.prints(&["status"]);
    let row = |name: &str| {
        let line = status.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim_start()[name.len()..].trim().to_owned()
    };
    assert!(row("server").starts_with("1 (leading), version "), "{status}");
    assert_eq!((row("serving").as_str(), row("leader").as_str()), ("yes", "this server"));
    assert_eq!((row("zxid"), row("disk").as_str()), (format!("{last:#x}"), "ok"));
    assert!(status.lines().all(|line| !line.ends_with(' ')), "{status}");

    let status = cli.json(&["status"]);
    assert_eq!(
        (&status["server_id"], &status["role"], &status["serving"]),
        (&json!(1), &json!("leading"), &json!(true))
    );
    assert_eq!((zxid(&status["zxid"]), zxid(&status["durable_zxid"])), (last, last));
    // The root, what servers make for themselves, and the sample.
    assert_eq!((&status["znodes"], &status["disk_full"]), (&json!(9), &json!(false)));
    let [member] = status["members"].as_array().unwrap().as_slice() else { panic!("{status}") };
    assert_eq!((&member["server_id"], &member["role"], zxid(&member["zxid"])), (&json!(1), &json!("leading"), last));
    assert_eq!(status["digest"].as_str().unwrap().len(), 32);
}
