//! The end of a daemon that was asked to end.
//!
//! ```text
//! first signal ─▶ no new runs, those under way go on ─┬─ all have ended ───────────────▶ end
//!                                                     ├─ drain_timeout_ms has passed ──▶ interrupt the rest, end
//!                                                     └─ another signal ───────────────▶ cancel the rest, end
//! ```
//!
//! An interrupted run stays in the store as it is: the next start finds it unfinished, and says so or goes on with it. A
//! cancelled one has ended for good, because somebody insisted.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::daemon::{Daemon, ShutdownMode};
use super::service::notify;
use super::signals::{Wake, Wakes};

/// How long the service manager is asked to wait at a time; the heartbeat renews it while runs end.
pub const LEASE: Duration = Duration::from_secs(15);
/// How long the end may take once no run is waited for: a worker that does not stop is killed well before.
const ENDING_LEASE: Duration = Duration::from_secs(30);

/// What became of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    Drained,
    TooLong,
    Insisted(Signal),
}

/// Cancels what is under way and ends.
pub fn at_once(daemon: &Daemon, signal: Signal) {
    log::info!("{signal}: ending");
    notify::stopping("ends", ENDING_LEASE);
    daemon.shutdown(ShutdownMode::Now);
}

/// Lets runs end for as long as `patience`, then interrupts them; a second signal cancels them.
pub fn after_runs(daemon: &Arc<Daemon>, wakes: &Wakes, signal: Signal, patience: Duration) {
    log::info!("{signal}: runs may end within {} s; another signal cancels them", patience.as_secs_f64());
    notify::stopping("lets runs end", LEASE);
    let draining = Arc::clone(daemon);
    let sender = wakes.sender();
    let drain = std::thread::Builder::new().name("drain".to_owned()).spawn(move || {
        draining.shutdown(ShutdownMode::Drain);
        // Nobody waits if the patience ended first.
        let _ = sender.send(Wake::Drained);
    });
    let waited = match drain {
        Ok(_) => wait(wakes, Instant::now() + patience),
        Err(_) => Waited::TooLong,
    };
    notify::extend_timeout(ENDING_LEASE);
    match waited {
        Waited::Drained => {}
        Waited::TooLong => {
            log::warn!("runs that are still under way are interrupted ([server] drain_timeout_ms)");
            daemon.shutdown(ShutdownMode::Interrupt);
        }
        Waited::Insisted(signal) => {
            log::warn!("{signal} again: cancelling the runs that are still under way");
            daemon.shutdown(ShutdownMode::Now);
        }
    }
}

/// Waits until every run has ended, nobody wants to wait any more, or it is too late.
fn wait(wakes: &Wakes, give_up: Instant) -> Waited {
    loop {
        match wakes.wait_for(give_up.saturating_duration_since(Instant::now())) {
            Some(Wake::Drained) => return Waited::Drained,
            Some(Wake::Signal(Signal::SIGHUP)) => log::info!("SIGHUP: the daemon is ending and reloads nothing"),
            Some(Wake::Signal(signal)) => return Waited::Insisted(signal),
            // Nobody can reach the daemon, but the runs may still end.
            Some(Wake::ControlEnded) => (),
            None => return Waited::TooLong,
        }
    }
}
