//! What the blocks of one run take of shared memory: now, and at most.

use std::sync::{Mutex, PoisonError};

use protocol::BlockUse;

/// Counts the blocks that a run holds.
#[derive(Debug, Default)]
pub struct Gauge(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seen: BlockUse,
    is_stopped: bool,
}

impl Gauge {
    /// Counts a block that came.
    pub fn add(&self, bytes: u64) {
        self.change(|seen| {
            seen.live += 1;
            seen.live_bytes = seen.live_bytes.saturating_add(bytes);
            seen.peak = seen.peak.max(seen.live);
            seen.peak_bytes = seen.peak_bytes.max(seen.live_bytes);
        });
    }

    /// Counts a block that went.
    pub fn remove(&self, bytes: u64) {
        self.change(|seen| {
            seen.live = seen.live.saturating_sub(1);
            seen.live_bytes = seen.live_bytes.saturating_sub(bytes);
        });
    }

    /// Stops counting: what goes from here on goes because the run is over.
    pub fn stop(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_stopped = true;
    }

    /// What was counted.
    pub fn read(&self) -> BlockUse {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen
    }

    fn change(&self, change: impl FnOnce(&mut BlockUse)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_stopped {
            change(&mut state.seen);
        }
    }
}
