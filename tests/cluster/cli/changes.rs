//! Changing: `create set delete deleteall setAcl`, and where their data comes from.

use quorate_tests::harness::Server;
use serde_json::json;

use super::Cli;

#[test]
fn create_makes_every_kind_of_znode() {
    let server = Server::start();
    let cli = Cli::of(&server);
    assert_eq!(cli.prints(&["create", "/app"]), "/app\n");
    assert_eq!(cli.prints(&["create", "-s", "/app/job-", "first"]), "/app/job-0000000000\n");
    assert_eq!(cli.prints(&["create", "-s", "/app/job-", "second"]), "/app/job-0000000001\n");
    assert_eq!(cli.prints(&["create", "-c", "/app/container"]), "/app/container\n");
    assert_eq!(cli.prints(&["create", "-t", "1h", "/app/hour"]), "/app/hour\n");
    assert_eq!(cli.prints(&["create", "/app/secret", "x", "world:anyone:r"]), "/app/secret\n");
    assert_eq!(cli.prints(&["getAcl", "/app/secret"]), "world:anyone:r\n");
    let created = cli.json(&["create", "-p", "/far/down/here", "data"]);
    assert_eq!((&created["path"], &created["stat"]["data_length"]), (&json!("/far/down/here"), &json!(4)));
    // What kinds they are shows in an export.
    let export = cli.prints(&["export", "/app"]);
    let mode = |path: &str| {
        let nodes = export.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let node = nodes.into_iter().find(|node| node["path"] == path && node.get("mode").is_some());
        let node = node.unwrap_or_else(|| panic!("no {path} in {export}"));
        (node["mode"].as_str().unwrap().to_owned(), node["ttl_ms"].as_u64())
    };
    assert_eq!(mode("/app/job-0000000000"), ("persistent".to_owned(), None));
    assert_eq!(mode("/app/container"), ("container".to_owned(), None));
    assert_eq!(mode("/app/hour"), ("ttl".to_owned(), Some(3_600_000)));
}

#[test]
fn an_ephemeral_is_held_until_its_command_is_told_to_stop() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let mut holding = cli.start(&["create", "-e", "/leader", "host-1"]);
    assert_eq!(holding.line(), "/leader");
    assert_eq!(cli.prints(&["get", "/leader"]), "host-1");
    assert!(cli.prints(&["tree", "/"]).contains("leader (ephemeral)\n"));
    holding.terminate();
    let ended = holding.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, "/leader is held until this command is interrupted\n"));
    cli.fails(&["get", "/leader"], 3, "quorate: /leader: there is no such znode\n");
}

#[test]
fn data_comes_from_arguments_files_and_standard_input() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"line\nline\n").unwrap();
    let path = file.path().to_str().unwrap();
    cli.prints(&["create", "/file", "--file", path]);
    assert_eq!(cli.prints(&["get", "/file"]), "line\nline\n");
    assert_eq!(cli.run_with(&["set", "/file", "-"], b"piped").code, 0);
    assert_eq!(cli.prints(&["get", "/file"]), "piped");
    assert_eq!(cli.run_with(&["set", "-b", "/file", "-"], b"aGk=\n").code, 0);
    assert_eq!(cli.prints(&["get", "/file"]), "hi");
    cli.prints(&["set", "/file", "-1"]);
    assert_eq!(cli.prints(&["get", "/file"]), "-1", "a negative number is data");
    cli.prints(&["set", "/file", "--null"]);
    assert_eq!(cli.json(&["get", "/file"])["data"], json!(null));
    cli.fails(&["set", "/file", "-b", "?"], 2, "quorate: the data is no base64: Invalid symbol 63, offset 0.\n");
    let missing = "quorate: cannot read /nowhere: No such file or directory (os error 2)\n";
    cli.fails(&["set", "/file", "-f", "/nowhere"], 1, missing);
    cli.fails(&["set", "/file"], 2, "quorate: what to set is missing: give data, `-`, --file or --null\n");
}

