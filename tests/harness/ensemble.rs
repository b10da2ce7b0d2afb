//! `Ensemble`: several real server processes that belong together, with a network between them that can fail.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_client::{Builder, Client, MemberAddress, MemberSpec, Membership, Role, Status};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Network, Server, ServerOptions};

/// Longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at something that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A server that does not say within this what it is does not say it.
const STATUS_TIMEOUT: Duration = Duration::from_millis(250);

/// What an ensemble begins with.
#[derive(Clone, Debug)]
pub struct EnsembleOptions {
    /// Servers that vote; they are numbered from 1.
    pub voters: u8,
    /// Servers that do not; they come after the voters.
    pub observers: u8,
    /// Servers that may come later; their numbers come after those of the others.
    pub spares: u8,
    /// More arguments of every server.
    pub arguments: Vec<String>,
    /// Below which the data of all servers goes; temporary directories unless set.
    pub dir: Option<PathBuf>,
    /// Whether the disks and clocks of the servers are to go wrong.
    pub has_faults: bool,
}

/// Server processes, numbered from 1. All are killed when it is dropped.
pub struct Ensemble {
    // Servers go before the network does, so that nothing is reported that only the end of a test has caused.
    servers: BTreeMap<u8, Server>,
    network: Network,
    directory: Directory,
    options: EnsembleOptions,
}

/// Where the gRPC doors of the servers are at this moment, under names that never change.
#[derive(Clone, Debug, Default)]
struct Directory(Arc<Mutex<BTreeMap<String, String>>>);

impl Default for EnsembleOptions {
    fn default() -> EnsembleOptions {
        EnsembleOptions { voters: 3, observers: 0, spares: 0, arguments: Vec::new(), dir: None, has_faults: false }
    }
}

impl Ensemble {
    /// Starts three servers that vote.
    ///
    /// # Panics
    /// If one does not come up.
    #[must_use]
    pub fn start() -> Ensemble {
        Ensemble::start_with(EnsembleOptions::default())
    }

    /// Starts an ensemble. Its doors are open then; it may not have a leader yet.
    ///
    /// # Panics
    /// If a server does not come up.
    #[must_use]
    pub fn start_with(options: EnsembleOptions) -> Ensemble {
        let founders = options.voters + options.observers;
        let known: Vec<u8> = (1..=founders + options.spares).collect();
        let mut ensemble = Ensemble {
            servers: BTreeMap::new(),
            network: Network::between(&known),
            directory: Directory::default(),
            options,
        };
        (1..=founders).for_each(|id| ensemble.begin(id));
        ensemble
    }

    fn begin(&mut self, id: u8) {
        let arguments = self.arguments_of(id);
        let data_dir = self.options.dir.as_ref().map(|dir| dir.join(format!("server-{id}")));
        let has_faults = self.options.has_faults;
        let options = ServerOptions { data_dir, arguments, has_faults, ..ServerOptions::default() };
        self.servers.insert(id, Server::start_with(options));
        self.came(id);
    }

