//! `Signals`: how the process is told to stop.

use std::io;
use std::io::Read as _;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, from the moment this exists.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    last: i32,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            last: 0,
        })
    }

    /// Waits for the next one and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => {
                self.last = SignalKind::interrupt().as_raw_value();
                "SIGINT"
            }
            _ = self.terminate.recv() => {
                self.last = SignalKind::terminate().as_raw_value();
                "SIGTERM"
            }
        }
    }

    /// What a shell expects of a process that the last signal has ended.
    pub(crate) fn exit_code(&self) -> i32 {
        128 + self.last
    }
}

/// Returns when nobody can write to this process any more.
pub(crate) async fn stdin_ended() {
    let (tell, ended) = tokio::sync::oneshot::channel();
    // Not one of the runtime's threads, for whose end it would wait.
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while io::stdin().read(&mut ignored).is_ok_and(|read| read > 0) {}
        let _ = tell.send(());
    });
    let _ = ended.await;
}
