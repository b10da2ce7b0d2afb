//! `backup` and `snapshot inspect`: a state leaves as a file, exactly, and a file that is not whole is not taken for one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_client::Client;
use quorate_storage::{SnapshotParser, SnapshotPart};
use quorate_tests::harness::Server;
use quorate_tree::{SnapshotDecoder, Tree};

use super::{Cli, zxid};

/// What a file holds, read as a server reads it.
fn state(file: &Path) -> Tree {
    let (mut parser, mut decoder) = (SnapshotParser::default(), SnapshotDecoder::new(1));
    parser.push(&std::fs::read(file).unwrap());
    while let Some(part) = parser.next().unwrap() {
        if let SnapshotPart::Chunk(chunk) = part {
            decoder.push(&chunk).unwrap();
        }
    }
    parser.finish().unwrap();
    decoder.finish().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Counts in `/count`, and creates a znode for each count, until told to stop: which count was made by which txn.
async fn count(address: String, stop: Arc<AtomicBool>) -> BTreeMap<u64, u64> {
    let client = Client::builder().addresses([address]).build();
    client.create("/count", "0").await.unwrap();
    let mut counts = BTreeMap::new();
    for count in 1.. {
        let multi = client.multi().add(client.set("/count", count.to_string()));
        multi.add(client.create(format!("/n{count}"), "")).await.unwrap().into_result().unwrap();
        counts.insert(client.exists("/count").await.unwrap().stat.unwrap().mzxid, count);
        if stop.load(Ordering::Relaxed) {
            return counts;
        }
    }
    unreachable!("nobody counts so far")
}

#[test]
fn a_backup_shows_one_moment_while_others_go_on_writing() {
    let server = Server::start();
    let (cli, dir) = (Cli::of(&server), tempfile::tempdir().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let counting = count(server.address("grpc").to_owned(), Arc::clone(&stop));
    let counting = std::thread::spawn(|| runtime().block_on(counting));
    let mut states = Vec::new();
    for number in 0..3 {
        let file = dir.path().join(format!("{number}.snapshot"));
        let printed = cli.json(&["backup", file.to_str().unwrap()]);
        let state = state(&file);
        assert_eq!(zxid(&printed["zxid"]), state.applied().0);
        assert_eq!(printed["digest"], format!("{:032x}", state.digest()));
        assert_eq!(printed["znodes"], state.znode_count());
        let inspected = cli.json(&["snapshot", "inspect", file.to_str().unwrap()]);
        assert_eq!(printed, inspected, "whoever looks at the file finds what was said of it");
        states.push(state);
        std::thread::sleep(Duration::from_millis(30));
    }
    assert_eq!(files(dir.path()).len(), 3, "nothing else is left");
    stop.store(true, Ordering::Relaxed);
    let counts = counting.join().unwrap();
    for state in &states {
        let made = counts.range(..=state.applied().0).next_back().map_or(0, |(_, count)| *count);
        let root = state.stat("/").unwrap();
        let data = state.data(&quorate_types::Path::new("/count").unwrap());
        let counted: u64 = data.map_or(0, |data| std::str::from_utf8(&data.unwrap()).unwrap().parse().unwrap());
        // `/zookeeper` is always there, `/count` from the beginning of the count on.
        let expected = made + 1 + u64::from(state.stat("/count").is_some());
        assert_eq!((counted, u64::from(root.num_children)), (made, expected), "at {}", state.applied());
    }
    assert!(states.last().unwrap().applied() > states[0].applied(), "nobody wrote meanwhile");
    // At rest a backup is what the server has, and another one is the same.
    let (file, again) = (dir.path().join("rest"), dir.path().join("again"));
    cli.prints(&["backup", file.to_str().unwrap()]);
    assert_eq!(cli.json(&["status"])["digest"], format!("{:032x}", state(&file).digest()));
    let got = runtime().block_on(server.rest().get("/v1/cluster/snapshot")).unwrap();
    std::fs::write(&again, &got.body).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), got.body, "by whichever door");
}

#[test]
fn a_backup_replaces_nothing_unasked_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start();
    let (cli, dir) = (Cli::of(&server), tempfile::tempdir().unwrap());
    let file = dir.path().join("b");
    let file = file.to_str().unwrap();
    std::fs::write(file, "precious").unwrap();
    cli.fails(&["backup", file], 1, &format!("quorate: {file} is there already; --force replaces it\n"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "precious");
    let printed = cli.prints(&["backup", file, "--force"]);
    assert!(printed.starts_with(&format!("file     {file} (")), "{printed}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let piped = cli.command(&["backup", "-"]).output().unwrap();
    assert_eq!(piped.stdout, std::fs::read(file).unwrap());
    assert!(String::from_utf8(piped.stderr).unwrap().contains("zxid     0x1"));
}

#[test]
fn damage_is_found_where_it_is() {
    let server = Server::start();
    let (cli, dir) = (Cli::of(&server), tempfile::tempdir().unwrap());
    cli.prints(&["create", "/a", "some data"]);
    let file = dir.path().join("b");
    let file = file.to_str().unwrap();
    cli.prints(&["backup", file]);
    let whole = std::fs::read(file).unwrap();
    let check = |bytes: &[u8], message: &str| {
        std::fs::write(file, bytes).unwrap();
        cli.fails(&["snapshot", "inspect", file], 1, &format!("quorate: {file}: it is damaged at offset {message}\n"));
    };
    let mut changed = whole.clone();
    changed[whole.len() - 100] ^= 1;
    let content = whole.windows(4).position(|tag| tag == b"CHNK").unwrap();
    check(&changed, &format!("{content}: the chunk does not match its checksum"));
    check(&whole[..whole.len() - 1], &format!("{}: it ends there, before its end", whole.len() - 1));
    check(b"quorate_export", "14: it ends there, before its end");
    check(&[b'x'; 100], "0: no snapshot of a known format begins here");
    let named = cli.run_with(&["snapshot", "inspect", "-", "--output", "json"], &whole);
    assert_eq!(named.code, 0, "{named:?}");
}

#[test]
fn a_backup_that_fails_leaves_nothing_behind() {
    let mut server = Server::start();
    let (cli, dir) = (Cli::of(&server), tempfile::tempdir().unwrap());
    // So much that it takes a while to be written.
    let large = "x".repeat(1_000_000);
    for number in 0..16 {
        assert_eq!(cli.run_with(&["create", &format!("/{number}"), "-"], large.as_bytes()).code, 0);
    }
    let file = dir.path().join("b");
    let backup = cli.start(&["backup", file.to_str().unwrap()]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while files(dir.path()).is_empty() {
        assert!(Instant::now() < deadline, "it never begins");
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    let ran = backup.end();
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(files(dir.path()).is_empty(), "{ran:?}");

    server.restart();
    let cli = Cli::of(&server);
    let backup = cli.start(&["backup", file.to_str().unwrap()]);
    while files(dir.path()).is_empty() {
        assert!(Instant::now() < deadline, "it never begins");
        std::thread::sleep(Duration::from_millis(1));
    }
    backup.terminate();
    let ran = backup.end();
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "quorate: SIGTERM: nothing was written\n"));
    assert!(files(dir.path()).is_empty());
}
