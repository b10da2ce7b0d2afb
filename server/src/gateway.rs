//! `quorate gateway`: the HTTP door by itself, before servers elsewhere.
//!
//! It keeps nothing that a request would need: sessions are known to the servers, and a stream's reader knows where it
//! stands. So any number of gateways can stand beside each other, and whoever loses one goes on through another.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use quorate::config::{self, LogFormat, PrintAddresses};
use quorate::listener;
use quorate_client::Client;
use quorate_gateway::Origins;
use serde::Serialize;

use crate::shutdown::{Signals, stdin_ended};

/// What can be chosen.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  quorate gateway --server a.example:7181,b.example:7181,c.example:7181
  quorate gateway --server 127.0.0.1:7181 --http 127.0.0.1:0 --print-addresses json")]
pub(crate) struct Options {
    /// Address of the HTTP door; port 0 is any free one
    #[arg(long, env = "QUORATE_HTTP", default_value = "127.0.0.1:7180", value_name = "ADDRESS:PORT")]
    http: String,

    /// Listen on another address than loopback although nobody has to prove who they are
    #[arg(long, env = "QUORATE_INSECURE")]
    insecure: bool,

    /// Origins whose pages may call from a browser, each `https://HOST[:PORT]`
    #[arg(long, env = "QUORATE_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN,..")]
    cors_origins: Vec<String>,

    /// Connections that are served at one time; more are closed at once
    #[arg(long, env = "QUORATE_CONNECTIONS_MAX", default_value_t = 20_000, value_name = "COUNT")]
    connections_max: usize,

    /// How to print the address once the door is open
    #[arg(long, env = "QUORATE_PRINT_ADDRESSES", value_enum, default_value_t = PrintAddresses::Text, value_name = "FORMAT")]
    print_addresses: PrintAddresses,

    /// Stop when standard input ends: the process that started this one has ended then
    #[arg(long, env = "QUORATE_STOP_WITH_STDIN")]
    stop_with_stdin: bool,

    /// What to log, to stderr: error, warn, info, debug, trace, or a list like `info,quorate_gateway=debug`
    #[arg(long, env = "QUORATE_LOG", default_value = "info", value_name = "LEVEL")]
    pub(crate) log: String,

    /// How to write the log
    #[arg(long, env = "QUORATE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// Where the door is.
#[derive(Serialize)]
struct Addresses {
    http: SocketAddr,
}

/// Runs a gateway before the servers that `client` names, until it is told to stop. There may be none of them yet.
///
/// # Errors
/// When it cannot listen.
pub(crate) async fn run(options: Options, client: quorate_cli::Global) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let asked = config::address("http", &options.http, options.insecure)?;
    let listening = || format!("cannot listen on {asked} for HTTP");
    let listener = listener::bind(asked).and_then(listener::listen).with_context(listening)?;
    let http = listener.local_addr().with_context(listening)?;
    let config = gateway_config(&options, &client);
    let shutdown = config.shutdown.clone();
    // Not one that fails fast: a server that is away for a moment is no reason to fail.
    let servers = Client::builder().addresses(client.server.iter().map(String::as_str)).request_timeout(client.timeout);
    let router = quorate_gateway::router(servers.build(), config.clone());
    let door = tokio::spawn(async move { quorate_gateway::serve(listener, router, &config).await });
    announce(&options, &client, &Addresses { http }).context("cannot print the address")?;
    tokio::select! {
        signal = signals.next() => tracing::info!(signal, "stopping"),
        () = stdin_ended(), if options.stop_with_stdin => {
            tracing::info!("stopping, because whoever started this gateway has ended");
        }
    }
    shutdown.cancel();
    tokio::select! {
        ended = door => ended.context("the HTTP door has failed"),
        signal = signals.next() => {
            tracing::warn!(signal, "told to stop a second time: not waiting for what is under way");
            std::process::exit(signals.exit_code());
        }
    }
}

fn gateway_config(options: &Options, client: &quorate_cli::Global) -> quorate_gateway::Config {
    let defaults = quorate_gateway::Config::default();
    quorate_gateway::Config {
        origins: if options.insecure { Origins::Any } else { defaults.origins },
        cors_origins: options.cors_origins.clone(),
        connections_max: options.connections_max,
        request_timeout: client.timeout,
        ..defaults
    }
}

fn announce(options: &Options, client: &quorate_cli::Global, addresses: &Addresses) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match options.print_addresses {
        PrintAddresses::None => return Ok(()),
        PrintAddresses::Json => writeln!(out, "{}", serde_json::to_string(addresses)?)?,
        PrintAddresses::Text => {
            let (version, servers, http) = (env!("CARGO_PKG_VERSION"), client.server.join(", "), addresses.http);
            writeln!(out, "Quorate {version}: a gateway before {servers}")?;
            writeln!(out, "  HTTP  http://{http}    try: curl http://{http}/readyz")?;
        }
    }
    out.flush()
}
