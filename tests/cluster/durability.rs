//! A server that is killed again and again keeps every write that it acknowledged, none that it refused, and those
//! of which the client does not know at most once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quorate_proto::v1;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::set_data_request::Precondition;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::Server;
use quorate_tests::report;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use super::random::Random;
use super::tracked::{Doors, Signpost};

const KILLS: usize = 50;
const CLIENTS: usize = 8;

/// What a client knows of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Refused,
    Unknown,
}

/// A write, by the data that nobody else writes.
struct Write {
    token: String,
    fate: Fate,
}

/// What one client did. Each write was sent once.
#[derive(Default)]
struct Diary {
    /// Sequential creates, whose effects would show if they were made twice.
    creates: Vec<Write>,
    /// Where acknowledged creates said that they were made.
    paths: BTreeMap<String, String>,
    /// Changes of one register, in order.
    sets: Vec<Write>,
}

#[tokio::test]
async fn acknowledged_writes_survive_every_kill() {
    let mut random = Random::new("durability");
    let mut server = Server::start();
    let (signpost, doors) = Signpost::new(&server);
    prepare(&server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let newest = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(number, doors.clone(), Arc::clone(&stop), Arc::clone(&newest))))
        .collect();
    let kills = KILLS * report::scale();
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.between(5, 250))).await;
        let acknowledged = newest.load(Ordering::SeqCst);
        server.kill();
        server.restart();
        let applied = applied_zxid(server.grpc().await).await;
        assert!(applied >= acknowledged, "{acknowledged:#x} was acknowledged, after the kill there is {applied:#x}");
        signpost.update(&server);
    }
    stop.store(true, Ordering::SeqCst);
    let mut diaries = Vec::new();
    for client in clients {
        diaries.push(client.await.unwrap());
    }
    server.kill();
    server.restart();
    let tally = check(&server, &diaries).await;
    report::note(&format!("durability: {kills} kills, {tally}"));
}

async fn prepare(server: &Server) {
    let mut znodes = ZnodeServiceClient::new(server.grpc().await);
    for number in 0..CLIENTS {
        let path = format!("/durability/{number}/register");
        let request = v1::CreateRequest { path, create_parents: true, ..v1::CreateRequest::default() };
        znodes.create(request).await.unwrap();
    }
}

async fn applied_zxid(channel: Channel) -> u64 {
    let status = ClusterServiceClient::new(channel).status(v1::StatusRequest {}).await.unwrap().into_inner();
    status.header.unwrap().zxid
}

async fn client(number: usize, doors: Doors, stop: Arc<AtomicBool>, newest: Arc<AtomicU64>) -> Diary {
    let mut diary = Diary::default();
    let mut znodes = ZnodeServiceClient::new(doors.grpc().await);
    let mut count = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        count += 1;
        let token = format!("{number}:{count}");
        let fate = match count % 4 {
            0 => set(&mut znodes, number, &token, None, &mut diary, &newest).await,
            // Nothing has ever had this mzxid: the write has to be refused, however the server ends.
            1 if count % 8 == 1 => {
                set(&mut znodes, number, &token, Some(Precondition::Mzxid(1)), &mut diary, &newest).await
            }
            _ => create(&mut znodes, number, &token, &mut diary, &newest).await,
        };
        if fate == Fate::Unknown {
            znodes = ZnodeServiceClient::new(doors.grpc().await);
        }
    }
    diary
}

async fn create(
    znodes: &mut ZnodeServiceClient<Channel>,
    number: usize,
    token: &str,
    diary: &mut Diary,
    newest: &AtomicU64,
) -> Fate {
    let path = format!("/durability/{number}/n-");
    let mode = v1::CreateMode::PersistentSequential.into();
    let data = Some(token.to_owned().into());
    let answer = znodes.create(v1::CreateRequest { path, data, mode, ..v1::CreateRequest::default() }).await;
    let fate = match answer {
        Ok(response) => {
            let response = response.into_inner();
            newest.fetch_max(response.stat.unwrap().czxid, Ordering::SeqCst);
            diary.paths.insert(token.to_owned(), response.path);
            Fate::Acknowledged
        }
        Err(status) => fate(&status),
    };
    diary.creates.push(Write { token: token.to_owned(), fate });
    fate
}