    /// All servers.
    pub fn ids(&self) -> impl Iterator<Item = u8> + '_ {
        self.servers.keys().copied()
    }

    /// How many voted when it began.
    #[must_use]
    pub fn voters(&self) -> usize {
        self.options.voters.into()
    }

    /// All servers that there may ever be.
    #[must_use]
    pub fn known(&self) -> Vec<u8> {
        self.network.servers().collect()
    }

    /// Those that may still come.
    #[must_use]
    pub fn spares(&self) -> Vec<u8> {
        self.network.servers().filter(|id| !self.servers.contains_key(id)).collect()
    }

    /// All servers but one.
    #[must_use]
    pub fn others(&self, server: u8) -> Vec<u8> {
        self.ids().filter(|other| *other != server).collect()
    }

    /// One of them.
    #[must_use]
    pub fn server(&self, id: u8) -> &Server {
        &self.servers[&id]
    }

    /// What lies between them.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    // ---- What happens to servers -----------------------------------------------------------------------------------

    /// As `kill -9` does.
    pub fn kill(&mut self, id: u8) {
        self.get_mut(id).kill();
        self.went(id);
    }

    /// As a service manager does.
    pub fn stop(&mut self, id: u8) {
        self.get_mut(id).stop();
        self.went(id);
    }

    /// Waits for the end of a server that ends by itself, and says how it did.
    pub fn wait_for_end(&mut self, id: u8) -> ExitStatus {
        let status = self.get_mut(id).wait_for_end();
        self.went(id);
        status
    }

    /// Starts a server that is gone, with the data that it has.
    pub fn restart(&mut self, id: u8) {
        self.get_mut(id).restart();
        self.came(id);
    }

    /// Kills a server if it lives, and takes everything away that it had on disk.
    pub fn wipe(&mut self, id: u8) {
        if self.get_mut(id).is_alive() {
            self.kill(id);
        }
        self.server(id).wipe();
    }

    /// Starts a spare server: it comes to learn, and belongs to the ensemble once it is added.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn join(&mut self, id: u8) {
        self.begin(id);
    }

    /// A server that does not belong to the ensemble any more goes for good, with its data; its number is spare then.
    ///
    /// # Panics
    /// If there is no such server.
    pub fn retire(&mut self, id: u8) {
        self.wipe(id);
        self.servers.remove(&id);
    }

    /// Whether the process of a server runs.
    pub fn is_alive(&mut self, id: u8) -> bool {
        self.get_mut(id).is_alive()
    }

    // ---- What servers say ------------------------------------------------------------------------------------------

    /// What a server says of itself, if it says anything.
    pub async fn status(&self, id: u8) -> Option<Status> {
        let client = self.client(&[id]).fail_fast(true).connect_timeout(STATUS_TIMEOUT).build();
        client.status().timeout(STATUS_TIMEOUT).await.ok()
    }

    /// Waits until a server leads, and returns its number.
    ///
    /// # Panics
    /// If none does for long.
    pub async fn leader(&self) -> u8 {
        let all: Vec<u8> = self.ids().collect();
        self.leader_among(&all).await
    }

    /// Waits until one of these servers leads. One that was deposed and does not know it may be among them: then the
    /// one with the newest epoch leads.
    ///
    /// # Panics
    /// If none does for long.
    pub async fn leader_among(&self, servers: &[u8]) -> u8 {
        self.wait_for("a leader", async || self.leader_now(servers).await).await
    }

    /// Which of these servers leads at this moment, as far as they say.
    pub async fn leader_now(&self, servers: &[u8]) -> Option<u8> {
        let mut newest = None;
        for id in servers {
            let status = self.status(*id).await;
            let leads = |status: &Status| status.serving && status.header.role == Role::Leading;
            newest = newest.max(status.filter(leads).map(|status| (status.header.epoch, *id)));
        }
        newest.map(|(_, id)| id)
    }

    /// Waits until each of these servers takes writes.
    ///
    /// # Panics
    /// If one does not for long.
    pub async fn serving(&self, servers: &[u8]) {
        for id in servers {
            let serves = async || self.status(*id).await.filter(|status| status.serving);
            self.wait_for(&format!("server {id} to serve"), serves).await;
        }
    }

    /// Waits until all servers serve and have the same state, and returns its zxid. Nobody may be writing.
    ///
    /// # Panics
    /// If that does not happen for long, or two servers differ at one zxid.
    pub async fn agreed(&self) -> u64 {
        self.wait_for("all servers to agree", async || {
            let mut states = BTreeMap::new();
            for id in self.ids() {
                let status = self.status(id).await.filter(|status| status.serving)?;
                let other = states.entry(status.header.zxid).or_insert_with(|| status.digest.clone());
                assert_eq!(*other, status.digest, "server {id} differs at {:#x}", status.header.zxid);
            }
            if states.len() == 1 { states.keys().next().copied() } else { None }
        })
        .await
    }

    /// Looks again and again until there is something.
    ///
    /// # Panics
    /// If there is nothing for long.
    pub async fn wait_for<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if Instant::now() > deadline {
                let mut statuses = Vec::new();
                for id in self.ids() {
                    statuses.push(format!("{id}: {:?}", self.status(id).await));
                }
                panic!("waited too long for {what}:\n{}", statuses.join("\n"));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// A client that knows these servers, in this order, wherever they are at any moment.
    #[must_use]
    pub fn client(&self, servers: &[u8]) -> Builder {
        let directory = self.directory.clone();
        Client::builder()
            .addresses(servers.iter().map(|id| name(*id)))
            .connector(move |name| directory.clone().connect(name.to_owned()))
    }

    // ---- Bookkeeping -----------------------------------------------------------------------------------------------

    fn get_mut(&mut self, id: u8) -> &mut Server {
        self.servers.get_mut(&id).expect("there is such a server")
    }

    fn arguments_of(&self, id: u8) -> Vec<String> {
        let EnsembleOptions { voters, observers, .. } = self.options;
        // Those that came later are no founders, but may be the only ones left who can be asked who leads.
        let is_told = |other: &u8| *other <= voters + observers || *other == id || self.servers.contains_key(other);
        let member = |other: u8| {
            let role = if other > voters { "observer" } else { "participant" };
            format!("{other}={}:{role}", self.network.gate(other))
        };
        let members: Vec<String> = self.network.servers().filter(is_told).map(member).collect();
        let us = id.to_string();
        // The gate is in front of the door.
        let given = ["--server-id", &us, "--peer", "127.0.0.1:0", "--member", &members.join(",")];
        given.into_iter().map(str::to_owned).chain(self.options.arguments.iter().cloned()).collect()
    }

    /// What a server is to be, for a change of the ensemble.
    #[must_use]
    pub fn spec(&self, id: u8, membership: Membership) -> MemberSpec {
        let grpc = self.servers.get(&id).map(|server| server.address("grpc").to_owned());
        let peer = self.network.gate(id).to_string();
        MemberSpec { server_id: id.into(), membership, address: Some(MemberAddress { peer, grpc, http: None }) }
    }

    fn came(&self, id: u8) {
        let server = self.server(id);
        let peer = server.address("peer").parse().expect("an address of the peer door");
        self.network.set_place(id, Some(peer));
        self.directory.lock().insert(name(id), server.address("grpc").to_owned());
    }

    fn went(&self, id: u8) {
        self.network.set_place(id, None);
        self.directory.lock().remove(&name(id));
    }
}

impl Directory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // A test that has failed elsewhere leaves it as good as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(self, name: String) -> io::Result<TcpStream> {
        let address = self.lock().get(&name).cloned();
        let address = address.ok_or_else(|| io::Error::new(io::ErrorKind::ConnectionRefused, "it is gone"))?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// An address that only [`Directory`] can resolve.
fn name(id: u8) -> String {
    format!("server-{id}:1")
}
