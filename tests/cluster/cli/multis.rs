//! `multi`: all of it or none of it, whatever it is read from.

use quorate_tests::harness::Server;
use serde_json::{Value, json};

use super::{Cli, zxid};

#[test]
fn changes_are_made_in_one_txn_and_each_is_told_of() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "/old"]);
    let line = ["check /new --absent", "create /new", "create /new/a 'two words'", "create -s /new/job- x"];
    let more = ["set /new/a y -v 0", "setAcl /new/a world:anyone:cra", "delete /old"];
    let printed = cli.prints(&[&["multi"], &line[..], &more[..]].concat());
    let expected = "check /new\ncreate /new\ncreate /new/a\ncreate /new/job-0000000001\nset /new/a version=1\n\
                    setAcl /new/a aversion=1\ndelete /old\n";
    assert_eq!(printed, expected);
    assert_eq!(cli.prints(&["get", "/new/a"]), "y");

    let made = cli.json(&["multi", "create /b 1", "create /c 2"]);
    let results = made["results"].as_array().unwrap();
    let named: Vec<_> = results.iter().map(|result| (&result["op"], &result["path"])).collect();
    assert_eq!(named, [(&json!("create"), &json!("/b")), (&json!("create"), &json!("/c"))]);
    assert!(results.iter().all(|result| result["stat"]["czxid"] == made["zxid"]), "one txn: {made}");
    assert_eq!(zxid(&cli.json(&["stat", "/b"])["stat"]["czxid"]), zxid(&made["zxid"]));
}

#[test]
fn nothing_is_changed_if_one_change_cannot_be_made() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "/a", "1"]);
    let changes = ["multi", "create /b", "set /a 2 -v 7", "delete /missing"];
    let failed = cli.run(&changes);
    assert_eq!((failed.code, failed.stdout.as_str()), (4, ""), "{failed:?}");
    let expected = "quorate: nothing was changed, for change 2 of 3 cannot be made: /a: ";
    assert!(failed.stderr.starts_with(expected) || failed.stderr.contains("expected version 7"), "{failed:?}");
    assert_eq!(cli.prints(&["ls"]), "a\nzookeeper\n");
    let failed = cli.run(&[&["--output", "json"], &changes[..]].concat());
    let error: Value = serde_json::from_str(&failed.stderr).unwrap();
    assert_eq!((&error["error"]["reason"], &error["error"]["change"]), (&json!("BAD_VERSION"), &json!(2)));

    // What makes no sense is refused before anybody is asked.
    let cli = Cli::at("127.0.0.1:1");
    cli.fails(&["multi", "create /a", "get /a"], 2, "quorate: `get /a`: unrecognized subcommand 'get'\n");
    let session =
        "quorate: an ephemeral znode lives as long as a session: make this in `quorate shell`, which has one\n";
    cli.fails(&["multi", "create -e /a"], 2, session);
    cli.fails(
        &["multi", "--file", "/nonexistent"],
        1,
        "quorate: cannot read /nonexistent: No such file or directory (os error 2)\n",
    );
}

#[test]
fn changes_are_read_from_files_and_pipes_and_in_a_shell_may_belong_to_its_session() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("changes");
    std::fs::write(&file, "# what a deployment does\ncreate /a 1\n\n  create /a/b '# no comment'\n").unwrap();
    assert_eq!(cli.prints(&["multi", "--file", file.to_str().unwrap()]), "create /a\ncreate /a/b\n");
    assert_eq!(cli.prints(&["get", "/a/b"]), "# no comment");
    let piped = cli.run_with(&["multi"], b"delete /a/b\ndelete /a\n");
    assert_eq!((piped.code, piped.stdout.as_str()), (0, "delete /a/b\ndelete /a\n"), "{piped:?}");
    assert_eq!(cli.run_with(&["multi", "-f", "-"], b"").stderr, "quorate: there is nothing to be done\n");
    let twice = cli.run_with(&["multi"], b"create /a -\n");
    assert_eq!((twice.code, twice.stderr.contains("`-` is not left to read from")), (2, true), "{twice:?}");

    let shell = b"multi 'create -e /here' 'create /stays'\nstat /here\ngetEphemerals\nmulti\n";
    let ran = cli.run_with(&["shell"], shell);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.starts_with("create /here\ncreate /stays\ncZxid"), "{ran:?}");
    assert!(ran.stdout.ends_with("numChildren = 0\n/here\n"), "{ran:?}");
    assert!(ran.stderr.ends_with("say what is to be done, or name a file: a shell reads its input\n"), "{ran:?}");
    assert_eq!(cli.prints(&["ls"]), "stays\nzookeeper\n");
}
