//! The program: what a user starts, and the only place where the server meets its own clients.
//!
//! `quorate` and `quorate serve` run a server with all its doors in one process. The HTTP door is the gateway, which
//! speaks to the gRPC door as any client does, only without a socket in between.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backups;
mod dev_cluster;
mod gateway;
mod logs;
mod manuals;
mod shutdown;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use quorate::config::{Config, LogFormat, PrintAddresses, Settings};
use quorate::server::{Failure, Local, Server};
use quorate::tls::Acceptor;
use quorate::{admin, listener};
use quorate_client::Client;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::shutdown::{Signals, stdin_ended};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code after a failure to start, or of the server itself (`EX_SOFTWARE`).
const EXIT_FAILURE: u8 = 70;

/// The exit code for a configuration that makes no sense (`EX_CONFIG`).
const EXIT_CONFIG: u8 = 78;

/// How long requests by HTTP that are under way have when the server is told to stop.
const HTTP_GRACE: Duration = Duration::from_secs(2);

/// How long a start waits for the server to accept writes before it says where the doors are. It takes milliseconds;
/// with a full disk there are only reads.
const SERVING_WAIT: Duration = Duration::from_secs(5);

/// Quorate: a coordination service with ZooKeeper's model. Without a command it runs a server.
#[derive(Parser)]
#[command(name = "quorate", version, about)]
struct Cli {
    #[command(flatten)]
    client: quorate_cli::Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server: data in ./quorate-data, all doors on loopback
    Serve(Box<Settings>),
    /// Run an ensemble of several servers on this host, to try things out
    DevCluster(dev_cluster::Options),
    /// Run the HTTP door by itself, before the servers that --server names; several may stand beside each other
    Gateway(gateway::Options),
    #[command(flatten)]
    Client(quorate_cli::Command),
    #[command(flatten)]
    Backups(backups::Command),
    #[command(flatten)]
    Logs(logs::Command),
    #[command(flatten)]
    Manuals(manuals::Command),
}

fn main() -> ExitCode {
    let (command, client) = read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match command {
        Command::Serve(settings) => serve(*settings),
        Command::DevCluster(options) => run_dev_cluster(options),
        Command::Gateway(options) => run_gateway(options, client),
        Command::Client(command) => run_client(quorate_cli::run(command, client)),
        Command::Backups(command) => run_client(backups::run(command, client)),
        Command::Logs(command) => run_client(logs::run(command, client)),
        Command::Manuals(command) => manuals::run(command, Cli::command(), client.output),
    }
}

/// What was typed.
fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<(Command, quorate_cli::Global), clap::Error> {
    let matches = Cli::command().try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let command = match cli.command {
        Some(command) => command,
        // The settings may still come from the environment.
        None => Command::from_arg_matches(&Cli::command().try_get_matches_from(["quorate", "serve"])?)?,
    };
    let is_foreign = |option: &String| match &command {
        Command::Serve(_) | Command::DevCluster(_) => true,
        // It is a client of the servers behind it, but prints no results.
        Command::Gateway(_) => option == "output",
        Command::Client(_) | Command::Backups(_) | Command::Logs(_) | Command::Manuals(_) => false,
    };
    if let Some(option) = client_options(&matches).into_iter().find(is_foreign) {
        let text = format!("--{option} is for commands such as `quorate get`: a server has no such option");
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
    }
    Ok((command, cli.client))
}

/// The options of the client's commands that were typed, wherever.
fn client_options(matches: &ArgMatches) -> Vec<String> {
    let options = quorate_cli::Global::augment_args(clap::Command::new("client"));
    let is_typed = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    options.get_arguments().map(|option| option.get_id().to_string()).filter(|name| is_typed(name)).collect()
}

fn run_client(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => fail(EXIT_FAILURE, &anyhow::Error::new(error).context("cannot start the runtime")),
    }
}

