//! An ensemble of real processes that grows from three servers to five and shrinks to three others, and whose leadership
//! is handed over, while clients write: nothing that was acknowledged is lost, and everybody ends with the same state.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_client::{Client, Member, MemberAddress, MemberSpec, MemberState, Membership, Reason};
use quorate_tests::harness::{Server, ServerOptions};

/// How long the servers may take for anything that they do by themselves: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The servers 1 to 5; the first three begin the ensemble.
struct Ensemble {
    peers: Vec<String>,
    servers: Vec<Server>,
}

impl Ensemble {
    /// Three servers that have a leader.
    async fn of_three() -> Ensemble {
        let listeners: Vec<_> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let peers = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        drop(listeners);
        let mut ensemble = Ensemble { peers, servers: Vec::new() };
        for _ in 0..3 {
            ensemble.start(&["--initialize"]);
        }
        let began = Instant::now();
        for at in 0..3 {
            while !ensemble.client(at).status().await.unwrap().serving {
                assert!(began.elapsed() < PATIENCE, "no leader");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        ensemble
    }

    /// Starts the next server: those that come later than the first three have to be told where these are.
    fn start(&mut self, more: &[&str]) {
        let (at, count) = (self.servers.len(), self.peers.len().min(self.servers.len().max(2) + 1));
        let role = |at: usize| if at < 3 { "" } else { ":observer" };
        let member = |(at, peer): (usize, &String)| format!("{}={peer}{}", at + 1, role(at));
        let members: Vec<String> = self.peers[..count].iter().enumerate().map(member).collect();
        let id = (at + 1).to_string();
        let arguments = ["--server-id", &id, "--member", &members.join(",")];
        let arguments = arguments.iter().chain(more).map(ToString::to_string).collect();
        self.servers.push(Server::start_with(ServerOptions { arguments, ..ServerOptions::default() }));
    }

    /// A client of one server alone.
    fn client(&self, at: usize) -> Client {
        Client::builder().addresses([self.servers[at].address("grpc")]).request_timeout(PATIENCE).build()
    }

    fn spec(&self, id: u32, membership: Membership) -> MemberSpec {
        let peer = self.peers[id as usize - 1].clone();
        let grpc = Some(self.servers[id as usize - 1].address("grpc").to_owned());
        MemberSpec { server_id: id, membership, address: Some(MemberAddress { peer, grpc, http: None }) }
    }

    /// Waits until the leader says of each of these servers what is wanted.
    async fn until(&self, at: usize, ids: &[u32], wanted: impl Fn(&Member) -> bool) -> quorate_client::Members {
        let client = self.client(at);
        let began = Instant::now();
        loop {
            let known = client.members().await.unwrap();
            let found = |id: &u32| known.members.iter().find(|member| member.server_id == *id);
            if known.leader_id != 0 && ids.iter().all(|id| found(id).is_some_and(&wanted)) {
                return known;
            }
            assert!(began.elapsed() < PATIENCE, "{known:#?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Writes one znode after the other until told to stop. Returns how many were acknowledged.
async fn write(client: Client, stop: Arc<AtomicBool>) -> u64 {
    client.create("/written", "").await.unwrap();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        client.create(format!("/written/{count}"), "").await.unwrap_or_else(|error| panic!("{count}: {error}"));
        count += 1;
    }
    count
}

fn is_ready(member: &Member) -> bool {
    let is_there = matches!(member.state, MemberState::Leading | MemberState::Following | MemberState::Observing);
    is_there && !member.synchronizing && !member.amnesiac && member.behind == Some(0)
}

#[tokio::test]
async fn three_servers_become_five_and_then_three_others_while_clients_write() {
    let mut ensemble = Ensemble::of_three().await;
    let addresses: Vec<String> = ensemble.servers.iter().map(|server| server.address("grpc").to_owned()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = Client::builder().addresses(addresses).request_timeout(PATIENCE).build();
    let writing = tokio::spawn(write(writer, Arc::clone(&stop)));

    // They come, learn, and are added. Whoever asks for it again is told the same.
    ensemble.start(&[]);
    ensemble.start(&[]);
    let before = ensemble.until(0, &[4, 5], |member| !member.synchronizing && !member.amnesiac).await;
    assert_eq!((before.version, before.quorum), (0, 2));
    let admin = ensemble.client(1);
    let (four, five) = (ensemble.spec(4, Membership::Participant), ensemble.spec(5, Membership::Participant));
    let grow = || admin.reconfigure().add(four.clone()).add(five.clone()).version(0);
    let grown = grow().await.unwrap();
    assert_eq!(grown.members.iter().map(|member| member.server_id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(grow().await.unwrap().version, grown.version);
    let refused = admin.reconfigure().remove(4).version(0).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::BadVersion);
    let five_of_them = ensemble.until(4, &[1, 2, 3, 4, 5], |member| member.membership.is_some()).await;
    assert_eq!((five_of_them.version, five_of_them.quorum), (grown.version, 3));
    // Where the founders are, the configuration does not say; the servers were told.
    assert!(five_of_them.members.iter().all(|member| member.address.is_some()), "{five_of_them:?}");

    // A new one leads, and every server says so.
    ensemble.until(0, &[4], |member| member.state != MemberState::Unreachable && !member.synchronizing).await;
    assert_eq!(admin.transfer_leadership().to(4).await.unwrap(), 4);
    for at in 0..5 {
        let led = ensemble.until(at, &[4], |member| member.state == MemberState::Leading).await;
        assert_eq!((led.leader_id, led.told_by_id), (4, 4), "asked server {}", at + 1);
    }

    // Two of the first leave, and may be switched off.
    let shrunk = ensemble.client(2).reconfigure().remove(1).remove(2).await.unwrap();
    assert_eq!(shrunk.members.iter().map(|member| member.server_id).collect::<Vec<_>>(), [3, 4, 5]);
    stop.store(true, Ordering::Relaxed);
    ensemble.servers[0].kill();
    ensemble.servers[1].kill();
    let count = writing.await.unwrap();
    assert!(count > 0, "nothing was written meanwhile");
    let left = ensemble.until(2, &[3, 4, 5], is_ready).await;
    assert_eq!((left.quorum, left.members.len()), (2, 3));

    // Everything is there, and everybody has the same.
    let digests = [2, 3, 4].map(|at| ensemble.client(at));
    for client in &digests {
        client.sync().await.unwrap();
        assert_eq!(client.count_descendants("/written").await.unwrap().count, count);
    }
    let began = Instant::now();
    loop {
        let mut found = Vec::new();
        for client in &digests {
            let digest = client.digest().await.unwrap();
            found.push((digest.zxid, digest.digest));
        }
        if found.iter().all(|(zxid, _)| *zxid == found[0].0) {
            assert!(found.iter().all(|(_, digest)| *digest == found[0].1), "{found:?}");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "no rest: {found:?}");
    }
}

#[tokio::test]
async fn an_ensemble_of_which_nobody_leads_says_who_cannot_be_reached() {
    let mut ensemble = Ensemble::of_three().await;
    ensemble.servers[0].kill();
    ensemble.servers[1].kill();
    let client = ensemble.client(2);
    let began = Instant::now();
    let known = loop {
        let known = client.members().await.unwrap();
        if known.leader_id == 0 {
            break known;
        }
        assert!(began.elapsed() < PATIENCE, "{known:?}");
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    let states: Vec<MemberState> = known.members.iter().map(|member| member.state).collect();
    assert_eq!(states, [MemberState::Unreachable, MemberState::Unreachable, MemberState::Looking]);
    assert_eq!(known.told_by_id, 3);
    let rest = ensemble.servers[2].rest().get("/v1/cluster").await.unwrap().body;
    let document: serde_json::Value = serde_json::from_slice(&rest).unwrap();
    assert_eq!(
        (&document["leader_id"], &document["members"][0]["role"]),
        (&serde_json::Value::Null, &"unreachable".into())
    );
    let refused = client.transfer_leadership().to(1).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Unavailable);
}
