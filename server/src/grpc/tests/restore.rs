//! `ClusterService.Restore`: a file becomes steps, or nothing.

use bytes::Bytes;
use quorate_proto::v1;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::restore_request::Part;
use quorate_storage::{Options, Position, RealDisk, Salt, SnapshotFooter, SnapshotHeader, Storage};
use quorate_types::{ClusterId, Code, Error, Op, Reply, Restore, ServerId, Zxid};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::script::{CLUSTER, Client, Script};

const BACKUP: Zxid = Zxid(0x1_0000_0005);
const ID: Zxid = Zxid(0x1_0000_0009);
const DIGEST: u128 = 7 << 100 | 9;

/// A snapshot file of an ensemble: three chunks that say nothing.
fn file(cluster_id: ClusterId) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(dir.path()).unwrap();
    Storage::initialize(disk.clone(), cluster_id, ServerId(1), quorate_storage::Standing::Voter, Salt(1)).unwrap();
    let (storage, _) = Storage::open(disk, &Options::default()).unwrap();
    let position = Position { zxid: BACKUP, chain: 3 };
    let header = SnapshotHeader { cluster_id, position, epochs: vec![(BACKUP.epoch(), 5)], config: Bytes::new() };
    let mut writer = storage.snapshots.begin(&header).unwrap();
    for byte in *b"abc" {
        writer.chunk(&Bytes::from(vec![byte; 1_000])).unwrap();
    }
    writer.finish(&SnapshotFooter { digest: DIGEST, counts: [0; 4] }, || true).unwrap().unwrap();
    let mut copy = storage.snapshots.dir().copy(BACKUP).unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = copy.next_piece().unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// What the client is answered, and the steps that the core was asked for, each of which it takes as `answer` says.
async fn restore(
    parts: Vec<Part>,
    steps: usize,
    answer: impl Fn(&Restore) -> Result<Reply, Error>,
) -> (Result<v1::RestoreResponse, Status>, Vec<Restore>) {
    let (mut script, client) = Script::connected().await;
    let mut cluster: ClusterServiceClient<Client> = ClusterServiceClient::new(client);
    let replica = async {
        let mut taken = Vec::new();
        for _ in 0..steps {
            let (tag, request) = script.call().await;
            let Op::Restore(step) = request.op else { panic!("{:?}", request.op) };
            script.answer(tag, ID, answer(&step));
            taken.push(step);
        }
        taken
    };
    let requests = parts.into_iter().map(|part| v1::RestoreRequest { part: Some(part) });
    let (response, taken) = tokio::join!(cluster.restore(tokio_stream::iter(requests)), replica);
    (response.map(tonic::Response::into_inner), taken)
}

fn pieces(file: &[u8]) -> Vec<Part> {
    file.chunks(700).map(|piece| Part::Piece(Bytes::copy_from_slice(piece))).collect()
}

fn done(_: &Restore) -> Result<Reply, Error> {
    Ok(Reply::RestoreStep { zxid: ID })
}

#[tokio::test]
async fn a_file_goes_to_the_core_in_steps() {
    let (response, steps) = restore(pieces(&file(CLUSTER)), 3, done).await;
    let response = response.unwrap();
    assert_eq!((response.zxid, response.backup_zxid), (ID.0, BACKUP.0));
    let [begin, Restore::Chunk { id: ID, index: 0, bytes }, finish] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((begin, finish), (&Restore::Begin { backup: BACKUP }, &Restore::Finish { id: ID, digest: DIGEST }));
    let content = [[b'a'; 1_000], [b'b'; 1_000], [b'c'; 1_000]].concat();
    assert_eq!(bytes, &content);
}

#[tokio::test]
async fn what_fails_is_given_up_at_once() {
    let whole = file(CLUSTER);
    let abort = Restore::Abort { id: ID };
    let check = async |parts, code: tonic::Code, part: &str, steps: &[Restore]| {
        let (response, taken) = restore(parts, steps.len(), done).await;
        let status = response.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(part), "{status:?}");
        assert_eq!(taken, steps);
    };
    let begun = [Restore::Begin { backup: BACKUP }, abort.clone()];
    let invalid = tonic::Code::InvalidArgument;
    let mut damaged = whole.clone();
    damaged[2_000] ^= 1;
    check(pieces(&damaged), invalid, "does not match its checksum", &begun).await;
    check(pieces(&whole[..whole.len() - 1]), invalid, "before its end", &begun).await;
    check(Vec::new(), invalid, "before its end", &[]).await;
    check(pieces(&file(ClusterId(9))), invalid, "`force_cluster`", &[]).await;
    let late = [pieces(&whole)[..1].to_vec(), vec![Part::Head(v1::RestoreHead::default())]].concat();
    check(late, invalid, "it comes first", &begun).await;

    let refused = |step: &Restore| match step {
        Restore::Begin { .. } => Err(Error::new(Code::RestoreInProgress, "busy")),
        _ => panic!("{step:?}"),
    };
    let (response, _) = restore(pieces(&whole), 1, refused).await;
    let details = response.unwrap_err().get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "RESTORE_IN_PROGRESS");
}

#[tokio::test]
async fn the_backup_of_another_ensemble_has_to_be_meant() {
    let forced = Part::Head(v1::RestoreHead { force_cluster: true });
    let parts = [vec![forced], pieces(&file(ClusterId(9)))].concat();
    assert!(restore(parts, 3, done).await.0.is_ok());
}

#[tokio::test]
async fn one_backup_at_a_time_is_heard() {
    let (mut script, client) = Script::connected().await;
    let mut cluster: ClusterServiceClient<Client> = ClusterServiceClient::new(client);
    let mut other = cluster.clone();
    let waits = tokio_stream::StreamExt::chain(
        tokio_stream::iter(pieces(&file(CLUSTER)).into_iter().map(|part| v1::RestoreRequest { part: Some(part) })),
        tokio_stream::pending(),
    );
    let first = tokio::spawn(async move { cluster.restore(waits).await });
    let (tag, _) = script.call().await;
    script.answer(tag, ID, done(&Restore::Abort { id: ID }));
    let refused = other.restore(tokio_stream::empty()).await.unwrap_err();
    super::check_status(&refused, tonic::Code::Aborted, "RESTORE_IN_PROGRESS");
    // Whoever goes away makes room.
    first.abort();
    while let Err(refused) = other.restore(tokio_stream::empty()).await {
        if refused.code() != tonic::Code::Aborted {
            return assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
        tokio::task::yield_now().await;
    }
    panic!("nothing was restored");
}
