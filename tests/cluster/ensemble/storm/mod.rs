//! Random faults while concurrent clients use an ensemble in all the ways that it is made for. What they saw is judged
//! twice, by judges that share nothing: see `replay` and `blind`.
//!
//! | file | holds |
//! | --- | --- |
//! | `nemesis` | what breaks |
//! | `clients` | what is asked for |
//! | `door` | how it is asked for, and written down |
//! | `journal` | what was written down |
//! | `watchers` | those who are told of every change |
//! | `replay` | the judge who does everything again in the order of zxids |
//! | `blind` | the judge who looks at no zxid |
//!
//! `QUORATE_STORM_SECONDS` says how long each storm rages (the default is for every commit), `QUORATE_TEST_SEED` which
//! one it is; what processes do with it is not repeated exactly.

mod blind;
mod clients;
mod door;
mod journal;
mod nemesis;
mod replay;
mod watchers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quorate_client::{Client, Consistency, CreateMode};
use quorate_tests::harness::{Ensemble, EnsembleOptions};
use quorate_tests::model::Model;
use quorate_tests::report;
use quorate_types::{CreateMode as Mode, Op, ReadOp};
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::clients::{GUARDED, LOCK, MEMBERS, Part, QUEUE, SEQUENCE, Shared};
use self::door::Door;
use self::journal::{Answer, Entry, Journal};
use self::nemesis::Nemesis;
use crate::cluster::random::Random;

/// Unless the environment says otherwise.
const SECONDS: u64 = 30;

/// How long a call is tried. Short, so that there are outcomes that nobody knows.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

const WATCHERS: u8 = 3;

/// Servers that write snapshots often and soon forget, so that some have to be copied from others.
const ARGUMENTS: [&str; 6] = ["--segment-bytes", "1MiB", "--snapshot-records", "2000", "--history-bytes", "64MiB"];

struct Storm {
    name: &'static str,
    voters: u8,
    observers: u8,
    /// Faults at the same time.
    hands: usize,
}

#[tokio::test]
async fn three_servers_keep_their_promises_through_random_faults() {
    Storm { name: "storm, 3 voters", voters: 3, observers: 0, hands: 1 }.rage().await;
}

#[tokio::test]
async fn seven_servers_keep_their_promises_through_two_faults_at_once() {
    Storm { name: "storm, 5 voters and 2 observers", voters: 5, observers: 2, hands: 2 }.rage().await;
}

impl Storm {
    async fn rage(self) {
        let Storm { voters, observers, hands, .. } = self;
        let mut random = Random::new(self.name);
        let arguments = ARGUMENTS.map(str::to_owned).to_vec();
        let options = EnsembleOptions { voters, observers, arguments, has_faults: true, ..EnsembleOptions::default() };
        let ensemble = Ensemble::start_with(options);
        ensemble.leader().await;
        let all: Vec<u8> = ensemble.ids().collect();
        ensemble.serving(&all).await;
        let ways = |first: usize| {
            let servers: Vec<u8> = all.iter().cycle().skip(first).take(all.len()).copied().collect();
            ensemble.client(&servers).request_timeout(REQUEST_TIMEOUT).build()
        };

        let (base, after) = prepare(&ways(0)).await;
        let (last_sender, last) = watch::channel(None);
        let watching: Vec<_> = (0..WATCHERS)
            .map(|watcher| {
                let clients: Vec<Client> = (0..all.len()).map(|at| ways(at + usize::from(watcher))).collect();
                tokio::spawn(watchers::follow(clients, after, last.clone()))
            })
            .collect();
        let journal = Journal::default();
        let shared = Shared::new(Instant::now());
        let playing: Vec<_> = Part::ALL
            .iter()
            .enumerate()
            .map(|(number, part)| {
                let door = Door::new(ways(number), number, journal.clone());
                tokio::spawn(part.play(door, Random::from_seed(random.next()), shared.clone()))
            })
            .collect();

        let last_door = Door::new(ways(0), Part::ALL.len(), journal.clone());
        let nemesis = Nemesis::new(ensemble, Random::from_seed(random.next()), hands);
        let (duration, runtime) = (duration(), Handle::current());
        let raging = tokio::task::spawn_blocking(move || nemesis.rage(duration, &runtime));
        let (ensemble, faults) = raging.await.unwrap();
        shared.stop.store(true, Ordering::SeqCst);
        for client in playing {
            client.await.unwrap();
        }
        // The faults are over: now everybody has to serve, and soon.
        let calm = Instant::now();
        ensemble.serving(&all).await;
        let recovered = calm.elapsed();
        let last_txn = finish(last_door).await;
        ensemble.agreed().await;
        let over = journal.now();
        last_sender.send_replace(Some(last_txn));
        let mut told = Vec::new();
        for watcher in watching {
            told.push(watcher.await.unwrap());
        }
        let moved: u32 = told.iter().map(|told| told.moved).sum();

        let entries = journal.take();
        let judging = Instant::now();
        let txns = watchers::agree(told);
        let (model, replayed) = replay::replay(base, &entries, &txns);
        check_final_states(&ensemble, &model, &all).await;
        let ordered = replay::check_order(&entries);
        let checked = blind::check_znodes(&entries, over);
        let increments = blind::check_counters(&entries);
        let (lists, jobs) = blind::check_lists(&entries);
        let locks = blind::check_fencing(&entries);
        let name = self.name;
        let fenced = shared.fenced.load(Ordering::SeqCst);
        report::note(&format!("{name}: {} s of faults: {}", duration.as_secs(), list(&faults)));
        report::note(&format!("{name}: {}; all servers served {} ms later", outcomes(&entries), recovered.as_millis()));
        report::note(&format!(
            "{name}: in the order of zxids {} txns ({} of writes in doubt, {} ends of sessions), {} reads, {ordered} \
             answers in time; {WATCHERS} watches told all of it alike, and moved {moved} times for want of history",
            replayed.txns, replayed.recovered, replayed.sessions_ended, replayed.reads
        ));
        report::note(&format!(
            "{name}: without zxids {} operations on {} registers ({} lost, {} steps), {increments} increments, {lists} \
             lists, {jobs} jobs, {locks} locks (outside, {fenced} changes came too late); judged in {} ms; 0 anomalies",
            checked.operations,
            checked.paths,
            checked.lost,
            checked.steps,
            judging.elapsed().as_millis()
        ));
        assert!(replayed.txns > 50 * duration.as_secs() / 10, "{} txns prove little", replayed.txns);
    }
}

