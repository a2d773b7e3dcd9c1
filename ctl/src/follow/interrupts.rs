//! Ctrl-C and SIGTERM as something to wait for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// Where an interrupt came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Ctrl-C: the terminal has written `^C` where the cursor was.
    Keyboard,
    /// SIGTERM.
    Request,
}

/// Ctrl-C and SIGTERM, from the moment this is made: before the run is submitted, so that none is lost between.
#[derive(Debug)]
pub enum Interrupts {
    /// Those of the process.
    Signals {
        /// Ctrl-C.
        interrupt: Signal,
        /// What `kill` sends.
        terminate: Signal,
    },
    /// So many at once and none after, for tests: signals would reach every test of the process.
    #[cfg(test)]
    Scripted(u32),
}

impl Interrupts {
    /// Takes the signals over.
    pub fn take() -> Result<Interrupts, Error> {
        let take = |kind| signal(kind).map_err(|problem| Error::internal("cannot listen for Ctrl-C", problem));
        Ok(Interrupts::Signals { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Waits for one.
    pub async fn next(&mut self) -> Interrupt {
        match self {
            Interrupts::Signals { interrupt, terminate } => tokio::select! {
                _ = interrupt.recv() => Interrupt::Keyboard,
                _ = terminate.recv() => Interrupt::Request,
            },
            #[cfg(test)]
            Interrupts::Scripted(0) => std::future::pending().await,
            #[cfg(test)]
            Interrupts::Scripted(left) => {
                *left -= 1;
                Interrupt::Request
            }
        }
    }
}
