//! `export` and `import`: a tree leaves as a file, and comes back the same.

use std::process::Command;

use quorate_tests::harness::Server;
use serde_json::{Value, json};

use super::Cli;

/// Everything that an export has to keep: kinds, ACLs, null, empty and binary data, names that JSON escapes.
fn sample(cli: &Cli) {
    cli.prints(&["create", "-p", "/app/config/port", "8080"]);
    cli.prints(&["create", "-b", "/app/binary", "AP8="]);
    cli.prints(&["create", "/app/quo\"ted é", ""]);
    cli.prints(&["create", "-c", "/app/container"]);
    cli.prints(&["create", "-t", "1h", "/app/hour", "x"]);
    cli.prints(&["create", "/app/readable", "x", "world:anyone:r"]);
}

/// An export's znodes without what an import cannot keep.
fn znodes(export: &str, top: &str) -> Vec<Value> {
    let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut znodes: Vec<Value> = lines.filter(|line| line.get("mode").is_some()).collect();
    for znode in &mut znodes {
        let path = znode["path"].as_str().unwrap().strip_prefix(top).unwrap().to_owned();
        znode["path"] = path.into();
        znode.as_object_mut().unwrap().remove("stat");
    }
    znodes
}

#[test]
fn what_was_exported_is_imported_the_same() {
    let server = Server::start();
    let cli = Cli::of(&server);
    sample(&cli);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.ndjson");
    let file = file.to_str().unwrap();
    let exported = cli.run(&["export", "/app", "--file", file]);
    assert_eq!((exported.code, exported.stdout.as_str()), (0, ""), "{exported:?}");
    assert_eq!(exported.stderr, format!("8 znodes exported to {file}\n"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
    let export = std::fs::read_to_string(file).unwrap();
    let head: Value = serde_json::from_str(export.lines().next().unwrap()).unwrap();
    assert_eq!((&head["quorate_export"], &head["path"]), (&json!(1), &json!("/app")));
    assert_eq!(export.lines().last(), Some(r#"{"end":{"znodes":8}}"#));

    let other = Server::start();
    let other = Cli::of(&other);
    let rehearsed = other.run(&["import", file, "--dry-run"]);
    assert_eq!((rehearsed.code, rehearsed.stderr.as_str()), (0, "8 znodes would be created\n"));
    assert_eq!(other.prints(&["ls"]), "zookeeper\n", "it was only rehearsed");
    let imported = other.run(&["import", file]);
    assert_eq!((imported.code, imported.stderr.as_str()), (0, "8 znodes created\n"));
    assert_eq!(znodes(&other.prints(&["export", "/app"]), "/app"), znodes(&export, "/app"));
    // Elsewhere, and through a pipe.
    other.prints(&["create", "/restored"]);
    let moved = other.run_with(&["import", "-", "--to", "/restored/app"], export.as_bytes());
    assert_eq!((moved.code, moved.stderr.as_str()), (0, "8 znodes created\n"));
    assert_eq!(znodes(&other.prints(&["export", "/restored/app"]), "/restored/app"), znodes(&export, "/app"));
}

#[test]
fn an_archive_can_be_looked_at_with_tar_and_is_imported_the_same() {
    let server = Server::start();
    let cli = Cli::of(&server);
    sample(&cli);
    cli.prints(&["set", "/app/config", "of a parent"]);
    cli.prints(&["create", "/app/%data", ""]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.tar");
    let file = file.to_str().unwrap();
    let exported = cli.run(&["export", "/app", "--format", "tar", "--file", file]);
    assert_eq!((exported.code, exported.stderr), (0, format!("9 znodes exported to {file}\n")));

    let unpacked = Command::new("tar").args(["-xf", file, "-C"]).arg(dir.path()).output().unwrap();
    assert!(unpacked.status.success() && unpacked.stderr.is_empty(), "{unpacked:?}");
    let read = |path: &str| std::fs::read(dir.path().join("znodes/app").join(path)).unwrap();
    assert_eq!((read("config/port"), read("config/%data")), (b"8080".to_vec(), b"of a parent".to_vec()));
    assert_eq!((read("binary"), read("%%data"), read("quo\"ted é")), (vec![0, 0xff], vec![], vec![]));
    assert!(dir.path().join("znodes/app/container").is_dir(), "null data is none");

    let other = Server::start();
    let other = Cli::of(&other);
    let rehearsed = other.run(&["import", file, "--dry-run"]);
    assert_eq!((rehearsed.code, rehearsed.stderr.as_str()), (0, "9 znodes would be created\n"), "{rehearsed:?}");
    let archive = std::fs::read(file).unwrap();
    let imported = other.run_with(&["import", "-"], &archive);
    assert_eq!((imported.code, imported.stderr.as_str()), (0, "9 znodes created\n"), "{imported:?}");
    assert_eq!(znodes(&other.prints(&["export", "/app"]), "/app"), znodes(&cli.prints(&["export", "/app"]), "/app"));

    // One that was cut off creates nothing, and neither does one that was made by somebody else.
    let cut = other.run_with(&["import", "-", "--to", "/cut"], &archive[..archive.len() / 2]);
    assert_eq!((cut.code, cut.stderr.contains("cut off")), (1, true), "{cut:?}");
    let mut pack = Command::new("tar");
    let foreign = pack.args(["-c", "--format=ustar", "-C"]).arg(dir.path()).arg("znodes").output().unwrap();
    let refused = other.run_with(&["import", "-", "--to", "/foreign"], &foreign.stdout);
    assert_eq!((refused.code, refused.stderr.contains("comes before quorate-export.json")), (1, true), "{refused:?}");
    assert_eq!(other.prints(&["ls"]), "app\nzookeeper\n");
}

#[test]
fn import_stops_skips_or_overwrites_what_exists() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "-p", "/app/a", "1"]);
    let export = cli.prints(&["export", "/app"]);
    cli.prints(&["set", "/app/a", "2"]);
    let import = |more: &[&str]| cli.run_with(&[&["import", "-"], more].concat(), export.as_bytes());
    let stopped = import(&[]);
    assert_eq!((stopped.code, stopped.stdout.as_str()), (4, ""), "{stopped:?}");
    assert!(
        stopped.stderr.starts_with("stopped: 0 znodes created; with --existing skip it goes on from here\n"),
        "{stopped:?}"
    );
    let skipped = import(&["--existing", "skip", "--output", "json"]);
    let counts: Value = serde_json::from_str(&skipped.stdout).unwrap();
    let expected = json!({"created": 0, "overwritten": 0, "skipped": 2, "ephemeral": 0, "dry_run": false});
    assert_eq!(counts, expected);
    assert_eq!(cli.prints(&["get", "/app/a"]), "2");
    let overwritten = import(&["--existing", "overwrite"]);
    assert_eq!((overwritten.code, overwritten.stderr.as_str()), (0, "0 znodes created, 2 overwritten\n"));
    assert_eq!(cli.prints(&["get", "/app/a"]), "1");
}

#[test]
fn a_file_that_is_not_whole_is_refused_before_anything_is_created() {
    let server = Server::start();
    let cli = Cli::of(&server);
    cli.prints(&["create", "-p", "/app/a", "1"]);
    let export = cli.prints(&["export", "/app"]);
    cli.prints(&["deleteall", "/app", "-y"]);
    let lines: Vec<&str> = export.lines().collect();
    let cut = lines[..lines.len() - 1].join("\n");
    let incomplete = [lines[0], lines[1], lines[3]].join("\n");
    // What lies elsewhere than the export says would surprise whoever imports it.
    let stray = export.replace("\"/app/a\"", "\"/etc/a\"");
    for broken in ["", "garbage", cut.as_str(), incomplete.as_str(), stray.as_str(), &export[..export.len() / 2]] {
        let ran = cli.run_with(&["import", "-"], broken.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{broken:?}: {ran:?}");
        assert!(ran.stderr.starts_with("quorate: -: "), "{broken:?}: {ran:?}");
        assert_eq!(cli.prints(&["ls"]), "zookeeper\n", "{broken:?}");
    }
    assert_eq!(cli.run_with(&["import", "-"], export.as_bytes()).code, 0, "the whole one is taken");
}

#[test]
fn an_export_is_one_json_document_if_that_is_wanted_and_leaves_ephemerals_out_unless_they_are() {
    let server = Server::start();
    let cli = Cli::of(&server);
    sample(&cli);
    let mut holding = cli.start(&["create", "-e", "/app/lease"]);
    assert_eq!(holding.line(), "/app/lease");
    let paths = |line: &[&str]| {
        let whole: Value = serde_json::from_str(&cli.prints(line)).unwrap();
        assert_eq!(whole["quorate_export"], json!(1));
        let znodes = whole["znodes"].as_array().unwrap();
        znodes.iter().map(|znode| znode["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let persistent = paths(&["export", "/app", "--format", "json"]);
    assert_eq!((persistent.len(), persistent[0].as_str()), (8, "/app"));
    assert!(!persistent.contains(&"/app/lease".to_owned()));
    assert!(paths(&["export", "/app", "--format", "json", "--ephemerals"]).contains(&"/app/lease".to_owned()));
    assert!(paths(&["export", "--format", "json"]).iter().all(|path| !path.starts_with("/zookeeper")));

    // Nobody would own what is imported: it is left out, and counted.
    let with_ephemerals = cli.prints(&["export", "/app", "--ephemerals"]);
    let imported = cli.run_with(&["import", "-", "--to", "/copy"], with_ephemerals.as_bytes());
    assert_eq!((imported.code, imported.stderr.as_str()), (0, "8 znodes created, 1 ephemeral left out\n"));
}
