//! `Door`: one way to a server. All of them take the same steps and give the same results.

use std::time::Duration;

use quorate_proto::v1;
use quorate_proto::v1::channel_operation::Operation;
use quorate_tests::harness::Server;
use serde_json::{Map, Value};

use super::channel::ChannelDoor;
use super::messages::{self, SessionHandle};
use super::rest::RestDoor;
use super::unary::UnaryDoor;

/// Longer than anything takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why an operation failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) path: Option<String>,
}

/// An open door.
pub(super) enum Door {
    Unary(Box<UnaryDoor>),
    Channel(Box<ChannelDoor>),
    Rest(Box<RestDoor>),
}

/// What a step asks for, besides its operation.
pub(super) struct Asked<'a> {
    pub(super) op: &'a str,
    pub(super) arguments: &'a Map<String, Value>,
    pub(super) session: Option<&'a SessionHandle>,
}

impl Door {
    /// Opens the door with this name.
    pub(super) async fn open(name: &str, server: &Server) -> Door {
        match name {
            "unary" => Door::Unary(Box::new(UnaryDoor::open(server).await)),
            "channel" => Door::Channel(Box::new(ChannelDoor::open(server).await)),
            "rest" => Door::Rest(Box::new(RestDoor::open(server))),
            other => panic!("there is no door {other}"),
        }
    }

    /// Performs an operation on znodes.
    pub(super) async fn perform(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        match self {
            Door::Unary(door) => door.perform(asked.operation(door.cluster_id()), asked.deadline()).await,
            Door::Channel(door) => door.perform(asked.operation(door.cluster_id()), asked.deadline()).await,
            Door::Rest(door) => door.perform(asked).await,
        }
    }

    /// Streams a tree.
    pub(super) async fn tree(&mut self, asked: &Asked<'_>) -> Result<Value, Failure> {
        match self {
            Door::Unary(door) => door.tree(asked).await,
            Door::Rest(door) => door.tree(asked).await,
            Door::Channel(_) => panic!("`tree` is for the doors `unary` and `rest`"),
        }
    }

    /// Opens a session.
    pub(super) async fn open_session(&mut self, timeout_ms: u32) -> Result<(SessionHandle, Value), Failure> {
        match self {
            Door::Unary(door) => door.open_session(timeout_ms).await,
            Door::Channel(door) => door.open_session(timeout_ms).await,
            Door::Rest(door) => door.open_session(timeout_ms).await,
        }
    }

    /// Keeps a session alive.
    pub(super) async fn keep_alive(&mut self, session: &SessionHandle) -> Result<Value, Failure> {
        match self {
            Door::Unary(door) => door.keep_alive(session).await,
            Door::Channel(door) => {
                let request = v1::KeepAliveRequest { session: Some(session.credential()) };
                door.perform(Operation::KeepAlive(request), None).await
            }
            Door::Rest(door) => door.keep_alive(session).await,
        }
    }

    /// Closes a session.
    pub(super) async fn close_session(&mut self, session: &SessionHandle) -> Result<Value, Failure> {
        match self {
            Door::Unary(door) => door.close_session(session).await,
            Door::Channel(door) => {
                let request = v1::CloseRequest { session: Some(session.credential()) };
                door.perform(Operation::Close(request), None).await
            }
            Door::Rest(door) => door.close_session(session).await,
        }
    }

    /// Begins a watch.
    pub(super) async fn watch(&mut self, asked: &Asked<'_>, id: u64) {
        match self {
            Door::Unary(door) => door.watch(asked.watch(id, door.cluster_id())).await,
            Door::Channel(door) => door.watch(asked.watch(id, door.cluster_id())).await,
            Door::Rest(door) => door.watch(asked, id).await,
        }
    }

    /// Ends a watch.
    pub(super) async fn cancel(&mut self, id: u64) {
        match self {
            Door::Unary(door) => door.cancel(id).await,
            Door::Channel(door) => door.cancel(id).await,
            Door::Rest(door) => door.cancel(id),
        }
    }

    /// The next thing that a watch is told; the first is that it has begun.
    pub(super) async fn told(&mut self, id: u64) -> Value {
        let told = async {
            match self {
                Door::Unary(door) => door.told(id).await,
                Door::Channel(door) => door.told(id).await,
                Door::Rest(door) => door.told(id).await,
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("watch {id} is told nothing more"))
    }
}

impl Asked<'_> {
    fn operation(&self, cluster_id: u64) -> Operation {
        messages::operation(self.op, self.arguments, self.options(cluster_id))
    }

    pub(super) fn options(&self, cluster_id: u64) -> Option<v1::RequestOptions> {
        messages::options(self.arguments, self.session, cluster_id)
    }

    fn watch(&self, id: u64, cluster_id: u64) -> v1::WatchCreate {
        messages::watch(self.arguments, id, self.options(cluster_id))
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        messages::number(self.arguments, "deadline_ms").map(Duration::from_millis)
    }
}

impl Failure {
    /// Of an error that the API carries itself.
    pub(super) fn of(error: v1::Error) -> Failure {
        Failure { reason: messages::reason(&error), path: error.path }
    }
}
