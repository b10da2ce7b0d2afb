//! `quorate dev-cluster`: an ensemble on one host, for trying things out and for tests. Each server is a process of its
//! own, started as anybody would start it; one that dies stays dead, so that one can see what the others do.

mod board;
mod member;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use quorate::config::PrintAddresses;
use tokio::time::Instant;

use self::board::{Board, Row};
use self::member::Member;
use crate::shutdown::Signals;

/// The ports of a server are in a row, and those of the next one begin so many further on.
const PORTS_PER_SERVER: u16 = 10;

/// How long the servers may take until one leads.
const START_MAX: Duration = Duration::from_secs(60);

/// Between two looks at the servers while none leads, and afterwards.
const LOOK_SOON: Duration = Duration::from_millis(50);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Servers of one ensemble, observers included: more than anybody wants on one host.
const SERVERS_MAX: u8 = 25;

/// What can be chosen.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  quorate dev-cluster
  quorate dev-cluster --servers 5 --observers 2 --data-dir /tmp/five
  quorate dev-cluster --base-port 0 --print-addresses json     # for tests: any free ports, one line of JSON")]
pub(crate) struct Options {
    /// Servers that vote
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=15))]
    servers: u8,

    /// Servers that do not vote
    #[arg(long, default_value_t = 0, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(0..=10))]
    observers: u8,

    /// Where their data and logs are
    #[arg(long, default_value = "quorate-dev-cluster", value_name = "DIR")]
    data_dir: PathBuf,

    /// Port of the first server's HTTP door; its others, and those of the other servers, follow; 0 is any free ones
    #[arg(long, default_value_t = 7180, value_name = "PORT")]
    base_port: u16,

    /// How to print the addresses once there is a leader
    #[arg(long, value_enum, default_value_t = PrintAddresses::Text, value_name = "FORMAT")]
    print_addresses: PrintAddresses,

    /// More options for each server, after `--`: see `quorate serve --help`
    #[arg(last = true, value_name = "OPTIONS")]
    serve: Vec<String>,
}

/// Runs the servers until told to stop.
///
/// # Errors
/// When they do not come up.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let mut members = start(&options)?;
    let started = tokio::select! {
        started = until_led(&mut members) => Some(started),
        signal = signals.next() => {
            tracing::debug!(signal, "stopping before there was a leader");
            None
        }
    };
    let watched = match started {
        Some(Ok(())) => {
            announce(&options, &members).context("cannot print the addresses")?;
            tokio::select! {
                watched = watch(&options, &mut members) => watched,
                _ = signals.next() => Ok(()),
            }
        }
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    if options.print_addresses == PrintAddresses::Text {
        eprintln!("stopping");
    }
    tokio::select! {
        () = stop(members) => watched,
        _ = signals.next() => bail!("told to stop a second time: servers that did not end yet end by themselves"),
    }
}

/// Starts all servers, with the data that is there or with none.
fn start(options: &Options) -> anyhow::Result<Vec<Member>> {
    let count = options.servers + options.observers;
    ensure!(count <= SERVERS_MAX, "{count} servers are too many for one host: at most {SERVERS_MAX}");
    let dir = &options.data_dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    let known = servers_in(dir)?;
    if known != 0 && known != count {
        bail!(
            "{} has the data of {known} servers, and not of {count}: start as many, or choose another --data-dir",
            dir.display()
        );
    }
    let ports = (0..count).map(|at| ports(options.base_port, at)).collect::<anyhow::Result<Vec<[u16; 3]>>>()?;
    let member = |(at, [.., peer]): (usize, &[u16; 3])| {
        let role = if at < usize::from(options.servers) { "" } else { ":observer" };
        let [http, grpc, _] = ports[at];
        format!("{}=127.0.0.1:{peer}{role};grpc=127.0.0.1:{grpc};http=127.0.0.1:{http}", at + 1)
    };
    let list = ports.iter().enumerate().map(member).collect::<Vec<_>>().join(",");
    // An ensemble of that name is only there.
    let place = fs::canonicalize(dir).with_context(|| format!("cannot find {}", dir.display()))?;
    let common =
        [["--member".to_owned(), list], ["--cluster-name".to_owned(), format!("dev-cluster {}", place.display())]];
    let start = |(at, ports): (usize, &[u16; 3])| {
        let id = u8::try_from(at + 1).context("an id of a server")?;
        Member::start(id, *ports, dir, common.as_flattened(), &options.serve)
    };
    ports.iter().enumerate().map(start).collect()
}

