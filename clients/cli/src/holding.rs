//! `Holding`: what `lock` and `elect` have in common. Something is held in the name of a session, and a command runs as
//! long as it is.
//!
//! Invariant: when this program ends, on Linux be it by `kill -9`, the command does not run any more, and what was held is given
//! back, or goes with the session. What remains is a machine that stands still, and what the command has started and left
//! behind: so it is given a fencing token to send along with whatever it changes elsewhere.

mod running;

use std::ffi::OsString;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use quorate_client::recipes::Guard;
use quorate_client::{Error, Session};
use serde::Serialize;

pub(crate) use self::running::RunHeld;
use self::running::Running;
use crate::document::hex;
use crate::duration;
use crate::exit::Failure;
use crate::printer::Printer;
use crate::signals::{self, Signals};

/// What the command finds in its environment.
pub(crate) const ENVIRONMENT: &str = "\
The command's environment says under which token it runs, greater than that of
everybody who held it before, and by which znode:
  QUORATE_FENCING_TOKEN, QUORATE_FENCING_PATH
Whatever it changes should be sent with the token, so that one who comes late is
refused. In the ensemble itself, a multi does that by the znode:
    quorate multi \"check $QUORATE_FENCING_PATH\" \"set /report done\"

Its exit code is the command's: 128 and the signal's number if one has ended it,
126 or 127 if it could not be started. Signals go on to it. It runs in a process
group of its own, unless standard input is a terminal.";

/// How it is held.
#[derive(Args, Debug)]
pub(crate) struct Holding {
    /// Run the command that stands behind `--`; without, it is held until this is interrupted
    #[arg(long, requires = "command")]
    exec: bool,

    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND", requires = "exec")]
    command: Vec<OsString>,

    /// Give up when it was not one's turn within this time; without, wait for ever
    #[arg(short, long, value_name = "TIME", value_parser = duration::parse)]
    wait: Option<Duration>,

    /// How long others wait when this program or its machine is gone: 1s to 300s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub(crate) session_timeout: Duration,

    /// How long after SIGTERM a command is killed that runs though what it needs was lost
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    grace: Duration,

    /// What others who look are told of the holder; by default its host and process id
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
}

/// How the holding ended.
pub(crate) enum Held {
    /// The command has ended with this code, or was never to run; and this program was told to stop meanwhile, or not.
    Done { code: u8, is_told_to_stop: bool },
    /// What was held was lost, for this reason.
    Lost(Error),
}

/// What is held, as JSON.
#[derive(Serialize)]
struct HeldDocument<'a> {
    path: &'a str,
    token: String,
}

impl Holding {
    /// What others are told.
    pub(crate) fn data(&self) -> String {
        self.data.clone().unwrap_or_else(|| {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            format!("{host}:{}", std::process::id())
        })
    }

    /// Waits for a turn, unless a signal or the time comes first.
    pub(crate) async fn turn(
        &self,
        what: &str,
        acquire: impl Future<Output = Result<Guard, Error>>,
        signals: &mut Signals,
    ) -> Result<Guard, Failure> {
        let in_time = async {
            match self.wait {
                None => Ok(acquire.await?),
                Some(wait) => match tokio::time::timeout(wait, acquire).await {
                    Ok(acquired) => Ok(acquired?),
                    Err(_) => Err(Failure::InVain(format!("{what} was not to be had within {wait:?}"))),
                },
            }
        };
        tokio::select! {
            turn = in_time => turn,
            signal = signals.told_to_stop() => {
                let message = format!("told to stop while waiting for {what}");
                Err(Failure::Ended { code: signals::exit_code(signal), message: Some(message) })
            }
        }
    }

    /// Holds it until the command has ended, a signal has come, or it is lost. Then it is given back, in the background: by
    /// waiting for that nobody would end whose ensemble is gone. Closing the session, which comes next, takes it along.
    pub(crate) async fn hold(
        &self,
        what: &str,
        guard: Guard,
        signals: &mut Signals,
        printer: &mut Printer,
    ) -> Result<Held, Failure> {
        if self.command.is_empty() {
            wait(what, &guard, signals, printer).await
        } else {
            self.run(what, &guard, signals).await
        }
    }

    async fn run(&self, what: &str, guard: &Guard, signals: &mut Signals) -> Result<Held, Failure> {
        let fence = guard.fence();
        let mut running = Running::start(&self.command, &fence)?;
        let mut lost = pin!(guard.lost());
        let mut is_told_to_stop = false;
        loop {
            tokio::select! {
                biased;
                code = running.ended() => return Ok(Held::Done { code: code?, is_told_to_stop }),
                signal = signals.next() => {
                    is_told_to_stop |= signals::ends(signal);
                    running.forward(signal);
                }
                error = &mut lost => {
                    eprintln!("quorate: {what} is lost: the command is told to stop");
                    running.stop(self.grace).await?;
                    return Ok(Held::Lost(error));
                }
            }
        }
    }
}

/// Without a command: until this program is told to stop.
async fn wait(what: &str, guard: &Guard, signals: &mut Signals, printer: &mut Printer) -> Result<Held, Failure> {
    let (path, token) = (guard.fence().path().to_owned(), guard.token());
    if printer.is_json() {
        printer.json(&HeldDocument { path: &path, token: hex(token) })?;
    } else {
        printer.line(&format!("{path} {token}"))?;
    }
    printer.flush()?;
    eprintln!("{what} is held until this command is interrupted");
    tokio::select! {
        _ = signals.told_to_stop() => Ok(Held::Done { code: 0, is_told_to_stop: true }),
        error = guard.lost() => Ok(Held::Lost(error)),
    }
}

impl Held {
    /// What there is to say at the end.
    pub(crate) fn into_result(self, what: &str) -> Result<(), Failure> {
        match self {
            Held::Done { code: 0, .. } => Ok(()),
            Held::Done { code, .. } => Err(Failure::Ended { code, message: None }),
            Held::Lost(error) => Err(Failure::Lost(format!("{what} was lost: {}", error.message()))),
        }
    }
}

/// Closes the session, with which everything goes that was held in its name.
pub(crate) async fn close(session: Session) {
    if session.state().is_final() {
        return;
    }
    if let Err(error) = session.close().await {
        eprintln!("quorate: the session could not be closed and ends by itself: {error}");
    }
}
