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
pub struct Interrupts {
    source: Source,
    have_come: bool,
}

#[derive(Debug)]
enum Source {
    /// Those of the process: Ctrl-C, and what `kill` sends.
    Signals { interrupt: Signal, terminate: Signal },
    /// So many at once and none after, for tests: signals would reach every test of the process.
    #[cfg(test)]
    Scripted(u32),
}

impl Interrupts {
    /// Takes the signals over.
    pub fn take() -> Result<Interrupts, Error> {
        let take = |kind| signal(kind).map_err(|problem| Error::internal("cannot listen for Ctrl-C", problem));
        let (interrupt, terminate) = (take(SignalKind::interrupt())?, take(SignalKind::terminate())?);
        Ok(Interrupts { source: Source::Signals { interrupt, terminate }, have_come: false })
    }

    /// So many at once and none after.
    #[cfg(test)]
    pub fn scripted(count: u32) -> Interrupts {
        Interrupts { source: Source::Scripted(count), have_come: false }
    }

    /// Waits for one.
    pub async fn next(&mut self) -> Interrupt {
        let interrupt = match &mut self.source {
            Source::Signals { interrupt, terminate } => tokio::select! {
                _ = interrupt.recv() => Interrupt::Keyboard,
                _ = terminate.recv() => Interrupt::Request,
            },
            #[cfg(test)]
            Source::Scripted(0) => std::future::pending().await,
            #[cfg(test)]
            Source::Scripted(left) => {
                *left -= 1;
                Interrupt::Request
            }
        };
        self.have_come = true;
        interrupt
    }

    /// Whether one has come, be it that whoever waited for it was interested in something else by then.
    pub fn have_come(&self) -> bool {
        self.have_come
    }
}
