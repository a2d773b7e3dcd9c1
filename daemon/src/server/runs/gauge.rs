//! What the blocks of one run take of shared memory: now, and at most.

use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::BlockUse;

use crate::block::Block;

/// Counts the blocks that a run holds.
#[derive(Debug, Default)]
pub struct Gauge(Mutex<State>);

/// The counts.
#[derive(Debug, Default)]
pub struct State {
    seen: BlockUse,
    small_bytes: u64,
    uncounted: u64,
    is_stopped: bool,
}

impl Gauge {
    /// The counts, to be changed: many blocks come and go under one lock.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted.
    pub fn read(&self) -> BlockUse {
        self.lock().seen
    }
}

impl State {
    /// Counts a block that came.
    pub fn add(&mut self, bytes: u64) {
        if !self.is_stopped {
            let seen = &mut self.seen;
            seen.live += 1;
            seen.live_bytes = seen.live_bytes.saturating_add(bytes);
            seen.peak = seen.peak.max(seen.live);
            seen.peak_bytes = seen.peak_bytes.max(seen.live_bytes);
        }
    }

    /// Counts a block that went.
    pub fn remove(&mut self, bytes: u64) {
        if !self.is_stopped {
            self.seen.live = self.seen.live.saturating_sub(1);
            self.seen.live_bytes = self.seen.live_bytes.saturating_sub(bytes);
        }
    }

    /// Counts memory of a block that has no charge of its own.
    pub fn add_small(&mut self, block: &Block) {
        self.small_bytes = self.small_bytes.saturating_add(block.size());
        self.uncounted += u64::from(!block.is_counted());
    }

    /// Such memory was given back, or is charged otherwise.
    pub fn remove_small(&mut self, block: &Block) {
        self.small_bytes = self.small_bytes.saturating_sub(block.size());
        self.uncounted = self.uncounted.saturating_sub(u64::from(!block.is_counted()));
    }

    /// How many of the blocks nobody else counts.
    pub fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// What blocks take that have no charge of their own.
    pub fn small_bytes(&self) -> u64 {
        self.small_bytes
    }

    /// Stops counting: what goes from here on goes because the run is over.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }
}
