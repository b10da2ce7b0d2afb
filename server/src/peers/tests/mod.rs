//! Real transports on the loopback, with a sink that only remembers.

mod links;
mod refusals;
mod sessions;
mod snapshots;
mod tls;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use quorate_proto::peer::v1::MemberAddress;
use quorate_storage::{Options, RealDisk, Salt, Snapshots, Storage};
use quorate_types::{ClusterId, Epoch, Role, ServerId, Zxid};
use quorate_zab::{
    ConnectionId, Digest, Input, Member, MemberRole, Members, Message, Notification, Origin, PeerOutput,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::call::Call;
use super::hello::Kind;
use super::{Config, Identity, Peers, Received, Sink, Timing, TlsFiles};
use crate::tls::io::Io;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// For a machine that is busy with other things.
const PATIENT: Timing = Timing { dial: PATIENCE, hello: PATIENCE, close: PATIENCE, keepalive: PATIENCE };

const CLUSTER: ClusterId = ClusterId(7);

/// Remembers what was reported.
#[derive(Default)]
struct Recorder {
    inputs: Mutex<VecDeque<Input>>,
    received: Mutex<Vec<(ConnectionId, Received)>>,
    pushed: Notify,
}

impl Sink for Recorder {
    fn push(&self, input: Input) {
        self.inputs.lock().push_back(input);
        self.pushed.notify_one();
    }

    fn received(&self, connection: ConnectionId, snapshot: Received) {
        let base = snapshot.snapshot.base.clone();
        self.received.lock().push((connection, snapshot));
        self.push(Input::SnapshotReceived { connection, base });
    }
}

impl Recorder {
    async fn next(&self) -> Input {
        let next = async {
            loop {
                if let Some(input) = self.inputs.lock().pop_front() {
                    return input;
                }
                self.pushed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("something is reported")
    }

    /// Drops what is reported until something is what is wanted.
    async fn until<T>(&self, mut wanted: impl FnMut(Input) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next().await) {
                return found;
            }
        }
    }

    async fn until_input(&self, wanted: &Input) {
        self.until(|input| (input == *wanted).then_some(())).await;
    }

    async fn connected(&self, wanted: Origin) -> ConnectionId {
        self.until(|input| match input {
            Input::Connected { connection, origin, .. } if origin == wanted => Some(connection),
            _ => None,
        })
        .await
    }

    async fn message(&self) -> Message {
        self.until(|input| if let Input::Message { message, .. } = input { Some(message) } else { None }).await
    }

    async fn notified(&self) -> (ServerId, Notification) {
        self.until(
            |input| {
                if let Input::Notified { from, notification } = input { Some((from, notification)) } else { None }
            },
        )
        .await
    }
}

/// How a server differs from the others.
struct Setup {
    cluster: ClusterId,
    tls: Option<TlsFiles>,
    timing: Timing,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { cluster: CLUSTER, tls: None, timing: PATIENT }
    }
}

/// One server's transport.
struct TestServer {
    id: ServerId,
    address: SocketAddr,
    sink: Arc<Recorder>,
    peers: Peers,
    snapshots: Snapshots<RealDisk>,
    _dir: TempDir,
}

impl TestServer {
    async fn start(id: u8) -> TestServer {
        TestServer::start_with(id, Setup::default()).await
    }

    async fn start_with(id: u8, setup: Setup) -> TestServer {
        TestServer::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), id, setup)
    }

    fn start_on(listener: TcpListener, id: u8, setup: Setup) -> TestServer {
        let Setup { cluster, tls, timing } = setup;
        let (id, dir) = (ServerId(id), tempfile::tempdir().unwrap());
        let disk = RealDisk::open(dir.path()).unwrap();
        Storage::initialize(disk.clone(), cluster, id, quorate_storage::Standing::Voter, Salt(1)).unwrap();
        let (Storage { snapshots, .. }, _) = Storage::open(disk, &Options::default()).unwrap();
        let (address, sink) = (listener.local_addr().unwrap(), Arc::new(Recorder::default()));
        let config = Config { tls, timing, ..Config::new(BTreeMap::new(), 0) };
        let identity = Identity { cluster, server: id };
        let peers = Peers::start(config, identity, listener, snapshots.dir().clone(), sink.clone()).unwrap();
        TestServer { id, address, sink, peers, snapshots, _dir: dir }
    }

    fn carry_out(&self, outputs: impl IntoIterator<Item = PeerOutput>) {
        let mut outputs = Vec::from_iter(outputs);
        self.peers.carry_out(&mut outputs);
        assert!(outputs.is_empty());
    }

    /// Tells it where others are, without keeping links with them.
    fn knows(&self, others: &[(u8, String)]) {
        self.peers.core.book.lock().set_members(&members(others));
    }

    fn send(&self, connection: ConnectionId, messages: impl IntoIterator<Item = Message>) {
        self.carry_out(messages.into_iter().map(|message| PeerOutput::Send { connection, message }));
    }
}

fn members(servers: &[(u8, String)]) -> BTreeMap<ServerId, Member> {
    let member = |peer: &String| {
        let address = MemberAddress { peer: peer.clone(), ..MemberAddress::default() };
        Member { role: MemberRole::Participant, address: address.encode_to_vec().into() }
    };
    servers.iter().map(|(id, peer)| (ServerId(*id), member(peer))).collect()
}

/// A learner and its leader, with the two ends of their session.
async fn connect(learner: &TestServer, leader: &TestServer) -> (ConnectionId, ConnectionId) {
    learner.knows(&[(leader.id.0, leader.address.to_string())]);
    learner.carry_out([PeerOutput::Dial { to: leader.id }]);
    (learner.sink.connected(Origin::Dialed).await, leader.sink.connected(Origin::Accepted).await)
}

/// A call of somebody who may do anything.
async fn call(to: SocketAddr, kind: Kind) -> Call {
    let stream = TcpStream::connect(to).await.unwrap();
    Call::dial(Io::Left(stream), kind).await.unwrap()
}

fn ping(seq: u64) -> Message {
    Message::Ping { epoch: Epoch(1), seq, commit: Zxid(seq), digest: Digest::default() }
}

fn notification(round: u64) -> Notification {
    Notification {
        role: Role::Looking,
        round,
        vote: None,
        epoch: None,
        members: Members::founding([ServerId(1)]),
        is_blank: false,
        is_answer: false,
    }
}
