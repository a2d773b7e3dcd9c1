//! How the daemon ends.

use std::sync::PoisonError;
use std::time::Duration;

use super::Daemon;

/// How long runs that were cancelled at shutdown may take beyond the grace of their nodes.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(15);

/// How [`Daemon::shutdown`] ends what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    /// New runs are refused, those under way finish first.
    Drain,
    /// Runs under way are cancelled; workers that do not stop are killed.
    Now,
    /// Runs under way are cut off as they are, and stay unfinished in the store: the next start accounts for them.
    Interrupt,
}

impl Daemon {
    /// Ends the daemon; blocks until every process of it is gone (bounded in mode `Now`).
    pub fn shutdown(&self, mode: ShutdownMode) {
        self.registry.close();
        if mode == ShutdownMode::Now {
            for run in self.registry.active() {
                run.cancel("the daemon is stopping".to_owned());
            }
        }
        let grace = Duration::from_millis(self.generations.config().workers.cancel_grace_ms);
        let patience = (mode == ShutdownMode::Now).then(|| grace + SHUTDOWN_PATIENCE);
        if mode == ShutdownMode::Interrupt {
            // First of all: whoever loses its worker now must not be written down as failed.
            self.stop_usher();
            for run in self.registry.active() {
                log::warn!(RUN_ID = run.id.as_str(); "run {} is interrupted: the daemon is stopping", run.id);
                self.store.append_logs(&run.id, run.log.read(0).lines);
            }
        } else if !self.registry.await_none_active(patience) {
            log::warn!("runs that could not be ended in time are interrupted; the next start says which");
        }
        self.generations.stop();
        self.stop_usher();
        self.services.alarm.stop();
        if let Err(error) = self.store.flush() {
            log::error!("the last changes could not be written: {error}");
        }
    }

    fn stop_usher(&self) {
        self.services.usher.stop();
        let thread = self.usher_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
