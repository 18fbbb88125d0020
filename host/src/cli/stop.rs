//! The wish to stop: Ctrl-C, a termination, a closed terminal. Waited for by `dev`, `serve` and `run`.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::terminal::Failure;

/// Signals that ask the program to stop.
#[derive(Debug)]
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    /// From here on the signals no longer end the program by themselves.
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves with the next one.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// `work`, unless a stop is asked for first.
    pub(super) async fn unless<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.asked() => Err(Failure::interrupted()),
            done = work => done,
        }
    }
}
