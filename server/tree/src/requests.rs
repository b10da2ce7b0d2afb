//! `Requests`: the results of writes that carried a request id, so that a repeated write is answered and not repeated
//! (RIFL, Lee et al., SOSP 2015).
//!
//! What is remembered is bounded three times over, and always by the same rule on every server:
//! - a client says how far it has seen results (`acknowledged_through`): those are dropped;
//! - a client keeps at most [`limits::REMEMBERED_REQUESTS_MAX`] results and [`CLIENT_BYTES_MAX`] bytes, lowest
//!   sequence first to go; what went is answered with `RequestIdForgotten`, never executed again;
//! - all callers without a session together keep [`SESSIONLESS_MAX`] results and [`SESSIONLESS_BYTES_MAX`] bytes,
//!   oldest first to go. That is their horizon: beyond it a repeated write is a new write. A session's results have no
//!   such horizon; they go when the session ends.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_types::txn::RequestMark;
use quorate_types::{SessionId, Zxid, limits};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::digest::Digest;

/// Results that all callers without a session may have remembered together.
pub(crate) const SESSIONLESS_MAX: usize = 100_000;

/// Bytes of these results.
pub(crate) const SESSIONLESS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of one client's results; its newest one stays even if it is larger by itself.
pub(crate) const CLIENT_BYTES_MAX: usize = 1024 * 1024;

/// Whose sequence numbers they are: a session's, or those of one client of a sessionless caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientKey {
    /// [`SessionId::NONE`] without one; otherwise the other two are 0.
    pub(crate) session: SessionId,
    pub(crate) caller: u64,
    pub(crate) client: u128,
}

impl ClientKey {
    pub(crate) fn new(session: SessionId, mark: &RequestMark) -> ClientKey {
        if session.is_some() {
            ClientKey { session, caller: 0, client: 0 }
        } else {
            ClientKey { session, caller: mark.caller, client: mark.id.client }
        }
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.session.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.caller.to_le_bytes());
        bytes[16..].copy_from_slice(&self.client.to_le_bytes());
        bytes
    }
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) sequence: u64,
    pub(crate) zxid: Zxid,
    /// A hash of what was asked.
    pub(crate) operation: u64,
    /// The encoded [`quorate_types::Reply`].
    pub(crate) reply: Box<[u8]>,
}

impl Remembered {
    fn bytes(&self) -> usize {
        size_of::<Remembered>() + self.reply.len()
    }

    fn term(&self, key: ClientKey) -> u128 {
        let mut bytes = [0; 32 + 3 * 8];
        bytes[..32].copy_from_slice(&key.to_bytes());
        bytes[32..40].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.zxid.0.to_le_bytes());
        bytes[48..].copy_from_slice(&self.operation.to_le_bytes());
        let head = xxh3_128(&bytes);
        head.wrapping_add(xxh3_128_with_seed(&self.reply, head as u64))
    }
}

/// What is remembered for one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// Sequences up to this one that are not in `results` are never executed: the client has seen them, or had its
    /// chance to.
    pub(crate) forgotten_through: u64,
    /// In the order of their sequences.
    pub(crate) results: VecDeque<Remembered>,
    bytes: usize,
}

impl Client {
    pub(crate) fn new(forgotten_through: u64) -> Client {
        Client { forgotten_through, ..Client::default() }
    }

    fn term(&self, key: ClientKey) -> u128 {
        xxh3_128_with_seed(&key.to_bytes(), self.forgotten_through ^ 0x666f_7267_6f74_7465)
    }

    fn find(&self, sequence: u64) -> Result<usize, usize> {
        self.results.binary_search_by_key(&sequence, |result| result.sequence)
    }
}

/// What is known of a request id.
#[derive(Debug, PartialEq)]
pub(crate) enum Recall<'a> {
    /// Nothing: the request is new.
    New,
    /// It was executed, with this result.
    Done(&'a Remembered),
    /// The id was used for something else.
    Reused(&'a Remembered),
    /// The id lies before everything that is remembered.
    Forgotten,
}

/// All remembered results. Clients are shared with a snapshot that is being written, and copied when they change.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    clients: BTreeMap<ClientKey, Arc<Client>>,
    /// Those of callers without a session, oldest first: a txn carries at most one request.
    sessionless: BTreeMap<Zxid, (ClientKey, u64)>,
    sessionless_bytes: usize,
    count: usize,
    bytes: usize,
}

