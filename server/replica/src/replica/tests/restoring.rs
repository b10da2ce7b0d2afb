//! A backup becomes the state: who has to be told, who has to wait, and what another start makes of it.

use quorate_tree::SnapshotEncoder;
use quorate_types::Restore;

use super::*;

/// A backup.
struct Backup {
    bytes: Bytes,
    digest: u128,
    zxid: Zxid,
}

/// That of a server with so many znodes, `/0` and so on, and a session.
fn backup(znodes: u64) -> Backup {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.open_session(1, 1);
    for tag in 0..znodes {
        server.op(1, tag, create(&std::format!("/{tag}"), CreateMode::Persistent));
    }
    server.sync_all();
    let tree = &mut server.replica.tree;
    let mut encoder = SnapshotEncoder::new(tree);
    let bytes = encoder.next_chunk(tree, quorate_types::limits::RESTORE_CHUNK_BYTES_MAX).unwrap();
    assert_eq!(encoder.next_chunk(tree, 1), None, "one chunk is enough for this");
    Backup { bytes, digest: tree.digest(), zxid: tree.applied() }
}

impl Server {
    fn restore(&mut self, step: Restore) -> Response {
        self.op(9, 9, Op::Restore(step));
        self.sync_all();
        self.restored()
    }

    /// The answer to the last step.
    fn restored(&mut self) -> Response {
        let answer = |delivery| match delivery {
            Delivery::Reply { tag: Tag(9), response, .. } => Some(response),
            _ => None,
        };
        let at =
            self.out.outbox.iter().position(|(_, delivery)| matches!(delivery, Delivery::Reply { tag: Tag(9), .. }));
        let (_, delivery) = self.out.outbox.remove(at.expect("an answer"));
        answer(delivery).unwrap()
    }

    /// All but the last step.
    fn gather(&mut self, backup: &Backup) -> Zxid {
        let id = match self.restore(Restore::Begin { backup: backup.zxid }) {
            Ok(Reply::RestoreStep { zxid }) => zxid,
            other => panic!("{other:?}"),
        };
        self.restore(Restore::Chunk { id, index: 0, bytes: backup.bytes.clone() }).unwrap();
        id
    }
}

/// A server with outboxes 1 (ordered) and 9.
fn server() -> Server {
    let mut server = Server::new();
    server.open(1, Order::Fifo);
    server.open(9, Order::None);
    server
}

#[test]
fn sessions_end_and_watches_do_with_the_state_that_they_belong_to() {
    let backup = backup(3);
    let mut server = server();
    let session = server.open_session(1, 1);
    server.request(1, 2, Request { session: Some((session, SECRET)), ..request(create("/e", CreateMode::Ephemeral)) });
    server.op(1, 3, create("/present", CreateMode::Persistent));
    server.sync_all();
    server.open(2, Order::Fifo);
    let attach = Op::AttachSession { exclusive: true };
    server.request(2, 1, Request { session: Some((session, SECRET)), ..request(attach) });
    server.open(3, Order::None);
    let watch = StreamWatch {
        id: WatchId(5),
        path: path("/"),
        scope: WatchScope::Recursive,
        start: None,
        send_initial: false,
        with_data: false,
        with_previous_data: false,
        exclude: Default::default(),
        progress_ms: 0,
    };
    server.op(3, 1, Op::Watch(WatchOp::Create(watch)));
    let id = server.gather(&backup);
    server.deliveries();
    server.op(9, 9, Op::Restore(Restore::Finish { id, digest: backup.digest }));
    server.sync_all();
    let zxid = server.replica.tree().applied();
    assert_eq!(server.restored(), Ok(Reply::RestoreStep { zxid }));
    let told = std::mem::take(&mut server.out.outbox);
    let expired = (OutboxId(2), Delivery::Session { id: session, end: SessionEnd::Expired });
    assert!(told.contains(&expired), "{told:?}");
    let is_canceled = |(outbox, delivery): &(OutboxId, Delivery)| match delivery {
        Delivery::Watch { item: WatchItem::Canceled { error: Some(error), compacted, .. }, .. } => {
            (*outbox, error.code(), *compacted) == (OutboxId(3), Code::Compacted, Some(zxid))
        }
        _ => false,
    };
    assert!(told.iter().any(is_canceled), "{told:?}");
    let tree = server.replica.tree();
    assert_eq!((tree.session_count(), tree.stat("/e"), tree.stat("/present")), (0, None, None));
    assert!(tree.stat("/2").is_some());
    // Whoever spoke for the session is not listened to any more.
    server.op(2, 7, get("/2"));
    assert_eq!(server.replies(), [(7, Some(Code::SessionExpired))]);
}

