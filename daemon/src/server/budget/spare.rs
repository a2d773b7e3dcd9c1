//! Memory that can be done without, for tasks that wait.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use super::{Budget, Waiter};

/// Somebody who holds memory that can be done without.
pub trait Reclaim: Send + Sync + std::fmt::Debug {
    /// Gives back about so many bytes, if there are so many to spare; says how many. Called without the budget's lock.
    fn reclaim(&self, bytes: u64) -> u64;
}

impl Budget {
    /// Adds somebody who is asked for memory before a task has to wait for it; asked in the order they were added.
    pub fn add_spare(&self, spare: Weak<dyn Reclaim>) {
        self.spare.write().unwrap_or_else(PoisonError::into_inner).push(spare);
    }

    /// How many bytes are missing for the waiting task that needs the fewest; 0 while nobody waits.
    pub fn shortfall(&self) -> u64 {
        if self.waiting_count.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let state = self.lock();
        let missing = |waiter: &Waiter| state.used.saturating_add(waiter.bytes).saturating_sub(self.limit);
        state.waiting.iter().map(missing).min().unwrap_or(0)
    }

    /// Asks those with memory to spare for what a waiting task needs, if one waits.
    pub fn relieve(&self) {
        let missing = self.shortfall();
        if missing > 0 {
            self.reclaim(missing);
        }
    }

    /// Asks those with memory to spare for what is missing.
    pub(super) fn reclaim(&self, bytes: u64) {
        let spare: Vec<Arc<dyn Reclaim>> =
            self.spare.read().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
        let mut missing = bytes;
        for holder in spare {
            if missing == 0 {
                return;
            }
            missing = missing.saturating_sub(holder.reclaim(missing));
        }
    }
}