impl Requests {
    pub(crate) fn recall(&self, key: ClientKey, mark: &RequestMark) -> Recall<'_> {
        let Some(client) = self.clients.get(&key) else { return Recall::New };
        match client.find(mark.id.sequence) {
            Ok(at) if client.results[at].operation == mark.operation => Recall::Done(&client.results[at]),
            Ok(at) => Recall::Reused(&client.results[at]),
            Err(_) if mark.id.sequence <= client.forgotten_through => Recall::Forgotten,
            Err(_) => Recall::New,
        }
    }

    /// How far the client's results are forgotten.
    pub(crate) fn forgotten_through(&self, key: ClientKey) -> u64 {
        self.clients.get(&key).map_or(0, |client| client.forgotten_through)
    }

    /// Remembers the result of a request that has been executed, and drops what it makes superfluous.
    pub(crate) fn remember(&mut self, digest: &mut Digest, key: ClientKey, mark: &RequestMark, result: Remembered) {
        self.forget_through(digest, key, mark.id.acknowledged_through);
        self.insert(digest, key, result);
        self.trim_client(digest, key);
        while self.sessionless.len() > SESSIONLESS_MAX || self.sessionless_bytes > SESSIONLESS_BYTES_MAX {
            let Some((_, (oldest, sequence))) = self.sessionless.first_key_value().map(|(k, v)| (*k, *v)) else {
                break;
            };
            self.remove(digest, oldest, |client| client.find(sequence).ok());
        }
    }

    /// Adds a client as a snapshot holds it. Its results are in order.
    pub(crate) fn restore(&mut self, digest: &mut Digest, key: ClientKey, client: Client) {
        let Client { forgotten_through, results, bytes: _ } = client;
        self.raise_forgotten(digest, key, forgotten_through);
        results.into_iter().for_each(|result| self.insert(digest, key, result));
    }

    /// A session has ended: so has its need of answers.
    pub(crate) fn close_session(&mut self, digest: &mut Digest, session: SessionId) {
        let key = ClientKey { session, caller: 0, client: 0 };
        let Some(client) = self.clients.remove(&key) else { return };
        client.results.iter().for_each(|result| digest.subtract(result.term(key)));
        digest.subtract(client.term(key));
        self.count -= client.results.len();
        self.bytes -= client.bytes;
    }

    /// Takes everything that is remembered out of a digest.
    pub(crate) fn subtract_all(&self, digest: &mut Digest) {
        for (key, client) in &self.clients {
            client.results.iter().for_each(|result| digest.subtract(result.term(*key)));
            digest.subtract(client.term(*key));
        }
    }

    /// Results remembered.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether anything is known of the client.
    pub(crate) fn knows(&self, key: ClientKey) -> bool {
        self.clients.contains_key(&key)
    }

    /// Whether the txn at `zxid` carried a request of a caller without a session.
    pub(crate) fn has_sessionless_at(&self, zxid: Zxid) -> bool {
        self.sessionless.contains_key(&zxid)
    }

    /// Everything, shared, in the order of keys.
    pub(crate) fn share(&self) -> Vec<(ClientKey, Arc<Client>)> {
        self.clients.iter().map(|(key, client)| (*key, Arc::clone(client))).collect()
    }

    /// Bytes of the results, about.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.bytes + self.clients.len() * (size_of::<ClientKey>() + size_of::<Client>())
    }

    fn forget_through(&mut self, digest: &mut Digest, key: ClientKey, through: u64) {
        let is_seen = |client: &Client| client.results.front().is_some_and(|result| result.sequence <= through);
        while self.clients.get(&key).is_some_and(|client| is_seen(client)) {
            self.remove(digest, key, |_| Some(0));
        }
        if through > 0 {
            self.raise_forgotten(digest, key, through);
        }
    }

    fn raise_forgotten(&mut self, digest: &mut Digest, key: ClientKey, through: u64) {
        let client = self.client_mut(digest, key);
        if client.forgotten_through < through {
            digest.subtract(client.term(key));
            client.forgotten_through = through;
            digest.add(client.term(key));
        }
    }

    fn insert(&mut self, digest: &mut Digest, key: ClientKey, result: Remembered) {
        digest.add(result.term(key));
        if !key.session.is_some() {
            let before = self.sessionless.insert(result.zxid, (key, result.sequence));
            assert!(before.is_none(), "two requests share the zxid {}", result.zxid);
            self.sessionless_bytes += result.bytes();
        }
        self.bytes += result.bytes();
        let client = self.client_mut(digest, key);
        client.bytes += result.bytes();
        let Err(at) = client.find(result.sequence) else { panic!("request {} is executed twice", result.sequence) };
        client.results.insert(at, result);
        self.count += 1;
    }

    fn trim_client(&mut self, digest: &mut Digest, key: ClientKey) {
        let is_too_large = |client: &Client| {
            let too_many = client.results.len() > limits::REMEMBERED_REQUESTS_MAX;
            too_many || (client.bytes > CLIENT_BYTES_MAX && client.results.len() > 1)
        };
        while let Some(lowest) = self.clients.get(&key).filter(|client| is_too_large(client)) {
            let through = lowest.results[0].sequence;
            self.remove(digest, key, |_| Some(0));
            self.raise_forgotten(digest, key, through);
        }
    }

    /// Removes a result, and with a sessionless client's last result the client.
    fn remove(&mut self, digest: &mut Digest, key: ClientKey, which: impl FnOnce(&Client) -> Option<usize>) {
        let client = self.client_mut(digest, key);
        let result =
            which(client).and_then(|at| client.results.remove(at)).expect("only results that exist are removed");
        client.bytes -= result.bytes();
        let is_empty = client.results.is_empty();
        digest.subtract(result.term(key));
        self.count -= 1;
        self.bytes -= result.bytes();
        if !key.session.is_some() {
            self.sessionless.remove(&result.zxid);
            self.sessionless_bytes -= result.bytes();
            if is_empty {
                let client = self.clients.remove(&key).expect("a result was just removed from it");
                digest.subtract(client.term(key));
            }
        }
    }

    fn client_mut(&mut self, digest: &mut Digest, key: ClientKey) -> &mut Client {
        let client = self.clients.entry(key).or_insert_with(|| {
            let client = Client::default();
            digest.add(client.term(key));
            Arc::new(client)
        });
        Arc::make_mut(client)
    }
}
