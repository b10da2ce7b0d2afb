//! A full disk stops writes and nothing else, and not for longer than it is full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use quorate_tests::harness::{Rest, Server, ServerOptions};
use quorate_tests::report;

/// Room for some segments.
const DISK_BYTES: usize = 192 * 1024 * 1024;

/// What is written until the disk is full.
const DATA_BYTES: usize = 200_000;

/// How soon writes have to be accepted when there is room again: the server looks five times a second.
const WRITABLE_AFTER_MAX: Duration = Duration::from_secs(3);

/// A file system of its own, in memory.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// Needs the right to mount, as root has it (in a container with `CAP_SYS_ADMIN`, too).
    fn mount() -> SmallDisk {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_BYTES}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output().unwrap();
        let complaint = String::from_utf8_lossy(&mount.stderr).into_owned();
        assert!(mount.status.success(), "this test has to mount a small file system, so run it as root: {complaint}");
        SmallDisk { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may still be ending.
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
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

    let written = write_until_full(&rest, 0).await;
    check_all(&rest, written).await;
    // Reads go on, writes are refused again and again, sessions can still end.
    for _ in 0..20 {
        let refused = rest.put("/v1/znodes/full/more", "x").await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.reason().as_str()), (507, "DISK_FULL"));
    }
    let during = server.stats();

    std::fs::remove_file(ballast).unwrap();
    let took = until_writable(&rest).await;
    server.kill();
    server.restart();
    let rest = server.rest();
    check_all(&rest, written).await;
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
