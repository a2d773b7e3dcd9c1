//! Where a driver looks for what is to come instead of sleeping.
//!
//! In a chain of short tasks driver, worker and hook host take turns, and to sleep and be woken takes longer than a turn. So each of the
//! three looks for its turn for a moment, where there are processors for as many drivers as are busy and for their workers. There the host
//! needs none of its own: whoever looks gives way to who else is on its processor ([`Driver::looks_for_hooks`]).
#![forbid(unsafe_code)]

use std::time::Duration;

use super::Driver;
use super::flight::Flight;
use crate::sys::processor;

/// How long a driver looks for an answer before it sleeps, where a processor is free for that.
pub const SPIN: Duration = Duration::from_micros(50);
/// For the end of a task that takes less than this it may look.
pub const QUICK_NS: u64 = 100_000;
/// How often a driver leaves a processor that it shares with its worker.
pub const STEP_ASIDE_INTERVAL: Duration = Duration::from_micros(300);

impl Driver {
    /// Whether this thread may look for an answer for a moment, as nobody else needs the processor; tells the worker the same.
    pub fn may_spin(&self) -> bool {
        let Some(worker) = &self.worker else { return false };
        // Where hooks hear of it the host looks, too: this thread has a processor, and those two share one, as they take turns.
        let is_quick = |front: &Flight| front.expected_ns < QUICK_NS;
        let is_short = self.flights.front().is_some_and(is_quick);
        let may_spin = is_short && !self.has_answer && self.shared.may_spin();
        let patience = if may_spin { SPIN } else { Duration::ZERO };
        worker.rings.set_patience_ns(u32::try_from(patience.as_nanos()).unwrap_or(0));
        may_spin
    }

    /// Looks for an answer for a moment; true when there is one.
    pub fn spin(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.rings.look_for_answer(SPIN))
    }

    /// Goes to another processor if this one is the worker's: the two would take turns there, and another one, which nobody of ours
    /// needs, might stay idle until the kernel sees that.
    pub fn step_aside(&mut self) {
        let Some(processor) = processor::current() else { return };
        let shares = self.worker.as_ref().is_some_and(|worker| worker.rings.is_worker_on(processor));
        if shares {
            self.step_aside.leave(processor);
        }
    }

    /// For how long this thread and the hook host may look for each other before they sleep, where the tasks that hooks hear of take so
    /// long: the next exchange follows when those that follow have ended.
    pub fn looks_for_hooks(&self, takes_ns: u64) -> Duration {
        if takes_ns < QUICK_NS && self.shared.may_spin() { SPIN } else { Duration::ZERO }
    }
}
