//! `quorate gateway`: the HTTP door by itself, before servers elsewhere.
//!
//! It keeps nothing that a request would need: sessions are known to the servers, and a stream's reader knows where it
//! stands. So any number of gateways can stand beside each other, and whoever loses one goes on through another.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use axum::Router;
use clap::Args;
use quorate::config::{self, ClientAuth, LogFormat, PrintAddresses, TlsSettings};
use quorate::listener;
use quorate::tls::Acceptor;
use quorate_gateway::{Handshake, Origins};
use serde::Serialize;
use tokio::net::TcpListener;

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

    /// The certificate of the door, in PEM, followed by those between it and the authority: with it the door speaks TLS,
    /// and nothing else. Files that change are used without a restart
    #[arg(long, env = "QUORATE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM
    #[arg(long, env = "QUORATE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// The authority of the certificates by which clients prove who they are, in PEM
    #[arg(long, env = "QUORATE_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,

    /// Whether clients need such a certificate [default: required, if there is an authority]
    #[arg(long, env = "QUORATE_TLS_CLIENT_AUTH", value_enum, value_name = "WHETHER")]
    tls_client_auth: Option<ClientAuth>,

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

    /// The log tells of requests that take so many milliseconds or longer; 0 for none
    #[arg(long, env = "QUORATE_SLOW_REQUEST_MS", default_value_t = config::SLOW_REQUEST_MS, value_name = "MS")]
    slow_request_ms: u64,

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
    let files = config::door_files(options.tls_settings())?;
    let is_open = options.insecure || config::proves_clients(files.as_ref());
    let tls = files.as_ref().map(Acceptor::http).transpose().context("cannot open the door with TLS")?;
    let asked = config::address("http", &options.http, is_open)?;
    let listening = || format!("cannot listen on {asked} for HTTP");
    let listener = listener::bind(asked).and_then(listener::listen).with_context(listening)?;
    let http = listener.local_addr().with_context(listening)?;
    let config = gateway_config(&options, &client, is_open);
    let shutdown = config.shutdown.clone();
    // Not one that fails fast: a server that is away for a moment is no reason to fail.
    let router = quorate_gateway::router(client.builder().build(), config.clone());
    let door = tokio::spawn(serve(listener, router, config, tls));
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

impl Options {
    fn tls_settings(&self) -> TlsSettings<'_> {
        TlsSettings {
            cert: self.tls_cert.as_deref(),
            key: self.tls_key.as_deref(),
            client_ca: self.tls_client_ca.as_deref(),
            client_auth: self.tls_client_auth,
        }
    }
}

/// Serves HTTP until the gateway shuts down, with TLS if there is any, whose certificates are kept fresh meanwhile.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: quorate_gateway::Config,
    tls: Option<Acceptor>,
) {
    let Some(tls) = tls else { return quorate_gateway::serve(listener, router, &config).await };
    let handshake = Handshake::new({
        let tls = tls.clone();
        move |stream| {
            let tls = tls.clone();
            async move { tls.accept(stream).await.map_err(std::io::Error::other) }
        }
    });
    let config = quorate_gateway::Config { handshake: Some(handshake), ..config };
    tokio::join!(quorate_gateway::serve(listener, router, &config), tls.keep_fresh(config.shutdown.cancelled()));
}

fn gateway_config(options: &Options, client: &quorate_cli::Global, is_open: bool) -> quorate_gateway::Config {
    let defaults = quorate_gateway::Config::default();
    quorate_gateway::Config {
        origins: if is_open { Origins::Any } else { defaults.origins },
        cors_origins: options.cors_origins.clone(),
        connections_max: options.connections_max,
        request_timeout: client.timeout,
        slow_request: config::slow_request(options.slow_request_ms),
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
            let scheme = if options.tls_cert.is_some() { "https" } else { "http" };
            writeln!(out, "  HTTP  {scheme}://{http}    try: curl {scheme}://{http}/readyz")?;
        }
    }
    out.flush()
}
