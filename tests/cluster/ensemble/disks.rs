//! Servers of an ensemble whose disks fail, hang, are slow or full: as long as a quorum has good disks, nobody has to
//! wait for the others for long, and these catch up when they can.

use std::time::{Duration, Instant};

use quorate_client::{Client, Reason};
use quorate_tests::harness::{Ensemble, EnsembleOptions, Files, Pulse, longest_gap};
use quorate_tests::report;

use super::{PATIENCE, client, read};

/// What a process ends with because of its storage device (`EX_IOERR`).
const EXIT_IO_ERROR: i32 = 74;

/// A leader whose disk has done nothing for two seconds gives up. Besides that, an election; the machine may be busy.
const REPLACED_AFTER_MAX: Duration = Duration::from_secs(8);

/// How slow a slow disk is. Longer than the silence after which servers give each other up.
const SLOW_SYNC: Duration = Duration::from_millis(700);

/// Small, so that a full disk is noticed soon.
const SEGMENTS: [&str; 2] = ["--segment-bytes", "1MiB"];

/// What is written until a disk is full.
const DATA_BYTES: usize = 100_000;
const WRITTEN: u32 = 40;

async fn start() -> (Ensemble, u8) {
    let arguments = SEGMENTS.map(str::to_owned).to_vec();
    let ensemble = Ensemble::start_with(EnsembleOptions { arguments, has_faults: true, ..EnsembleOptions::default() });
    let leader = ensemble.leader().await;
    ensemble.serving(&[1, 2, 3]).await;
    (ensemble, leader)
}

