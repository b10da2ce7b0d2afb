//! `Running`: a command that runs while something is held.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use clap::Args;
use quorate_client::recipes::Fence;
use rustix::process::{Pid, Signal, getppid, kill_process, kill_process_group};
use tokio::process::Child;

use crate::exit::Failure;

/// A command could not be started, though it is there; shells say so, too.
const CANNOT_START: u8 = 126;

/// There is no such command.
const NOT_FOUND: u8 = 127;

/// The command; killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    /// Whether the command has a process group of its own, of which all processes are told what it is told. At a terminal
    /// it has not: it could not read from there, and the keys for signals would not reach it.
    has_group: bool,
}

impl Running {
    pub(crate) fn start(command: &[OsString], fence: &Fence) -> Result<Running, Failure> {
        let failed = |error: io::Error| Failure::Ended {
            code: CANNOT_START,
            message: Some(format!("cannot start the command: {error}")),
        };
        let has_group = !io::stdin().is_terminal();
        let mut run = tied_to_this(command).ok_or_else(|| failed(io::Error::other("none is named")))?;
        run.env("QUORATE_FENCING_TOKEN", fence.token().to_string()).env("QUORATE_FENCING_PATH", fence.path());
        if has_group {
            run.process_group(0);
        }
        let child = tokio::process::Command::from(run).kill_on_drop(true).spawn().map_err(failed)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = id.ok_or_else(|| failed(io::Error::other("it has no process id")))?;
        Ok(Running { child, pid, has_group })
    }

    /// Waits until it has ended: with which code.
    pub(crate) async fn ended(&mut self) -> Result<u8, Failure> {
        let status = self.child.wait().await.map_err(|error| Failure::io("cannot wait for the command", &error))?;
        Ok(code_of(status))
    }

    /// Tells it what this program was told.
    pub(crate) fn forward(&self, signal: Signal) {
        // These are a terminal's keys and its end: they have reached all processes there.
        let is_known = [Signal::INT, Signal::QUIT, Signal::HUP].contains(&signal);
        if self.has_group || !is_known {
            self.tell(signal);
        }
    }

    /// Has it end, whether it likes to or not.
    pub(crate) async fn stop(&mut self, grace: Duration) -> Result<(), Failure> {
        self.tell(Signal::TERM);
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            self.tell(Signal::KILL);
            self.ended().await?;
        }
        Ok(())
    }

    fn tell(&self, signal: Signal) {
        // It is not waited for yet, so the id is still its own; that it has ended meanwhile is no failure.
        let _ = if self.has_group { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
    }
}

/// The command, such that it ends with this program.
#[cfg(target_os = "linux")]
fn tied_to_this(command: &[OsString]) -> Option<Command> {
    // This very program, even if another version has taken its place meanwhile.
    let mut run = Command::new("/proc/self/exe");
    run.args(["run-held", "--parent", &rustix::process::getpid().to_string(), "--"]).args(command);
    Some(run)
}

/// The command. Other systems cannot tie it to this program, so it has to be ended by hand where that was killed.
#[cfg(not(target_os = "linux"))]
fn tied_to_this(command: &[OsString]) -> Option<Command> {
    let (program, arguments) = command.split_first()?;
    let mut run = Command::new(program);
    run.args(arguments);
    Some(run)
}

fn code_of(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(u8::MAX)
}

/// The arguments of `run-held`, which is this program between its start and that of the command: the system is told that
/// the command is to end if the one who holds the lock for it is gone, be it by `kill -9`.
#[derive(Args, Debug)]
pub struct RunHeld {
    /// Who holds the lock
    #[arg(long)]
    parent: i32,

    /// What is to be run
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl RunHeld {
    /// Becomes the command; returns only if that fails.
    pub(crate) fn run(self) -> ExitCode {
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
            eprintln!("quorate: the command would go on without its lock: {error}");
            return ExitCode::from(CANNOT_START);
        }
        // It may be gone already.
        if getppid().map(Pid::as_raw_pid) != Some(self.parent) {
            return ExitCode::from(CANNOT_START);
        }
        let mut command = self.command.into_iter();
        let Some(program) = command.next() else { return ExitCode::from(CANNOT_START) };
        let error = Command::new(&program).args(command).exec();
        eprintln!("quorate: cannot run {}: {error}", program.display());
        ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_START })
    }
}
