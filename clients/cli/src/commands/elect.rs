//! `elect`.

use std::time::Duration;

use clap::Args;
use quorate_client::Client;
use quorate_client::recipes::Lock;

use crate::exit::Failure;
use crate::holding::{self, ENVIRONMENT, Held, Holding};
use crate::printer::Printer;
use crate::signals::Signals;

const EXAMPLES: &str = "\
Examples:
  quorate elect /leaders/cron --exec -- ./scheduler
  quorate elect /leaders/cron --repeat --exec -- ./scheduler   for ever
  quorate elect /leaders/cron --data host-7                    until interrupted

The leader leads until the command ends; then another candidate does. With
--repeat one stands again after that, and after leadership was lost.";

/// Between the end of a command and the next candidature, so that one that fails at once does not keep everybody busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Examples, and what a command can rely on.
pub(crate) fn help() -> String {
    format!("{EXAMPLES}\n\n{ENVIRONMENT}")
}

/// The arguments of `elect`.
#[derive(Args, Debug)]
pub struct Elect {
    /// What the candidates stand for: a znode, which need not exist
    path: String,

    /// Stand again when the command has ended, or leadership was lost, until this is interrupted
    #[arg(short, long, requires = "exec")]
    repeat: bool,

    #[command(flatten)]
    holding: Holding,
}

impl Elect {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let what = format!("the leadership of {}", self.path);
        let mut signals = Signals::new()?;
        loop {
            let outcome = self.stand(&what, client, &mut signals, printer).await;
            let again = match outcome {
                Ok(Held::Done { code, is_told_to_stop: false }) if self.repeat => {
                    format!("the command has ended with exit code {code}")
                }
                // It has been said.
                Ok(Held::Lost(_)) if self.repeat => "leadership was lost".to_owned(),
                Err(Failure::Client(error)) if self.repeat && error.is_retryable() => error.to_string(),
                outcome => return outcome?.into_result(&what),
            };
            eprintln!("quorate: {again}; standing again");
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = signals.told_to_stop() => return Ok(()),
            }
        }
    }

    /// Stands once, with a session of its own.
    async fn stand(
        &self,
        what: &str,
        client: &Client,
        signals: &mut Signals,
        printer: &mut Printer,
    ) -> Result<Held, Failure> {
        let session = client.open_session(self.holding.session_timeout).await?;
        // Leadership is a lock that is held for long, here and in Curator's `LeaderSelector`.
        let candidate = Lock::new(&session, &self.path).data(self.holding.data());
        let held = match self.holding.turn(what, candidate.acquire(), signals).await {
            Ok(guard) => self.holding.hold(what, guard, signals, printer).await,
            Err(failure) => Err(failure),
        };
        holding::close(session).await;
        held
    }
}