/// More than a server has reserved room for.
async fn write_much(writer: &Client) -> Result<(), quorate_client::Error> {
    for number in 0..WRITTEN {
        writer.set(format!("/much-{}", number % 10), vec![b'x'; DATA_BYTES]).upsert().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_leader_whose_log_fails_ends_and_another_one_leads() {
    let (mut ensemble, leader) = start().await;
    let writer = client(&ensemble, &[1, 2, 3]);
    writer.create("/value", "0").await.unwrap();
    for number in 1..4 {
        let leader = ensemble.leader().await;
        ensemble.server(leader).faults().fail_next_sync(Files::LOG);
        writer.set("/value", number.to_string()).await.unwrap();
        let status = ensemble.wait_for_end(leader);
        assert_eq!(status.code(), Some(EXIT_IO_ERROR), "{}", ensemble.server(leader).log());
        assert!(ensemble.server(leader).log().contains("the storage device has failed"));
        assert_eq!(read(&writer, "/value").await.unwrap(), number.to_string());
        ensemble.restart(leader);
        ensemble.serving(&[1, 2, 3]).await;
    }
    assert!(ensemble.server(leader).faults().counts().failed > 0);
    ensemble.agreed().await;
}

#[tokio::test]
async fn a_leader_whose_disk_hangs_is_replaced() {
    let (ensemble, leader) = start().await;
    let others = ensemble.others(leader);
    let pulse = |id: &u8| Pulse::through(ensemble.server(*id).address("grpc"), &format!("/pulse-{id}"));
    let pulses: Vec<Pulse> = others.iter().map(pulse).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let from = Instant::now();
    ensemble.server(leader).faults().hang(Files::ALL);
    let successor = ensemble.wait_for("another leader", async || ensemble.leader_now(&others).await).await;
    let replaced = from.elapsed();
    client(&ensemble, &others).set("/value", "meanwhile").upsert().await.unwrap();
    let to = Instant::now();
    assert!(others.contains(&successor) && replaced < REPLACED_AFTER_MAX, "replaced after {replaced:?}");
    let mut gap = Duration::ZERO;
    for pulse in pulses {
        gap = gap.max(longest_gap(&pulse.stop().await, from, to));
    }
    assert!(ensemble.server(leader).faults().counts().held_up > 0);
    ensemble.server(leader).faults().mend_disk();
    ensemble.serving(&[leader]).await;
    ensemble.agreed().await;
    assert_eq!(read(&client(&ensemble, &[leader]), "/value").await.unwrap(), "meanwhile");
    report::note(&format!(
        "disks: a leader whose disk hangs is replaced after {} ms, {} ms without a write",
        replaced.as_millis(),
        gap.as_millis()
    ));
}

#[tokio::test]
async fn a_follower_whose_disk_is_slow_or_hangs_holds_up_nobody() {
    let (ensemble, leader) = start().await;
    let slow = ensemble.others(leader)[0];
    let writer = client(&ensemble, &ensemble.others(slow));
    writer.create("/value", "0").await.unwrap();
    ensemble.server(slow).faults().slow_down(SLOW_SYNC, Duration::ZERO);
    let epoch = ensemble.status(leader).await.unwrap().header.epoch;
    let (began, mut written) = (Instant::now(), 0);
    while began.elapsed() < 4 * SLOW_SYNC {
        written += 1;
        writer.set("/value", written.to_string()).await.unwrap();
    }
    assert!(written > 20, "only {written} writes while the slow disk has synced four times");
    ensemble.server(slow).faults().mend_disk();
    ensemble.agreed().await;
    ensemble.server(slow).faults().hang(Files::LOG);
    for number in written..written + 100 {
        writer.set("/value", number.to_string()).await.unwrap();
    }
    // Longer than a leader waits for it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    writer.set("/value", "last").await.unwrap();
    let status = ensemble.status(leader).await.unwrap();
    assert_eq!((status.leader_id, status.header.epoch), (leader.into(), epoch), "the leader was deposed");
    ensemble.server(slow).faults().mend_disk();
    ensemble.serving(&[slow]).await;
    ensemble.agreed().await;
    assert_eq!(read(&client(&ensemble, &[slow]), "/value").await.unwrap(), "last");
}

#[tokio::test]
async fn servers_with_full_disks_do_not_stop_the_others() {
    let (ensemble, leader) = start().await;
    for full in [ensemble.others(leader)[0], leader] {
        let writer = client(&ensemble, &ensemble.others(full));
        ensemble.server(full).faults().fill(Files::ALL);
        let began = Instant::now();
        // A leader refuses first, and then leaves it to those who have room.
        while let Err(refused) = write_much(&writer).await {
            assert_eq!((refused.reason(), full), (Reason::DiskFull, leader), "{refused:?}");
            assert!(began.elapsed() < PATIENCE, "a full disk of one server stops all of them: {refused:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let took = began.elapsed();
        let (status, counts) = (ensemble.status(full).await.unwrap(), ensemble.server(full).faults().counts());
        assert!(status.disk_full && counts.refused > 0, "{status:?}, {counts:?}");
        ensemble.server(full).faults().mend_disk();
        ensemble.serving(&[1, 2, 3]).await;
        ensemble.agreed().await;
        let role = if full == leader { "leader" } else { "follower" };
        report::note(&format!("disks: with a full {role}, {WRITTEN} large writes in {} ms", took.as_millis()));
    }
}

#[tokio::test]
async fn an_ensemble_whose_disks_are_all_full_goes_on_reading_until_there_is_room() {
    let (ensemble, leader) = start().await;
    let writer = client(&ensemble, &[leader]);
    writer.create("/value", "kept").await.unwrap();
    ensemble.ids().for_each(|id| ensemble.server(id).faults().fill(Files::ALL));
    let began = Instant::now();
    let refused = loop {
        assert!(began.elapsed() < PATIENCE, "full disks are not noticed");
        if let Err(refused) = write_much(&writer).await {
            break refused;
        }
    };
    assert_eq!(refused.reason(), Reason::DiskFull, "{refused:?}");
    for id in 1..=3 {
        assert_eq!(read(&client(&ensemble, &[id]), "/value").await.unwrap(), "kept");
    }
    ensemble.ids().for_each(|id| ensemble.server(id).faults().mend_disk());
    ensemble.wait_for("room for writes", async || writer.set("/value", "again").await.ok()).await;
    ensemble.agreed().await;
}
