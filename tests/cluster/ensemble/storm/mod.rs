//! Random faults while concurrent clients use an ensemble in all the ways that it is made for. What they saw is judged
//! twice, by judges that share nothing: see `replay` and `blind`.
//!
//! | file | holds |
//! | --- | --- |
//! | `nemesis` | what breaks |
//! | `members` | who comes, goes and leads |
//! | `clients` | what is asked for |
//! | `door` | how it is asked for, and written down |
//! | `journal` | what was written down |
//! | `rolling` | what happens on ordinary days |
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
mod members;
mod nemesis;
mod replay;
mod rolling;
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
use self::nemesis::{Counts, Nemesis};
use self::watchers::Told;
use crate::cluster::random::Random;

/// Unless the environment says otherwise.
const SECONDS: u64 = 30;

/// How long a call is tried. Short, so that there are outcomes that nobody knows.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

const WATCHERS: u8 = 3;

/// Servers that write snapshots often and soon forget, so that some have to be copied from others.
const ARGUMENTS: [&str; 6] = ["--segment-bytes", "1MiB", "--snapshot-records", "2000", "--history-bytes", "64MiB"];

/// Clients of an ensemble, something that happens to it meanwhile, and two judges.
struct Storm {
    name: &'static str,
    voters: u8,
    observers: u8,
    spares: u8,
    /// How long a call is tried.
    request_timeout: Duration,
}

/// What is known when it is over.
struct Aftermath {
    ensemble: Ensemble,
    /// What was there before, and the first txn that was not.
    base: Model,
    entries: Vec<Entry>,
    told: Vec<Told>,
    /// A moment at which nothing was under way any more.
    over: u64,
    shared: Shared,
}

/// How it was for clients.
struct Seen {
    txns: u64,
    /// Requests of which nobody could tell what had become.
    in_doubt: Vec<Entry>,
    /// No write of any client was acknowledged for so long.
    longest_gap: Duration,
    /// What the slowest of those took that were.
    slowest_write: Duration,
}

#[tokio::test]
async fn three_servers_keep_their_promises_through_random_faults() {
    Storm::of_three().rage_at_random(1).await;
}

#[tokio::test]
async fn seven_servers_keep_their_promises_through_two_faults_at_once() {
    let name = "storm, 5 voters and 2 observers";
    Storm { name, voters: 5, observers: 2, ..Storm::of_three() }.rage_at_random(2).await;
}

impl Storm {
    fn of_three() -> Storm {
        Storm { name: "storm, 3 voters", voters: 3, observers: 0, spares: 2, request_timeout: REQUEST_TIMEOUT }
    }

    /// So many faults at the same time.
    async fn rage_at_random(self, hands: usize) {
        let (duration, runtime) = (duration(), Handle::current());
        let raging = async move |ensemble: Ensemble, random: Random| {
            let nemesis = Nemesis::new(ensemble, random, hands);
            tokio::task::spawn_blocking(move || nemesis.rage(duration, &runtime)).await.unwrap()
        };
        let seen = self.rage(&format!("{} s of faults", duration.as_secs()), raging).await;
        assert!(seen.txns > 5 * duration.as_secs(), "{} txns prove little", seen.txns);
    }

    /// Lets something happen to the ensemble while clients use it; in the end everything is to be whole.
    async fn rage(self, what: &str, happen: impl AsyncFnOnce(Ensemble, Random) -> (Ensemble, Counts)) -> Seen {
        let Storm { name, voters, observers, spares, request_timeout } = self;
        let mut random = Random::new(name);
        let arguments = ARGUMENTS.map(str::to_owned).to_vec();
        let options = EnsembleOptions { voters, observers, spares, arguments, has_faults: true, dir: None };
        let ensemble = Ensemble::start_with(options);
        ensemble.leader().await;
        let founders: Vec<u8> = ensemble.ids().collect();
        ensemble.serving(&founders).await;
        let known = ensemble.known();
        let ways = |first: usize| {
            let servers: Vec<u8> = known.iter().cycle().skip(first).take(known.len()).copied().collect();
            ensemble.client(&servers).request_timeout(request_timeout).build()
        };

        let (base, after) = prepare(&ways(0)).await;
        let (last_sender, last) = watch::channel(None);
        let watching: Vec<_> = (0..WATCHERS)
            .map(|watcher| {
                let clients: Vec<Client> = (0..known.len()).map(|at| ways(at + usize::from(watcher))).collect();
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
        let (ensemble, counts) = happen(ensemble, Random::from_seed(random.next())).await;
        report::note(&format!("{name}: {what}: {}", list(&counts)));
        shared.stop.store(true, Ordering::SeqCst);
        for client in playing {
            client.await.unwrap();
        }
        // The faults are over: now everybody has to serve, and soon.
        let calm = Instant::now();
        let left: Vec<u8> = ensemble.ids().collect();
        ensemble.serving(&left).await;
        let recovered = calm.elapsed();
        let last_txn = finish(last_door).await;
        ensemble.agreed().await;
        let over = journal.now();
        last_sender.send_replace(Some(last_txn));
        let mut told = Vec::new();
        for watcher in watching {
            told.push(watcher.await.unwrap());
        }
        let entries = journal.take();
        let seen = Seen::of(&entries);
        report::note(&format!(
            "{name}: {}; at worst {} ms without a write, {} ms for one; all served {} ms later",
            outcomes(&entries),
            seen.longest_gap.as_millis(),
            seen.slowest_write.as_millis(),
            recovered.as_millis()
        ));
        let txns = Aftermath { ensemble, base, entries, told, over, shared }.judge(name).await;
        Seen { txns, ..seen }
    }
}

impl Seen {
    fn of(entries: &[Entry]) -> Seen {
        let is_done = |entry: &&Entry| entry.is_write() && matches!(entry.answer, Answer::Done { .. });
        let mut acknowledged: Vec<Instant> = entries.iter().filter(is_done).map(|entry| entry.ended).collect();
        acknowledged.sort();
        let gaps = acknowledged.windows(2).map(|pair| pair[1] - pair[0]);
        Seen {
            txns: 0,
            in_doubt: entries.iter().filter(|entry| matches!(entry.answer, Answer::Unknown)).cloned().collect(),
            longest_gap: gaps.max().unwrap_or_default(),
            slowest_write: entries
                .iter()
                .filter(is_done)
                .map(|entry| entry.ended - entry.began)
                .max()
                .unwrap_or_default(),
        }
    }
}

impl Aftermath {
    /// Twice. Returns how many txns there were.
    async fn judge(self, name: &str) -> u64 {
        let Aftermath { ensemble, base, entries, told, over, shared } = self;
        let moved: u32 = told.iter().map(|told| told.moved).sum();
        let judging = Instant::now();
        let txns = watchers::agree(told);
        let (model, replayed) = replay::replay(base, &entries, &txns);
        check_final_states(&ensemble, &model).await;
        let ordered = replay::check_order(&entries);
        let checked = blind::check_znodes(&entries, over);
        let increments = blind::check_counters(&entries);
        let (lists, jobs) = blind::check_lists(&entries);
        let locks = blind::check_fencing(&entries);
        let fenced = shared.fenced.load(Ordering::SeqCst);
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
        replayed.txns
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
async fn check_final_states(ensemble: &Ensemble, model: &Model) {
    for id in ensemble.ids() {
        let client = ensemble.client(&[id]).build();
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