fn duration() -> Duration {
    let seconds = std::env::var("QUORATE_STORM_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("QUORATE_STORM_SECONDS is a number"));
    Duration::from_secs(seconds)
}

/// Makes what clients expect to be there. Returns a model that has it too, and the last txn.
async fn prepare(client: &Client) -> (Model, u64) {
    let mut model = Model::new();
    let mut last = 0;
    for path in [MEMBERS, SEQUENCE, QUEUE, GUARDED] {
        let made = client.create(path, "").mode(CreateMode::Persistent).await.unwrap();
        last = made.zxid;
        let ask = quorate_tests::model::Ask {
            op: Op::Write(door::create_as(path, bytes::Bytes::new(), Mode::Persistent)),
            caller: quorate_types::Caller::anonymous(),
            session: quorate_types::SessionId::NONE,
            request_id: None,
            zxid: quorate_types::Zxid(made.zxid),
            wall_ms: made.stat.ctime_ms,
            new_session: quorate_types::SessionId::NONE,
        };
        assert!(model.write(&ask).response.is_ok());
    }
    (model, last)
}

/// Takes the jobs that are left, and makes a last change, whose txn it returns.
async fn finish(mut door: Door) -> u64 {
    while clients::consume(&mut door).await {}
    // Whoever held the lock has given it back, or its session is about to end.
    while door.client.exists(LOCK).consistency(Consistency::Linearizable).await.unwrap().stat.is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let token = door.token();
    match door.write(door::create("/finished", token)).await {
        Answer::Done { zxid, .. } => zxid.0,
        other => panic!("nothing is broken any more, but a write is answered {other:?}"),
    }
}

/// Every server has exactly the znodes that the model has.
async fn check_final_states(ensemble: &Ensemble, model: &Model, servers: &[u8]) {
    for id in servers {
        let client = ensemble.client(&[*id]).build();
        let mut left = vec!["/".to_owned()];
        let mut count = 0;
        while let Some(path) = left.pop() {
            let op = ReadOp::Get { path: door::path(&path) };
            let expected = model.read(&op, &quorate_types::Caller::anonymous(), quorate_types::SessionId::NONE);
            let found = client.get(&path).consistency(Consistency::Local).await.unwrap();
            let found = quorate_types::Reply::Data { data: found.data, stat: door::stat(found.stat) };
            assert_eq!(Ok(found), expected, "{path} on server {id}");
            let children = client.children(&path).consistency(Consistency::Local).await.unwrap().children;
            left.extend(children.into_iter().map(|child| quorate_types::path::join(&path, &child.name)));
            count += 1;
        }
        assert_eq!(count, model.znodes().len(), "server {id} has fewer znodes");
    }
}

fn outcomes(entries: &[Entry]) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for entry in entries {
        let outcome = match &entry.answer {
            Answer::Done { .. } => "done".to_owned(),
            Answer::Refused { reason, .. } => reason.to_string(),
            Answer::Unknown => "in doubt".to_owned(),
        };
        *counts.entry(outcome).or_default() += 1;
    }
    format!("{} operations: {}", entries.len(), list(&counts))
}

fn list(counts: &BTreeMap<impl std::fmt::Display, u32>) -> String {
    counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

impl Shared {
    fn new(began: Instant) -> Shared {
        Shared { stop: Arc::default(), began, outside: Arc::default(), fenced: Arc::default() }
    }
}

#[cfg(test)]
mod tests;
