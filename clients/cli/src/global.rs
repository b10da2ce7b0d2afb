//! `Global`: what can be said with every command.

use std::time::Duration;

use clap::{Args, ValueEnum};
use quorate_client::Client;

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
    pub(crate) fn client(&self) -> Client {
        Client::builder()
            .addresses(self.server.iter().map(String::as_str))
            .request_timeout(self.timeout)
            .connect_timeout(self.timeout)
            .fail_fast(true)
            .build()
    }
}
