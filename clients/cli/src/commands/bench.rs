//! `bench`.
//!
//! A closed loop: so many callers, each of whom waits for its answer before it calls again. So a server that is slow is
//! asked less often, and the latencies are those of this load and not of one that goes on regardless.

mod tally;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_client::{Client, CreateMode, Error, Reason, Session};
use rustix::time::{ClockId, clock_gettime};

use self::tally::{Kind, Measured, Tally};
use crate::duration;
use crate::exit::Failure;
use crate::global::Global;
use crate::printer::Printer;
use crate::signals::Signals;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate bench                          four reads of five calls, for 10 s
  quorate bench write --duration 30s --value-size 1000
  quorate bench read --connections 16 --callers 32
  quorate bench mixed --reads 95 --output json

It creates znodes of its own, of a session of its own, and removes them in the
end; should it be killed, they go with its session. Connections are spread over
the servers that --server names. Each caller waits for its answer before it
calls again, and how busy this program was is told, too.";

/// Longer than any machine is busy that can be measured at all.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates that are under way at once.
const UNDER_WAY_MAX: usize = 128;

/// Of a caller whose call has failed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Between two looks at how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The arguments of `bench`.
#[derive(Args, Debug)]
pub struct Bench {
    /// What is measured
    #[arg(value_enum, default_value_t = Load::Mixed)]
    load: Load,

    /// Of a mixed load, how many of a hundred calls read
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u8).range(0..=100))]
    reads: u8,

    /// How long
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    duration: Duration,

    /// How many connections
    #[arg(short, long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,

    /// How many callers on each connection
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    callers: u16,

    /// Bytes of each znode's data
    #[arg(short, long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    value_size: u32,

    /// Znodes among which each call chooses one
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    znodes: u32,

    /// Below which znode its own are created
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Load {
    Read,
    Write,
    Mixed,
}

impl Bench {
    /// The clients of `global`, not one client, since each has connections of its own.
    pub(crate) async fn run(self, global: &Global, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        let session = client.open_session(SESSION_TIMEOUT).await?;
        let directory = format!("{}/quorate-bench-{:x}", self.path.trim_end_matches('/'), session.id());
        let measured = self.prepare_and_measure(global, &session, &directory, &mut signals).await;
        // Its znodes go with the session, so that nothing is left even of one that cannot clean up.
        let removed = remove(session, client, &directory).await;
        let measured = measured?;
        measured.print(printer)?;
        removed?;
        measured.verdict()
    }

    async fn prepare_and_measure(
        &self,
        global: &Global,
        session: &Session,
        directory: &str,
        signals: &mut Signals,
    ) -> Result<Measured, Failure> {
        let value = Bytes::from(vec![b'x'; self.value_size as usize]);
        let paths: Vec<String> = (0..self.znodes).map(|number| format!("{directory}/{number:06}")).collect();
        let clients: Vec<Client> = (0..self.connections).map(|number| client(global, number.into())).collect();
        tokio::select! {
            prepared = prepare(session, directory, &paths, &value, &clients) => prepared?,
            _ = signals.told_to_stop() => {
                return Err(Failure::Other("told to stop before there was anything to tell".to_owned()));
            }
        }
        Ok(self.measure(&clients, &paths, &value, signals).await)
    }

    /// Until it is over, or is not to go on.
    async fn measure(&self, clients: &[Client], paths: &[String], value: &Bytes, signals: &mut Signals) -> Measured {
        let tally = RefCell::new(Tally::default());
        let (began, busy_before) = (Instant::now(), busy());
        let end = began + self.duration;
        let callers = clients.iter().flat_map(|client| (0..self.callers).map(move |_| client)).enumerate();
        let calling = join_all(callers.map(|(number, client)| {
            let caller = Caller { client, paths, value, reads: self.reads_percent(), tally: &tally };
            caller.call_until(end, Dice(number as u64))
        }));
        tokio::select! {
            _ = calling => {}
            () = show(began, self.duration, &tally) => {}
            _ = signals.told_to_stop() => {}
        }
        let elapsed = began.elapsed();
        Measured {
            tally: tally.into_inner(),
            elapsed,
            busy: (busy() - busy_before).as_secs_f64() / elapsed.as_secs_f64(),
            connections: self.connections,
            callers: self.callers,
            value_bytes: self.value_size,
            znodes: self.znodes,
        }
    }

    fn reads_percent(&self) -> u64 {
        match self.load {
            Load::Read => 100,
            Load::Write => 0,
            Load::Mixed => self.reads.into(),
        }
    }
}

/// A client with connections of its own; it prefers another server than the one before it.
fn client(global: &Global, number: usize) -> Client {
    let mut global = global.clone();
    let at = number.checked_rem(global.server.len()).unwrap_or(0);
    global.server.rotate_left(at);
    global.client()
}

/// Creates the znodes, and connects everybody: they see what was created before the clock runs.
async fn prepare(
    session: &Session,
    directory: &str,
    paths: &[String],
    value: &Bytes,
    clients: &[Client],
) -> Result<(), Failure> {
    session.create(directory, "").mode(CreateMode::Container).await?;
    let creates = paths.iter().map(|path| session.create(path, value.clone()).mode(CreateMode::Ephemeral).send());
    let mut creating = stream::iter(creates).buffered(UNDER_WAY_MAX);
    while let Some(created) = creating.next().await {
        created?;
    }
    try_join_all(clients.iter().map(|client| client.sync().send())).await?;
    Ok(())
}

/// One who calls and waits, again and again.
struct Caller<'a> {
    client: &'a Client,
    paths: &'a [String],
    value: &'a Bytes,
    /// Of a hundred calls.
    reads: u64,
    tally: &'a RefCell<Tally>,
}

impl Caller<'_> {
    async fn call_until(self, end: Instant, mut dice: Dice) {
        loop {
            let called = Instant::now();
            if called >= end {
                return;
            }
            let path = &self.paths[dice.below(self.paths.len() as u64) as usize];
            let (kind, outcome) = if dice.below(100) < self.reads {
                (Kind::Read, self.client.get(path).send().await.map(|_| ()))
            } else {
                (Kind::Write, self.client.set(path, self.value.clone()).send().await.map(|_| ()))
            };
            let error = outcome.err().as_ref().map(Error::reason);
            self.tally.borrow_mut().count(kind, called.elapsed(), error);
            if error.is_some() {
                // Where nobody is, that is found out quickly.
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Shows how it goes, on standard error, if that is a terminal. Does not end.
async fn show(began: Instant, duration: Duration, tally: &RefCell<Tally>) {
    let bar = ProgressBar::with_draw_target(Some(duration.as_millis() as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
        bar.set_style(style);
    }
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let (calls, errors) = tally.borrow().counts();
        let rate = calls as f64 / began.elapsed().as_secs_f64();
        bar.set_position(began.elapsed().as_millis() as u64);
        bar.set_message(format!("{rate:.0} calls per second, {errors} errors"));
    }
}

/// Numbers that look random and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % bound
    }
}

/// The processor time that this program has used.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// Closes the session, and with it its znodes; then deletes where they were.
async fn remove(session: Session, client: &Client, directory: &str) -> Result<(), Failure> {
    session.close().await?;
    match client.delete(directory).await {
        Err(error) if error.reason() != Reason::NoNode => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}