fn run_dev_cluster(options: dev_cluster::Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("cannot start the runtime").and_then(|runtime| runtime.block_on(dev_cluster::run(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

fn run_gateway(options: gateway::Options, client: quorate_cli::Global) -> ExitCode {
    if let Err(error) = start_log(&options.log, options.log_format) {
        return fail(EXIT_CONFIG, &error);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let run = |runtime: tokio::runtime::Runtime| runtime.block_on(gateway::run(options, client));
    match runtime.context("cannot start the runtime").and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

fn serve(settings: Settings) -> ExitCode {
    let config = settings.resolve(std::env::vars_os().map(|(name, _)| name)).map_err(anyhow::Error::from);
    let config = match config.and_then(|config| start_log(&config.log, config.log_format).map(|()| config)) {
        Ok(config) => config,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    // One thread does everything but the disk: on a few cores a hop between threads costs more than the work.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("cannot start the runtime").and_then(|runtime| runtime.block_on(run(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("quorate: {error:#}");
    ExitCode::from(code)
}

fn start_log(level: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level).with_context(|| format!("log cannot be {level:?}"))?;
    let colors = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colors).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Runs a server until it is told to stop.
async fn run(mut config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot listen for signals")?;
    while let Some(Quarantined(addresses)) = run_once(&config, &mut signals).await? {
        Server::start_over(&config)?;
        tracing::warn!("the data of this server is set aside; it copies the history from the others");
        // Whoever knows where it is has to find it there, and was told already.
        (config.http, config.grpc) = (addresses.http, addresses.grpc);
        config.print_addresses = PrintAddresses::None;
    }
    Ok(())
}

/// The server that was here has to begin anew: its state is wrong.
struct Quarantined(Addresses);

/// Runs a server until it is told to stop, or has to begin anew.
async fn run_once(config: &Config, signals: &mut Signals) -> anyhow::Result<Option<Quarantined>> {
    let listening = || format!("cannot listen on {} for HTTP", config.http);
    let http = listener::bind(config.http).with_context(listening)?;
    let tls = config.tls.as_ref().map(Acceptor::http).transpose().context("cannot open the doors with TLS")?;
    let mut server = Server::start(config).await?;
    let http = listener::listen(http).with_context(listening)?;
    let addresses = Addresses {
        http: http.local_addr().with_context(listening)?,
        grpc: server.grpc_address(),
        peer: server.peer_address(),
    };

    let gateway = gateway_config(config);
    server.register_metrics(|registry| gateway.metrics.register(registry));
    let router = quorate_gateway::router_with(
        local_client(addresses.grpc, server.local()),
        gateway.clone(),
        admin::routes(server.inbox().clone()),
    );
    let shutdown = gateway.shutdown.clone();
    let http = tokio::spawn(gateway::serve(http, router, gateway, tls));

    if config.ensemble.is_none() {
        server.serving(SERVING_WAIT).await;
    }
    print_addresses(config, &addresses).context("cannot print the addresses")?;
    let failure = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            None
        }
        () = stdin_ended(), if config.stop_with_stdin => {
            tracing::info!("stopping, because whoever started this server has ended");
            None
        }
        failure = server.failed() => {
            tracing::error!(error = %failure, "the server cannot go on");
            Some(failure)
        }
    };
    tokio::select! {
        () = async {
            shutdown.cancel();
            if let Err(error) = http.await {
                tracing::error!(error = %error, "the HTTP door has failed");
            }
            server.stop().await;
        } => tracing::info!("stopped"),
        signal = signals.next() => {
            tracing::warn!(signal, "told to stop a second time: not waiting for what is under way");
            std::process::exit(signals.exit_code());
        }
    }
    match failure {
        None => Ok(None),
        Some(Failure::Diverged(_)) => Ok(Some(Quarantined(addresses))),
        Some(failure) => Err(failure.into()),
    }
}

fn gateway_config(config: &Config) -> quorate_gateway::Config {
    let defaults = quorate_gateway::Config::default();
    quorate_gateway::Config {
        // Whoever opens the door to others does not want to be asked by which name; pages of other hosts stay out.
        origins: if config.is_open { quorate_gateway::Origins::Any } else { defaults.origins },
        cors_origins: config.cors_origins.clone(),
        connections_max: config.connections_max,
        write_timeout: config.read_timeout,
        slow_request: config.slow_request,
        drain_timeout: HTTP_GRACE,
        serve_metrics: false,
        ..defaults
    }
}

/// A client of this very process: it calls the server by its address, but no packet leaves.
fn local_client(grpc: SocketAddr, local: Local) -> Client {
    Client::builder().addresses([grpc.to_string()]).connector(move |_| std::future::ready(local.connect())).build()
}

/// Where the doors are.
#[derive(Serialize)]
struct Addresses {
    http: SocketAddr,
    grpc: SocketAddr,
    /// For the other servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
}

/// Says on stdout where the doors are, for people or for programs.
fn print_addresses(config: &Config, addresses: &Addresses) -> std::io::Result<()> {
    let Addresses { http, grpc, peer } = addresses;
    let mut out = std::io::stdout().lock();
    match config.print_addresses {
        PrintAddresses::None => return Ok(()),
        PrintAddresses::Json => writeln!(out, "{}", serde_json::to_string(addresses)?)?,
        PrintAddresses::Text => {
            writeln!(
                out,
                "Quorate {} serves; its data is in {}",
                env!("CARGO_PKG_VERSION"),
                config.data_dir.display()
            )?;
            let (scheme, encrypted) = if config.tls.is_some() { ("https", "https://") } else { ("http", "") };
            let (url, server) = (format!("{scheme}://{http}"), format!("{encrypted}{grpc}"));
            writeln!(out, "  HTTP  {url}    try: curl -X PUT -d hello {url}/v1/znodes/greeting")?;
            writeln!(out, "  gRPC  {server}           try: quorate --server {server} get /greeting")?;
            if let Some(peer) = peer {
                writeln!(out, "  peers {peer}           for the other servers; try: quorate --server {server} status")?;
            }
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<(Command, quorate_cli::Global), ErrorKind> {
        read(line.split(' ').map(OsString::from)).map_err(|error| error.kind())
    }

    #[test]
    fn without_a_command_it_is_a_server() {
        assert!(matches!(typed("quorate"), Ok((Command::Serve(_), _))));
        assert!(matches!(typed("quorate serve --data-dir x"), Ok((Command::Serve(_), _))));
        assert!(matches!(typed("quorate --output json get /a"), Ok((Command::Client(_), _))));
    }

    #[test]
    fn a_server_has_no_options_of_a_client() {
        for line in [
            "quorate --output json",
            "quorate --server h:1",
            "quorate --timeout 10s",
            "quorate serve --server h:1",
            "quorate serve --timeout 3s",
            "quorate --output text serve",
            "quorate dev-cluster --server h:1",
            "quorate gateway --output json",
        ] {
            assert_eq!(typed(line).err(), Some(ErrorKind::ArgumentConflict), "{line}");
        }
    }

    #[test]
    fn a_gateway_is_a_client_of_its_servers() {
        let Ok((Command::Gateway(_), client)) = typed("quorate gateway --server a:1,b:2 --timeout 3s") else {
            panic!("it is a gateway")
        };
        assert_eq!((client.server, client.timeout), (vec!["a:1".to_owned(), "b:2".to_owned()], Duration::from_secs(3)));
    }

    #[test]
    fn help_can_be_asked_for_as_a_command() {
        assert_eq!(typed("quorate help").err(), Some(ErrorKind::DisplayHelp));
        assert_eq!(typed("quorate help create").err(), Some(ErrorKind::DisplayHelp));
    }
}
