//! Signals, and everything else that the main thread waits for.
//!
//! SIGTERM, SIGINT and SIGHUP are blocked before any thread is started, so that every thread inherits that, and are taken by one
//! thread that does nothing else. Children start with no signal blocked (std sees to it).
#![forbid(unsafe_code)]

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

/// What can happen to the main thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Someone wants the daemon to end, or (SIGHUP) to reload.
    Signal(Signal),
    /// Every run has ended after it was asked to stop.
    Drained,
    /// The control thread has ended by itself; nobody can reach the daemon any more.
    ControlEnded,
}

/// Where the main thread waits.
#[derive(Debug)]
pub struct Wakes {
    sender: Sender<Wake>,
    receiver: Receiver<Wake>,
}

impl Wakes {
    /// Blocks the signals for this thread and all it starts, and starts the thread that takes them. To be called first of
    /// all, from the main thread.
    pub fn take_signals() -> std::io::Result<Wakes> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGHUP);
        signals.thread_block()?;
        let (sender, receiver) = channel();
        let taker = sender.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            // Ends with the process, or when nobody waits any more.
            while let Ok(signal) = signals.wait() {
                if taker.send(Wake::Signal(signal)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Wakes { sender, receiver })
    }

    /// For whoever has something to tell the main thread.
    pub fn sender(&self) -> Sender<Wake> {
        self.sender.clone()
    }

    /// Waits for the next one.
    pub fn wait(&self) -> Wake {
        // This value holds a sender itself, so the channel cannot be closed.
        self.receiver.recv().unwrap_or(Wake::ControlEnded)
    }

    /// Waits for the next one, for so long.
    pub fn wait_for(&self, patience: Duration) -> Option<Wake> {
        match self.receiver.recv_timeout(patience) {
            Ok(wake) => Some(wake),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Wake::ControlEnded),
        }
    }
}
