//! `Network`: what lies between the servers of an ensemble, so that it can fail.
//!
//! A server is reached through its gate: a TCP proxy that listens where the others believe the server to be. Whoever
//! calls says in its hello who it is. So what passes from one server to another is known for each ordered pair, and each
//! of these *ways* can be cut, slowed down and healed by itself, without any right of an administrator. A way that is
//! cut is silent and nothing more: connections stay open, nobody learns that the other end has gone, and what was under
//! way arrives in one burst when the way is healed, as with packets that TCP sends again.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use quorate_proto::peer::v1;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Pieces that a way holds back before their sender has to wait.
const PIECES_MAX: usize = 64;

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Bytes in which it must have been said who calls.
const HELLO_BYTES_MAX: usize = 64 * 1024;

/// What an HTTP/2 connection begins with.
const PREFACE_BYTES: usize = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// Length, type, flags and stream of an HTTP/2 frame.
const FRAME_HEAD_BYTES: usize = 9;

/// The type of those frames that carry messages.
const DATA_FRAME: u8 = 0;

/// What gRPC puts before a message: whether it is compressed, and its length.
const MESSAGE_HEAD_BYTES: usize = 5;

/// From one server to another.
type Pair = (u8, u8);

/// How it is on the way from one server to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    is_cut: bool,
    delay: Duration,
    /// Connections that were there when this grew are reset.
    resets: u64,
}

/// The network between some servers. Whatever was done to it is over when it is dropped.
pub struct Network {
    shared: Arc<Shared>,
    gates: BTreeMap<u8, SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    ways: BTreeMap<Pair, watch::Sender<Way>>,
    /// Where each server really is, while it is anywhere.
    places: BTreeMap<u8, Mutex<Option<SocketAddr>>>,
}

impl Network {
    /// Between these servers, none of which is there yet.
    ///
    /// # Panics
    /// If the system has no ports left, or no threads.
    #[must_use]
    pub fn between(servers: &[u8]) -> Network {
        let pairs = servers.iter().flat_map(|from| servers.iter().map(move |to| (*from, *to)));
        let ways = pairs.filter(|(from, to)| from != to).map(|pair| (pair, watch::Sender::new(Way::default())));
        let shared = Arc::new(Shared {
            ways: ways.collect(),
            places: servers.iter().map(|server| (*server, Mutex::default())).collect(),
        });
        let (mut gates, mut listeners) = (BTreeMap::new(), Vec::new());
        for server in servers {
            let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
            listener.set_nonblocking(true).expect("a listener need not block");
            gates.insert(*server, listener.local_addr().expect("a listener has an address"));
            listeners.push((*server, listener));
        }
        let (stop, stopped) = oneshot::channel();
        let open = Arc::clone(&shared);
        // A runtime of its own: the network goes on while a test waits for a process.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                for (server, listener) in listeners {
                    let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
                    tokio::spawn(keep_gate(server, listener, Arc::clone(&open)));
                }
                // Dropped or sent, it is the end.
                let _ = stopped.await;
            });
        });
        Network { shared, gates, stop: Some(stop), thread: Some(thread) }
    }

    /// Between whom it lies.
    pub fn servers(&self) -> impl Iterator<Item = u8> + '_ {
        self.shared.places.keys().copied()
    }

    /// Where the others find a server, now and always.
    ///
    /// # Panics
    /// If there is no such server.
    #[must_use]
    pub fn gate(&self, server: u8) -> SocketAddr {
        self.gates[&server]
    }

    /// A server is there now, or is gone.
    pub fn set_place(&self, server: u8, place: Option<SocketAddr>) {
        *self.shared.places[&server].lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Nothing passes any more from the one to the other; the way back is as it was.
    pub fn cut(&self, from: u8, to: u8) {
        self.change(from, to, |way| way.is_cut = true);
    }

    /// Nothing passes any more between the servers of two groups.
    pub fn split(&self, one: &[u8], other: &[u8]) {
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            self.cut(a, b);
            self.cut(b, a);
        }
    }

    /// A server can neither be heard nor hear.
    pub fn isolate(&self, server: u8) {
        let others: Vec<u8> = self.servers().filter(|other| *other != server).collect();
        self.split(&[server], &others);
    }

    /// Everything takes so much longer from the one to the other.
    pub fn slow_down(&self, from: u8, to: u8, delay: Duration) {
        self.change(from, to, |way| way.delay = delay);
    }

    /// Resets the connections that there are between two servers.
    pub fn reset(&self, one: u8, other: u8) {
        self.change(one, other, |way| way.resets += 1);
        self.change(other, one, |way| way.resets += 1);
    }

    /// The way between two servers is as it should be again, in both directions.
    pub fn heal_between(&self, one: u8, other: u8) {
        for (from, to) in [(one, other), (other, one)] {
            self.change(from, to, |way| *way = Way { resets: way.resets, ..Way::default() });
        }
    }

    /// All ways are as they should be again.
    pub fn heal(&self) {
        self.shared.ways.keys().for_each(|(from, to)| self.heal_between(*from, *to));
    }

    fn change(&self, from: u8, to: u8, change: impl FnOnce(&mut Way)) {
        self.shared.ways[&(from, to)].send_modify(change);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Whoever drops it may be panicking already.
            let _ = thread.join();
        }
    }
}

