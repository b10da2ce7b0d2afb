//! `Global`: what can be said with every command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use quorate_client::{Builder, Client, Tls};

use crate::duration;

/// What can be said with every command.
#[derive(Args, Clone, Debug)]
// Without this, the comment above would become the description of the program that flattens this.
#[command(next_help_heading = "Client options", about = None, long_about = None)]
pub struct Global {
    /// Servers of the ensemble, any of which will do
    #[arg(
        long,
        global = true,
        env = "QUORATE_SERVER",
        value_name = "HOST:PORT,..",
        value_delimiter = ',',
        default_value = "127.0.0.1:7181"
    )]
    pub server: Vec<String>,

    /// The authority whose certificate servers have to show, in PEM; they are called with TLS then. With https:// before
    /// a server and without this, it is those that this system trusts
    #[arg(long, global = true, env = "QUORATE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// The certificate by which servers know who calls, in PEM
    #[arg(long, global = true, env = "QUORATE_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM
    #[arg(long, global = true, env = "QUORATE_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,

    /// The name for which servers have to show a certificate, where it is not that by which they are called
    #[arg(long, global = true, env = "QUORATE_SERVER_NAME", value_name = "NAME")]
    pub server_name: Option<String>,

    /// How long to wait for an answer: 500ms, 10s, 2m
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub timeout: Duration,

    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text)]
    pub output: OutputFormat,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people and pipes
    #[default]
    Text,
    /// One JSON object on a line for each result
    Json,
}

impl Global {
    /// A client of these servers, to be configured further.
    #[must_use]
    pub fn builder(&self) -> Builder {
        let builder = Client::builder().addresses(self.server.iter().map(String::as_str)).request_timeout(self.timeout);
        match self.tls() {
            Some(tls) => builder.tls(tls),
            None => builder,
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().connect_timeout(self.timeout).fail_fast(true).build()
    }

    /// `None` if nothing is said of it: then it is the addresses that say.
    fn tls(&self) -> Option<Tls> {
        let is_said = self.ca.is_some() || self.cert.is_some() || self.server_name.is_some();
        is_said.then(|| {
            let ca = self.ca.iter().fold(Tls::new(), |tls, ca| tls.ca_file(ca));
            let identity = self.cert.iter().zip(&self.key);
            let tls = identity.fold(ca, |tls, (cert, key)| tls.identity_files(cert, key));
            self.server_name.iter().fold(tls, |tls, name| tls.server_name(name.as_str()))
        })
    }
}