#[test]
fn writes_wait_while_it_is_open_what_the_state_will_be() {
    let backup = backup(3);
    let mut server = server();
    let id = server.gather(&backup);
    server.op(1, 1, create("/before", CreateMode::Persistent));
    server.op(9, 9, Op::Restore(Restore::Finish { id, digest: backup.digest }));
    let submitted = server.submitted.len();
    server.op(1, 2, create("/0", CreateMode::Persistent));
    server.op(1, 3, create("/after", CreateMode::Persistent));
    assert_eq!(server.submitted.len(), submitted, "neither can be decided yet");
    server.sync_all();
    server.restored().unwrap();
    assert_eq!(server.replies(), [(1, None), (2, Some(Code::NodeExists)), (3, None)]);
    let has = |path| server.replica.tree().stat(path).is_some();
    assert!(!has("/before") && has("/0") && has("/after"));
}

#[test]
fn a_backup_from_a_later_zxid_is_restored_in_a_later_epoch() {
    let backup = backup(20);
    let mut server = server();
    assert!(server.replica.tree().applied() < backup.zxid);
    let id = server.gather(&backup);
    assert!(id > backup.zxid && id.epoch() == Epoch(2), "{id}");
    server.restore(Restore::Finish { id, digest: backup.digest }).unwrap();
    assert!(server.replica.tree().stat("/19").is_some());
    let refused = server.restore(Restore::Begin { backup: Zxid::new(Epoch(u32::MAX - 1), 7) });
    assert_eq!(refused.unwrap_err().code(), Code::BadArguments);
    assert!(server.replica.status().serving);
}

#[test]
fn a_restore_that_nobody_goes_on_with_is_given_up() {
    let backup = backup(3);
    let mut server = server();
    let id = server.gather(&backup);
    server.pass(limits::RESTORE_SILENCE_MS - 1_000);
    assert_eq!(server.replica.tree().restoring(), Some(id));
    server.pass(2_000);
    assert_eq!(server.replica.tree().restoring(), None);
    let late = server.restore(Restore::Finish { id, digest: backup.digest });
    assert_eq!(late.unwrap_err().code(), Code::Unavailable);
}

#[test]
fn no_snapshot_is_taken_of_a_state_with_a_restore_in_it() {
    let backup = backup(3);
    let mut server = server();
    server.op(9, 1, Op::Snapshot);
    let id = server.gather(&backup);
    assert!(server.write_snapshot().is_some(), "one that began before is finished");
    let zxid = server.replica.tree().applied();
    server.op(9, 2, Op::Snapshot);
    server.snapshot_written(zxid);
    let in_progress = Some(Code::RestoreInProgress);
    assert!(server.replies().contains(&(2, in_progress)));
    server.restore(Restore::Finish { id, digest: backup.digest }).unwrap();
    server.op(9, 3, Op::Snapshot);
    assert_eq!(server.write_snapshot(), Some(server.replica.tree().applied()));
}

#[test]
fn a_snapshot_that_is_being_written_is_given_up_when_the_state_is_replaced() {
    let backup = backup(3);
    let mut server = server();
    server.op(9, 1, Op::Snapshot);
    let id = server.gather(&backup);
    assert!(!server.out.snapshot.is_empty(), "it has begun");
    server.out.snapshot.clear();
    server.restore(Restore::Finish { id, digest: backup.digest }).unwrap();
    // The writer still answers for the chunk of the old one.
    server.step(Input::Disk(DiskInput::SnapshotReady));
    let zxid = server.write_snapshot().unwrap();
    assert_eq!(zxid, server.replica.tree().applied(), "whoever waited gets the state that is there now");
    server.snapshot_written(zxid);
    assert_eq!(server.replies(), [(1, None)]);
}

#[test]
fn another_start_comes_to_the_same_state_however_far_the_restore_was() {
    let backup = backup(3);
    let mut server = server();
    server.op(1, 1, create("/present", CreateMode::Persistent));
    server.sync_all();
    let id = server.gather(&backup);
    let gathered = server.log.clone();
    server.restore(Restore::Finish { id, digest: backup.digest }).unwrap();
    server.op(1, 2, create("/later", CreateMode::Persistent));
    server.sync_all();
    let (digest, promise) = (server.replica.tree().digest(), server.promise);
    let restarted = Server::starting(config(), server.log, promise, Zxid::ZERO);
    assert_eq!(restarted.replica.tree().digest(), digest);
    assert!(restarted.replica.status().history >= id, "nobody resumes from before it");

    let mut restarted = Server::starting(config(), gathered, promise, Zxid::ZERO);
    restarted.sync_all();
    assert_eq!(restarted.replica.tree().restoring(), None, "it died with the epoch");
    assert!(restarted.replica.tree().stat("/present").is_some());
    restarted.open(9, Order::None);
    let late = restarted.restore(Restore::Finish { id, digest: backup.digest });
    assert_eq!(late.unwrap_err().code(), Code::Unavailable);
}
