//! `Signals`: what this program is told by the system and those who use it.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::exit::Failure;

/// Those that go on to a command, from the moment this exists.
pub(crate) struct Signals(Vec<(Signal, Stream)>);

const ALL: [Signal; 6] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

impl Signals {
    pub(crate) fn new() -> Result<Signals, Failure> {
        let stream = |one: Signal| Ok((one, signal(SignalKind::from_raw(one.as_raw()))?));
        let streams: io::Result<Vec<_>> = ALL.into_iter().map(stream).collect();
        streams.map(Signals).map_err(|error| Failure::io("cannot listen for signals", &error))
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let mut came = self
                .0
                .iter_mut()
                .filter_map(|(signal, stream)| stream.poll_recv(context).is_ready().then_some(*signal));
            came.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The next one that means the end.
    pub(crate) async fn told_to_stop(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if ends(signal) {
                return signal;
            }
        }
    }
}

/// Whether a signal means the end.
pub(crate) fn ends(signal: Signal) -> bool {
    ![Signal::USR1, Signal::USR2].contains(&signal)
}

/// What shells say of a process that a signal has ended.
pub(crate) fn exit_code(signal: Signal) -> u8 {
    // Signals are numbered below 128.
    u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)
}
