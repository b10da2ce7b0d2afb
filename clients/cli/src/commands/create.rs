//! `create`.

use std::time::Duration;

use clap::Args;
use quorate_client::{Acl, Call, Client, CreateMode, Created, SessionState, ops};

use crate::document::{StatDocument, StatOfPath};
use crate::duration;
use crate::exit::Failure;
use crate::input::DataInput;
use crate::printer::Printer;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate create /app                           without data
  quorate create /app/config/port 8080 -p       with missing parents
  quorate create -s /queue/item- data           prints /queue/item-0000000000
  quorate create /app/cert --file cert.pem
  quorate create /secret x --acl world:anyone:r
  quorate create -e /locks/leader host-1        held until interrupted";

/// How long an ephemeral znode outlives a client that was killed.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments of `create`.
#[derive(Args, Debug)]
pub struct Create {
    /// Which znode; with --sequential, digits are appended
    pub(crate) path: String,

    #[command(flatten)]
    pub(crate) data: DataInput,

    /// Who may do what: scheme:id:perms, with commas between entries; perms are letters of cdrwa
    acl: Option<Acl>,

    /// The same, for use without data
    #[arg(long = "acl", id = "acl_option", value_name = "ACL", conflicts_with = "acl")]
    acl_option: Option<Acl>,

    /// Append ten digits that grow with every child of the parent
    #[arg(short, long)]
    sequential: bool,

    /// Delete it when this command ends: it runs until it is interrupted
    #[arg(short, long)]
    ephemeral: bool,

    /// Delete it some time after its last child is gone
    #[arg(short, long, conflicts_with_all = ["sequential", "ephemeral", "ttl"])]
    container: bool,

    /// Delete it when it had no child and no change for so long: 500ms, 10s, 2m, or a number of milliseconds
    #[arg(short, long, value_name = "TIME", value_parser = parse_ttl, conflicts_with = "ephemeral")]
    ttl: Option<Duration>,

    /// Create missing parents, too
    #[arg(short, long)]
    parents: bool,
}

/// A bare number is milliseconds here, as in zkCli.
fn parse_ttl(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) => Err("a time must be longer than nothing".to_owned()),
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => duration::parse(text),
    }
}

impl Create {
    fn mode(&self) -> CreateMode {
        match (self.container, self.ephemeral, self.ttl, self.sequential) {
            (true, _, _, _) => CreateMode::Container,
            (_, true, _, false) => CreateMode::Ephemeral,
            (_, true, _, true) => CreateMode::EphemeralSequential,
            (_, _, Some(ttl), false) => CreateMode::Ttl(ttl),
            (_, _, Some(ttl), true) => CreateMode::TtlSequential(ttl),
            (_, _, None, false) => CreateMode::Persistent,
            (_, _, None, true) => CreateMode::PersistentSequential,
        }
    }

    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        if !self.ephemeral {
            return self.run_on(client, printer).await;
        }
        let session = client.open_session(SESSION_TIMEOUT).await?;
        let created = match self.create_on(&session).await {
            Ok(created) => created,
            Err(failure) => {
                // The session would end by itself; closing it only tidies up.
                let _ = session.close().await;
                return Err(failure);
            }
        };
        print(&created, printer)?;
        printer.flush()?;
        eprintln!("{} is held until this command is interrupted", created.path);
        let mut states = session.states();
        tokio::select! {
            interrupted = interrupted() => interrupted?,
            ended = states.wait_for(|state| state.is_final()) => {
                let state = ended.map_or(SessionState::Closed, |state| *state);
                return Err(Failure::Other(format!("the session has ended ({state:?}): {} is gone", created.path)));
            }
        }
        Ok(session.close().await?)
    }

    /// Whether it lives only as long as a session.
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// Creates it and leaves it alone: an ephemeral one belongs to the session that `client` is.
    pub(crate) async fn run_on(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let created = self.create_on(client).await?;
        print(&created, printer)
    }

    async fn create_on(self, client: &Client) -> Result<Created, Failure> {
        Ok(self.call(client)?.await?)
    }

    /// The call that creates it.
    pub(crate) fn call(self, client: &Client) -> Result<Call<ops::Create>, Failure> {
        let mode = self.mode();
        let mut call = client.create(self.path, self.data.read()?).mode(mode);
        if let Some(acl) = self.acl.or(self.acl_option) {
            call = call.acl(acl);
        }
        if self.parents {
            call = call.parents();
        }
        Ok(call)
    }
}

fn print(created: &Created, printer: &mut Printer) -> Result<(), Failure> {
    if printer.is_json() {
        let stat = StatDocument::from(&created.stat);
        return printer.json(&StatOfPath { path: &created.path, created: None, stat });
    }
    printer.line(&created.path)
}

/// Returns when the command is told to stop.
async fn interrupted() -> Result<(), Failure> {
    let failed = |error| Failure::io("cannot wait for signals", &error);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(failed),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(failed)
}
