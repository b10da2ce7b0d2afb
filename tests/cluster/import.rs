//! Real input: the files of this repository and of its dependencies become znodes through REST, while others change
//! them and two watch, and while the server is killed. In the end everything is there, and both have been told of
//! every change exactly once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use quorate_proto::v1;
use quorate_proto::v1::watch_service_client::WatchServiceClient;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_tests::harness::{Rest, Server, SseEvent, escape};
use quorate_tests::report;
use quorate_types::{Path, limits};

use super::random::Random;
use super::tracked::{Doors, RETRY_DELAY, Signpost};

const FILES: usize = 5_000;
const WORKERS: usize = 8;
const KILLS: usize = 3;

/// Below which everything is.
const TOP: &str = "/import";

/// Created when all else is done: who is told of it has been told of everything.
const LAST: &str = "/import/~last";

/// What happened to one znode, as a watch was told.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    zxid: u64,
    index: u64,
    kind: String,
    path: String,
    data: Option<Bytes>,
}

/// One change that is to be made.
enum Change {
    Create(Bytes),
    Set(Bytes),
    Delete,
}

/// The znodes that one worker looks after, each with all that happens to it.
type Work = Vec<(String, Vec<Change>)>;

#[tokio::test]
async fn files_become_znodes_and_watches_miss_nothing_through_kills() {
    let mut random = Random::new("import");
    let began = Instant::now();
    let mut server = Server::start();
    let (signpost, doors) = Signpost::new(&server);
    let root = server.rest().put(&format!("/v1/znodes{TOP}"), "").await.unwrap();
    let begin = zxid_in(root.header("quorate-zxid"));
    let by_events = tokio::spawn(watch_events(doors.clone(), begin));
    let by_grpc = tokio::spawn(watch_grpc(doors.clone(), begin));

    let (plan, expected, changes) = plan(&mut random);
    let done = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = plan
        .into_iter()
        .enumerate()
        .map(|(number, work)| tokio::spawn(carry_out(number, work, doors.clone(), Arc::clone(&done))))
        .collect();
    for kill in 1..=KILLS {
        while done.load(Ordering::SeqCst) < changes * kill / (KILLS + 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill();
        server.restart();
        signpost.update(&server);
    }
    for worker in workers {
        worker.await.unwrap();
    }
    server.rest().put(&format!("/v1/znodes{LAST}"), "").await.unwrap();
    let (by_events, by_grpc) = (by_events.await.unwrap(), by_grpc.await.unwrap());

    compare_tree(&server, &expected).await;
    check_history("server-sent events", &by_events, &expected, changes);
    check_history("gRPC", &by_grpc, &expected, changes);
    let differs = by_events.iter().zip(&by_grpc).find(|(a, b)| a != b);
    assert!(by_events.len() == by_grpc.len() && differs.is_none(), "the two histories differ: {differs:?}");
    report::note(&format!(
        "import: {} files of {} bytes by {changes} changes in {} ms through {KILLS} kills; {} events told twice, each \
         once; server: {}",
        expected.values().filter(|data| data.is_some()).count(),
        expected.values().flatten().map(Bytes::len).sum::<usize>(),
        began.elapsed().as_millis(),
        by_events.len(),
        server.stats()
    ));
}

/// What each worker has to do, what there must be in the end (directories hold nothing), and how many changes it takes
/// besides the creation of directories.
fn plan(random: &mut Random) -> (Vec<Work>, BTreeMap<String, Option<Bytes>>, usize) {
    let mut plan: Vec<Work> = (0..WORKERS).map(|_| Vec::new()).collect();
    let mut expected = BTreeMap::new();
    let mut changes = 0;
    let files = files(FILES * report::scale());
    assert!(files.len() >= FILES.min(3_000), "only {} files were found", files.len());
    for (at, (path, file)) in files.into_iter().enumerate() {
        let data = Bytes::from(fs::read(file).unwrap());
        let mut todo = vec![Change::Create(data.clone())];
        let mut last = Some(data.clone());
        for _ in 0..random.between(0, 3) {
            let changed = Bytes::from([&data[..data.len().min(2_000)], &random.bytes(16)].concat());
            todo.push(Change::Set(changed.clone()));
            last = Some(changed);
        }
        if random.between(0, 10) == 0 {
            todo.push(Change::Delete);
            last = None;
            if random.between(0, 2) == 0 {
                todo.push(Change::Create(data.clone()));
                last = Some(data);
            }
        }
        changes += todo.len();
        let mut dir = quorate_types::path::parent(&path);
        while let Some(path) = dir.filter(|path| *path != TOP) {
            expected.insert(path.to_owned(), None);
            dir = quorate_types::path::parent(path);
        }
        if let Some(data) = last {
            expected.insert(path.clone(), Some(data));
        }
        plan[at % WORKERS].push((path, todo));
    }
    (plan, expected, changes)
}

/// Files of this repository and of the crates that it depends on, each with the path of its znode.
fn files(count: usize) -> Vec<(String, PathBuf)> {
    let repository = FilePath::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let mut sources = vec![("repository".to_owned(), repository.clone())];
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // What only other systems need may never have been fetched.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host])
        .current_dir(&repository)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for package in metadata["packages"].as_array().unwrap().iter().filter(|package| !package["source"].is_null()) {
        let dir = FilePath::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned();
        sources.push((dir.file_name().unwrap().to_string_lossy().into_owned(), dir));
    }
    let mut found = Vec::new();
    for (name, dir) in sources {
        let mut open = vec![dir.clone()];
        while let Some(at) = open.pop() {
            let mut entries: Vec<PathBuf> = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            for entry in entries {
                let hidden = entry.file_name().unwrap().to_string_lossy().starts_with('.');
                if entry.is_dir() {
                    if !hidden && !entry.ends_with("target") {
                        open.push(entry);
                    }
                    continue;
                }
                let path = format!("{TOP}/{name}/{}", entry.strip_prefix(&dir).unwrap().to_string_lossy());
                let size = entry.metadata().map_or(u64::MAX, |metadata| metadata.len());
                if entry.is_file() && size <= limits::DATA_BYTES_MAX as u64 && Path::new(path.as_str()).is_ok() {
                    found.push((path, entry));
                }
                if found.len() == count {
                    return found;
                }
            }
        }
    }
    found
}

/// Makes the changes of one worker in order. A request without an answer is sent again with the same key, so that
/// it is carried out once.
async fn carry_out(number: usize, work: Work, doors: Doors, done: Arc<AtomicUsize>) {
    let mut client = Client { address: doors.http(), rest: Rest::new(&doors.http()), doors };
    for (path, changes) in work {
        for (step, change) in changes.into_iter().enumerate() {
            let key = format!("{number}-{step}-{path}");
            let target = format!("/v1/znodes{}", escape(&path));
            match change {
                Change::Create(data) => client.send(Method::POST, &format!("{target}?parents=true"), &key, data).await,
                Change::Set(data) => client.send(Method::PUT, &target, &key, data).await,
                Change::Delete => client.send(Method::DELETE, &target, &key, Bytes::new()).await,
            }
            done.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A client of the HTTP door that does not give up.
struct Client {
    address: String,
    rest: Rest,
    doors: Doors,
}

impl Client {
    async fn send(&mut self, method: Method, target: &str, key: &str, body: Bytes) {
        // A key has at most 255 bytes, a path may have more.
        let key = if key.len() > 200 { format!("{}{:x}", &key[..8], fnv(key)) } else { escape(key) };
        loop {
            let headers = [("idempotency-key", key.as_str())];
            match self.rest.send(method.clone(), target, &headers, body.clone()).await {
                Ok(answer) if answer.status.is_success() => return,
                Ok(answer) => assert_eq!(answer.status, 503, "{method} {target}: {:?}", answer.body),
                Err(_) => {}
            }
            tokio::time::sleep(RETRY_DELAY).await;
            if self.doors.http() != self.address {
                self.address = self.doors.http();
                self.rest = Rest::new(&self.address);
            }
        }
    }
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Watches by server-sent events until the last one; after a break it goes on as a browser does.
async fn watch_events(doors: Doors, begin: u64) -> Vec<Told> {
    let mut told = Vec::new();
    let mut id = format!("{begin:#x}");
    loop {
        let rest = Rest::new(&doors.http());
        let target = format!("/v1/watch?path={}&recursive=true&data=true", escape(TOP));
        let Ok(mut events) = rest.events(&target, Some(&id)).await else {
            tokio::time::sleep(RETRY_DELAY).await;
            continue;
        };
        while let Ok(Some(event)) = events.next().await {
            assert_ne!(event.event, "reset", "the history does not reach back to {id}");
            if !event.id.is_empty() {
                id.clone_from(&event.id);
            }
            told.extend(Told::of_event(&event));
            if told.last().is_some_and(|told| told.path == LAST) {
                return told;
            }
        }
    }
}

/// Watches by gRPC until the last event; after a break it goes on strictly after what it was told last.
async fn watch_grpc(doors: Doors, begin: u64) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let mut position = (begin, None);
    loop {
        let mut watches = WatchServiceClient::new(doors.grpc().await).max_decoding_message_size(64 << 20);
        let watch = v1::WatchCreate {
            watch_id: 1,
            path: TOP.to_owned(),
            kind: v1::WatchKind::Recursive.into(),
            start_zxid: Some(position.0),
            start_index: position.1,
            with_data: true,
            ..v1::WatchCreate::default()
        };
        let Ok(stream) = watches.subscribe(v1::SubscribeRequest { watches: vec![watch] }).await else {
            tokio::time::sleep(RETRY_DELAY).await;
            continue;
        };
        let mut stream = stream.into_inner();
        while let Ok(Some(response)) = stream.message().await {
            for item in response.items {
                match item.item.unwrap() {
                    v1::watch_item::Item::Events(events) => {
                        let last = events.events.last().expect("a message of events has some");
                        position = (last.zxid, Some(last.index));
                        told.extend(events.events.into_iter().map(Told::of_grpc));
                    }
                    v1::watch_item::Item::Progress(progress) => position = (progress.zxid, None),
                    v1::watch_item::Item::Canceled(canceled) => {
                        let reason = canceled.error.as_ref().map(|error| error.reason());
                        // A reader that is too slow is told so, and where it may go on.
                        assert_eq!(reason, Some(v1::ErrorReason::Lagged), "{canceled:?}");
                        position = (canceled.resume_zxid, None);
                    }
                    v1::watch_item::Item::Created(_) | v1::watch_item::Item::Synced(_) => {}
                }
            }
            if told.last().is_some_and(|told| told.path == LAST) {
                return told;
            }
        }
    }
}

impl Told {
    fn of_event(event: &SseEvent) -> Option<Told> {
        if !["created", "changed", "deleted"].contains(&event.event.as_str()) {
            return None;
        }
        let document = event.json();
        let data = document["data"].as_str().map(|text| match document["encoding"].as_str() {
            Some("base64") => Bytes::from(STANDARD.decode(text).unwrap()),
            _ => Bytes::copy_from_slice(text.as_bytes()),
        });
        Some(Told {
            zxid: zxid_in(document["zxid"].as_str().unwrap()),
            index: document["index"].as_u64().unwrap(),
            kind: event.event.clone(),
            path: document["path"].as_str().unwrap().to_owned(),
            data,
        })
    }

    fn of_grpc(event: v1::Event) -> Told {
        let kind = event.r#type().as_str_name().trim_start_matches("EVENT_TYPE_").to_lowercase();
        Told { zxid: event.zxid, index: u64::from(event.index), kind, path: event.path, data: event.data }
    }
}

/// The number after the last `0x`.
fn zxid_in(text: &str) -> u64 {
    let digits = text.rsplit("0x").next().unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{text:?} names no zxid"))
}

async fn compare_tree(server: &Server, expected: &BTreeMap<String, Option<Bytes>>) {
    let mut znodes = ZnodeServiceClient::new(server.grpc().await).max_decoding_message_size(64 << 20);
    let request = v1::StreamTreeRequest { path: TOP.to_owned(), with_data: true, ..v1::StreamTreeRequest::default() };
    let mut stream = znodes.stream_tree(request).await.unwrap().into_inner();
    let mut present = BTreeMap::new();
    while let Some(part) = stream.message().await.unwrap() {
        for node in part.nodes.into_iter().filter(|node| node.path != TOP && node.path != LAST) {
            present.insert(node.path, node.data.filter(|data| !data.is_empty()));
        }
    }
    compare("the tree", &present, expected);
    let rest = server.rest();
    let sample: Vec<_> = expected.iter().filter(|(_, data)| data.is_some()).step_by(97).collect();
    let answers = join_all(sample.iter().map(|(path, _)| async {
        let answer = rest.get(&format!("/v1/znodes{}", escape(path))).await;
        answer.unwrap().body
    }));
    for ((path, data), body) in sample.iter().zip(answers.await) {
        assert!(data.as_ref() == Some(&body), "{path} differs by REST");
    }
}

/// Nothing is lost, nothing is told twice, and what was told leads to what there is.
fn check_history(name: &str, told: &[Told], expected: &BTreeMap<String, Option<Bytes>>, changes: usize) {
    for pair in told.windows(2) {
        let order = (pair[0].zxid, pair[0].index) < (pair[1].zxid, pair[1].index);
        assert!(order, "{name} tell out of order or twice: {:?}", pair.iter().map(|one| &one.path).collect::<Vec<_>>());
    }
    let mut state: BTreeMap<String, Option<Bytes>> = BTreeMap::new();
    for one in told.iter().filter(|one| one.path != LAST) {
        let data = one.data.clone().filter(|data| !data.is_empty());
        let before = match one.kind.as_str() {
            "deleted" => state.remove(&one.path),
            _ => state.insert(one.path.clone(), data),
        };
        let fits = before.is_none() == (one.kind == "created");
        assert!(fits, "{name}: {} is {} and was {before:?}", one.path, one.kind);
    }
    compare(name, &state, expected);
    // Each directory was created once, beside the last znode.
    let directories = expected.values().filter(|data| data.is_none()).count();
    assert_eq!(told.len(), changes + directories + 1, "{name} tell of too many or too few changes");
}

fn compare(name: &str, actual: &BTreeMap<String, Option<Bytes>>, expected: &BTreeMap<String, Option<Bytes>>) {
    for (path, data) in expected {
        let found = actual.get(path).unwrap_or_else(|| panic!("{name}: {path} is missing"));
        let same = found == data || data.as_ref().is_some_and(|data| data.is_empty() && found.is_none());
        assert!(same, "{name}: {path} differs");
    }
    let unexpected: Vec<_> = actual.keys().filter(|path| !expected.contains_key(*path)).take(5).collect();
    assert!(unexpected.is_empty(), "{name}: nobody made {unexpected:?}");
}