#[test]
fn set_delete_and_their_preconditions() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let created = cli.json(&["set", "/a", "1", "--upsert"]);
    assert_eq!((&created["created"], &created["stat"]["version"]), (&json!(true), &json!(0)));
    let changed = cli.json(&["set", "/a", "2", "-v", "0"]);
    assert_eq!((&changed["created"], &changed["stat"]["version"]), (&json!(false), &json!(1)));
    assert!(cli.prints(&["set", "-s", "/a", "3"]).contains("\ndataVersion = 2\n"));
    assert_eq!(cli.prints(&["set", "/a", "4", "-v", "-1"]), "", "-1 is any version");

    let changed = "quorate: /a: expected version 0, found 3\n  somebody else changed it: read it again, then decide\n";
    cli.fails(&["set", "/a", "5", "-v", "0"], 4, changed);
    cli.fails(&["delete", "/a", "-v", "0"], 4, changed);
    let mzxid = cli.json(&["stat", "/a"])["stat"]["mzxid"].as_str().unwrap().to_owned();
    let stale = cli.run(&["set", "/a", "5", "--if-mzxid", "0x1"]);
    assert_eq!(stale.code, 4, "{stale:?}");
    cli.prints(&["set", "/a", "5", "--if-mzxid", &mzxid]);
    assert_eq!(cli.prints(&["get", "/a"]), "5");
    assert_eq!(cli.json(&["delete", "/a", "-v", "4"]), json!({"path": "/a", "deleted": 1}));
    cli.fails(&["delete", "/a"], 3, "quorate: /a: there is no such znode\n");
}

#[test]
fn deleteall_says_what_would_go_and_deletes_it_whole_or_in_steps() {
    let server = Server::start();
    let cli = Cli::of(&server);
    let grow = |count: usize| {
        for number in 0..count {
            cli.prints(&["create", "-p", &format!("/big/{number}/x")]);
        }
    };
    grow(3);
    let ask = "quorate: deleting /big and the 6 znodes below it needs --yes, since nobody can be asked\n";
    cli.fails(&["deleteall", "/big"], 2, ask);
    assert_eq!(cli.prints(&["ls", "/big"]), "0\n1\n2\n", "nothing was deleted");
    let deleted = cli.run(&["deleteall", "/big", "--yes"]);
    assert_eq!((deleted.code, deleted.stdout.as_str(), deleted.stderr.as_str()), (0, "", "7 znodes deleted\n"));
    grow(3);
    assert_eq!(cli.json(&["rmr", "/big", "-y", "-b", "2"]), json!({"path": "/big", "deleted": 7}), "by its other name");
    cli.fails(&["deleteall", "/big", "-y"], 3, "quorate: /big: there is no such znode\n");
}

#[test]
fn set_acl_changes_who_may_do_what() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "/a"]);
    assert_eq!(cli.prints(&["getAcl", "/a"]), "world:anyone:cdrwa\n");
    let changed = cli.json(&["setAcl", "/a", "world:anyone:ra,digest:u:hash:cdrwa", "-v", "0"]);
    assert_eq!(changed["stat"]["aversion"], json!(1));
    assert!(cli.prints(&["setAcl", "-s", "/a", "world:anyone:ra"]).contains("\naclVersion = 2\n"));
    let acl = cli.json(&["getAcl", "/a"]);
    assert_eq!(acl["acl"], json!([{"scheme": "world", "id": "anyone", "perms": "ra"}]));
    assert!(cli.prints(&["get-acl", "-s", "/a"]).starts_with("world:anyone:ra\ncZxid = "));
    assert_eq!(cli.run(&["setAcl", "/a", "world:anyone:r", "-v", "0"]).code, 4);
    assert_eq!(cli.run(&["setAcl", "/a", "world:anyone"]).code, 2);
    let refused = "quorate: the ACL of /a does not grant you WRITE\n  \
                   `getAcl` shows whom its ACL lets; whoever it grants ADMIN can change that\n";
    cli.fails(&["set", "/a", "x"], 5, refused);
}