/// How many servers have data in a directory.
fn servers_in(dir: &Path) -> anyhow::Result<u8> {
    let mut count = 0;
    for entry in fs::read_dir(dir).with_context(|| format!("cannot look into {}", dir.display()))? {
        let name = entry?.file_name();
        count += u8::from(name.to_str().is_some_and(|name| name.parse::<u8>().is_ok()));
    }
    Ok(count)
}

/// The ports of a server: HTTP, gRPC, peers.
fn ports(base: u16, at: u8) -> anyhow::Result<[u16; 3]> {
    if base == 0 {
        let free =
            [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [http, grpc, peer] = free.map(|listener| listener.local_addr().map(|address| address.port()));
        return Ok([http?, grpc?, peer?]);
    }
    let first = base.checked_add(PORTS_PER_SERVER * u16::from(at)).filter(|first| *first <= u16::MAX - 2);
    let first = first.with_context(|| format!("there are no ports left after {base} for so many servers"))?;
    Ok([first, first + 1, first + 2])
}

/// Waits until one of them leads and the others follow.
async fn until_led(members: &mut [Member]) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_MAX;
    loop {
        let rows = look(members).await;
        if let Some(dead) = rows.iter().find(|row| row.is_dead()) {
            bail!("server {} {}: see {}", dead.server, dead.condition(), members[0].log_of(dead.server).display());
        }
        if rows.iter().all(Row::is_serving) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "there is no leader after {START_MAX:?}: see {}",
            members[0].log().display()
        );
        tokio::time::sleep(LOOK_SOON).await;
    }
}

async fn look(members: &mut [Member]) -> Vec<Row> {
    futures_util::future::join_all(members.iter_mut().map(Member::look)).await
}

fn announce(options: &Options, members: &[Member]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match options.print_addresses {
        PrintAddresses::None => {}
        PrintAddresses::Json => {
            let all: Vec<_> = members.iter().map(Member::addresses).collect();
            writeln!(out, "{}", serde_json::to_string(&all)?)?;
        }
        PrintAddresses::Text => {
            writeln!(
                out,
                "Quorate {}: {} servers on this host; data and logs are in {}",
                env!("CARGO_PKG_VERSION"),
                members.len(),
                options.data_dir.display()
            )?;
            for member in members {
                writeln!(out, "  {member}")?;
            }
            let grpc: Vec<String> = members.iter().map(|member| member.addresses().grpc.to_string()).collect();
            writeln!(out, "\nTry:\n  export QUORATE_SERVER={}", grpc.join(","))?;
            writeln!(out, "  quorate create /greeting hello && quorate get /greeting")?;
            writeln!(out, "  kill -9 the leader's process, and go on\n")?;
        }
    }
    Ok(out.flush()?)
}

/// Shows how the servers are, until all of them are dead.
async fn watch(options: &Options, members: &mut [Member]) -> anyhow::Result<()> {
    let shows = options.print_addresses == PrintAddresses::Text;
    let mut board = Board::new(io::stdout().is_terminal());
    loop {
        let rows = look(members).await;
        if shows {
            board.show(&rows, &mut io::stdout().lock())?;
        }
        ensure!(!rows.iter().all(Row::is_dead), "all servers have ended");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Stops the followers first, so that no leader has to be elected on the way.
async fn stop(mut members: Vec<Member>) {
    let rows = look(&mut members).await;
    let (leading, others): (Vec<_>, Vec<_>) = members.into_iter().zip(rows).partition(|(_, row)| row.is_leading());
    for group in [others, leading] {
        futures_util::future::join_all(group.into_iter().map(|(member, _)| member.stop())).await;
    }
}
