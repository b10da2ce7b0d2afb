//! What the clients of a run do, each again and again: the patterns for which coordination services are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quorate_client::{Reason, Session};
use quorate_types::{CreateMode, Op, Precondition, Reply, WriteOp, Zxid};

use super::door::{Door, create, create_as, delete, get, list, path, set_data};
use super::journal::Answer;
use crate::cluster::random::Random;

/// Registers are left for fresh ones so often, so that the history of each can be judged.
const GENERATION: Duration = Duration::from_secs(2);
const REGISTERS: u64 = 3;

/// Between two requests of a client, on average half of it.
const PAUSE_MS_MAX: u64 = 25;

/// Of those who want the lock.
const SESSION_TIMEOUT: Duration = Duration::from_millis(1_500);

pub(super) const LOCK: &str = "/lock";
pub(super) const GUARDED: &str = "/guarded";
pub(super) const QUEUE: &str = "/queue";
pub(super) const SEQUENCE: &str = "/sequence";
pub(super) const MEMBERS: &str = "/members";
pub(super) const REGISTER: &str = "/register-";
pub(super) const COUNTER: &str = "/counter-";

/// What clients of one run share besides the ensemble.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) stop: Arc<AtomicBool>,
    pub(super) began: Instant,
    /// A thing outside of the ensemble that only the holder of the lock may change: the greatest fencing token that it
    /// has seen. It turns smaller ones away.
    pub(super) outside: Arc<AtomicU64>,
    /// How often it had to.
    pub(super) fenced: Arc<AtomicU64>,
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Register,
    Counter,
    Collector,
    Producer,
    Consumer,
    Locker,
}

impl Part {
    /// Who takes part in a run.
    pub(super) const ALL: [Part; 13] = [
        Part::Register,
        Part::Register,
        Part::Register,
        Part::Register,
        Part::Counter,
        Part::Counter,
        Part::Collector,
        Part::Producer,
        Part::Consumer,
        Part::Consumer,
        Part::Locker,
        Part::Locker,
        Part::Locker,
    ];

    /// Does so until it is stopped.
    pub(super) async fn play(self, mut door: Door, mut random: Random, shared: Shared) {
        let mut session = None;
        while !shared.stop.load(Ordering::SeqCst) {
            match self {
                Part::Register => use_register(&mut door, &mut random, &shared).await,
                Part::Counter => count(&mut door, &shared).await,
                Part::Collector => collect(&mut door, &mut random).await,
                Part::Producer => {
                    let token = door.token();
                    let mode = CreateMode::PersistentSequential;
                    door.write(create_as(&format!("{QUEUE}/job-"), token, mode)).await;
                }
                Part::Consumer => {
                    consume(&mut door).await;
                }
                Part::Locker => lock(&mut door, &mut session, &mut random, &shared).await,
            }
            tokio::time::sleep(Duration::from_millis(random.between(0, PAUSE_MS_MAX))).await;
        }
    }
}

fn generation(shared: &Shared) -> u128 {
    shared.began.elapsed().as_millis() / GENERATION.as_millis()
}

async fn use_register(door: &mut Door, random: &mut Random, shared: &Shared) {
    let path = format!("{REGISTER}{}-{}", generation(shared), random.between(0, REGISTERS));
    let token = door.token();
    let precondition = match random.between(0, 3) {
        0 => Precondition::Version(random.between(0, 4) as i32),
        _ => Precondition::None,
    };
    match random.between(0, 12) {
        0..2 => door.write(create(&path, token)).await,
        2..6 => door.write(set_data(&path, token, precondition)).await,
        6 => door.write(delete(&path, precondition)).await,
        7..10 => door.read(get(&path)).await,
        _ => door.glance(get(&path)).await,
    };
}

/// Adds one to what is there, if nobody else does meanwhile.
async fn count(door: &mut Door, shared: &Shared) {
    let path = format!("{COUNTER}{}", generation(shared));
    let zero = format!("0:{}", door.value());
    let (data, version) = match door.read(get(&path)).await {
        Answer::Done { reply: Reply::Data { data, stat }, .. } => (data.unwrap_or_default(), stat.version),
        Answer::Refused { reason: Reason::NoNode, .. } => {
            door.write(create(&path, zero.into())).await;
            return;
        }
        _ => return,
    };
    let next = counted(&data) + 1;
    let token = format!("{next}:{}", door.value());
    door.write(set_data(&path, token.into(), Precondition::Version(version))).await;
}

/// What a counter holds, without the token behind it.
pub(super) fn counted(data: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(data);
    text.split(':').next().and_then(|count| count.parse().ok()).expect("a counter holds a number")
}

/// Adds members, some with numbers from the ensemble, and looks at all of them now and then.
async fn collect(door: &mut Door, random: &mut Random) {
    let token = door.token();
    match random.between(0, 4) {
        0 => door.write(create(&format!("{MEMBERS}/{}", door.value()), token)).await,
        1 => {
            let mode = CreateMode::PersistentSequential;
            door.write(create_as(&format!("{SEQUENCE}/n-"), token, mode)).await
        }
        2 => door.read(list(MEMBERS)).await,
        _ => door.glance(list(SEQUENCE)).await,
    };
}

/// Takes the first job, unless another one was quicker.
pub(super) async fn consume(door: &mut Door) -> bool {
    match door.read(list(QUEUE)).await {
        Answer::Done { reply: Reply::Children { children, .. }, .. } => match children.first() {
            Some(first) => {
                door.write(delete(&format!("{QUEUE}/{}", first.name), Precondition::None)).await;
                true
            }
            None => false,
        },
        Answer::Refused { reason: Reason::NoNode, .. } => false,
        _ => true,
    }
}

/// Takes the lock, changes what only its holder may, and gives it back.
async fn lock(door: &mut Door, session: &mut Option<Session>, random: &mut Random, shared: &Shared) {
    let Some(held) = session else {
        *session = door.client.open_session(SESSION_TIMEOUT).await.ok();
        return;
    };
    let taking = create_as(LOCK, door.token(), CreateMode::Ephemeral);
    let token = match door.ask(Op::Write(taking), Some(held), false).await {
        Answer::Done { reply: Reply::Created { stat, .. }, .. } => stat.czxid,
        Answer::Refused { reason: Reason::NodeExists, .. } => return,
        _ => {
            // Whatever became of it ends with the session.
            *session = None;
            return;
        }
    };
    for _ in 0..random.between(1, 5) {
        let guard = WriteOp::Check { path: path(LOCK), precondition: Precondition::Mzxid(token) };
        let change = set_data(GUARDED, door.token(), Precondition::None);
        if !matches!(door.ask(Op::Multi(vec![guard, change]), Some(held), false).await, Answer::Done { .. }) {
            break;
        }
        change_outside(shared, token);
        tokio::time::sleep(Duration::from_millis(random.between(0, PAUSE_MS_MAX))).await;
    }
    // Only the very lock that was taken.
    let giving_back = delete(LOCK, Precondition::Mzxid(token));
    if matches!(door.ask(Op::Write(giving_back), Some(held), false).await, Answer::Unknown) {
        *session = None;
    }
}

fn change_outside(shared: &Shared, Zxid(token): Zxid) {
    if shared.outside.fetch_max(token, Ordering::SeqCst) > token {
        shared.fenced.fetch_add(1, Ordering::SeqCst);
    }
}