/// Lets the calls of others to a server through.
async fn keep_gate(server: u8, listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    while let Ok((caller, _)) = listener.accept().await {
        tokio::spawn(connect(caller, server, Arc::clone(&shared)));
    }
}

/// Carries one connection.
async fn connect(mut caller: TcpStream, to: u8, shared: Arc<Shared>) {
    let Some((from, hello)) = read_hello(&mut caller).await else { return };
    let way = |pair: Pair| shared.ways.get(&pair).map(watch::Sender::subscribe);
    let (Some(mut there), Some(mut back)) = (way((from, to)), way((to, from))) else { return };
    let called = Instant::now();
    pass(&mut there, called).await;
    let place = *shared.places[&to].lock().unwrap_or_else(PoisonError::into_inner);
    let callee = match place {
        Some(place) => TcpStream::connect(place).await.ok(),
        None => None,
    };
    // Nobody is there: the caller is reset, which is as near to a refusal as a proxy gets.
    let Some(mut callee) = callee else { return reset(&caller) };
    // Delays are ours to make.
    let quick = caller.set_nodelay(true).and_then(|()| callee.set_nodelay(true));
    if quick.is_err() || callee.write_all(&hello).await.is_err() {
        return;
    }
    let (before, mut reset_there) = (there.borrow().resets, there.clone());
    let is_over = {
        let (caller_reads, caller_writes) = caller.split();
        let (callee_reads, callee_writes) = callee.split();
        tokio::select! {
            () = carry(caller_reads, callee_writes, there.clone()) => true,
            () = carry(callee_reads, caller_writes, back.clone()) => true,
            _ = reset_there.wait_for(|way| way.resets != before) => false,
        }
    };
    if !is_over {
        reset(&caller);
        return reset(&callee);
    }
    // One end has gone. The other one hears of it when what that end says can be heard again.
    let now = Instant::now();
    tokio::join!(
        async {
            pass(&mut there, now).await;
            drop(callee);
        },
        async {
            pass(&mut back, now).await;
            drop(caller);
        }
    );
}

/// Reads until it is said who calls; also returns everything that was read.
async fn read_hello(caller: &mut TcpStream) -> Option<(u8, BytesMut)> {
    let mut read = BytesMut::with_capacity(HELLO_BYTES_MAX);
    while read.len() < HELLO_BYTES_MAX && matches!(caller.read_buf(&mut read).await, Ok(1..)) {
        if let Some(hello) = hello_in(&read) {
            return Some((u8::try_from(hello.server_id).ok()?, read));
        }
    }
    None
}

/// The hello at the beginning of a call, which is an HTTP/2 connection of its own. Every kind of call begins with a
/// message whose first field it is.
fn hello_in(read: &[u8]) -> Option<v1::Hello> {
    let mut rest = read.get(PREFACE_BYTES..)?;
    loop {
        let (head, behind) = rest.split_at_checked(FRAME_HEAD_BYTES)?;
        let bytes = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, behind) = behind.split_at_checked(bytes)?;
        if head[3] == DATA_FRAME {
            return v1::SnapshotRequest::decode(payload.get(MESSAGE_HEAD_BYTES..)?).ok()?.hello;
        }
        rest = behind;
    }
}

/// Carries bytes until an end has gone.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut way: watch::Receiver<Way>) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Bytes)>(PIECES_MAX);
    let reading = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE_BYTES);
            if !matches!(from.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
            if sender.send((Instant::now(), buffer.split().freeze())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        // What was said before an end is still delivered; then the sender is gone.
        while let Some((said, piece)) = pieces.recv().await {
            pass(&mut way, said).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    // If the receiver has gone, nobody needs to be heard any more.
    let mut writing = std::pin::pin!(writing);
    tokio::select! {
        () = &mut writing => {}
        () = reading => writing.await,
    }
}

/// Waits until what was said then is heard at the other end.
async fn pass(way: &mut watch::Receiver<Way>, said: Instant) {
    loop {
        let Way { is_cut, delay, .. } = *way.borrow_and_update();
        let due = said + delay;
        let is_heard = !is_cut && due <= Instant::now();
        if is_heard {
            return;
        }
        tokio::select! {
            () = sleep_until(due), if !is_cut => {}
            changed = way.changed() => if changed.is_err() { return },
        }
    }
}

fn reset(stream: &TcpStream) {
    // It may be gone already.
    let _ = stream.set_zero_linger();
}
