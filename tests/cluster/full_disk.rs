//! A full disk stops writes and nothing else, and not for longer than it is full.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use quorate_tests::harness::{Rest, Server, ServerOptions};
use quorate_tests::report;

/// Room for some segments.
const DISK_BYTES: usize = 192 * 1024 * 1024;

/// What is written until the disk is full.
const DATA_BYTES: usize = 200_000;

/// How soon writes have to be accepted when there is room again: the server looks five times a second.
const WRITABLE_AFTER_MAX: Duration = Duration::from_secs(3);

/// Where the small file system is, as the process that holds it sees it.
const MOUNT_POINT: &str = "/mnt";

/// A file system of its own, in memory.
///
/// It is mounted in a namespace of its own, which needs no other right than to make one, and it is there as long as the
/// process that has made it. Others reach it through that process.
struct SmallDisk {
    holder: Child,
    path: PathBuf,
}

impl SmallDisk {
    fn mount() -> SmallDisk {
        // Some containers let nobody make a user namespace, but root mount.
        let ways: [&[&str]; 2] = [&["--map-root-user", "--mount"], &["--mount"]];
        let held = ways.iter().find_map(|flags| SmallDisk::hold(flags));
        held.expect("this test has to mount a small file system: it needs user namespaces, or the right to mount")
    }

    /// Unless these flags of `unshare` do not suffice.
    fn hold(flags: &[&str]) -> Option<SmallDisk> {
        let script = format!("mount -t tmpfs -o size={DISK_BYTES} tmpfs {MOUNT_POINT} && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` runs");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().expect("stdout is a pipe")).read_line(&mut said).unwrap();
        let path = PathBuf::from(format!("/proc/{}/root{MOUNT_POINT}", holder.id()));
        let disk = SmallDisk { holder, path };
        (said == "mounted\n").then_some(disk)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended already; with its input it ends by itself, should this process be killed.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_serves_reads_until_there_is_room() {
    let disk = SmallDisk::mount();
    let ballast = ballast(disk.path());
    let arguments = ["--segment-bytes", "16MiB"].map(str::to_owned).to_vec();
    let data_dir = Some(disk.path().join("data"));
    let mut server = Server::start_with(ServerOptions { data_dir, arguments, ..ServerOptions::default() });
    let before = server.stats();
    let rest = server.rest();
    rest.put("/v1/znodes/full", "").await.unwrap();
    let session = Session::open(&rest).await;
    session.create(&rest, "/v1/znodes/fleeting").await;

    let written = write_until_full(&rest, 0).await;
    check_all(&rest, written).await;
    // Reads go on, writes are refused again and again.
    for _ in 0..20 {
        let refused = rest.put("/v1/znodes/full/more", "x").await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.reason().as_str()), (507, "DISK_FULL"));
    }
    let readiness = rest.get("/readyz").await.unwrap();
    assert_eq!(readiness.status, 503);
    assert!(readiness.json()["detail"].to_string().contains("its disk is full"), "{readiness:?}");
    // What holds things for others can still be given back.
    session.close(&rest).await;
    assert_eq!(rest.get("/v1/znodes/fleeting").await.unwrap().status, 404, "a session has ended, its znode has not");
    let during = server.stats();

    std::fs::remove_file(ballast).unwrap();
    let took = until_writable(&rest).await;
    server.kill();
    server.restart();
    let rest = server.rest();
    check_all(&rest, written).await;
    assert_eq!(rest.get("/v1/znodes/fleeting").await.unwrap().status, 404, "the end of a session was not durable");
    let more = write_until_full(&rest, written).await;
    check_all(&rest, more).await;
    // A restart on a full disk comes up, for reads at least.
    server.kill();
    server.restart();
    check_all(&server.rest(), more).await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
    report::note(&format!(
        "full disk: {written} znodes until it was full, writable again {} ms after there was room, {more} in the end; \
         before: {before}; during: {during}; after: {}",
        took.as_millis(),
        server.stats()
    ));
}

/// A session, by HTTP.
struct Session {
    id: String,
    secret: String,
}

impl Session {
    /// Opens one that outlives the test unless it is closed.
    async fn open(rest: &Rest) -> Session {
        let json = [("content-type", "application/json")];
        let opened = rest.send(Method::POST, "/v1/sessions", &json, "{\"timeout_ms\":300000}").await.unwrap().json();
        let text = |name: &str| opened[name].as_str().unwrap().to_owned();
        Session { id: text("session_id"), secret: text("secret") }
    }

    async fn create(&self, rest: &Rest, target: &str) {
        let headers = [("quorate-session", &*self.id), ("quorate-session-secret", &*self.secret)];
        let created = rest.send(Method::POST, &format!("{target}?mode=ephemeral"), &headers, "").await.unwrap();
        assert_eq!(created.status, 201, "{}", created.json());
    }

    async fn close(self, rest: &Rest) {
        let target = format!("/v1/sessions/{}", self.id);
        let headers = [("quorate-session-secret", &*self.secret)];
        let closed = rest.send(Method::DELETE, &target, &headers, "").await.unwrap();
        assert_eq!(closed.status, 204, "{}", closed.reason());
    }
}

/// Takes half of the disk away.
fn ballast(disk: &Path) -> PathBuf {
    let path = disk.join("ballast");
    File::create(&path).unwrap().write_all(&vec![0; DISK_BYTES / 2]).unwrap();
    path
}

/// Creates znodes, counted from `from`, until there is no room. What was refused does not exist.
async fn write_until_full(rest: &Rest, from: usize) -> usize {
    for number in from.. {
        let answer = rest.put(&target(number), data(number)).await.unwrap();
        if answer.status.is_success() {
            assert!(number * DATA_BYTES < 2 * DISK_BYTES, "the disk does not fill up");
            continue;
        }
        assert_eq!((answer.status.as_u16(), answer.reason().as_str()), (507, "DISK_FULL"));
        assert_eq!(rest.get(&target(number)).await.unwrap().status, 404, "what was refused is there");
        return number;
    }
    unreachable!("the disk is finite")
}

async fn check_all(rest: &Rest, count: usize) {
    for number in 0..count {
        let answer = rest.get(&target(number)).await.unwrap();
        assert!(answer.status.is_success() && answer.body == data(number), "znode {number}: {}", answer.status);
    }
}

async fn until_writable(rest: &Rest) -> Duration {
    let began = Instant::now();
    while !rest.put("/v1/znodes/full", "again").await.unwrap().status.is_success() {
        assert!(began.elapsed() < WRITABLE_AFTER_MAX, "there is room, but writes are still refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

fn target(number: usize) -> String {
    format!("/v1/znodes/full-{number}")
}

fn data(number: usize) -> Vec<u8> {
    let mut data = vec![b'.'; DATA_BYTES];
    let text = number.to_string();
    data[..text.len()].copy_from_slice(text.as_bytes());
    data
}
