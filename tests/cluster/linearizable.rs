//! What concurrent clients see of znodes that they share, through a `kill -9`, could have happened in one order that
//! respects real time. No zxid is looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_proto::v1;
use quorate_proto::v1::znode_service_client::ZnodeServiceClient;
use quorate_proto::v1::{delete_request, set_data_request};
use quorate_tests::harness::Server;
use quorate_tests::linearizability::{Action, Answer, Clock, Operation, Outcome, check};
use quorate_tests::report;
use tonic::Status;
use tonic::transport::Channel;

use super::calls::reason;
use super::random::Random;
use super::tracked::{Doors, Signpost};

const CLIENTS: usize = 6;
const PATHS: u64 = 3;

/// Before the kill, and after it.
const HALF: Duration = Duration::from_millis(1_200);

/// So that a fast machine does not make the judgement long.
const OPERATIONS_MAX: usize = 4_000;
const STEPS_MAX: u64 = 20_000_000;

/// What all clients of a run share.
#[derive(Clone)]
struct Run {
    doors: Doors,
    clock: Clock,
    stop: Arc<AtomicBool>,
}

#[tokio::test]
async fn what_concurrent_clients_see_through_a_kill_is_linearizable() {
    let mut random = Random::new("linearizable");
    let mut server = Server::start();
    let (signpost, doors) = Signpost::new(&server);
    let run = Run { doors, clock: Clock::default(), stop: Arc::default() };
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(client(number, random.next(), run.clone()))).collect();
    tokio::time::sleep(HALF).await;
    let clock = run.clock.clone();
    // On a thread of its own: the clients must not stand still while the server dies.
    let killing = tokio::task::spawn_blocking(move || {
        server.kill();
        let died = clock.now();
        server.restart();
        (server, died)
    });
    let (server, died) = killing.await.unwrap();
    signpost.update(&server);
    tokio::time::sleep(HALF).await;
    run.stop.store(true, Ordering::SeqCst);

    let mut operations = Vec::new();
    for client in clients {
        operations.extend(client.await.unwrap());
    }
    // What the dead process was asked for has happened by then, or never will.
    operations.retain(|operation| operation.answer.is_seen() || operation.called < died);
    for operation in operations.iter_mut().filter(|operation| !operation.answer.is_seen()) {
        operation.answer = Answer::Lost { until: Some(died) };
    }
    let seen =
        |after: bool| operations.iter().filter(|one| (one.called > died) == after && one.answer.is_seen()).count();
    assert!(seen(false) > 100 && seen(true) > 100, "{} and {} operations prove little", seen(false), seen(true));
    let judging = Instant::now();
    let checked = check(&operations, STEPS_MAX).unwrap_or_else(|difference| panic!("not linearizable: {difference}"));
    report::note(&format!(
        "linearizable: {} operations of {CLIENTS} clients on {} znodes through a kill, {} of them lost, judged in {} \
         steps and {} ms",
        checked.operations,
        checked.paths,
        checked.lost,
        checked.steps,
        judging.elapsed().as_millis()
    ));
}

/// One client, which has one operation under way at a time.
async fn client(number: usize, seed: u64, run: Run) -> Vec<Operation> {
    let mut random = Random::from_seed(seed);
    let mut znodes = ZnodeServiceClient::new(run.doors.grpc().await);
    let mut operations = Vec::new();
    while !run.stop.load(Ordering::SeqCst) && operations.len() < OPERATIONS_MAX {
        let value = ((number as u64) << 32) | operations.len() as u64;
        let version = (random.between(0, 2) == 0).then(|| random.between(0, 4) as i32);
        let action = match random.between(0, 10) {
            0 => Action::Create { value },
            1..5 => Action::Set { value, version },
            5 => Action::Delete { version },
            _ => Action::Get,
        };
        let path = format!("/shared-{}", random.between(0, PATHS));
        let called = run.clock.now();
        let outcome = ask(&mut znodes, path.clone(), action).await;
        let at = run.clock.now();
        let answer = match outcome {
            Ok(outcome) => Answer::Seen { at, outcome },
            Err(()) => Answer::Lost { until: None },
        };
        operations.push(Operation { client: number, path, action, called, answer });
        if outcome.is_err() {
            znodes = ZnodeServiceClient::new(run.doors.grpc().await);
        }
    }
    operations
}

/// What was answered; an error if nobody knows what came of it.
async fn ask(znodes: &mut ZnodeServiceClient<Channel>, path: String, action: Action) -> Result<Outcome, ()> {
    let answer = match action {
        Action::Create { value } => {
            let create = v1::CreateRequest { path, data: data(value), ..v1::CreateRequest::default() };
            znodes.create(create).await.map(|answer| written(answer.into_inner().stat))
        }
        Action::Set { value, version } => {
            let precondition = version.map(set_data_request::Precondition::Version);
            let set = v1::SetDataRequest { path, data: data(value), precondition, ..v1::SetDataRequest::default() };
            znodes.set_data(set).await.map(|answer| written(answer.into_inner().stat))
        }
        Action::Delete { version } => {
            let precondition = version.map(delete_request::Precondition::Version);
            let delete = v1::DeleteRequest { path, precondition, ..v1::DeleteRequest::default() };
            znodes.delete(delete).await.map(|_| Outcome::Deleted)
        }
        Action::Restore { .. } => unreachable!("nobody restores a backup here"),
        Action::Get => {
            let consistency = v1::Consistency::Linearizable.into();
            let options = Some(v1::RequestOptions { consistency, ..v1::RequestOptions::default() });
            znodes.get(v1::GetRequest { path, options }).await.map(|answer| found(answer.into_inner()))
        }
    };
    answer.or_else(|status| refused(&status))
}

fn data(value: u64) -> Option<bytes::Bytes> {
    Some(value.to_string().into())
}

fn written(stat: Option<v1::Stat>) -> Outcome {
    Outcome::Written { version: stat.unwrap().version }
}

fn found(answer: v1::GetResponse) -> Outcome {
    let text = String::from_utf8(answer.data.unwrap().to_vec()).unwrap();
    Outcome::Found { value: text.parse().unwrap(), version: answer.stat.unwrap().version }
}

fn refused(status: &Status) -> Result<Outcome, ()> {
    match reason(status).as_str() {
        "NO_NODE" => Ok(Outcome::Absent),
        "NODE_EXISTS" => Ok(Outcome::Exists),
        "BAD_VERSION" => Ok(Outcome::BadVersion),
        // A connection that broke says nothing.
        "" | "UNAVAILABLE" => Err(()),
        other => panic!("a shared znode is refused with {other}: {status:?}"),
    }
}
