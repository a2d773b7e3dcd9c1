//! Memory of blocks that are no more, which workers keep for blocks to come: its pages need not be faulted in again.
//!
//! It counts in the budget like any other, and goes when a task needs the room for something else, when there is more of it than there
//! may be, and when none of it was used for a while.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use engine::id::Time;

use crate::block::segment::{Segments, Spare};
use crate::server::budget::{Budget, Reclaim};
use crate::server::clock::{Alarm, Clock, Sleeper};

/// All of it.
#[derive(Debug)]
pub struct SpareMemory {
    clock: Clock,
    alarm: Arc<Alarm>,
    budget: Arc<Budget>,
    keep_us: u64,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    holders: Vec<Weak<Segments>>,
    /// When some of it was given back, or used again.
    touched: Time,
    is_armed: bool,
}

impl SpareMemory {
    /// None so far. At most `bytes_max` of it are kept, and for `keep_us` after it was last touched; nothing if that is 0.
    pub fn new(
        clock: Clock,
        alarm: &Arc<Alarm>,
        budget: &Arc<Budget>,
        keep_us: u64,
        bytes_max: u64,
    ) -> Arc<SpareMemory> {
        let (alarm, state) = (Arc::clone(alarm), Mutex::default());
        let spare = Arc::new(SpareMemory { clock, alarm, budget: Arc::clone(budget), keep_us, bytes_max, state });
        budget.add_spare(Arc::downgrade(&spare) as Weak<dyn Reclaim>);
        spare
    }

    /// Adds a worker's memory.
    pub fn add(&self, segments: &Arc<Segments>) {
        let mut state = self.lock();
        state.holders.retain(|holder| holder.strong_count() > 0);
        state.holders.push(Arc::downgrade(segments));
    }

    /// How much there is.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn holders(&self) -> Vec<Arc<Segments>> {
        self.lock().holders.iter().filter_map(Weak::upgrade).collect()
    }

    fn arm(self: &Arc<Self>, moment: Time) {
        let sleeper: Weak<dyn Sleeper> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Sleeper>));
        self.alarm.arm(moment, sleeper);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker's memory asks: a handle, for only that can set an alarm.
#[derive(Debug)]
pub struct Keeper(pub Arc<SpareMemory>);

impl Spare for Keeper {
    fn keep(&self, bytes: u64) -> bool {
        let spare = &self.0;
        let mut state = spare.lock();
        let wanted = state.bytes.saturating_add(bytes);
        if spare.keep_us == 0 || wanted > spare.bytes_max || !spare.budget.keep(bytes) {
            return false;
        }
        state.bytes = wanted;
        state.touched = spare.clock.now();
        let expires = state.touched.after(spare.keep_us);
        let is_armed = std::mem::replace(&mut state.is_armed, true);
        drop(state);
        if !is_armed {
            spare.arm(expires);
        }
        true
    }

    fn give_up(&self, bytes: u64) {
        let spare = &self.0;
        let mut state = spare.lock();
        let bytes = bytes.min(state.bytes);
        state.bytes -= bytes;
        state.touched = spare.clock.now();
        drop(state);
        spare.budget.unkeep(bytes);
    }
}

impl Reclaim for SpareMemory {
    fn reclaim(&self, bytes: u64) -> u64 {
        let mut reclaimed = 0;
        for holder in self.holders() {
            if reclaimed >= bytes {
                break;
            }
            reclaimed += holder.reclaim(bytes - reclaimed);
        }
        reclaimed
    }
}

impl Sleeper for SpareMemory {
    fn wake(self: Arc<Self>) {
        let mut state = self.lock();
        let expires = state.touched.after(self.keep_us);
        let is_over = expires <= self.clock.now();
        state.is_armed = state.bytes > 0 && !is_over;
        let is_armed = state.is_armed;
        drop(state);
        if is_armed {
            self.arm(expires);
        } else if is_over {
            self.reclaim(u64::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn spare(limit: u64, bytes_max: u64, keep_us: u64) -> (Arc<Budget>, Arc<SpareMemory>) {
        let clock = Clock::start();
        let alarm = Arc::new(Alarm::start(clock).unwrap());
        let budget = Budget::new(limit);
        let spare = SpareMemory::new(clock, &alarm, &budget, keep_us, bytes_max);
        (budget, spare)
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_than_fits() {
        let (budget, spare) = spare(1000, 600, 1 << 40);
        let keeper = Keeper(Arc::clone(&spare));
        assert!(keeper.keep(500));
        assert!(!keeper.keep(200), "more than may be kept");
        assert_eq!((spare.bytes(), budget.usage().bytes, budget.usage().blocks), (500, 500, 0));
        let charge = budget.charge(450);
        assert!(!keeper.keep(60), "more than fits");
        assert!(keeper.keep(50));
        keeper.give_up(550);
        drop(charge);
        assert_eq!((spare.bytes(), budget.usage().bytes), (0, 0));
    }

    #[test]
    fn nothing_is_kept_where_it_is_not_wanted() {
        let (budget, spare) = spare(1000, 600, 0);
        assert!(!Keeper(spare).keep(1));
        assert_eq!(budget.usage().bytes, 0);
    }
}