async fn set(
    znodes: &mut ZnodeServiceClient<Channel>,
    number: usize,
    token: &str,
    precondition: Option<Precondition>,
    diary: &mut Diary,
    newest: &AtomicU64,
) -> Fate {
    let path = format!("/durability/{number}/register");
    let data = Some(token.to_owned().into());
    let request = v1::SetDataRequest { path, data, precondition, ..v1::SetDataRequest::default() };
    let fate = match znodes.set_data(request).await {
        Ok(response) => {
            newest.fetch_max(response.into_inner().stat.unwrap().mzxid, Ordering::SeqCst);
            Fate::Acknowledged
        }
        Err(status) => fate(&status),
    };
    diary.sets.push(Write { token: token.to_owned(), fate });
    fate
}

/// Only a reason that says so is a refusal. A broken connection says nothing.
fn fate(status: &tonic::Status) -> Fate {
    let reason = status.get_details_error_info().map(|info| info.reason);
    match reason.as_deref() {
        Some("BAD_VERSION") => Fate::Refused,
        None | Some("UNAVAILABLE") => Fate::Unknown,
        Some(other) => panic!("a write is answered {other}: {status:?}"),
    }
}

/// Compares what there is with what the clients know, and says how much there was of each.
async fn check(server: &Server, diaries: &[Diary]) -> String {
    let mut znodes = ZnodeServiceClient::new(server.grpc().await).max_decoding_message_size(64 << 20);
    let (mut acknowledged, mut refused, mut unknown, mut unknown_made) = (0, 0, 0, 0);
    for (number, diary) in diaries.iter().enumerate() {
        let present = present(&mut znodes, &format!("/durability/{number}")).await;
        for write in &diary.creates {
            let made = present.iter().filter(|(_, (data, _))| *data == write.token).collect::<Vec<_>>();
            match write.fate {
                Fate::Acknowledged => {
                    acknowledged += 1;
                    let said = &diary.paths[&write.token];
                    assert!(
                        made.len() == 1 && made[0].0 == said,
                        "{} was made at {said}, but is {made:?}",
                        write.token
                    );
                }
                Fate::Refused => panic!("a create cannot be refused: {}", write.token),
                Fate::Unknown => {
                    unknown += 1;
                    unknown_made += made.len();
                    assert!(made.len() <= 1, "{} was made more than once: {made:?}", write.token);
                }
            }
        }
        let known = diary.creates.len();
        assert!(present.len() <= known + 1, "{} znodes of {known} creates", present.len());
        let (data, version) = &present[&format!("/durability/{number}/register")];
        let count = |fate| diary.sets.iter().filter(|write| write.fate == fate).count();
        acknowledged += count(Fate::Acknowledged);
        refused += count(Fate::Refused);
        unknown += count(Fate::Unknown);
        let unknown_sets = *version as usize - count(Fate::Acknowledged).min(*version as usize);
        unknown_made += unknown_sets;
        assert!(*version as usize >= count(Fate::Acknowledged), "an acknowledged change of {number} is lost");
        assert!(unknown_sets <= count(Fate::Unknown), "a change of {number} was made twice, or though it was refused");
        let after = diary.sets.iter().rposition(|write| write.fate == Fate::Acknowledged);
        let possible = &diary.sets[after.unwrap_or(0)..];
        let is_possible = possible.iter().any(|write| write.token == *data && write.fate != Fate::Refused);
        assert!(is_possible || (after.is_none() && data.is_empty()), "register {number} holds {data:?}");
    }
    assert!(acknowledged > 1_000 && refused > 100, "{acknowledged} acknowledged and {refused} refused prove little");
    format!(
        "{acknowledged} writes acknowledged (all there), {refused} refused (none there), {unknown} unknown \
         ({unknown_made} there, each once)"
    )
}

/// Every znode below `path` with its data and version.
async fn present(znodes: &mut ZnodeServiceClient<Channel>, path: &str) -> BTreeMap<String, (String, i32)> {
    let request = v1::StreamTreeRequest { path: path.to_owned(), with_data: true, ..v1::StreamTreeRequest::default() };
    let mut stream = znodes.stream_tree(request).await.unwrap().into_inner();
    let mut present = BTreeMap::new();
    while let Some(part) = stream.message().await.unwrap() {
        for node in part.nodes.into_iter().filter(|node| node.path != path) {
            let data = String::from_utf8(node.data.unwrap_or_default().to_vec()).unwrap();
            present.insert(node.path, (data, node.stat.unwrap().version));
        }
    }
    present
}
